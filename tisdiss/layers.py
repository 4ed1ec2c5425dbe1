"""The Locoformer path: attention between two convolutional feed-forwards, along one axis.

Features are channels-last throughout: a path sees (rows, length, channels), where `rows` gathers
every axis it does not look along. Saijo et al., "TF-Locoformer", IWAENC 2024; Sec. 2.1.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tisdiss.config import BlockConfig


class RMSGroupNorm(nn.Module):
    """Divides each group of channels by its root mean square; one scale per channel, no mean.

    `eps` is added to the root, not under it.
    """

    def __init__(self, channels: int, *, groups: int, eps: float) -> None:
        super().__init__()
        self.groups = groups
        self.eps = eps
        self.scale = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        grouped = x.unflatten(-1, (self.groups, -1))
        root = torch.linalg.vector_norm(grouped, dim=-1, keepdim=True)
        root = root / math.sqrt(grouped.shape[-1])
        return (grouped / (root + self.eps)).flatten(-2) * self.scale


def rotary_frequencies(head_dim: int, device: torch.device | None = None) -> Tensor:
    """10000^(-2i / head_dim), (head_dim / 2,), in float32 as the released code rounds it."""
    index = torch.arange(0, head_dim, 2, device=device, dtype=torch.float32)
    return 1.0 / 10000.0 ** (index / head_dim)


def rotation(length: int, head_dim: int, like: Tensor) -> Tensor:
    """Unit complex numbers (length, head_dim / 2) of angle position times frequency."""
    real = torch.promote_types(like.dtype, torch.float32)
    position = torch.arange(length, device=like.device, dtype=real)
    angle = position[:, None] * rotary_frequencies(head_dim, like.device).to(real)
    return torch.polar(torch.ones_like(angle), angle)


def rotate(x: Tensor, turn: Tensor) -> Tensor:
    """Turn each pair of neighbouring channels (2i, 2i+1), read as a complex number."""
    pairs = torch.view_as_complex(x.to(turn.real.dtype).unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * turn).flatten(-2).to(x.dtype)


class Attention(nn.Module):
    """Multi-head self-attention with rotary positions, no bias and no mask."""

    def __init__(self, channels: int, *, attention_dim: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.qkv = nn.Linear(channels, 3 * attention_dim, bias=False)
        self.out = nn.Linear(attention_dim, channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.qkv(x).unflatten(-1, (3, self.n_heads, -1))  # rows, length, 3, heads, head_dim
        turn = rotation(x.shape[1], qkv.shape[-1], x)[:, None, None]
        q, k = rotate(qkv[:, :, :2], turn).permute(2, 0, 3, 1, 4)
        v = qkv[:, :, 2].transpose(1, 2)
        heads = F.scaled_dot_product_attention(q, k, v)  # rows, heads, length, head_dim
        return self.out(heads.transpose(1, 2).flatten(-2))


class FeedForward(nn.Module):
    """SwiGLU between a convolution and a transposed convolution along the length (ConvSwiGLU)."""

    def __init__(self, channels: int, *, hidden: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.kernel = kernel
        self.stride = stride
        self.conv = nn.Conv1d(channels, 2 * hidden, kernel, stride=stride)
        self.deconv = nn.ConvTranspose1d(hidden, channels, kernel, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        length = x.shape[1]
        edge = self.kernel - self.stride
        steps = math.ceil((length + 2 * edge - self.kernel) / self.stride)
        uneven = steps * self.stride + self.kernel - length - 2 * edge
        if uneven:
            x = F.pad(x, (0, 0, 0, uneven))
        # A 2-D convolution over height 1 keeps the channels last: no transposed copy is made.
        plane = x.transpose(1, 2).unsqueeze(2)  # rows, channels, 1, length
        hidden = F.conv2d(
            plane, _plane(self.conv.weight), self.conv.bias, (1, self.stride), (0, edge)
        )
        value, gate = hidden.permute(0, 2, 3, 1).chunk(2, dim=-1)
        out = F.conv_transpose2d(
            (value * F.silu(gate)).permute(0, 3, 1, 2),
            _plane(self.deconv.weight),
            self.deconv.bias,
            (1, self.stride),
            (0, edge),
        )
        return out.squeeze(2).transpose(1, 2)[:, :length]


def _plane(weight: Tensor) -> Tensor:
    """A 1-D kernel as a 2-D one of height 1, in the layout of channels-last products."""
    return weight.unsqueeze(2).contiguous(memory_format=torch.channels_last)


class Path(nn.Module):
    """One Locoformer path: [feed-forward,] attention, feed-forward, each with a residual.

    (rows, length, channels) -> the same shape. With one entry in `ffn_hidden` the first
    feed-forward is absent.
    """

    def __init__(
        self,
        channels: int,
        *,
        attention_dim: int,
        n_heads: int,
        ffn_hidden: tuple[int, ...],
        ffn_kernel: int,
        ffn_stride: int,
        norm: Callable[[], nn.Module],
    ) -> None:
        super().__init__()
        feed_forwards = [
            nn.Sequential(
                norm(), FeedForward(channels, hidden=width, kernel=ffn_kernel, stride=ffn_stride)
            )
            for width in ffn_hidden
        ]
        self.before = feed_forwards[0] if len(feed_forwards) == 2 else None
        self.attention = nn.Sequential(
            norm(), Attention(channels, attention_dim=attention_dim, n_heads=n_heads)
        )
        self.after = feed_forwards[-1]

    def forward(self, x: Tensor) -> Tensor:
        if self.before is not None:
            x = x + self.before(x)
        x = x + self.attention(x)
        return x + self.after(x)


class Residual(nn.Module):
    """Adds the encoder's features back: PReLU(scale * (encoded + features) + bias) (Sec. 3.3)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.empty(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.activation = nn.PReLU()
        bound = math.sqrt(6.0 / (channels + 1))  # Xavier with the fans of a depth-wise convolution
        nn.init.uniform_(self.scale, -bound, bound)

    def forward(self, encoded: Tensor, features: Tensor) -> Tensor:
        return self.activation(self.scale * (encoded + features) + self.bias)


def build_path(config: BlockConfig, *, ffn_hidden: tuple[int, ...] | None = None) -> Path:
    """A path as `config` sizes it, with `ffn_hidden` in place of its own where given."""
    return Path(
        config.channels,
        attention_dim=config.attention_dim,
        n_heads=config.n_heads,
        ffn_hidden=ffn_hidden or config.ffn_hidden,
        ffn_kernel=config.ffn_kernel,
        ffn_stride=config.ffn_stride,
        norm=lambda: _norm(config),
    )


def _norm(config: BlockConfig) -> nn.Module:
    if config.norm == "layernorm":
        return nn.LayerNorm(config.channels, eps=config.eps)
    return RMSGroupNorm(config.channels, groups=config.norm_groups, eps=config.eps)
