"""The blocks of SepReformer, each a branch with residual and a feed-forward with residual.

Features are (rows, frames, channels); a row is a mixture or, behind the splitter, one speaker of
it, the speakers of a mixture next to each other.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tisdiss.baselines.sepreformer.attention import Attention
from tisdiss.config.sepreformer import FFN_KERNEL, FFN_WIDTH, SepReformerConfig

FEW_TAPS = 8
"""A convolution with more is trained along lines: on a CPU its gradient is three times as fast."""


class FeedForward(nn.Module):
    """x + scale * reduce(GLU(conv(expand(norm(x))))); the convolution is depthwise over frames."""

    def __init__(self, config: SepReformerConfig) -> None:
        super().__init__()
        channels, hidden = config.channels, FFN_WIDTH * config.channels
        self.norm = nn.LayerNorm(channels)
        self.expand = nn.Linear(channels, hidden)
        self.conv = depthwise(hidden, FFN_KERNEL)
        self.reduce = nn.Linear(hidden // 2, channels)
        self.dropout = nn.Dropout(config.dropout)
        self.scale = layer_scale(config)

    def forward(self, x: Tensor) -> Tensor:
        hidden = F.glu(along_frames(self.conv, self.expand(self.norm(x))))
        change = self.dropout(self.reduce(self.dropout(hidden)))
        return torch.addcmul(x, self.scale, change)


class GlobalBlock(nn.Module):
    """Attention among means of neighbouring frames, as many as the coarsest scale has frames.

    Its result is repeated for the frames of each mean, and a gate of each frame lets it in.
    """

    def __init__(self, config: SepReformerConfig) -> None:
        super().__init__()
        self.attention = attention(config)
        self.gate_norm = nn.LayerNorm(config.channels)
        self.gate = nn.Linear(config.channels, config.channels)
        self.feed_forward = FeedForward(config)

    def forward(self, x: Tensor, offsets: Tensor) -> Tensor:
        groups = x.unflatten(1, (len(offsets) // 2, -1))
        change = self.attention(groups.mean(2), offsets).unsqueeze(2)
        gate = torch.sigmoid(self.gate(self.gate_norm(groups)))
        return self.feed_forward(torch.addcmul(groups, gate, change).flatten(1, 2))


class LocalBlock(nn.Module):
    """A depthwise convolution over neighbouring frames, between a gate and a batch norm."""

    def __init__(self, config: SepReformerConfig) -> None:
        super().__init__()
        channels = config.channels
        self.norm = nn.LayerNorm(channels)
        self.enter = nn.Linear(channels, 2 * channels)
        self.conv = depthwise(channels, config.local_kernel)
        self.expand = nn.Linear(channels, 2 * channels)
        self.batch_norm = nn.BatchNorm1d(2 * channels)
        self.reduce = nn.Linear(2 * channels, channels)
        self.dropout = nn.Dropout(config.dropout)
        self.scale = layer_scale(config)
        self.feed_forward = FeedForward(config)

    def forward(self, x: Tensor) -> Tensor:
        seen = along_frames(self.conv, F.glu(self.enter(self.norm(x))))
        hidden = F.gelu(over_frames(self.batch_norm, self.expand(seen)))
        change = self.dropout(self.reduce(hidden))
        return self.feed_forward(torch.addcmul(x, self.scale, change))


class SpeakerBlock(nn.Module):
    """Attention among the speakers of each frame; the feed-forward runs along time."""

    def __init__(self, config: SepReformerConfig) -> None:
        super().__init__()
        self.n_src = config.n_src
        self.attention = attention(config)
        self.feed_forward = FeedForward(config)

    def forward(self, x: Tensor) -> Tensor:
        frames = x.shape[1]
        speakers = x.unflatten(0, (-1, self.n_src)).transpose(1, 2).flatten(0, 1)
        change = self.attention(speakers).unflatten(0, (-1, frames)).transpose(1, 2)
        return self.feed_forward(x + change.flatten(0, 1))


class DownSampling(nn.Module):
    """Half as many frames: a depthwise convolution with stride 2, batch norm, GELU."""

    def __init__(self, config: SepReformerConfig) -> None:
        super().__init__()
        self.conv = depthwise(config.channels, config.down_kernel, stride=2)
        self.batch_norm = nn.BatchNorm1d(config.channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(over_frames(self.batch_norm, along_frames(self.conv, x)))


class WholeNorm(nn.Module):
    """Norm over the frames and channels of each row together; a gain and bias for each channel."""

    def __init__(self, channels: int, *, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.gain = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        normed = F.layer_norm(x, x.shape[1:], eps=self.eps)
        return torch.addcmul(self.bias, normed, self.gain)


def attention(config: SepReformerConfig) -> Attention:
    return Attention(
        config.channels, n_heads=config.n_heads, dropout=config.dropout, scale=config.scale_init
    )


def layer_scale(config: SepReformerConfig) -> nn.Parameter:
    return nn.Parameter(torch.full((config.channels,), config.scale_init))


def depthwise(channels: int, kernel: int, stride: int = 1) -> nn.Conv1d:
    """A convolution of each channel by itself, which keeps the length but for the stride."""
    return nn.Conv1d(
        channels, channels, kernel, stride=stride, padding=kernel // 2, groups=channels
    )


def along_frames(conv: nn.Conv1d, x: Tensor) -> Tensor:
    """`conv` over the frames of x (rows, frames, channels).

    As a picture of height 1 where that is faster: for those a CPU has a kernel with channels last,
    whose gradient alone is slow for many taps.
    """
    lines, taps = x.transpose(1, 2), conv.kernel_size[0]
    if x.device.type != "cpu" or (torch.is_grad_enabled() and taps > FEW_TAPS):
        return conv(lines).transpose(1, 2)
    stride, padding = (1, *conv.stride), (0, taps // 2)
    weight, picture = conv.weight.unsqueeze(2), lines.unsqueeze(2)
    out = F.conv2d(picture, weight, conv.bias, stride, padding, groups=conv.groups)
    return out.squeeze(2).transpose(1, 2)


def over_frames(norm: nn.BatchNorm1d, x: Tensor) -> Tensor:
    """`norm` with the statistics of all rows and frames of x (rows, frames, channels)."""
    return norm(x.flatten(0, 1)).view_as(x)
