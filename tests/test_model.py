"""The whole model: one pass yields every depth, every variant trains, batch rows do not mix."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tisdiss.baselines.tf_locoformer import tf_locoformer
from tisdiss.config import CodecConfig, LossConfig, ModelConfig
from tisdiss.depths import Depth
from tisdiss.losses import multi_depth_loss
from tisdiss.model import TISDiSS

Tiny = Callable[..., ModelConfig]
PARTS = ("encoder", "separator", "residual", "splitter", "reconstructor", "speaker", "decoder")
BASELINES = ("tf-locoformer-sep2x1-l1", "tf-gridnet-sep2x1-l1", "fla-tf-locoformer-sep2x1-l1")

VARIANTS: dict[str, tuple[str, dict]] = {
    "early split": ("sep1x2-re1x3-l1+3", {}),
    "all losses, more blocks": ("sep2x2-re2x2-l1x2+1x2", {}),
    "no early split": ("sep2x2-l1x2", {}),
    "N_sep = 1": ("sep1x1-re1x2-l1+2", {}),
    "conv2d splitter": ("sep1x2-re1x1-l1-spksplitconv2d", {}),
    "three speakers": ("sep1x2-re1x2-l1+2", {"n_src": 3}),
    "mask": ("sep1x2-re1x2-l1+2", {"mask": True}),
    "mask, no early split": ("sep1x2-l1", {"mask": True}),
    "residual in both": ("sep1x2-re1x2-l1+2", {"re_residual": True}),
    "residual in the reconstructor": ("sep1x1-re1x1-l1", {"re_residual": True}),
    "no residual": ("sep1x2-re1x1-l1", {"sep_residual": False}),
    "time first": ("sep1x2-re1x1-l1", {"tf_order": "tf"}),
    "layer norm": ("sep1x2-re1x1-l1", {"norm": "layernorm"}),
    "unequal feed-forwards": ("sep1x2-re1x1-l1", {"ffn_hidden": (4, 7)}),
    "one feed-forward": ("sep1x2-re1x1-l1", {"ffn_hidden": (5,)}),
    "strided feed-forward": ("sep1x2-re1x1-l1", {"ffn_stride": 2}),
    "mel, linear": ("sep1x2-re1x1-l1-melbandsplit", {}),
    "mel, conv1d": ("sep1x2-re1x1-l1-melbandsplit-conv1d", {}),
    "33 bands, linear": ("sep1x2-re1x1-l1-bandsplit-linear", {}),
    "33 bands, conv1d, masked": ("sep1x2-re1x1-l1-bandsplit-conv1d", {"mask": True}),
    "tiger": ("sep1x2-re1x1-l1-bandsplit", {}),
    "coarse grid": ("sep1x2-re1x1-l1", {"codec": {"n_fft": 256, "hop": 128}}),
    "TF-Locoformer": ("tf-locoformer-sep2x1-l1", {}),
    "TF-Locoformer, shared": ("tf-locoformer-sep2x2-l1x2", {"n_src": 3}),
    "FLA": ("fla-tf-locoformer-sep2x1-l1", {}),
    "FLA, time first, shared": ("fla-tf-locoformer-sep1x2-l1x2", {"tf_order": "tf", "n_src": 3}),
    "FLA, linear, no gate": (
        "fla-tf-locoformer-sep2x1-l2x1",
        {"focused": {"layers": ["f-linear", "t-linear"], "gated": False, "kernel": 0}},
    ),
    "TF-GridNet": ("tf-gridnet-sep2x1-l1", {}),
    "TF-GridNet, hop 2, shared": ("tf-gridnet-sep1x3-l1x3", {"grid": {"hop": 2}, "n_src": 3}),
    "TF-GridNet 2": ("tf-gridnet-sep2x1-l2x1", {"grid": {"version": 2}}),
    "TF-GridNet 2, side by side": ("tf-gridnet-sep1x2-l1", {"grid": {"hop": 4, "version": 2}}),
}


@pytest.fixture(params=VARIANTS)
def config(request: pytest.FixtureRequest, tiny: Tiny) -> ModelConfig:
    name, changes = VARIANTS[request.param]
    return tiny(name, **changes)


def build(config: ModelConfig, seed: int = 0) -> TISDiSS:
    torch.manual_seed(seed)
    return TISDiSS.from_config(config)


def noise(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_every_parameter_is_used_in_one_training_step(config: ModelConfig) -> None:
    model, sources = build(config), noise(2, config.n_src, 900)
    outputs = model.all_depths(sources.sum(1))
    assert outputs.shape == (len(config.decoded()), 2, config.n_src, 900)
    multi_depth_loss(outputs, sources, config.decoded(), LossConfig())[0].backward()
    unused = [
        name
        for name, parameter in model.named_parameters()
        if parameter.grad is None or not parameter.grad.isfinite().all() or not parameter.grad.any()
    ]
    assert not unused


def test_silence_gives_silence(config: ModelConfig) -> None:
    mixture = torch.stack([torch.zeros(640), noise(640)])
    outputs = build(config).all_depths(mixture)
    assert outputs.isfinite().all()
    assert not outputs[:, 0].any() and outputs[:, 1].any()


def test_rows_of_a_batch_do_not_see_each_other(config: ModelConfig) -> None:
    model, mixture = build(config).double(), noise(3, 700).double()
    together, alone = model(mixture), model(mixture[1:2])
    torch.testing.assert_close(together[1:2], alone, rtol=1e-9, atol=1e-11)


def test_estimates_follow_the_scale_of_the_mixture(config: ModelConfig) -> None:
    model, mixture = build(config).double(), noise(1, 700).double()
    torch.testing.assert_close(model(1e-3 * mixture), 1e-3 * model(mixture), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["sep1x2-re1x3-l1x2+3", "sep2x1-re2x2-l1x2+4"])
def test_depth_n_of_a_deep_pass_is_a_shallow_pass(tiny: Tiny, name: str) -> None:
    model, mixture = build(tiny(name)), noise(2, 800)
    for n_sep in (1, 3):
        shallow = [model(mixture, n_sep=n_sep, n_re=n) for n in (1, 2, 4)]
        deep = list(model.repetitions(mixture, [1, 2, 4], n_sep=n_sep))
        assert all(torch.equal(a, b) for a, b in zip(shallow, deep, strict=True))
        assert not torch.allclose(deep[0], deep[2])


@pytest.mark.parametrize(
    "name", ["sep1x3-l1x3", "tf-gridnet-sep1x3-l1x3", "fla-tf-locoformer-sep1x3-l1x3"]
)
def test_all_depths_are_shallow_passes(tiny: Tiny, name: str) -> None:
    model, mixture = build(tiny(name)), noise(1, 800)
    outputs = model.all_depths(mixture, n_sep=4)
    assert torch.equal(outputs, torch.stack([model(mixture, n_sep=n) for n in (1, 2, 3, 4)]))


def test_forward_is_the_last_of_all_depths(config: ModelConfig) -> None:
    model, mixture = build(config), noise(1, 700)
    assert torch.equal(model(mixture), model.all_depths(mixture)[-1])


def test_split_and_sep_outputs_do_not_depend_on_n_re(tiny: Tiny) -> None:
    model, mixture = build(tiny("sep1x2-re1x3-l1x2+3")), noise(1, 700)
    deep, shallow = model.all_depths(mixture, n_re=5), model.all_depths(mixture, n_re=1)
    assert len(deep) == 7 and torch.equal(deep[:3], shallow)


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_makes_different_estimates_of_its_speakers(tiny: Tiny, name: str) -> None:
    estimates = build(tiny(name))(noise(1, 700))
    assert not torch.allclose(estimates[:, 0], estimates[:, 1])


@pytest.mark.parametrize("samples", [65, 127, 640, 641, 703])
def test_estimates_are_as_long_as_the_mixture(tiny: Tiny, samples: int) -> None:
    estimates = build(tiny())(noise(1, samples))
    assert estimates.shape == (1, 2, samples) and estimates.isfinite().all()


def test_a_mixture_that_is_too_short_is_refused(tiny: Tiny) -> None:
    with pytest.raises(ValueError, match=r"mixture of 64 samples: .* needs at least 65; pad it"):
        build(tiny())(noise(1, 64))


def test_a_mixture_without_a_batch_is_refused(tiny: Tiny) -> None:
    with pytest.raises(ValueError, match=r"mixture of shape \(800,\): give \(batch, samples\)"):
        build(tiny())(noise(800))


@pytest.mark.parametrize("depths", [[], [2, 1], [1, 1]])
def test_depths_are_asked_for_in_ascending_order(tiny: Tiny, depths: list[int]) -> None:
    with pytest.raises(ValueError, match="distinct depths in ascending order"):
        build(tiny()).repetitions(noise(1, 800), depths)


def test_a_model_without_reconstructor_has_no_repetitions(tiny: Tiny) -> None:
    with pytest.raises(ValueError, match=r"sep2x2-l1 has no reconstructor .* its depth is n_sep"):
        build(tiny("sep2x2-l1")).repetitions(noise(1, 800), [1])


def test_frames_past_a_rows_length_are_silenced(tiny: Tiny) -> None:
    """What lies there shows only in the scale, which is taken over the whole padded row."""
    model, mixture = build(tiny()).double(), noise(1, 1280).double()
    other = mixture.clone()
    other[:, 960:] = noise(1, 320, seed=7)
    other[:, 960:] *= mixture[:, 960:].std() / other[:, 960:].std()
    lengths = torch.tensor([640])
    spectra = [model.stft(wave, lengths) for wave in (mixture, other)]
    assert torch.equal(*spectra)
    assert spectra[0][:, :11].all() and not spectra[0][:, 11:].any()
    assert not model.stft(mixture)[:, 11:].eq(0).any()
    assert not torch.allclose(model(mixture, lengths), model(mixture))


def test_without_normalisation_the_network_sees_the_mixture_as_it_is(config: ModelConfig) -> None:
    """A normalising model gives what the other gives for the normalised mixture, scaled back."""
    normalising = build(config).double()
    plain = build(config.model_copy(update={"normalize_variance": False})).double()
    mixture = 0.03 * noise(2, 700).double()
    mixture[1] *= 0.1
    scale = mixture.std(dim=-1, keepdim=True)
    expected = plain(mixture / scale) * scale.unsqueeze(-1)
    assert torch.allclose(normalising(mixture), expected, rtol=0, atol=1e-12)
    assert (plain(mixture) - expected).abs().max() > 1e-6 * expected.abs().max()


def test_lengths_of_whole_rows_change_nothing(config: ModelConfig) -> None:
    model, mixture = build(config), noise(2, 700)
    assert torch.equal(model(mixture, torch.tensor([700, 700])), model(mixture))


def test_what_a_variant_does_not_use_is_not_built(tiny: Tiny) -> None:
    def parts(name: str, **changes: object) -> set[str]:
        names = build(tiny(name, **changes)).state_dict()
        return {part for part in PARTS if any(part in key for key in names)}

    assert parts("sep1x2-re1x1-l1") == set(PARTS)
    assert parts("sep1x1-re1x1-l1") == set(PARTS) - {"residual"}
    assert parts("sep1x2-l1") == set(PARTS) - {"reconstructor", "speaker"}
    for baseline in BASELINES:
        assert parts(baseline) == {"encoder", "separator", "decoder"}
    one = build(tiny("sep1x1-re1x1-l1", ffn_hidden=(5,))).state_dict()
    assert not any("before" in key for key in one)


def test_the_speaker_path_is_not_macaron(tiny: Tiny) -> None:
    block = build(tiny(ffn_hidden=(4, 7))).reconstructor.blocks[0]
    assert block.speaker.before is None
    assert block.speaker.after[1].conv.weight.shape == (14, 8, 4)
    assert block.dual_path.time.before[1].conv.weight.shape == (8, 8, 4)


def test_the_order_of_the_speakers_matters_to_the_reconstructor(tiny: Tiny) -> None:
    """Its speaker path has positions, so its streams cannot be swapped."""
    reconstructor = build(tiny()).reconstructor
    features = noise(1, 2, 5, 9, 8)
    (one,) = reconstructor(features[:, 0], features, 1)
    (other,) = reconstructor(features[:, 0], features.flip(1), 1)
    assert not torch.allclose(one, other.flip(1), atol=1e-4)


def test_weights_follow_from_the_seed(tiny: Tiny) -> None:
    states = [build(tiny(), seed).state_dict() for seed in (3, 3, 4)]
    same = [all(torch.equal(states[0][k], other[k]) for k in states[0]) for other in states[1:]]
    assert same == [True, False]


def test_first_weights_are_xavier_uniform_and_biases_zero(tiny: Tiny) -> None:
    state = build(tiny(channels=16, ffn_hidden=(32, 32))).state_dict()
    deconv = state["splitter.deconv.weight"]
    assert deconv.shape == (64, 32, 3, 3)  # fans of 32 * 9 and 64 * 9
    bound = (6 / (96 * 9)) ** 0.5
    assert 0.99 * bound < deconv.abs().max() <= bound
    assert not any(state[key].any() for key in state if key.endswith(".bias"))
    assert state["reconstructor.blocks.0.speaker.after.0.scale"].eq(1).all()
    assert state["separator.residual.activation.weight"].item() == 0.25


def test_a_decoded_depth_passes_the_splitter_on_its_own(tiny: Tiny) -> None:
    model, mixture = build(tiny("sep1x2-re1x3-l1x2+3")), noise(1, 700)
    (only,) = model.outputs(mixture, [Depth("sep", 1, 0, 0)])
    assert torch.equal(only, model.all_depths(mixture)[0])


@pytest.mark.parametrize(("size", "blocks", "grid"), [("s", 4, 256), ("m", 6, 128), ("l", 9, 128)])
def test_tf_locoformer_comes_in_its_published_sizes(size: str, blocks: int, grid: int) -> None:
    config = tf_locoformer(size, n_src=3)
    assert (config.name, config.codec) == (
        f"tf-locoformer-sep{blocks}x1-l1",
        CodecConfig(n_fft=grid),
    )
    assert config.n_src == 3


def test_an_unknown_size_names_the_published_ones() -> None:
    with pytest.raises(ValueError, match="TF-Locoformer size 'xl': choose from s, m, l"):
        tf_locoformer("xl")
