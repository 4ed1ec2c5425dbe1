"""The splitter: one feature map becomes one per speaker (Sec. 2.1; Fig. 2h compares the two)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tisdiss.kernels.fused import gated
from tisdiss.kernels.modes import in_bf16

CHUNK = 2**20
"""Features (frame x bin x channel) that are split at a time without gradients on a CPU."""
REACH = 2
"""Frames on either side that two 3x3 convolutions see."""


class SwiGLUSplitter(nn.Module):
    """Convolution, SwiGLU, transposed convolution over time and frequency.

    (batch, frames, bins, channels) -> (batch, n_src, frames, bins, channels).
    """

    bf16 = False
    """Products in bfloat16 (`kernels.modes.set_bf16`)."""

    def __init__(self, channels: int, *, n_src: int) -> None:
        super().__init__()
        self.n_src = n_src
        hidden = 2 * channels * n_src
        self.conv = nn.Conv2d(channels, 2 * hidden, 3, padding=1)
        self.deconv = nn.ConvTranspose2d(hidden, channels * n_src, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        if torch.is_grad_enabled() or features.device.type != "cpu":
            return self._whole(features)
        return self._by_frames(features)

    def _whole(self, features: Tensor) -> Tensor:
        plane = features.contiguous().permute(0, 3, 1, 2)

        def project(weight: Tensor, bias: Tensor | None) -> Tensor:
            return F.conv2d(plane, weight, bias, padding=1).permute(0, 2, 3, 1)

        with in_bf16(self.bf16, features):
            gate = gated(project, self.conv.weight, self.conv.bias).permute(0, 3, 1, 2)
            split = self.deconv(gate)
        return _by_speaker(split.to(features.dtype), self.n_src)

    def _by_frames(self, features: Tensor) -> Tensor:
        """As `_whole`, some frames at a time, so that the much wider hidden features stay small."""
        batch, frames, bins, channels = features.shape
        step = max(REACH, CHUNK // (batch * bins * channels))
        if frames <= step:
            return self._whole(features)
        out = features.new_empty(batch, self.n_src, frames, bins, channels)
        for start in range(0, frames, step):
            first, end = max(0, start - REACH), min(frames, start + step)
            piece = self._whole(features[:, first : end + REACH])
            out[:, :, start:end] = piece[:, :, start - first : end - first]
        return out


class ConvSplitter(nn.Module):
    """A single convolution; for two speakers, an eighth of the parameters of `SwiGLUSplitter`.

    (batch, frames, bins, channels) -> (batch, n_src, frames, bins, channels).
    """

    def __init__(self, channels: int, *, n_src: int) -> None:
        super().__init__()
        self.n_src = n_src
        self.conv = nn.Conv2d(channels, channels * n_src, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        return _by_speaker(self.conv(features.permute(0, 3, 1, 2)), self.n_src)


class NoSplit(nn.Module):
    """Passes the feature map on, for a decoder that makes all speakers from it."""

    def forward(self, features: Tensor) -> Tensor:
        return features.unsqueeze(1)


def _by_speaker(features: Tensor, n_src: int) -> Tensor:
    """(batch, n_src * channels, frames, bins), speaker-major, to channels-last per speaker."""
    return features.unflatten(1, (n_src, -1)).permute(0, 1, 3, 4, 2).contiguous()
