"""Attention written out: both products in the kind of number at hand, the softmax in float32."""

import math
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from tisdiss.kernels.compiled import call, serves

Turn = tuple[Tensor, Tensor]
"""Cosine and sine of every position and pair of channels, (length, head_dim / 2)."""


class _Attended(torch.autograd.Function):
    """For each head softmax(R(q) R(k)^T / sqrt(head_dim)) v; the shares are kept."""

    @staticmethod
    def forward(ctx: Any, qkv: Tensor, n_heads: int, turn: Turn) -> Tensor:
        rows, length, width = qkv.shape
        size = width // (3 * n_heads)
        ctx.layout = rows, length, n_heads, size, 1 / math.sqrt(size), *turn
        q, k, v = (qkv.new_empty(rows * n_heads, length, size) for _ in range(3))
        call("heads_apart", *ctx.layout, qkv, q, k, v, qkv)
        shares = q @ k.mT
        call("softmax_forward", rows * n_heads * length, length, shares, shares)
        ctx.save_for_backward(q, k, v, shares)
        return (shares @ v).view(rows, n_heads, length, size).transpose(1, 2).flatten(-2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, shares = ctx.saved_tensors
        rows, length, n_heads, size = ctx.layout[:4]
        grad = grad.view(rows, length, n_heads, size).transpose(1, 2).reshape(v.shape)
        v_grad, scores = shares.mT @ grad, grad @ v.mT
        call("softmax_backward", rows * n_heads * length, length, shares, scores, scores)
        q_grad, k_grad = scores @ k, scores.mT @ q
        qkv_grad = grad.new_empty(rows, length, 3 * n_heads * size)
        call("heads_together", *ctx.layout, q_grad, k_grad, v_grad, qkv_grad, qkv_grad)
        return qkv_grad, None, None


class _Paired(torch.autograd.Function):
    """The same of two positions, where the softmax is a sigmoid of the scores' difference."""

    @staticmethod
    def forward(ctx: Any, qkv: Tensor, n_heads: int, turn: Turn) -> Tensor:
        rows, _, width = qkv.shape
        size = width // (3 * n_heads)
        ctx.layout = rows, n_heads, size, 1 / math.sqrt(size), *(each[1] for each in turn)
        ctx.save_for_backward(qkv)
        out = qkv.new_empty(rows, 2, width // 3)
        call("pair_forward", *ctx.layout, qkv, out, qkv)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (qkv,) = ctx.saved_tensors
        qkv_grad = torch.empty_like(qkv)
        call("pair_backward", *ctx.layout, qkv, grad.contiguous(), qkv_grad, qkv)
        return qkv_grad, None, None


LONGEST = 64
"""Positions up to which the scores are written out in float32; more take the flash attention."""


def written_out(x: Tensor) -> bool:
    """Whether `attended` is the quicker way for rows like x (rows, length, channels)."""
    length = x.shape[1]
    return serves(x, length, 3 * x.shape[2]) and (x.dtype == torch.bfloat16 or length <= LONGEST)


def attended(qkv: Tensor, n_heads: int) -> Tensor:
    """(rows, length, q | k | v), not rotated yet -> (rows, length, v)."""
    length, size = qkv.shape[1], qkv.shape[-1] // (3 * n_heads)
    attention = _Paired if length == 2 else _Attended
    return attention.apply(qkv.contiguous(), n_heads, _turn(length, size))


@lru_cache
@torch.inference_mode(False)
def _turn(length: int, head_dim: int) -> Turn:
    from tisdiss.kernels.attention import rotary_frequencies

    angle = torch.arange(length, dtype=torch.float32)[:, None] * rotary_frequencies(head_dim)
    return angle.cos(), angle.sin()
