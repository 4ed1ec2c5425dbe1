"""Normalisation and gating as single autograd steps, which need fewer passes and less memory.

The values are those of the formulas in the docstrings; only rounding differs. For the gradient, the
input and numbers per group are kept; the rest is recomputed from them.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from tisdiss.kernels.compiled import serves
from tisdiss.kernels.gate import side_by_side


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
        along = product @ (member * scale).t()  # the part of the gradient along x, by group
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
    """With s the sigmoid of g: silu(g) = g s and silu'(g) = s + silu(g) (1 - s)."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, gate: Tensor) -> Tensor:
        ctx.save_for_backward(value, gate)
        return F.silu(gate).mul_(value)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        value, gate = ctx.saved_tensors
        slope = torch.sigmoid(gate)
        active = gate * slope
        slope.lerp_(slope.new_ones(()), active).mul_(value).mul_(grad)
        return active.mul_(grad), slope


def swiglu(value: Tensor, gate: Tensor) -> Tensor:
    """value * silu(gate)."""
    return _SwiGLU.apply(value, gate)


def gated(
    project: Callable[[Tensor, Tensor | None], Tensor], weight: Tensor, bias: Tensor | None
) -> Tensor:
    """swiglu(value, gate); `project` computes each from one half of the weight and of the bias.

    `project` puts the channels last. Without a compiled routine the halves are projected apart, so
    that both outputs are contiguous: half of a wider tensor is slower to read and write.
    """
    if bias is not None and serves(weight, len(weight)):
        return side_by_side(project(weight, None), bias)
    halves = (None, None) if bias is None else bias.chunk(2)
    value, gate = map(project, weight.chunk(2), halves)
    if torch.is_grad_enabled():
        return swiglu(value, gate)
    return F.silu(gate, inplace=True).mul_(value)
