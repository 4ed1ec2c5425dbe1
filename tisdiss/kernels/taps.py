"""The taps of a transposed convolution along time, laid over each other without padded copies."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class _Overlapped(torch.autograd.Function):
    """out[t] = sum over k of tap k at frame t - k + centre."""

    @staticmethod
    def forward(ctx: Any, taps: Tensor) -> Tensor:
        ctx.layout = taps.shape, taps.stride()
        centre = len(taps) // 2
        out = taps[centre].clone(memory_format=torch.contiguous_format)
        for k, tap in enumerate(taps):
            if k != centre:
                there, here = _spans(k - centre, taps.shape[3])
                out[:, :, there] += tap[:, :, here]
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        shape, stride = ctx.layout
        taps_grad = torch.empty_strided(shape, stride, dtype=grad.dtype, device=grad.device)
        for k, tap in enumerate(taps_grad):
            shift = k - len(taps_grad) // 2
            there, here = _spans(shift, shape[3])
            tap[:, :, here] = grad[:, :, there]
            tap[:, :, here.stop :] = 0
            tap[:, :, : here.start] = 0
        return taps_grad


def _spans(shift: int, frames: int) -> tuple[slice, slice]:
    """Frames that a tap moved by `shift` reaches, and those that they come from."""
    later, earlier = min(max(shift, 0), frames), min(max(-shift, 0), frames)
    return slice(later, frames - earlier), slice(earlier, frames - later)


def overlapped(taps: Tensor) -> Tensor:
    """(taps, batch, n_src, frames, ...) -> (batch, n_src, frames, ...); the middle tap stays."""
    return _Overlapped.apply(taps)
