"""Models without a splitter: every codec decodes all sources from one map, masked or not."""

import pytest
import torch

from tisdiss.codec import ConvDecoder, JointConvDecoder, JointDecoder
from tisdiss.codec_kinds import CODEC_KINDS
from tisdiss.config import ModelConfig
from tisdiss.cost import formulas
from tisdiss.cost.measured import macs_by_part
from tisdiss.model import TISDiSS
from tisdiss.released import export

BASELINES = (
    "tf-locoformer-sep2x2-l1x2",
    "tf-gridnet-sep2x2-l1x2",
    "fla-tf-locoformer-sep2x2-l1x2",
)


def _with_codec(model: ModelConfig, kind: str, **changes: object) -> ModelConfig:
    codec = model.codec.model_dump() | {"kind": kind}
    return ModelConfig.model_validate(model.model_dump() | {"codec": codec} | changes)


@pytest.mark.parametrize("kind", CODEC_KINDS)
@pytest.mark.parametrize("name", BASELINES)
@pytest.mark.parametrize("mask", [False, True])
def test_a_baseline_takes_any_codec_and_mask(tiny, name, kind, mask):
    config = _with_codec(tiny(name), kind, mask=mask, n_src=3)
    model = TISDiSS.from_config(config)
    assert config.name == name + CODEC_KINDS[kind].suffixes[0]
    assert formulas.parameters(config) == sum(p.numel() for p in model.parameters())
    assert model.all_depths(torch.randn(2, 800)).shape == (2, 2, 3, 800)


@pytest.mark.parametrize("kind", CODEC_KINDS)
def test_its_decoders_compute_as_much_as_one_for_all_sources(tiny, kind):
    joint, shared = (_with_codec(tiny(name), kind) for name in ("tf-locoformer-sep2x2", "sep2x2"))
    one, other = (macs_by_part(TISDiSS.from_config(config), 0.5) for config in (joint, shared))
    assert one["decoder"] == other["decoder"]
    grid = formulas.shape(joint, 0.5)
    assert formulas._decoder(joint, grid) == formulas._decoder(shared, grid)


@pytest.mark.parametrize("kind", sorted(set(CODEC_KINDS) - {"conv2d", "tiger"}))
def test_each_source_has_a_decoder_of_its_own(tiny, kind):
    model = TISDiSS.from_config(_with_codec(tiny("tf-locoformer-sep2x1"), kind)).double()
    spec = torch.randn(2, 5, 65, dtype=torch.complex128)
    features = torch.randn(2, 1, 5, model.config.codec.positions, 8, dtype=torch.float64)
    one, other = model.decoder.decoders
    both = model.decoder(features, spec)
    assert torch.equal(both[:, :1], one(features, spec))
    assert torch.equal(both[:, 1:], other(features, spec))
    assert not torch.allclose(both[:, 0], both[:, 1])


def test_the_plain_one_is_a_convolution_of_its_own_for_each_source(tiny):
    """The published decoder gives the same output as two separate decoders."""
    model = TISDiSS.from_config(tiny("tf-locoformer-sep2x1")).double()
    joint = model.decoder
    assert isinstance(joint, JointConvDecoder)
    single = [ConvDecoder(channels=8).double() for _ in range(2)]
    for i, decoder in enumerate(single):
        decoder.deconv.weight.data = joint.deconv.weight.data[:, 2 * i : 2 * i + 2]
        decoder.deconv.bias.data = joint.deconv.bias.data[2 * i : 2 * i + 2]
    features = torch.randn(2, 1, 5, 65, 8, dtype=torch.float64)
    spec = torch.randn(2, 5, 65, dtype=torch.complex128)
    torch.testing.assert_close(JointDecoder(single)(features, spec), joint(features, spec))


def test_tigers_masks_sum_to_one_over_all_sources(tiny):
    config = _with_codec(tiny("tf-locoformer-sep2x1"), "tiger")
    model = TISDiSS.from_config(config).double()
    mixture = torch.randn(2, 800, dtype=torch.float64)
    estimates = model(mixture)
    torch.testing.assert_close(estimates.sum(1), mixture)
    assert not torch.allclose(estimates[:, 0], estimates[:, 1])


@pytest.mark.parametrize("name", ["sep1x2-re1x3-l1+3", "tf-locoformer-sep2x1"])
def test_a_mask_changes_nothing_where_the_decoder_masks_by_itself(tiny, name):
    plain, masked = (_with_codec(tiny(name), "tiger", mask=mask) for mask in (False, True))
    torch.manual_seed(0)
    model = TISDiSS.from_config(plain)
    other = TISDiSS.from_config(masked)
    other.load_state_dict(model.state_dict())
    mixture = torch.randn(1, 800)
    assert torch.equal(model(mixture), other(mixture))


def test_one_that_was_never_released_has_no_released_names(tiny):
    model = TISDiSS.from_config(_with_codec(tiny("tf-locoformer-sep2x1"), "mel-linear"))
    with pytest.raises(ValueError, match=r"no released names; codec\.kind=conv2d has them"):
        export(model)
