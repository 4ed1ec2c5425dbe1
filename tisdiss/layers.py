"""The Locoformer path: attention between two convolutional feed-forwards, along one axis.

Features are channels-last: a path takes (rows, length, channels), where `rows` flattens all axes
but the one it runs along. Each layer states its formula; `kernels/` computes it fast. Saijo et al.,
"TF-Locoformer", IWAENC 2024; Sec. 2.1.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn

from tisdiss.config import BlockConfig
from tisdiss.kernels import conv_swiglu
from tisdiss.kernels.attention import attend, rotated, whole_vectors
from tisdiss.kernels.fused import rms_group_norm
from tisdiss.kernels.heads import attended, written_out
from tisdiss.kernels.modes import in_bf16, recomputed, rows_at_a_time
from tisdiss.kernels.products import product
from tisdiss.kernels.residual import added, forked_norm

Work = Callable[[Tensor], Tensor]

WEIGHTED = nn.Linear | nn.LSTM | nn.Conv1d | nn.Conv2d | nn.ConvTranspose1d | nn.ConvTranspose2d
"""Layers whose parameters with two or more axes are the weights of matrix products."""


class RMSGroupNorm(nn.Module):
    """y = scale * x / (rms(x) + eps), the root mean square taken over each group of channels.

    No mean is subtracted; `eps` is added to the root, not under it.
    """

    def __init__(self, channels: int, *, groups: int, eps: float) -> None:
        super().__init__()
        self.groups = groups
        self.eps = eps
        self.scale = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        return rms_group_norm(x, self.scale, groups=self.groups, eps=self.eps)


class Attention(nn.Module):
    """Self-attention, for each head: out(softmax(R(q) R(k)^T / sqrt(head_dim)) v).

    q, k, v are linear in x; R rotates the channels of each position by angles proportional to the
    position (rotary embedding). No bias, no mask.
    """

    def __init__(self, channels: int, *, attention_dim: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.qkv = nn.Linear(channels, 3 * attention_dim, bias=False)
        self.out = nn.Linear(attention_dim, channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        if written_out(x):
            heads = attended(product(x, self.qkv.weight), self.n_heads)
        else:
            qkv = product(whole_vectors(x), self.qkv.weight)
            heads = attend(rotated(qkv, self.n_heads), self.n_heads, x.shape[1])
        return product(heads, self.out.weight)

    def prepared(self, length: int) -> Work:
        """The function for rows of this length; it has no weights to lay out."""
        return self


class FeedForward(nn.Module):
    """ConvSwiGLU: deconv(value * silu(gate)), where value and gate are the halves of conv(x).

    Both convolutions run along the length; the output has the length of the input.
    """

    def __init__(self, channels: int, *, hidden: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels, 2 * hidden, kernel, stride=stride)
        self.deconv = nn.ConvTranspose1d(hidden, channels, kernel, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        return self.prepared(x.shape[1])(x)

    def prepared(self, length: int) -> Work:
        """The function for rows of this length, with weights laid out once for many calls."""
        return conv_swiglu.prepared(self.conv, self.deconv, length)


class LocoformerPath(nn.Module):
    """One Locoformer path: [feed-forward,] attention, feed-forward, each with a residual.

    (rows, length, channels) -> the same shape. With one entry in `ffn_hidden` the first
    feed-forward is absent. `attention` makes a norm and what follows it.
    """

    recompute = False
    """Keep only the input for the gradient and recompute the rest (`set_recompute`)."""
    bf16 = False
    """Matrix products in bfloat16; norms, rotations and sums stay in float32 (`set_bf16`)."""

    def __init__(
        self,
        channels: int,
        *,
        attention: Callable[[], nn.Sequential],
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
        self.attention = attention()
        self.after = feed_forwards[-1]

    def forward(self, x: Tensor) -> Tensor:
        if not torch.is_grad_enabled():
            return self._by_rows(x)
        return recomputed(self._whole, x, on=self.recompute)

    def _whole(self, x: Tensor) -> Tensor:
        return self._run(self._steps(x.shape[1]), x)

    def _by_rows(self, x: Tensor) -> Tensor:
        """As `_whole`, some rows at a time, so that intermediate results stay small."""
        rows = rows_at_a_time(x)
        if len(x) <= rows:
            return self._whole(x)
        steps = self._steps(x.shape[1])
        out = torch.empty_like(x, memory_format=torch.contiguous_format)
        for part, into in zip(x.split(rows), out.split(rows), strict=True):
            self._run(steps, part, into)
        return out

    def _steps(self, length: int) -> list[tuple[nn.Module, Work]]:
        """The norm and the function after it, for each part of the path."""
        parts = [part for part in (self.before, self.attention, self.after) if part is not None]
        pairs = [cast("tuple[nn.Module, Attention | FeedForward]", part) for part in parts]
        return [(norm, work.prepared(length)) for norm, work in pairs]

    def _run(
        self, steps: list[tuple[nn.Module, Work]], x: Tensor, into: Tensor | None = None
    ) -> Tensor:
        """x = x + work(norm(x)) for each step; `into`, if given, receives the last sum."""
        for i, (norm, work) in enumerate(steps, start=1):
            x, scaled = _forked(norm, x, self.bf16)
            with in_bf16(self.bf16, x):
                change = work(scaled)
            x = added(x, change, into if i == len(steps) else None)
        return x


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


def build_path(
    config: BlockConfig,
    *,
    ffn_hidden: tuple[int, ...] | None = None,
    attention: Callable[[], nn.Sequential] | None = None,
) -> LocoformerPath:
    """A path sized by `config`; other arguments, if given, replace what it says."""
    return LocoformerPath(
        config.channels,
        attention=attention or partial(softmax_attention, config),
        ffn_hidden=ffn_hidden or config.ffn_hidden,
        ffn_kernel=config.ffn_kernel,
        ffn_stride=config.ffn_stride,
        norm=partial(block_norm, config),
    )


def _forked(norm: nn.Module, x: Tensor, bf16: bool) -> tuple[Tensor, Tensor]:
    """x, and its norm, for bfloat16 products on demand."""
    if not isinstance(norm, RMSGroupNorm):
        return x, norm(x)
    return forked_norm(x, norm.scale, groups=norm.groups, eps=norm.eps, bf16=bf16)


def softmax_attention(config: BlockConfig, kind: type[Attention] = Attention) -> nn.Sequential:
    """A norm and softmax attention of the size in the settings."""
    return nn.Sequential(
        block_norm(config),
        kind(config.channels, attention_dim=config.attention_dim, n_heads=config.n_heads),
    )


def block_norm(config: BlockConfig) -> nn.Module:
    if config.norm == "layernorm":
        return nn.LayerNorm(config.channels, eps=config.eps)
    return RMSGroupNorm(config.channels, groups=config.norm_groups, eps=config.eps)
