"""Normalisation and gating as single steps of autograd: fewer passes over memory, less of it kept.

The values are those of the formulas in the docstrings; only the order of rounding differs. What is
kept for the gradient is the input (and a number per group); the rest is computed again from it.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

_BLOCK = 2**15
"""Numbers that a gradient takes at a time on a CPU, so that all it makes of them stays in cache."""


class _RMSGroupNorm(torch.autograd.Function):
    """With r the root mean square of a channel's group: y = scale * x / (r + eps)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, groups: int, eps: float) -> Tensor:
        flat, member = x.flatten(0, -2), membership(groups, scale.numel(), like=scale)
        size = scale.numel() // groups
        root = (flat.square() @ member.t()).div_(size).sqrt_()  # positions, groups
        inverse = (root + eps).reciprocal_()
        ctx.save_for_backward(x, scale, root, inverse)
        return (inverse @ (member * scale)).mul_(flat).view(x.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, scale, root, inverse = ctx.saved_tensors
        groups = root.shape[1]
        member = membership(groups, scale.numel(), like=scale)
        size = scale.numel() // groups
        grad, flat = grad.reshape(-1, x.shape[-1]), x.flatten(0, -2)
        product = grad * flat
        scale_grad = (member * (inverse.t() @ product)).sum(0)
        along = product @ (member * scale).t()  # how much of the gradient only rescales a group
        along.mul_(inverse).mul_(inverse).div_(root.mul(size).clamp_(min=torch.finfo(x.dtype).tiny))
        x_grad = (inverse @ (member * scale)).mul_(grad)
        return x_grad.addcmul_(flat, along @ member, value=-1).view(x.shape), scale_grad, None, None


def rms_group_norm(x: Tensor, scale: Tensor, *, groups: int, eps: float) -> Tensor:
    """Each group of channels (last axis) over its root mean square, times `scale` per channel."""
    return _RMSGroupNorm.apply(x, scale, groups, eps)


def membership(groups: int, channels: int, *, like: Tensor) -> Tensor:
    """(groups, channels): one where the channel belongs to the group, zero elsewhere."""
    group = torch.eye(groups, dtype=like.dtype, device=like.device)
    return group.repeat_interleave(channels // groups, dim=1)


class _SwiGLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor) -> Tensor:
        ctx.save_for_backward(hidden)
        value, gate = hidden.chunk(2, dim=-1)
        gate = gate.clone(memory_format=torch.contiguous_format)
        return F.silu(gate, inplace=True).mul_(value)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (hidden,) = ctx.saved_tensors
        hidden_grad = torch.empty_like(hidden)
        flat = [each.flatten(0, -2) for each in (hidden, grad.contiguous(), hidden_grad)]
        rows = max(1, _BLOCK // grad.shape[-1]) if grad.device.type == "cpu" else len(flat[0])
        for block in zip(*(each.split(rows) for each in flat), strict=True):
            _swiglu_gradient(*block)
        return hidden_grad


def _swiglu_gradient(hidden: Tensor, grad: Tensor, into: Tensor) -> None:
    """silu(g) = g s and silu'(g) = s + silu(g) (1 - s), where s = sigmoid(g)."""
    (value, gate), (value_grad, gate_grad) = hidden.chunk(2, dim=-1), into.chunk(2, dim=-1)
    gate = gate.contiguous()  # functions of one strided half run unvectorised at some widths
    sigmoid = torch.sigmoid(gate)
    active = gate * sigmoid
    torch.mul(grad, active, out=value_grad)
    slope = torch.lerp(sigmoid, sigmoid.new_ones(1), active)
    torch.mul(slope.mul_(grad), value, out=gate_grad)


def swiglu(hidden: Tensor) -> Tensor:
    """value * silu(gate), the two halves of the last axis."""
    return _SwiGLU.apply(hidden)


def gated(
    project: Callable[[Tensor, Tensor | None], Tensor], weight: Tensor, bias: Tensor | None
) -> Tensor:
    """`swiglu` of `project(weight, bias)`, whose last axis is that of the weight's first.

    Where no gradient is asked for the halves are projected apart: both come out contiguous and are
    gated in place.
    """
    if torch.is_grad_enabled():
        return swiglu(project(weight, bias))
    halves = (None, None) if bias is None else bias.chunk(2)
    value, gate = map(project, weight.chunk(2), halves)
    return F.silu(gate, inplace=True).mul_(value)
