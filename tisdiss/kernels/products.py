"""Matrix products over channels, by the faster of two routines.

On a CPU, float32 matrix products run in MKL, which uses half the vector width of an AMD core;
oneDNN's 1x1 convolutions do not. PyTorch uses oneDNN for a convolution from 16 images on.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tisdiss.kernels.compiled import call, takes

_IMAGES = range(16, 129)
_IMAGE = 3 * 2**14
"""Largest image, in numbers, for which oneDNN uses its faster loop order, in to out channels."""


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x (..., channels in) times weight (channels out, channels in), transposed, plus the bias."""
    positions = x.shape[:-1].numel()
    images = None
    if x.device.type == "cpu" and x.dtype == torch.float32:
        images = _images(positions, max(weight.shape))
    if images is None:
        return F.linear(x, weight, bias)
    planes = x.reshape(images, 1, positions // images, -1).permute(0, 3, 1, 2)
    out = convolution(F.conv2d, planes, weight[:, :, None, None], bias)
    return out.permute(0, 2, 3, 1).reshape(*x.shape[:-1], -1)


def convolution(
    convolve: Callable[..., Tensor], x: Tensor, weight: Tensor, bias: Tensor | None, *geometry: Any
) -> Tensor:
    """convolve(x, weight, bias, *geometry), with a faster gradient of the bias."""
    if bias is None or not torch.is_grad_enabled():
        return convolve(x, weight, bias, *geometry)
    return _Added.apply(convolve(x, weight, bias.detach(), *geometry), bias)


class _Added(torch.autograd.Function):
    """Identity on `out`, which already holds the bias; exists only for the bias gradient."""

    @staticmethod
    def forward(ctx: Any, out: Tensor, bias: Tensor) -> Tensor:
        ctx.mark_dirty(out)
        ctx.bias_dtype = bias.dtype
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        return grad, _sum_over_positions(grad.movedim(1, -1), ctx.bias_dtype)


def _sum_over_positions(grad: Tensor, kind: torch.dtype) -> Tensor:
    """(..., channels) -> (channels,)."""
    channels, parts = grad.shape[-1], torch.get_num_threads()
    if kind != torch.float32 or not grad.is_contiguous() or not takes(grad, channels):
        return grad.sum((0, 1, 2), dtype=kind)
    sums = grad.new_empty(parts, channels, dtype=kind)
    call("bias_gradient", grad.numel() // channels, channels, parts, sums, grad, grad)
    return sums.sum(0)


@lru_cache
def _images(positions: int, width: int) -> int | None:
    """How many equal images to split into, small ones if possible; None if fewer than 16 fit."""
    small = range(_IMAGE // width, 31, -1)
    images = [positions // size for size in small if positions % size == 0]
    images += [n for n in _IMAGES if positions % n == 0 and positions >= 8 * n]
    return next((n for n in images if n >= _IMAGES.start), None)
