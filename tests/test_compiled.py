"""Compiled routines equal their formulas, in value and gradient, in float32 and in bfloat16."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tisdiss.config import BlockConfig, CodecConfig, ModelConfig
from tisdiss.kernels import compiled, heads
from tisdiss.kernels.gate import side_by_side
from tisdiss.kernels.modes import set_bf16, set_recompute
from tisdiss.kernels.products import convolution
from tisdiss.kernels.residual import added, forked_norm
from tisdiss.layers import build_path
from tisdiss.model import TISDiSS

KINDS = {torch.float32: 1e-5, torch.bfloat16: 1e-2}
"""How far a result may lie from the formula's in float64, relative to the largest number."""

pytestmark = pytest.mark.skipif(compiled.library() is None, reason="no C compiler")


@pytest.fixture(params=[1, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def check(
    fast: Callable[..., Tensor], plain: Callable[..., Tensor], *inputs: Tensor, within: float
) -> None:
    """Both on the same numbers: `plain` in float64, `fast` twice over one graph."""
    given = [x.clone().requires_grad_() for x in inputs]
    exact = [x.double().requires_grad_() for x in inputs]
    out, expected = fast(*given), plain(*exact)
    weight = torch.randn(out.shape)
    grads = torch.autograd.grad((expected * weight.to(out.dtype).double()).sum(), exact)
    for _ in range(2):  # the first pass must leave what the second one reads
        found = torch.autograd.grad(out, given, weight.to(out.dtype), retain_graph=True)
    for mine, theirs in zip((out, *found), (expected, *grads), strict=True):
        assert (mine - theirs).abs().max() <= within * theirs.abs().max()
    assert all(map(torch.equal, given, inputs))


def plain_norm(x: Tensor, scale: Tensor, groups: int) -> Tensor:
    grouped = x.unflatten(-1, (groups, -1))
    root = grouped.square().mean(-1, keepdim=True).sqrt()
    return (grouped / (root + 1e-5)).flatten(-2) * scale


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize(("channels", "groups"), [(6, 1), (16, 1), (48, 4), (130, 2)])
def test_norm_hands_its_input_on(
    kind: torch.dtype, channels: int, groups: int, threads: int
) -> None:
    torch.manual_seed(0)

    def fast(x: Tensor, scale: Tensor) -> Tensor:
        bf16 = kind == torch.bfloat16
        kept, out = forked_norm(x, scale, groups=groups, eps=1e-5, bf16=bf16)
        assert out.dtype == kind
        return kept.cos() + out.float()

    def plain(x: Tensor, scale: Tensor) -> Tensor:
        return x.cos() + plain_norm(x, scale, groups)

    x, scale = torch.randn(3, 47, channels), torch.randn(channels)
    check(fast, plain, x, scale, within=KINDS[kind])
    check(fast, plain, x.transpose(0, 1), scale, within=KINDS[kind])


def test_norm_of_silence_has_a_finite_gradient() -> None:
    x = torch.zeros(1, 2, 16, requires_grad=True)
    out = forked_norm(x, torch.ones(16), groups=2, eps=1e-5, bf16=False)[1]
    out.sum().backward()
    assert x.grad is not None and torch.allclose(x.grad, torch.full_like(x, 1e5))


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("width", [1, 5, 16, 100])
def test_gate_is_its_formula(kind: torch.dtype, width: int, threads: int) -> None:
    torch.manual_seed(0)

    def plain(both: Tensor, bias: Tensor) -> Tensor:
        value, gate = (both + bias).chunk(2, dim=-1)
        return value * F.silu(gate)

    both, bias = (5 * torch.randn(2, 70, 2 * width)).to(kind), torch.randn(2 * width)
    check(side_by_side, plain, both, bias, within=KINDS[kind])


@pytest.mark.parametrize("gate", [-1e4, -90.0, 0.0, 90.0, 1e4])
def test_extreme_gates_have_a_finite_gradient(gate: float) -> None:
    both = torch.tensor([2.0, gate], requires_grad=True)
    side_by_side(both, torch.zeros(2)).backward(torch.ones(1))
    expected = [gate * float(gate > 0), 2.0 * float(gate > 0)] if gate else [0.0, 1.0]
    torch.testing.assert_close(both.grad, torch.tensor(expected))


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_what_is_not_finite_stays_so(kind: torch.dtype) -> None:
    """The training looks at the gradient to skip an update."""
    both = torch.tensor([[torch.nan, 1.0], [torch.inf, 1.0], [1.0, torch.nan], [2.0, torch.inf]])
    assert not side_by_side(both.to(kind), torch.zeros(2)).isfinite().any()
    x = torch.tensor([[1.0, torch.nan]])
    assert forked_norm(x, torch.ones(2), groups=1, eps=1e-5, bf16=True)[1].isnan().all()


def plain_attention(qkv: Tensor, n_heads: int) -> Tensor:
    q, k, v = qkv.unflatten(-1, (3, n_heads, -1)).permute(2, 0, 3, 1, 4)
    length, size = q.shape[-2:]
    frequency = 1.0 / 10000.0 ** (torch.arange(0, size, 2) / size).double()
    turn = torch.polar(
        torch.ones(length, size // 2).double(),
        torch.arange(length)[:, None].double() * frequency,
    )

    def rotated(x: Tensor) -> Tensor:
        return torch.view_as_real(
            torch.view_as_complex(x.unflatten(-1, (-1, 2)).contiguous()) * turn
        ).flatten(-2)

    shares = (rotated(q) @ rotated(k).mT / size**0.5).softmax(-1)
    return (shares @ v).transpose(1, 2).flatten(-2)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("length", [1, 2, 3, 15, 16, 33, 126])
@pytest.mark.parametrize(("n_heads", "size"), [(1, 16), (2, 6), (4, 2)])
def test_attention_is_its_formula(
    kind: torch.dtype, length: int, n_heads: int, size: int, threads: int
) -> None:
    torch.manual_seed(0)
    qkv = torch.randn(5, length, 3 * n_heads * size).to(kind)
    check(
        lambda qkv: heads.attended(qkv, n_heads),
        lambda qkv: plain_attention(qkv, n_heads),
        qkv,
        within=3 * KINDS[kind],  # bfloat16 rounds scores and shares, too
    )


def test_sum_takes_a_bfloat16_change() -> None:
    torch.manual_seed(0)
    x, change = torch.randn(7, 5, 900), torch.randn(7, 5, 900).bfloat16()
    given = [x.requires_grad_(), change.requires_grad_()]
    out, grad = added(*given), torch.randn(7, 5, 900)
    assert torch.equal(out, x + change.float())
    found = torch.autograd.grad(out, given, grad)
    assert torch.equal(found[0], grad) and torch.equal(found[1], grad.bfloat16())


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_gradient_of_a_bias_is_a_sum_over_positions(kind: torch.dtype, threads: int) -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(9, 3, 31, 5), torch.randn(7, 3, 1, 1)
    bias = torch.randn(7, requires_grad=True)
    out = convolution(F.conv2d, x.to(kind), weight.to(kind), bias.to(kind))
    grad = torch.randn(out.shape).to(kind).contiguous(memory_format=torch.channels_last)
    (found,) = torch.autograd.grad(out, bias, grad)
    expected = grad.double().sum((0, 2, 3))
    assert (found - expected).abs().max() <= KINDS[kind] * expected.abs().max()


def model_gradients(**modes: bool) -> list[Tensor]:
    """Of a small model, in float32, with the given modes on or off."""
    sizes = {"channels": 16, "attention_dim": 16, "n_heads": 2, "ffn_hidden": (12, 20)}
    torch.manual_seed(0)
    config = ModelConfig(block=BlockConfig(**sizes), codec=CodecConfig(n_fft=32, hop=16))
    model = TISDiSS.from_config(config)
    for name, on in modes.items():
        {"recompute": set_recompute, "bf16": set_bf16}[name](model, on)
    energy = model.all_depths(torch.randn(2, 500)).square().sum()
    return list(torch.autograd.grad(energy, list(model.parameters())))


def distance(ours: list[Tensor], theirs: list[Tensor]) -> float:
    """Norm of the difference over that of the second."""
    flat, other = (torch.cat([each.flatten() for each in grads]) for grads in (ours, theirs))
    return ((flat - other).norm() / other.norm()).item()


def test_a_model_has_the_gradients_of_torchs_own_operations(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = model_gradients()
    monkeypatch.setattr(compiled, "library", lambda: None)
    assert 0 < distance(found, model_gradients()) < 1e-3


@pytest.mark.parametrize("length", [2, 17, 32])
def test_a_path_in_bfloat16_has_the_gradients_of_float32_but_for_rounding(length: int) -> None:
    torch.manual_seed(0)
    block = BlockConfig(channels=16, attention_dim=16, n_heads=2, ffn_hidden=(12, 20))
    path = build_path(block)
    x, weight = (torch.randn(24, length, 16) for _ in range(2))
    grads = {}
    for on in (False, True):
        set_bf16(path, on)
        grads[on] = list(torch.autograd.grad((path(x) * weight).sum(), list(path.parameters())))
    assert 0 < distance(grads[True], grads[False]) < 0.02


@pytest.mark.parametrize("bf16", [False, True])
def test_recomputing_gives_the_same_gradients(bf16: bool) -> None:
    kept, again = (model_gradients(bf16=bf16, recompute=on) for on in (False, True))
    assert all(map(torch.equal, kept, again))


def test_routines_serve_where_a_gradient_is_asked_for() -> None:
    x = torch.ones(2, 16)
    assert compiled.serves(x, 16) and compiled.serves(x.bfloat16(), compiled.WIDEST)
    assert not compiled.serves(x.double(), 16)
    assert not compiled.serves(x, compiled.WIDEST + 1)
    with torch.no_grad():
        assert not compiled.serves(x, 16)


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """As a process that has compiled nothing yet, with a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    compiled.library.cache_clear()
    yield tmp_path
    compiled.library.cache_clear()


def test_compiled_routines_are_kept(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert compiled.library() is not None
    assert [path.suffix for path in fresh.rglob("*") if path.is_file()] == [".so"]
    monkeypatch.setattr(subprocess, "run", None)  # what is there is not compiled again
    compiled.library.cache_clear()
    assert compiled.library() is not None


def test_without_a_compiler_one_line_says_so(
    fresh: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert compiled.library() is None and compiled.library() is None
    said = capsys.readouterr().err
    assert (
        said == "note: training runs without compiled routines: no C compiler is installed (cc)\n"
    )
    assert not compiled.serves(torch.ones(2, 16), 16)


def test_no_compiler_is_named_where_nothing_was_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    assert compiled.compiler()
    monkeypatch.setattr(compiled, "library", lambda: None)
    assert compiled.compiler() is None


def test_a_compiler_that_fails_is_named_once(
    fresh: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(compiled, "FLAGS", ("-no-such-flag-of-a-compiler",))
    assert compiled.library() is None
    said = capsys.readouterr().err
    assert said.startswith("note: training runs without compiled routines: ")
    assert said.count("\n") == 1 and not list(fresh.rglob("*.so"))


def test_the_switch_compiles_nothing(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(compiled.SWITCH, "0")
    assert compiled.library() is None and not list(fresh.iterdir())
