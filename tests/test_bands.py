"""Each codec against a plain loop over bands built from torch's own layers."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tisdiss import band_layouts, bands

CHANNELS, N_SRC, FRAMES = 6, 2, 7
LAYOUTS = {
    "mel": band_layouts.mel_bands(n_bands=32, n_fft=128, sample_rate=8000),
    "tiger": band_layouts.tiger_bands(n_fft=128),
}


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(params=LAYOUTS)
def layout(request: pytest.FixtureRequest) -> tuple[tuple[int, ...], ...]:
    return LAYOUTS[request.param]


def _spec(batch: int = 2) -> Tensor:
    return torch.randn(batch, FRAMES, 65, dtype=torch.complex128)


def _features(layout: band_layouts.Bands, batch: int = 2) -> Tensor:
    return torch.randn(batch, N_SRC, FRAMES, len(layout), CHANNELS, dtype=torch.float64)


def _random(codec: nn.Module) -> nn.Module:
    """Every parameter random, so that a swapped scale or bias shows."""
    for parameter in codec.double().parameters():
        nn.init.normal_(parameter)
    return codec


def _values(spec: Tensor, band: tuple[int, ...]) -> Tensor:
    """The band's real numbers, (batch, frames, 2 x width), real and imaginary part by bin."""
    return torch.view_as_real(spec[..., list(band)]).flatten(-2)


def _rows(layout: band_layouts.Bands, number: int) -> slice:
    first = 2 * sum(len(band) for band in layout[:number])
    return slice(first, first + 2 * len(layout[number]))


def _added(layout: band_layouts.Bands, outputs: list[Tensor]) -> Tensor:
    """Put the bands' values (..., 2 x width) into a spectrum, summing overlaps."""
    spec = torch.zeros(*outputs[0].shape[:-1], 65, dtype=torch.complex128)
    for band, output in zip(layout, outputs, strict=True):
        values = torch.view_as_complex(output.unflatten(-1, (-1, 2)).contiguous())
        spec[..., list(band)] += values
    return spec


def test_mel_layout_has_the_published_widths() -> None:
    widths = "3,2,2,2,2,2,3,3,2,2,2,2,2,3,3,2,3,3,3,4,4,4,5,5,5,6,6,6,7,8,8,9"
    assert [len(band) for band in LAYOUTS["mel"]] == [int(w) for w in widths.split(",")]
    assert LAYOUTS["mel"][0][0] == 0 and LAYOUTS["mel"][-1][-1] == 64


@pytest.mark.parametrize(("n_bands", "n_fft", "rate"), [(25, 128, 8000), (33, 256, 16000)])
def test_mel_bands_cover_every_bin_once_or_twice(n_bands: int, n_fft: int, rate: int) -> None:
    layout = band_layouts.mel_bands(n_bands=n_bands, n_fft=n_fft, sample_rate=rate)
    members = [k for band in layout for k in band]
    assert len(layout) == n_bands
    assert all(1 <= members.count(k) <= 2 for k in range(n_fft // 2 + 1))


def test_too_many_mel_bands_are_refused_with_the_way_out() -> None:
    with pytest.raises(ValueError, match=r"100 mel bands at n_fft=128: empty bands \[.*use fewer"):
        band_layouts.mel_bands(n_bands=100, n_fft=128, sample_rate=8000)


@pytest.mark.parametrize(("n_fft", "unit"), [(128, 1), (256, 2), (512, 4)])
def test_tiger_widths_scale_with_n_fft(n_fft: int, unit: int) -> None:
    widths = [len(band) for band in band_layouts.tiger_bands(n_fft=n_fft)]
    assert widths == [1] + 16 * [unit] + 8 * [2 * unit] + 8 * [4 * unit]


@pytest.mark.parametrize("n_fft", [8, 64, 96, 192, 320])
def test_tiger_bands_partition_the_spectrum(n_fft: int) -> None:
    layout = band_layouts.tiger_bands(n_fft=n_fft)
    assert [k for band in layout for k in band] == list(range(n_fft // 2 + 1))


def test_linear_encoder_is_rms_norm_then_linear(layout: band_layouts.Bands) -> None:
    encoder, spec = _random(bands.LinearBandEncoder(channels=CHANNELS, bands=layout)), _spec()
    features = encoder(spec)
    for number, band in enumerate(layout):
        rows, x = _rows(layout, number), _values(spec, band)
        x = x / x.norm(dim=-1, keepdim=True) * (2 * len(band)) ** 0.5 * encoder.gamma[rows]
        expected = functional.linear(x, encoder.weight[rows].T, encoder.bias[number])
        torch.testing.assert_close(features[:, :, number], expected)


def test_linear_decoder_is_a_gated_mlp_and_sums_overlaps(layout: band_layouts.Bands) -> None:
    decoder = _random(bands.LinearBandDecoder(channels=CHANNELS, bands=layout, expansion=2))
    features, outputs = _features(layout), []
    for number in range(len(layout)):
        rows = _rows(layout, number)
        x = features[..., number, :] @ decoder.weight_in[number] + decoder.bias_in[number]
        x = x.tanh() @ decoder.weight_mid[number] + decoder.bias_mid[number]
        value, gate = (
            x.tanh() @ decoder.weight_out[rows, half].T + decoder.bias_out[rows, half]
            for half in (0, 1)
        )
        outputs.append(value * gate.sigmoid())
    torch.testing.assert_close(decoder(features, _spec()), _added(layout, outputs))


@pytest.mark.parametrize("kernel_size", [1, 3])
def test_conv_encoder_is_group_norm_then_conv1d(
    layout: band_layouts.Bands, kernel_size: int
) -> None:
    encoder = bands.ConvBandEncoder(channels=CHANNELS, bands=layout, kernel_size=kernel_size)
    features = _random(encoder)(spec := _spec())
    for number, band in enumerate(layout):
        rows, x = _rows(layout, number), _values(spec, band).transpose(1, 2)
        x = functional.group_norm(x, 1, encoder.gamma[rows], encoder.beta[rows], eps=1e-8)
        weight = encoder.weight[rows].transpose(0, 1)
        x = functional.conv1d(x, weight, encoder.bias[number], padding=kernel_size // 2)
        torch.testing.assert_close(features[:, :, number], x.transpose(1, 2))


def test_conv_decoder_is_a_transposed_conv1d(layout: band_layouts.Bands) -> None:
    decoder = _random(bands.ConvBandDecoder(channels=CHANNELS, bands=layout))
    features, outputs = _features(layout), []
    for number in range(len(layout)):
        rows, x = _rows(layout, number), features[..., number, :].flatten(0, 1).transpose(1, 2)
        weight = decoder.weight[rows].transpose(0, 1)
        x = functional.conv_transpose1d(x, weight, decoder.bias[rows], padding=1)
        outputs.append(x.transpose(1, 2).unflatten(0, (2, N_SRC)))
    torch.testing.assert_close(decoder(features, _spec()), _added(layout, outputs))


def test_tiger_mask_is_the_gated_value_shifted_to_sum_to_one() -> None:
    layout = LAYOUTS["tiger"]
    decoder, spec = _random(bands.TigerDecoder(channels=CHANNELS, bands=layout)), _spec()
    features, outputs = _features(layout), []
    for number in range(len(layout)):
        rows = _rows(layout, number)
        x = functional.prelu(features[..., number, :], decoder.slope[number])
        value, gate = (x @ decoder.weight[rows, h].T + decoder.bias[rows, h] for h in (0, 1))
        outputs.append(value * gate.sigmoid())
    masks = _added(layout, outputs)
    expected = torch.stack(
        [(1 + masks[:, 0] - masks[:, 1]) / 2, (1 + masks[:, 1] - masks[:, 0]) / 2], 1
    )
    torch.testing.assert_close(decoder(features, spec), expected * spec[:, None])


def test_tiger_estimates_sum_to_their_own_mixture() -> None:
    decoder = _random(bands.TigerDecoder(channels=CHANNELS, bands=LAYOUTS["tiger"]))
    spec = _spec(batch=3)
    estimates = decoder(_features(LAYOUTS["tiger"], batch=3), spec)
    torch.testing.assert_close(estimates.sum(1), spec)
    assert not torch.allclose(estimates[:, 0], spec / 2)


def test_tiger_masks_have_gradients() -> None:
    decoder = _random(bands.TigerDecoder(channels=CHANNELS, bands=LAYOUTS["tiger"]))
    estimates = decoder(_features(LAYOUTS["tiger"]), _spec())
    estimates[:, 0].abs().sum().backward()
    assert all(parameter.grad.abs().sum() > 1e-3 for parameter in decoder.parameters())


def test_tiger_streams_depend_on_their_own_utterance_alone() -> None:
    decoder = _random(bands.TigerDecoder(channels=CHANNELS, bands=LAYOUTS["tiger"]))
    features, spec = _features(LAYOUTS["tiger"]), _spec()
    both = decoder(features, spec)
    alone = decoder(features[1:], spec[1:])
    torch.testing.assert_close(both[1:], alone)


def test_initial_weights_are_xavier_uniform_per_band(layout: band_layouts.Bands) -> None:
    decoder = bands.ConvBandDecoder(channels=CHANNELS, bands=layout)
    for number, band in enumerate(layout):
        bound = (6 / (3 * (2 * len(band) + CHANNELS))) ** 0.5
        largest = decoder.weight[_rows(layout, number)].abs().max()
        assert 0.8 * bound < largest <= bound
    assert not decoder.bias.any()
