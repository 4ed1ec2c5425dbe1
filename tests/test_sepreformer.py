"""SepReformer beyond the golden files: any length, its depths, its losses, settings, recipes."""

import math
from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import Tensor, nn

from tisdiss.baselines.sepreformer import SepReformer, attention
from tisdiss.baselines.sepreformer.attention import Attention, Offsets
from tisdiss.baselines.sepreformer.blocks import along_frames, depthwise
from tisdiss.baselines.sepreformer.losses import magnitude_pairs, time_pairs, training_loss
from tisdiss.baselines.sepreformer.model import Head
from tisdiss.config.sepreformer import SepReformerConfig, sepreformer
from tisdiss.config.sepreformer_loss import SepReformerLossConfig

TINY = SepReformerConfig(
    encoder_channels=12, channels=8, stages=2, n_heads=2, local_kernel=5, max_offset=6, dropout=0
)
LOSS = SepReformerLossConfig()


def build(**changes: object) -> SepReformer:
    """A model for evaluation whose residual branches are as strong as the features."""
    torch.manual_seed(0)
    settings = TINY.model_dump() | {"scale_init": 0.5} | changes
    return SepReformer(SepReformerConfig.model_validate(settings)).eval()


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


@pytest.fixture(autouse=True)
def without_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.mark.parametrize("samples", [1, 3, 15, 16, 17, 100, 1001])
@pytest.mark.parametrize("n_src", [2, 3])
def test_estimates_are_as_long_as_the_mixture(samples: int, n_src: int) -> None:
    outputs = build(n_src=n_src).all_depths(noise(2, samples))
    assert outputs.shape == (3, 2, n_src, samples) and outputs.isfinite().all()


def test_a_mixture_is_padded_with_silence_to_whole_frames() -> None:
    model, mixture = build(), noise(1, 101)
    assert torch.equal(model(mixture), model(F.pad(mixture, (0, 3)))[..., :101])


@pytest.mark.parametrize("splitter", ["shared", "separate"])
def test_mixtures_of_a_batch_do_not_meet(splitter: str) -> None:
    model, mixtures = build(splitter=splitter), noise(3, 200)
    order = torch.tensor([2, 0, 1])
    torch.testing.assert_close(
        model.all_depths(mixtures[order]), model.all_depths(mixtures)[:, order]
    )
    torch.testing.assert_close(model(mixtures[1:2]), model(mixtures)[1:2])


def test_silence_gives_finite_estimates() -> None:
    assert build().all_depths(torch.zeros(1, 300)).isfinite().all()


@pytest.mark.parametrize("depths", [[0], [1], [2], [0, 2], [1, 2], range(3)])
def test_each_depth_is_the_same_whatever_else_is_asked(depths: list[int]) -> None:
    model, mixture = build(), noise(2, 200)
    whole = model.all_depths(mixture)
    for depth, output in zip(depths, model.outputs(mixture, depths), strict=True):
        assert torch.equal(output, whole[depth])
    assert torch.equal(model(mixture), whole[-1])


def spoil(*parts: nn.Module) -> None:
    for part in parts:
        for parameter in part.parameters():
            parameter.fill_(torch.nan)


def test_nothing_is_computed_that_was_not_asked() -> None:
    model, mixture = build(splitter="separate"), noise(1, 100)
    spoil(*model.early_heads[1:], model.head, *model.stages_up[1:], model.splitters[0])
    early = list(model.outputs(mixture, [0]))
    assert len(early) == 1 and early[0].isfinite().all()
    model = build()
    spoil(*model.early_heads)
    assert model(mixture).isfinite().all()


@pytest.mark.parametrize("depths", [[], [3], [-1], [1, 0], [1, 1]])
def test_other_depths_are_refused(depths: list[int]) -> None:
    with pytest.raises(ValueError, match="give some of 0 to 2, each once and in ascending order"):
        build().outputs(noise(1, 100), depths)


@pytest.mark.parametrize("mixture", [noise(100), noise(1, 1, 100), noise(1, 100).double()])
def test_other_mixtures_are_refused(mixture: Tensor) -> None:
    with pytest.raises(ValueError, match=r"give \(batch, samples\) of torch.float32"):
        build()(mixture)


def naive(layer: Attention, x: Tensor, table: Tensor | None) -> Tensor:
    """The formula, with the row of every pair of frames spelt out."""
    length, width = x.shape[1], x.shape[2] // layer.n_heads
    q, k, v = layer.qkv(layer.norm(x)).unflatten(-1, (3, layer.n_heads, width)).unbind(2)
    scores = torch.einsum("bihd,bjhd->bhij", q, k)
    if table is not None:
        reach = len(table) // 2
        offset = torch.arange(length)[:, None] - torch.arange(length)
        rows = table[offset.clamp(-reach, reach - 1) + reach]
        scores = scores + torch.einsum("bihd,ijd->bhij", q, rows)
    heads = torch.einsum("bhij,bjhd->bihd", torch.softmax(scores / math.sqrt(width), -1), v)
    return layer.scale * layer.out(heads.flatten(2))


@pytest.mark.parametrize("length", [1, 2, 5, 7, 8, 23])
def test_attention_is_its_formula(length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Longer than the table reaches, and in one part or several."""
    monkeypatch.setattr(attention, "QUERIES", 7)
    torch.manual_seed(0)
    layer = Attention(8, n_heads=2, dropout=0, scale=1.0).double()
    offsets, x = Offsets(4, reach=6).double(), noise(3, length, 8).double()
    found = layer(x, offsets(length))
    torch.testing.assert_close(found, naive(layer, x, offsets.table.weight), rtol=0, atol=1e-14)
    torch.testing.assert_close(layer(x), naive(layer, x, None), rtol=0, atol=1e-14)


@pytest.mark.parametrize(("kernel", "stride"), [(5, 1), (5, 2), (65, 1)])
def test_a_picture_of_height_one_is_a_line(kernel: int, stride: int) -> None:
    """Long kernels are pictures only where no gradient is asked for."""
    conv, x = depthwise(6, kernel, stride), noise(2, 16, 6)
    torch.testing.assert_close(along_frames(conv, x), conv(x.transpose(1, 2)).transpose(1, 2))


@pytest.mark.parametrize("frames", [64, 61])
def test_an_early_head_may_code_before_frames_are_repeated(frames: int) -> None:
    """As published, frames are repeated first: the same masks for a multiple of the products."""
    head = Head(TINY)
    features, encoded = noise(4, 16, 8), noise(2, 12, frames)
    repeated = F.interpolate(features.transpose(1, 2), size=frames).transpose(1, 2)
    torch.testing.assert_close(head(features, encoded), head(repeated, encoded))


def test_dropout_acts_in_training_alone() -> None:
    model, mixture = build(dropout=0.5), noise(2, 200)
    assert torch.equal(model(mixture), model(mixture))
    assert not torch.equal(model.train()(mixture), model(mixture))


def test_residual_branches_begin_almost_silent() -> None:
    model = SepReformer(TINY)
    scales = [p for name, p in model.named_parameters() if name.endswith(".scale")]
    assert len(scales) == 3 * 16 + 2 * 3 * 2 and all((p == 1e-5).all() for p in scales)


def test_training_lowers_the_loss() -> None:
    model, sources = build().train(), noise(2, 2, 800)
    optimiser, totals = torch.optim.AdamW(model.parameters(), lr=3e-3), []
    for _ in range(8):
        with torch.enable_grad():
            loss = model.training_loss(sources.sum(1), sources, 1)
            optimiser.zero_grad()
            loss.total.backward()
        optimiser.step()
        totals.append(loss.total.item())
    assert all(p.grad is not None for p in model.parameters())
    assert totals[-1] < totals[0] - 1


@pytest.mark.parametrize(
    ("epoch", "weight"),
    [
        (1, 0.4),
        (100, 0.4),
        (101, 0.32),
        (105, 0.32),
        (106, 0.256),
        (111, 0.2048),
        (199, 0.4 * 0.8**20),
    ],
)
def test_the_weight_of_early_outputs_falls(epoch: int, weight: float) -> None:
    assert LOSS.auxiliary_weight(epoch) == pytest.approx(weight)


@pytest.mark.parametrize("epoch", [1, 106])
def test_the_total_is_a_weighted_mean(epoch: int) -> None:
    early, last, sources = noise(3, 2, 2, 600), noise(2, 2, 600) + 1, noise(2, 2, 600) * 2 + 3
    loss = training_loss(early, last, sources, epoch, LOSS)
    weight = {1: 0.4, 106: 0.256}[epoch]
    assert loss.magnitude.shape == (3,)
    assert loss.total == pytest.approx((1 - weight) * loss.time + weight * loss.magnitude.mean())


def test_each_output_has_its_own_permutation() -> None:
    sources = noise(1, 2, 600)
    straight = training_loss(sources[None] + 0.1, sources, sources, 1, LOSS)
    crossed = training_loss(sources.flip(1)[None] + 0.1, sources, sources, 1, LOSS)
    torch.testing.assert_close(straight, crossed)


def test_known_time_losses() -> None:
    """Two orthogonal tones: an estimate with a tenth of the other's amplitude has 20 dB."""
    phase = torch.arange(800, dtype=torch.float64) * 2 * math.pi / 800
    sources = torch.stack([torch.sin(10 * phase), torch.sin(30 * phase)])[None]
    for share, expected in ((0.0, -30.0), (0.01, -30.0), (0.1, -20.0), (1.0, 0.0)):
        estimates = 3 * (sources + share * sources.flip(1)) + 5
        pairs = time_pairs(estimates, sources, LOSS)
        assert pairs.diagonal(dim1=1, dim2=2) == pytest.approx(expected, abs=1e-6)


def test_magnitude_losses_ignore_level_but_not_spectra() -> None:
    sources, other = noise(1, 1, 900).double(), noise(2, 1, 900)[1:].double()
    found = [magnitude_pairs(x, sources, LOSS).item() for x in (sources, 3 * sources, other)]
    assert max(found[:2]) < -100 < found[2]
    assert found[2] > 0


def test_a_crop_must_have_a_whole_frame_for_the_magnitude_loss() -> None:
    assert magnitude_pairs(noise(1, 2, 385), noise(1, 2, 385), LOSS).isfinite().all()
    with pytest.raises(
        ValueError, match="384 samples: the magnitude loss needs a whole frame of 512"
    ):
        magnitude_pairs(noise(1, 2, 384), noise(1, 2, 384), LOSS)


def test_sizes_are_the_released_ones() -> None:
    base, large = sepreformer("base"), sepreformer("large", n_src=3)
    assert base == SepReformerConfig()
    assert (large.channels, large.dropout, large.splitter, large.n_src) == (256, 0.1, "separate", 3)
    assert (large.splitters, sepreformer("large", splitter="shared").splitters) == (5, 1)
    with pytest.raises(ValueError, match="SepReformer size 'm': there are base, large"):
        sepreformer("m")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_heads": 3}, "channels=128 must be a multiple of n_heads=3"),
        ({"stride": 17}, "stride=17 must be at most kernel=16"),
        ({"local_kernel": 64}, "local_kernel=64 must be odd"),
        ({"down_kernel": 4}, "down_kernel=4 must be odd"),
        ({"splitter": "none"}, "shared"),
        ({"dropout": 1}, "less than 1"),
        ({"head": 8}, "Extra inputs"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        sepreformer("base", **changes)


@pytest.mark.parametrize(
    ("samples", "padded", "frames", "whole"),
    [(1, 16, 1, 16), (32000, 32000, 7997, 8000), (17, 20, 2, 16)],
)
def test_frames_of_a_length(samples: int, padded: int, frames: int, whole: int) -> None:
    base = sepreformer("base")
    assert base.samples_padded(samples) == padded
    assert (base.frames(samples), base.frames_padded(samples)) == (frames, whole)
