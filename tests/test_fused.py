"""Fused steps equal their formulas, in value and gradient."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F

from tisdiss.kernels.fused import gated, rms_group_norm, swiglu


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 5, 4), (2, 7, 48)])
def test_swiglu_is_its_formula(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    halves = [(10 * torch.randn(shape, dtype=torch.float64)).requires_grad_() for _ in range(2)]
    kept = [half.detach().clone() for half in halves]
    value, gate = halves
    plain, grad = value * F.silu(gate), torch.randn(shape, dtype=torch.float64)
    expected = torch.autograd.grad(plain, halves, grad)
    out = swiglu(value, gate)
    torch.testing.assert_close(out, plain)
    for _ in range(2):  # the first pass must leave what the second one reads
        found = torch.autograd.grad(out, halves, grad, retain_graph=True)
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    assert all(map(torch.equal, halves, kept))


@pytest.mark.parametrize("gate", [-1e4, -90.0, 0.0, 90.0, 1e4])
def test_swiglu_of_extreme_gates_has_a_finite_gradient(gate: float) -> None:
    halves = torch.tensor([2.0, gate], requires_grad=True)
    swiglu(*halves).backward()
    expected = [gate * float(gate > 0), 2.0 * float(gate > 0)] if gate else [0.0, 1.0]
    torch.testing.assert_close(halves.grad, torch.tensor(expected))


@pytest.mark.parametrize("bias", [True, False])
def test_gated_is_the_same_with_and_without_a_gradient(bias: bool) -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(5, 4), torch.randn(6, 4, requires_grad=True)
    added = torch.randn(6) if bias else None
    value, gate = F.linear(x, weight, added).chunk(2, dim=-1)
    expected = value * F.silu(gate)
    torch.testing.assert_close(gated(partial(F.linear, x), weight, added), expected)
    with torch.no_grad():
        torch.testing.assert_close(gated(partial(F.linear, x), weight, added), expected)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_rms_group_norm_has_the_gradient_of_its_value(groups: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(3, 5, 8, dtype=torch.float64, requires_grad=True)
    scale = torch.randn(8, dtype=torch.float64, requires_grad=True)
    norm = torch.autograd.gradcheck(
        lambda x, scale: rms_group_norm(x, scale, groups=groups, eps=1e-5), (x, scale)
    )
    assert norm
