"""Fused steps equal their formulas, in value and gradient, however the work is cut."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tisdiss import fused
from tisdiss.fused import rms_group_norm, swiglu


def plain_swiglu(hidden: Tensor) -> Tensor:
    value, gate = hidden.chunk(2, dim=-1)
    return value * F.silu(gate)


@pytest.mark.parametrize("shape", [(1, 1, 6), (3, 5, 8), (2, 7, 96)])
@pytest.mark.parametrize("block", [1, 10, 2**15])
def test_swiglu_is_its_formula(
    shape: tuple[int, ...], block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fused, "_BLOCK", block)
    torch.manual_seed(0)
    hidden = (10 * torch.randn(shape, dtype=torch.float64)).requires_grad_()
    kept = hidden.detach().clone()
    grad = torch.randn_like(plain_swiglu(hidden))
    (expected,) = torch.autograd.grad(plain_swiglu(hidden), hidden, grad)
    out = swiglu(hidden)
    torch.testing.assert_close(out, plain_swiglu(hidden))
    for _ in range(2):  # the first pass must leave what the second one reads
        (found,) = torch.autograd.grad(out, hidden, grad, retain_graph=True)
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    assert torch.equal(hidden, kept)


@pytest.mark.parametrize("gate", [-1e4, -90.0, 0.0, 90.0, 1e4])
def test_swiglu_of_extreme_gates_has_a_finite_gradient(gate: float) -> None:
    hidden = torch.tensor([[2.0, gate]], requires_grad=True)
    swiglu(hidden).sum().backward()
    expected = [gate * float(gate > 0), 2.0 * float(gate > 0)] if gate else [0.0, 1.0]
    torch.testing.assert_close(hidden.grad, torch.tensor([expected]))


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_rms_group_norm_has_the_gradient_of_its_value(groups: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(3, 5, 8, dtype=torch.float64, requires_grad=True)
    scale = torch.randn(8, dtype=torch.float64, requires_grad=True)
    norm = torch.autograd.gradcheck(
        lambda x, scale: rms_group_norm(x, scale, groups=groups, eps=1e-5), (x, scale)
    )
    assert norm
