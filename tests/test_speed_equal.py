"""The fast layers against the plain ones: outputs to 1e-6 of the peak, gradients to 1e-4."""

import sys
from pathlib import Path

import pytest
import torch

from tisdiss.config import BlockConfig, CodecConfig, LossConfig, ModelConfig
from tisdiss.layers import set_bf16, set_recompute
from tisdiss.losses import multi_depth_loss
from tisdiss.model import TISDiSS

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import reference


def build(n_src: int = 2, **block: object) -> tuple[TISDiSS, TISDiSS, torch.Tensor]:
    sizes = {"channels": 16, "attention_dim": 16, "n_heads": 2, "ffn_hidden": (12, 20)}
    config = ModelConfig(
        n_src=n_src,
        n_re=2,
        block=BlockConfig(**(sizes | block)),
        codec=CodecConfig(n_fft=32, hop=16),
    )
    torch.manual_seed(0)
    model = TISDiSS.from_config(config)
    return model, reference.reference(model), torch.randn(2, 900)


def gradients(model: TISDiSS, loss: torch.Tensor) -> list[torch.Tensor]:
    return list(torch.autograd.grad(loss, list(model.parameters())))


VARIANTS = [
    {},
    {"n_src": 3},
    {"n_src": 5},
    {"norm_groups": 1, "n_heads": 1},
    {"norm": "layernorm"},
    {"ffn_stride": 2, "ffn_hidden": (12,)},
]


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_outputs_are_those_of_the_plain_layers(variant: dict) -> None:
    model, plain, mixture = build(**variant)
    for grad in (False, True):
        with torch.set_grad_enabled(grad):
            ours, theirs = model.all_depths(mixture), plain.all_depths(mixture)
        assert (ours - theirs).abs().max() < 2e-6 * theirs.abs().max()


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_loss_and_gradients_are_those_of_the_plain_layers(variant: dict, recompute: bool) -> None:
    model, plain, mixture = build(**variant)
    set_recompute(model, recompute)
    sources = torch.randn(2, model.config.n_src, 900)
    depths = model.config.decoded()
    ours, _ = multi_depth_loss(model.all_depths(mixture), sources, depths, LossConfig())
    theirs = reference.loss(plain.all_depths(mixture), sources)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)
    scale = torch.stack([g.norm() for g in gradients(plain, theirs)]).norm()
    for mine, other in zip(gradients(model, multi_depth_loss(model.all_depths(mixture), sources, depths, LossConfig())[0]), gradients(plain, reference.loss(plain.all_depths(mixture), sources)), strict=True):
        assert (mine - other).norm() < 1e-4 * max(other.norm().item(), 1e-2 * scale.item())


def test_the_plain_model_shares_the_parameters() -> None:
    model, plain, _ = build()
    assert {id(p) for p in model.parameters()} == {id(p) for p in plain.parameters()}


def test_rows_worked_on_apart_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    model, _, mixture = build()
    whole = model(mixture)
    monkeypatch.setattr("tisdiss.layers.CACHED_POSITIONS", 100)
    with torch.no_grad():
        assert (model(mixture) - whole).abs().max() < 1e-6 * whole.abs().max()


def test_recomputing_keeps_a_tenth() -> None:
    model, _, mixture = build()
    kept = {}
    for on in (False, True):
        set_recompute(model, on)
        sizes: dict[int, int] = {}
        count = lambda x: sizes.setdefault(x.untyped_storage().data_ptr(), x.untyped_storage().nbytes()) and x  # noqa: E731
        with torch.autograd.graph.saved_tensors_hooks(count, lambda x: x):
            output = model(mixture)
        kept[on] = sum(sizes.values())
        del output
    assert kept[True] < kept[False] / 3


def test_bf16_products_stay_near() -> None:
    model, _, mixture = build()
    with torch.no_grad():
        exact = model(mixture)
        set_bf16(model, True)
        near = model(mixture)
    assert near.dtype == torch.float32
    assert 0 < (near - exact).abs().max() < 5e-2 * exact.abs().max()
