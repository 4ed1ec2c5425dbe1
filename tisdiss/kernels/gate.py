"""value * silu(gate), where value and gate lie side by side, with their bias not yet added."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from tisdiss.kernels.compiled import call


class _Gated(torch.autograd.Function):
    """With s the sigmoid of g: silu(g) = g s and silu'(g) = s + silu(g) (1 - s)."""

    @staticmethod
    def forward(ctx: Any, both: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(both, bias)
        width = both.shape[-1] // 2
        out = both.new_empty(*both.shape[:-1], width)
        call("gate_forward", out.numel() // width, width, both, bias, out, both)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        both, bias = ctx.saved_tensors
        width, parts = grad.shape[-1], torch.get_num_threads()
        both_grad, sums = torch.empty_like(both), bias.new_empty(parts, 2 * width)
        sizes = (grad.numel() // width, width, parts)
        call("gate_backward", *sizes, both, bias, grad.contiguous(), both_grad, sums, both)
        return both_grad, sums.sum(0)


def side_by_side(both: Tensor, bias: Tensor) -> Tensor:
    """(..., value | gate) -> (...), of `both + bias`."""
    return _Gated.apply(both.contiguous(), bias)
