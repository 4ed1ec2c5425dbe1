"""deconv(swiglu(conv(x))) along the length of (rows, length, channels), computed in two ways."""

import math
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tisdiss.kernels.fused import gated
from tisdiss.kernels.products import convolution, product


def prepared(
    conv: nn.Conv1d, deconv: nn.ConvTranspose1d, length: int
) -> Callable[[Tensor], Tensor]:
    """The faster way for rows of this length, with weights laid out once for many calls."""
    if conv.stride == (1,) and length < conv.kernel_size[0]:
        return partial(_short_rows, length, *_matrices(conv, deconv, length))
    return partial(_convolved, conv, deconv)


IMAGE = 256
"""Positions of an image of short rows."""
WIDE = 64
"""Channels from which rows that share an image take less time."""


def _convolved(conv: nn.Conv1d, deconv: nn.ConvTranspose1d, x: Tensor) -> Tensor:
    """2-D convolutions, a row of pixels each, keep the channels last: no transposed copies."""
    length, (kernel,), (stride,) = x.shape[1], conv.kernel_size, conv.stride
    edge = kernel - stride
    steps = math.ceil((length + 2 * edge - kernel) / stride)
    uneven = steps * stride + kernel - length - 2 * edge
    if uneven:
        x = F.pad(x, (0, 0, 0, uneven))
    height = _height(x)
    plane = x.unflatten(0, (-1, height)).permute(0, 3, 1, 2)  # images, channels, rows, length
    step, padding = (1, stride), (0, edge)

    def project(weight: Tensor, bias: Tensor | None) -> Tensor:
        hidden = convolution(F.conv2d, plane, _plane(weight), bias, step, padding)
        return hidden.permute(0, 2, 3, 1)

    gate = gated(project, conv.weight, conv.bias).permute(0, 3, 1, 2)
    out = convolution(F.conv_transpose2d, gate, _plane(deconv.weight), deconv.bias, step, padding)
    return out.permute(0, 2, 3, 1).flatten(0, 1)[:, :length]


def _height(x: Tensor) -> int:
    """How many rows of x make an image: short wide ones in bfloat16 take less time together.

    Most of it is the gradient of the weights.
    """
    if x.dtype != torch.bfloat16 or x.device.type != "cpu" or x.shape[2] < WIDE:
        return 1
    most = max(1, IMAGE // x.shape[1])
    return next(height for height in range(most, 0, -1) if len(x) % height == 0)


def _plane(weight: Tensor) -> Tensor:
    """A 1-D kernel as a 2-D one of height 1, in channels-last memory format."""
    return weight.unsqueeze(2).contiguous(memory_format=torch.channels_last)


def _short_rows(
    length: int, conv: Tensor, bias: Tensor, deconv: Tensor, out_bias: Tensor, x: Tensor
) -> Tensor:
    """As matrix products, for rows shorter than the kernel, such as two speakers.

    Most taps would only meet padding there.
    """
    hidden = gated(partial(product, x.flatten(1)), conv, bias)
    return product(hidden, deconv, out_bias).unflatten(1, (length, -1))


def _matrices(
    conv: nn.Conv1d, deconv: nn.ConvTranspose1d, length: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Both convolutions as matrices, (weight, bias, weight, bias), for `_short_rows`."""
    double, channels, kernel = conv.weight.shape
    steps = length + kernel - 1
    tap = torch.arange(length) + kernel - 1 - torch.arange(steps)[:, None]  # steps, length
    tap = torch.where((tap >= 0) & (tap < kernel), tap, kernel).flatten()
    tap, shape = tap.to(conv.weight.device), (steps, length)
    # (value | gate, hidden, channels, steps, length)
    inner = F.pad(conv.weight, (0, 1)).index_select(2, tap).unflatten(2, shape)
    inner = inner.unflatten(0, (2, -1)).permute(0, 3, 1, 4, 2).reshape(double * steps, -1)
    assert conv.bias is not None and deconv.bias is not None
    bias = conv.bias.unflatten(0, (2, 1, -1)).expand(2, steps, -1).flatten()
    outer = F.pad(deconv.weight, (0, 1)).index_select(2, tap).unflatten(2, shape)
    outer = outer.permute(3, 1, 2, 0).reshape(length * channels, -1)
    return inner, bias, outer, deconv.bias.repeat(length)
