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
from tisdiss.fused import rms_group_norm, swiglu


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
        return rms_group_norm(x, self.scale, groups=self.groups, eps=self.eps)


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


class Attention(nn.Module):
    """Multi-head self-attention with rotary positions, no bias and no mask."""

    def __init__(self, channels: int, *, attention_dim: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.qkv = nn.Linear(channels, 3 * attention_dim, bias=False)
        self.out = nn.Linear(attention_dim, channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        qkv = self._rotated(self.qkv(x)).unflatten(-1, (3, self.n_heads, -1))
        q, k, v = qkv.transpose(1, 3).unbind(2)  # each rows, heads, length, head_dim
        return self.out(attend(q, k, v).transpose(1, 2).flatten(-2))

    def _rotated(self, qkv: Tensor) -> Tensor:
        """Turn neighbouring channels (2i, 2i+1) of q and k, read as a complex number.

        One product over all of q, k and v, in one sweep: v is turned by nothing, and q takes the
        1 / sqrt(head_dim) of the scores along.
        """
        head_dim = qkv.shape[-1] // (3 * self.n_heads)
        turn = rotation(qkv.shape[1], head_dim, qkv).repeat(1, self.n_heads)
        turn = torch.cat([turn / math.sqrt(head_dim), turn, torch.ones_like(turn)], dim=-1)
        pairs = torch.view_as_complex(qkv.to(turn.real.dtype).unflatten(-1, (-1, 2)))
        return torch.view_as_real(pairs * turn).flatten(-2).to(qkv.dtype)


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Softmax of q k^T (already scaled), times v; all (rows, heads, length, head_dim).

    Short sequences are quicker with their small score matrices written out.
    """
    if q.shape[-2] <= 64:
        return torch.softmax(q @ k.transpose(-1, -2), dim=-1) @ v
    return F.scaled_dot_product_attention(q, k, v, scale=1.0)


class FeedForward(nn.Module):
    """SwiGLU between a convolution and a transposed convolution along the length (ConvSwiGLU)."""

    def __init__(self, channels: int, *, hidden: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.kernel = kernel
        self.stride = stride
        self.conv = nn.Conv1d(channels, 2 * hidden, kernel, stride=stride)
        self.deconv = nn.ConvTranspose1d(hidden, channels, kernel, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        if self.stride == 1 and x.shape[1] < self.kernel:
            return self._dense(x)
        return self._convolved(x)

    def _convolved(self, x: Tensor) -> Tensor:
        """2-D convolutions over height 1: they keep the channels last, without transposed copies.

        Biases are added after: the gradient of a convolution's own bias costs as much as its
        input's.
        """
        length = x.shape[1]
        edge = self.kernel - self.stride
        steps = math.ceil((length + 2 * edge - self.kernel) / self.stride)
        uneven = steps * self.stride + self.kernel - length - 2 * edge
        if uneven:
            x = F.pad(x, (0, 0, 0, uneven))
        plane = x.transpose(1, 2).unsqueeze(2)  # rows, channels, 1, length
        step, padding = (1, self.stride), (0, edge)
        hidden = F.conv2d(plane, _plane(self.conv.weight), None, step, padding)
        hidden = hidden.add_(self.conv.bias[:, None, None])
        gated = swiglu(hidden.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        out = F.conv_transpose2d(gated, _plane(self.deconv.weight), None, step, padding)
        out = out.add_(self.deconv.bias[:, None, None])
        return out.squeeze(2).transpose(1, 2)[:, :length]

    def _dense(self, x: Tensor) -> Tensor:
        """The same on a length below the kernel's, where most taps fall outside: two matrices."""
        length, (double, channels, kernel) = x.shape[1], self.conv.weight.shape
        steps = length + kernel - 1
        tap = torch.arange(length) + kernel - 1 - torch.arange(steps)[:, None]  # steps, length
        tap = torch.where((tap >= 0) & (tap < kernel), tap, kernel).flatten().to(x.device)
        shape = (steps, length)
        # (value | gate, hidden, channels, steps, length)
        conv = F.pad(self.conv.weight, (0, 1)).index_select(2, tap).unflatten(2, shape)
        conv = conv.unflatten(0, (2, -1)).permute(0, 3, 1, 4, 2).reshape(double * steps, -1)
        bias = self.conv.bias.unflatten(0, (2, 1, -1)).expand(2, steps, -1).flatten()
        hidden = F.linear(x.flatten(1), conv, bias)
        deconv = F.pad(self.deconv.weight, (0, 1)).index_select(2, tap).unflatten(2, shape)
        deconv = deconv.permute(3, 1, 2, 0).reshape(length * channels, -1)
        out = F.linear(swiglu(hidden), deconv, self.deconv.bias.repeat(length))
        return out.unflatten(1, (length, channels))


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
