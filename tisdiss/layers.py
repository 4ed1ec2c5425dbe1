"""The Locoformer path: attention between two convolutional feed-forwards, along one axis.

Features are channels-last throughout: a path sees (rows, length, channels), where `rows` gathers
every axis it does not look along. Saijo et al., "TF-Locoformer", IWAENC 2024; Sec. 2.1.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from tisdiss.config import BlockConfig
from tisdiss.fused import gated, membership, rms_group_norm
from tisdiss.products import convolution, in_bf16, product

Work = Callable[[Tensor], Tensor]

CHUNK = 2**20
"""Features (row x length x channel) that a path takes at a time where no gradient is asked for."""
VECTOR = 16
"""float32 numbers in the widest vector of a CPU."""


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
        length = x.shape[1]
        qkv = self._rotated(product(_whole_vectors(x), self.qkv.weight))
        if length == 2:
            heads = _attend_pair(qkv, self.n_heads)
        else:
            heads = _attend(qkv, self.n_heads, length)
        return product(heads, self.out.weight)

    def ready(self, length: int) -> Work:
        """The work on inputs of this length: there is nothing to lay out."""
        return self

    def _rotated(self, qkv: Tensor) -> Tensor:
        """Turn neighbouring channels (2i, 2i+1) of q and k, read as a complex number.

        One product over all of q, k and v, in one sweep: v is turned by nothing, and q takes the
        1 / sqrt(head_dim) of the scores along.
        """
        head_dim = qkv.shape[-1] // (3 * self.n_heads)
        turn = rotation(qkv.shape[1], head_dim, qkv).repeat(1, self.n_heads)
        turn = torch.cat([turn / math.sqrt(head_dim), turn, torch.ones_like(turn)], dim=-1)
        pairs = torch.view_as_complex(qkv.to(turn.real.dtype).unflatten(-1, (-1, 2)))
        turned = pairs * turn if torch.is_grad_enabled() else pairs.mul_(turn)
        return torch.view_as_real(turned).flatten(-2).to(qkv.dtype)


def _whole_vectors(x: Tensor) -> Tensor:
    """Zeros after the positions of x (rows, length, channels), where they save more than they cost.

    On a CPU the softmax takes the exponentials of a row's scores 16 at a time, and those left over
    one by one, which takes ten times as long.
    """
    over = x.shape[1] % VECTOR
    if x.device.type != "cpu" or x.shape[1] < VECTOR or over < VECTOR // 2:
        return x
    return F.pad(x, (0, 0, 0, VECTOR - over))


def _attend(qkv: Tensor, n_heads: int, length: int) -> Tensor:
    """Softmax of the scores q k^T, times v; (rows, length, q | k | v) -> (rows, length, v).

    Positions of `qkv` from `length` on take no part.
    """
    q, k, v = qkv.unflatten(-1, (3, n_heads, -1)).transpose(1, 3).unbind(2)
    keys = k.shape[2]  # each is rows, heads, positions, head_dim
    mask = None if keys == length else torch.arange(keys, device=k.device)[None] < length
    heads = F.scaled_dot_product_attention(q[:, :, :length], k, v, attn_mask=mask, scale=1.0)
    return heads.transpose(1, 2).flatten(-2)


def _attend_pair(qkv: Tensor, n_heads: int) -> Tensor:
    """The same over two positions, where the softmax is a sigmoid of the scores' difference."""
    q, k, v = qkv.unflatten(-1, (3, -1)).unbind(2)  # each rows, 2, attention_dim
    head = membership(n_heads, q.shape[-1], like=q)
    (k0, k1), (v0, v1) = k.split(1, dim=1), v.split(1, dim=1)
    first = torch.sigmoid(product(q * (k0 - k1), head))  # rows, 2, heads
    return torch.addcmul(v1, product(first, head.t()), v0 - v1)


class FeedForward(nn.Module):
    """SwiGLU between a convolution and a transposed convolution along the length (ConvSwiGLU)."""

    def __init__(self, channels: int, *, hidden: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.kernel = kernel
        self.stride = stride
        self.conv = nn.Conv1d(channels, 2 * hidden, kernel, stride=stride)
        self.deconv = nn.ConvTranspose1d(hidden, channels, kernel, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        return self.ready(x.shape[1])(x)

    def ready(self, length: int) -> Work:
        """The work on inputs of this length, its weights laid out once for many of them."""
        if self.stride == 1 and length < self.kernel:
            return partial(_dense, length, *self._matrices(length))
        return self._convolved

    def _convolved(self, x: Tensor) -> Tensor:
        """2-D convolutions over height 1 keep the channels last: no transposed copies."""
        length = x.shape[1]
        edge = self.kernel - self.stride
        steps = math.ceil((length + 2 * edge - self.kernel) / self.stride)
        uneven = steps * self.stride + self.kernel - length - 2 * edge
        if uneven:
            x = F.pad(x, (0, 0, 0, uneven))
        plane = x.transpose(1, 2).unsqueeze(2)  # rows, channels, 1, length
        step, padding = (1, self.stride), (0, edge)

        def project(weight: Tensor, bias: Tensor | None) -> Tensor:
            hidden = convolution(F.conv2d, plane, _plane(weight), bias, step, padding)
            return hidden.permute(0, 2, 3, 1)

        gate = gated(project, self.conv.weight, self.conv.bias).permute(0, 3, 1, 2)
        weight = _plane(self.deconv.weight)
        out = convolution(F.conv_transpose2d, gate, weight, self.deconv.bias, step, padding)
        return out.squeeze(2).transpose(1, 2)[:, :length]

    def _matrices(self, length: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Both convolutions as products with (weight, bias, weight, bias), for `_dense`."""
        double, channels, kernel = self.conv.weight.shape
        steps = length + kernel - 1
        tap = torch.arange(length) + kernel - 1 - torch.arange(steps)[:, None]  # steps, length
        tap = torch.where((tap >= 0) & (tap < kernel), tap, kernel).flatten()
        tap, shape = tap.to(self.conv.weight.device), (steps, length)
        # (value | gate, hidden, channels, steps, length)
        conv = F.pad(self.conv.weight, (0, 1)).index_select(2, tap).unflatten(2, shape)
        conv = conv.unflatten(0, (2, -1)).permute(0, 3, 1, 4, 2).reshape(double * steps, -1)
        assert self.conv.bias is not None and self.deconv.bias is not None
        bias = self.conv.bias.unflatten(0, (2, 1, -1)).expand(2, steps, -1).flatten()
        deconv = F.pad(self.deconv.weight, (0, 1)).index_select(2, tap).unflatten(2, shape)
        deconv = deconv.permute(3, 1, 2, 0).reshape(length * channels, -1)
        return conv, bias, deconv, self.deconv.bias.repeat(length)


def _dense(
    length: int, conv: Tensor, bias: Tensor, deconv: Tensor, out_bias: Tensor, x: Tensor
) -> Tensor:
    """A feed-forward over a length below the kernel's, where most taps fall outside."""
    hidden = gated(partial(product, x.flatten(1)), conv, bias)
    return product(hidden, deconv, out_bias).unflatten(1, (length, -1))


def _plane(weight: Tensor) -> Tensor:
    """A 1-D kernel as a 2-D one of height 1, in the layout of channels-last products."""
    return weight.unsqueeze(2).contiguous(memory_format=torch.channels_last)


class Path(nn.Module):
    """One Locoformer path: [feed-forward,] attention, feed-forward, each with a residual.

    (rows, length, channels) -> the same shape. With one entry in `ffn_hidden` the first
    feed-forward is absent.
    """

    recompute = False
    """Keep only the input for the gradient and compute the rest again (`set_recompute`)."""
    bf16 = False
    """Matrix products in bfloat16; norms, rotations and sums stay in float32 (`set_bf16`)."""

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
        if not torch.is_grad_enabled():
            return self._by_rows(x)
        return again(self.recompute, self._whole, x)

    def _whole(self, x: Tensor) -> Tensor:
        return self._run(self._steps(x.shape[1]), x)

    def _by_rows(self, x: Tensor) -> Tensor:
        """The same, some rows at a time: what lies between input and output stays small."""
        rows = max(1, CHUNK // (x.shape[1] * x.shape[2]))
        if x.device.type != "cpu" or len(x) <= rows:
            return self._whole(x)
        steps = self._steps(x.shape[1])
        out = torch.empty_like(x, memory_format=torch.contiguous_format)
        for part, into in zip(x.split(rows), out.split(rows), strict=True):
            self._run(steps, part, into)
        return out

    def _steps(self, length: int) -> list[tuple[Work, Work]]:
        """A norm and the work on what it gives, for each part."""
        parts = [part for part in (self.before, self.attention, self.after) if part is not None]
        pairs = [cast("tuple[nn.Module, Attention | FeedForward]", part) for part in parts]
        return [(norm, work.ready(length)) for norm, work in pairs]

    def _run(self, steps: list[tuple[Work, Work]], x: Tensor, into: Tensor | None = None) -> Tensor:
        for i, (norm, work) in enumerate(steps, start=1):
            scaled = norm(x)
            with in_bf16(self.bf16, x):
                change = work(scaled)
            x = torch.add(x, change, out=into if i == len(steps) else None)
        return x


def again(on: bool, work: Work, x: Tensor) -> Tensor:
    """`work(x)`; `on` keeps only x for the gradient and does the work a second time."""
    if on and torch.is_grad_enabled():
        return checkpoint(work, x, use_reentrant=False, preserve_rng_state=False)
    return work(x)


def set_recompute(model: nn.Module, on: bool) -> None:
    """Keep about a fifteenth for the gradient, for a third more products and equal results."""
    for module in model.modules():
        if hasattr(module, "recompute"):
            module.recompute = on  # type: ignore[assignment]


def set_bf16(model: nn.Module, on: bool) -> None:
    """Run the matrix products of paths and splitter in bfloat16.

    Weights, norms, rotations, residuals, codec and STFT stay in float32.
    """
    for module in model.modules():
        if hasattr(module, "bf16"):
            module.bf16 = on  # type: ignore[assignment]


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
