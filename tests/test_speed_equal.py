"""The fast layers against the plain ones: equal in float64, and as accurate in float32."""

import sys
from pathlib import Path

import pytest
import torch

from tisdiss.config import BlockConfig, CodecConfig, LossConfig, ModelConfig
from tisdiss.kernels.attention import whole_vectors
from tisdiss.kernels.modes import set_bf16, set_recompute
from tisdiss.kernels.products import _images, product
from tisdiss.losses import multi_depth_loss
from tisdiss.model import TISDiSS

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import reference
from agreement import saved_bytes


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
    return model, reference.reference(model), torch.randn(2, 500)


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


def deviation(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_outputs_are_those_of_the_plain_layers(variant: dict, grad: bool) -> None:
    model, plain, mixture = build(**variant)
    with torch.set_grad_enabled(grad):
        ours, theirs = model.all_depths(mixture), plain.all_depths(mixture)
        exact = plain.double().all_depths(mixture.double())
        same = model.double().all_depths(mixture.double())
    assert deviation(same, exact) < 1e-11
    assert deviation(ours, exact) < 2 * deviation(theirs, exact) + 1e-6


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_loss_and_gradients_are_those_of_the_plain_layers(variant: dict, recompute: bool) -> None:
    model, plain, mixture = build(**variant)
    set_recompute(model.double(), recompute)
    mixture, sources = mixture.double(), torch.randn(2, model.config.n_src, 500).double()
    estimates = model.all_depths(mixture)
    ours, _ = multi_depth_loss(estimates, sources, model.config.decoded(), LossConfig())
    theirs = reference.loss(plain.all_depths(mixture), sources)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-10)
    expected = gradients(model, theirs)
    scale = max(g.norm() for g in expected)
    for mine, plains in zip(gradients(model, ours), expected, strict=True):
        assert (mine - plains).norm() < 1e-8 * plains.norm() + 1e-10 * scale


def test_float32_gradients_of_a_path_are_within_rounding() -> None:
    model, plain, _ = build()
    fast, slow = model.reconstructor.blocks[0].speaker, plain.reconstructor.blocks[0].speaker
    x, weight = torch.randn(64, 2, 16), torch.randn(64, 2, 16)
    ours = torch.autograd.grad((fast(x) * weight).sum(), list(fast.parameters()))
    theirs = torch.autograd.grad((slow(x) * weight).sum(), list(fast.parameters()))
    for mine, plains in zip(ours, theirs, strict=True):
        assert (mine - plains).norm() < 1e-5 * plains.norm()


@pytest.mark.parametrize("length", [1, 2, 3, 8, 15, 16, 17, 23, 24, 31, 32, 40, 63])
def test_attention_of_any_length_is_the_plain_one(length: int) -> None:
    """Also where it takes zeros along to fill whole vectors: they get no weight and no gradient."""
    model, plain, _ = build()
    fast = model.separator.blocks[0].time.attention[1].double()
    slow = plain.separator.blocks[0].time.parts[1][1]
    x = torch.randn(3, length, 16, dtype=torch.float64, requires_grad=True)
    weight = torch.randn_like(x)
    found, expected = fast(x), slow(x)
    assert deviation(found, expected) < 1e-12
    ours, theirs = (
        torch.autograd.grad((each * weight).sum(), (x, fast.qkv.weight, fast.out.weight))
        for each in (found, expected)
    )
    for mine, plains in zip(ours, theirs, strict=True):
        assert deviation(mine, plains) < 1e-11


def test_zeros_are_taken_along_only_where_half_a_vector_is_left_over() -> None:
    lengths = (2, 15, 16, 23, 24, 31, 65, 126, 251)
    filled = [whole_vectors(torch.ones(1, length, 1)) for length in lengths]
    assert [x.shape[1] for x in filled] == [2, 15, 16, 23, 32, 32, 65, 128, 256]
    assert [int(x.sum()) for x in filled] == list(lengths)


@pytest.mark.parametrize(
    ("positions", "width", "images"),
    [
        (8192, 48, 16),  # at least 16 images
        (8192, 480, 128),  # of at most 3 * 2^14 numbers
        (8190, 960, 182),
        (16315, 960, 65),  # 5 * 13 * 251 has no such size of 32 positions and more
        (8192, 3840, 16),
        (8123, 48, None),  # a prime
        (100, 48, None),
    ],
)
def test_images_of_a_product(positions: int, width: int, images: int | None) -> None:
    assert _images(positions, width) == images


@pytest.mark.parametrize("positions", [16 * 8, 33 * 14, 131, 7])
def test_product_is_a_linear_map_whichever_routine_runs(positions: int) -> None:
    x, weight, bias = torch.randn(positions, 6), torch.randn(5, 6), torch.randn(5)
    expected = x.double() @ weight.double().t() + bias.double()
    assert torch.allclose(product(x, weight, bias).double(), expected, atol=1e-5)


def test_the_plain_model_shares_the_parameters() -> None:
    model, plain, _ = build()
    assert {id(p) for p in model.parameters()} == {id(p) for p in plain.parameters()}


def test_rows_worked_on_apart_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    model, _, mixture = build()
    model, mixture = model.double(), mixture.double()
    whole = model(mixture)
    monkeypatch.setattr("tisdiss.kernels.modes.CHUNK", 1600)
    with torch.no_grad():
        assert deviation(model(mixture), whole) < 1e-11


@pytest.mark.parametrize("frames", [2, 3, 7, 31, 32])
def test_frames_split_apart_give_the_same(frames: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model, _, mixture = build(n_src=3)
    model, mixture = model.double(), mixture.double()
    whole = model(mixture)  # 32 frames of 17 bins
    monkeypatch.setattr("tisdiss.splitter.CHUNK", 2 * 17 * 16 * frames)
    with torch.no_grad():
        assert deviation(model(mixture), whole) < 1e-11


def test_recomputing_keeps_less_than_a_quarter() -> None:
    model, _, mixture = build()
    kept = {}
    for on in (False, True):
        set_recompute(model, on)
        kept[on] = saved_bytes(lambda: model(mixture))
    assert kept[True] < kept[False] / 4


def test_bf16_products_stay_near() -> None:
    model, _, mixture = build()
    with torch.no_grad():
        exact = model(mixture)
        set_bf16(model, True)
        near = model(mixture)
    assert near.dtype == torch.float32
    assert 0 < (near - exact).norm() < 0.15 * exact.norm()


def test_grid_is_every_pair_of_depths() -> None:
    model, plain, mixture = build()
    model, mixture = model.double(), mixture.double()
    with torch.no_grad():
        ours = list(model.grid(mixture, [1, 3], [2, 3]))
        assert [pair for *pair, _ in ours] == [[1, 2], [1, 3], [3, 2], [3, 3]]
        for n_sep, n_re, output in ours:
            assert deviation(output, plain(mixture, n_sep=n_sep, n_re=n_re)) < 1e-11


def test_grid_wants_depths() -> None:
    model, _, mixture = build()
    with pytest.raises(ValueError, match="give depths of at least 1"):
        next(model.grid(mixture, [0], [1]))
