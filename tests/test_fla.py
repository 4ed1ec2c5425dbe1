"""FLA-TFLocoformer: its sizes and layers, its attention, ways to run it, and a study with it."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from studies import train_and_score
from tisdiss.baselines.fla_tf_locoformer import FocusedAttention, fla_tf_locoformer, focused
from tisdiss.config import FocusedConfig, ModelConfig, TrainConfig
from tisdiss.cost.formulas import macs
from tisdiss.cost.measured import macs_by_part
from tisdiss.kernels.modes import set_bf16, set_recompute
from tisdiss.losses import pair_losses, pit_loss
from tisdiss.model import TISDiSS
from tisdiss.study.load import load_study
from tisdiss.train import start, train_step

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from agreement import saved_bytes

Tiny = Callable[..., ModelConfig]
NAME = "fla-tf-locoformer-sep1x2-l1x2"
VARIANTS: dict[str, dict] = {
    "as published": {},
    "no gate, no convolution": {"gated": False, "kernel": 0},
    "RMS norms, p = 2.5": {"norm": "rmsgroupnorm", "norm_groups": 2, "power": 2.5},
    "linear on both axes": {"layers": ["f-linear", "t-linear"]},
    "three layers, no positions": {
        "layers": ["t-linear", "f-softmax", "t-softmax"],
        "rotary": False,
    },
}


@pytest.fixture(params=VARIANTS)
def config(request: pytest.FixtureRequest, tiny: Tiny) -> ModelConfig:
    return tiny(NAME, focused=VARIANTS[request.param])


def build(config: ModelConfig) -> TISDiSS:
    torch.manual_seed(0)
    return TISDiSS.from_config(config)


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def attention(**changes: object) -> FocusedAttention:
    """With random weights and scales, in double precision."""
    settings = {"attention_dim": 12, "n_heads": 3, "power": 2.5, "kernel": 0} | changes
    torch.manual_seed(0)
    layer = FocusedAttention(8, **settings).double()
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    return layer


@pytest.mark.parametrize(("size", "blocks"), [("m", 6), ("l", 9)])
def test_it_comes_in_its_published_sizes(size: str, blocks: int) -> None:
    config = fla_tf_locoformer(size, n_src=3)
    assert (config.name, config.n_src) == (f"fla-tf-locoformer-sep{blocks}x1-l1", 3)
    assert config.layers == ("f-softmax", "t-linear")
    assert (config.codec.n_fft, config.codec.hop, config.block.channels) == (128, 64, 128)


def test_an_unknown_size_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="FLA-TFLocoformer size 's': choose from m, l"):
        fla_tf_locoformer("s")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kernel": 4}, "4: give an odd number, so that the kernel has a middle, or 0"),
        ({"power": 0}, "greater than 0"),
        ({"layers": ["f-linear", "f"]}, "Input should be 'f-softmax', 'f-linear', 't-softmax' or"),
        ({"focusing": 3}, "Extra inputs are not permitted"),
        (
            {"norm": "rmsgroupnorm", "norm_groups": 3},
            "block.channels=128 must be a multiple of focused.norm_groups=3",
        ),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        fla_tf_locoformer("m", focused=settings)


def test_order_of_the_axes_is_that_of_the_settings(tiny: Tiny) -> None:
    first = tiny(NAME, tf_order="tf")
    listed = tiny(NAME, focused={"layers": ["t-linear", "f-softmax"]})
    assert first.layers == listed.layers == ("t-linear", "f-softmax")
    mixture = noise(1, 700)
    assert torch.equal(build(first)(mixture), build(listed)(mixture))
    assert not torch.equal(build(first)(mixture), build(tiny(NAME))(mixture))


def test_with_softmax_on_both_axes_it_is_a_tf_locoformer(tiny: Tiny) -> None:
    ours = build(tiny(NAME, focused={"layers": ["f-softmax", "t-softmax"]}))
    plain = build(tiny("tf-locoformer-sep1x2-l1x2"))
    for mine, theirs in zip(ours.parameters(), plain.parameters(), strict=True):
        mine.data.copy_(theirs)
    assert torch.equal(ours(noise(2, 700)), plain(noise(2, 700)))


def test_attention_is_the_formula_with_a_weight_for_each_pair(tiny: Tiny) -> None:
    layer, x = attention(), noise(2, 7, 8).double()
    query, key = (
        focused(t, layer.scale, power=2.5) for t in (layer.query(x), layer.key_value(x)[..., :12])
    )
    value = layer.key_value(x)[..., 12:]
    heads = []
    for q, k, v in zip(*(t.split(4, dim=-1) for t in (query, key, value)), strict=True):
        pairs = torch.einsum("rid,rjd->rij", q, k) / 7
        heads.append(pairs @ v / (pairs.sum(-1, keepdim=True) + 1e-6))
    torch.testing.assert_close(layer(x), layer.out(torch.cat(heads, -1)), rtol=1e-12, atol=1e-12)


def test_the_convolution_is_one_for_all_heads_and_zero_outside() -> None:
    layer, x = attention(kernel=3), noise(1, 6, 8).double()
    plain = attention()
    plain.load_state_dict(layer.state_dict(), strict=False)
    value = torch.nn.functional.pad(layer.key_value(x)[..., 12:], (0, 0, 1, 1))
    kernel = layer.conv.weight[:, 0].repeat(3, 1)  # channels of all heads, taps
    local = sum(value[:, tap : tap + 6] * kernel[:, tap] for tap in range(3))
    local = local + layer.conv.bias.repeat(3)
    torch.testing.assert_close(layer(x), plain(x) + local @ layer.out.weight.T)


def test_only_the_convolution_knows_positions() -> None:
    x, order = noise(1, 9, 8).double(), torch.randperm(9)
    for kernel, blind in ((0, True), (5, False)):
        layer = attention(kernel=kernel)
        assert torch.allclose(layer(x[:, order]), layer(x)[:, order]) is blind


def test_focusing_keeps_the_length_and_sharpens_the_direction() -> None:
    z, scale = noise(5, 6).double(), noise(6).double()
    z[:, 0] = 1  # at least one channel of each position is positive
    u = (z.relu() + 1e-6) / (1 + scale.exp()).log()
    plain, sharp = (focused(z, scale, power=power) for power in (1.0, 4.0))
    torch.testing.assert_close(plain, u, rtol=1e-6, atol=0)
    torch.testing.assert_close(sharp.norm(dim=-1), u.norm(dim=-1), rtol=1e-6, atol=0)
    assert (sharp.amax(-1) > u.amax(-1) - 1e-6).all() and (sharp > 0).all()


def test_without_positive_channels_attention_is_switched_off() -> None:
    layer = attention(power=3.0)
    for linear in (layer.query, layer.key_value):
        torch.nn.init.zeros_(linear.weight)
        torch.nn.init.constant_(linear.bias, -1)
    torch.testing.assert_close(
        layer(noise(1, 5, 8).double()), layer.out.bias.expand(1, 5, 8), rtol=0, atol=1e-5
    )


def test_a_linear_part_doubles_what_it_adds_to(tiny: Tiny) -> None:
    path = build(tiny(NAME)).separator.blocks[0].paths[1]
    norm, part = path.attention
    torch.nn.init.zeros_(part.attention.out.weight)
    x = noise(2, 9, 8)
    assert torch.equal(x + part(norm(x)), 2 * x)


def test_first_weights_are_xavier_uniform_and_scales_zero(tiny: Tiny) -> None:
    model = build(tiny(NAME, channels=32, attention_dim=32))
    part = model.separator.blocks[0].paths[1].attention[1]
    for linear in (part.attention.key_value, part.gate.linear):
        bound = (6 / sum(linear.weight.shape)) ** 0.5
        assert 0.98 * bound < linear.weight.abs().max() <= bound and not linear.bias.any()
    assert not part.attention.scale.any()


def gradients(model: TISDiSS, mixture: Tensor, sources: Tensor) -> list[Tensor]:
    loss = pit_loss(pair_losses(model(mixture), sources, clamp=1e-7))[0].mean()
    return list(torch.autograd.grad(loss, list(model.parameters())))


def test_recomputing_gives_the_same_gradients(config: ModelConfig) -> None:
    model = build(config).double()
    sources = noise(2, 2, 500).double()
    mixture = sources.sum(1)
    plain = gradients(model, mixture, sources)
    set_recompute(model, True)
    for mine, theirs in zip(gradients(model, mixture, sources), plain, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-12)


def test_recomputing_keeps_a_twelfth_at_most(tiny: Tiny) -> None:
    model, mixture = build(tiny(NAME)), noise(1, 4000)
    kept = {}
    for on in (False, True):
        set_recompute(model, on)
        kept[on] = saved_bytes(lambda: model(mixture))
    assert kept[True] < kept[False] / 12


def test_rows_a_few_at_a_time_give_the_same(
    config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, mixture = build(config).double(), noise(2, 1000).double()
    whole = model(mixture)
    monkeypatch.setattr("tisdiss.kernels.modes.CHUNK", 1500)
    with torch.no_grad():
        torch.testing.assert_close(model(mixture), whole, rtol=1e-10, atol=1e-12)


def test_bf16_products_stay_near(config: ModelConfig) -> None:
    model, mixture = build(config), noise(2, 1000)
    exact = model(mixture)
    set_bf16(model, True)
    near = model(mixture)
    assert near.dtype == torch.float32
    assert 0 < (near - exact).norm() < 0.03 * exact.norm()


def test_bf16_leaves_features_and_their_sums_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = set()

    def spy(self: FocusedAttention, *maps: Tensor) -> Tensor:
        seen.update(t.dtype for t in (*maps, maps[0] @ maps[1].transpose(-1, -2)))
        return maps[2]

    monkeypatch.setattr(FocusedAttention, "_attended", spy)
    with torch.autocast("cpu", torch.bfloat16):
        assert attention().float()(noise(1, 5, 8)).dtype == torch.bfloat16
    assert seen == {torch.float32}


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_profile_counts_what_the_settings_say(tiny: Tiny, variant: str) -> None:
    """With layer norms, for the profile counts the products by which we take RMS norms."""
    settings = VARIANTS[variant] | {"norm": "layernorm"}
    config = tiny(NAME, norm="layernorm", focused=settings)
    measured = macs_by_part(build(config), 0.3)
    assert list(measured) == ["encoder", "separator", "decoder"]
    assert sum(measured.values()) == macs(config, 0.3)


def test_training_lowers_the_loss(config: ModelConfig) -> None:
    training = TrainConfig.model_validate({"model": config, "optim": {"warmup_steps": 2}})
    state = start(training, None, "cpu")
    sources = noise(2, 2, 800)
    losses = [train_step(state, sources.sum(1), sources, training)["train/loss"] for _ in range(12)]
    assert losses[-1] < losses[0] - 1


def test_its_settings_return_to_defaults_in_other_models() -> None:
    base = ModelConfig(focused=FocusedConfig(kernel=3))
    assert ModelConfig.from_name(NAME, base).focused.kernel == 3
    assert ModelConfig.from_name("tf-locoformer-sep2x1", base).focused == FocusedConfig()


STUDY = """\
study: demo
title: Does linear attention help?
claim: Something holds.
base: sep1x2-re1x3-l1+3
rows:
  - id: one
    model: fla-tf-locoformer-sep6x1-l1
  - id: shared
    model: fla-tf-locoformer-sep1x2-l1x2
    set: {model.focused.power: 2, model.focused.layers: [t-linear, f-linear], precision: bf16}
evaluate: {n_re: 1..2}
show: {figure: table}
"""


def test_a_row_of_a_study_is_trained_and_scored(tmp_path: Path) -> None:
    assert len(train_and_score(STUDY, tmp_path).runs) == 2


def test_its_settings_are_refused_in_other_rows(tmp_path: Path) -> None:
    path = tmp_path / "demo.yaml"
    path.write_text(STUDY.replace("fla-tf-locoformer-sep1x2-l1x2", "sep1x2-l1"))
    with pytest.raises(ValueError, match=r"sep1x2-l1 has no block of fla-tf-locoformer; drop"):
        load_study(path)
