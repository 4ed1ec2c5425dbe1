"""x + work(norm(x)): a norm that hands x on, so that both gradients of x meet in one sweep."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from tisdiss.kernels.compiled import call, serves
from tisdiss.kernels.fused import rms_group_norm


class _Forked(torch.autograd.Function):
    """(x, scale * x / (r + eps)), r the root mean square of a channel's group."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, scale: Tensor, groups: int, eps: float, kind: torch.dtype
    ) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(x, scale)
        ctx.groups, ctx.eps = groups, eps
        out = torch.empty_like(x, dtype=kind)
        channels = x.shape[-1]
        call("norm_forward", x.numel() // channels, channels, groups, eps, x, scale, out, out)
        return x, out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, kept: Tensor, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, scale = ctx.saved_tensors
        channels, parts = x.shape[-1], torch.get_num_threads()
        x_grad, sums = torch.empty_like(x), scale.new_empty(parts, channels)
        kept, grad = kept.contiguous(), grad.contiguous()
        sizes = (x.numel() // channels, channels, ctx.groups)
        call("norm_backward", *sizes, ctx.eps, parts, x, scale, kept, x_grad, sums, grad, grad)
        return x_grad, sums.sum(0), None, None, None


def forked_norm(
    x: Tensor, scale: Tensor, *, groups: int, eps: float, bf16: bool
) -> tuple[Tensor, Tensor]:
    """x itself, and its norm, which is bfloat16 on demand."""
    if x.dtype != torch.float32 or not serves(x, x.shape[-1]):
        return x, rms_group_norm(x, scale, groups=groups, eps=eps)
    kind = torch.bfloat16 if bf16 else x.dtype
    return _Forked.apply(x.contiguous(), scale, groups, eps, kind)


class _Summed(torch.autograd.Function):
    """x + change, in float32; the gradient of change is bfloat16 as change is."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, change: Tensor) -> Tensor:
        out = torch.empty_like(x)
        call("sum_forward", x.numel(), x, change, out, change)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        return grad, grad.bfloat16()


def added(x: Tensor, change: Tensor, into: Tensor | None = None) -> Tensor:
    """x + change, where change may be bfloat16; a sum without a gradient may go `into` a tensor."""
    if change.dtype != torch.bfloat16 or not serves(x, x.shape[-1]):
        return torch.add(x, change, out=into)
    return _Summed.apply(x, change.contiguous())
