"""FLA-TFLocoformer: a TF-Locoformer whose attention along frames is linear in their number.

H. Wang et al., "FLASepformer: Efficient Speech Separation with Gated Focused Linear Attention
Transformer", Interspeech 2025; details as in the authors' code (modelscope 1.40.2). Codec,
feed-forwards and attention along bins are those of TF-Locoformer.
"""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tisdiss.codec import build_codec
from tisdiss.config import BlockConfig, FocusedConfig, Layer, ModelConfig
from tisdiss.kernels.modes import in_float32
from tisdiss.layers import (
    Attention,
    LocoformerPath,
    RMSGroupNorm,
    Work,
    build_path,
    softmax_attention,
)
from tisdiss.parts import Parts
from tisdiss.separator import ALONG, Separator
from tisdiss.splitter import NoSplit

NORM_EPS = 1e-5
"""Epsilon of the norms before linear attention and gate, whatever that of the others is."""
TINY_FEATURE, TINY_NORM, TINY_WEIGHT = 1e-6, 1e-8, 1e-6
"""They decide where no channel of a query or key is positive, so they are part of the model."""


class FocusedAttention(nn.Module):
    """Focused linear attention, plus a convolution of the values: out(o + conv(v)).

    For each head, with means over the positions j of a row, in both directions:

        o_i = phi(q_i) M / (phi(q_i) m + 1e-6)
        M = mean of phi(k_j)^T v_j,  m = mean of phi(k_j)

    phi is `focused`. q, k, v are linear in x. The convolution runs along the length for each
    channel of a head, with the same kernels for all heads; it alone knows positions.
    (rows, length, channels) -> the same shape.
    """

    def __init__(
        self, channels: int, *, attention_dim: int, n_heads: int, power: float, kernel: int
    ) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.power = power
        self.query = nn.Linear(channels, attention_dim)
        self.key_value = nn.Linear(channels, 2 * attention_dim)
        self.out = nn.Linear(attention_dim, channels)
        self.scale = nn.Parameter(torch.zeros(attention_dim))
        size = attention_dim // n_heads
        self.conv = (
            nn.Conv1d(size, size, kernel, padding=kernel // 2, groups=size) if kernel else None
        )

    def forward(self, x: Tensor) -> Tensor:
        maps = self.query(x), *self.key_value(x).chunk(2, dim=-1)
        with in_float32(x):
            query, key, value = (t.to(x.dtype) for t in maps)
            query, key = (focused(t, self.scale, power=self.power) for t in (query, key))
            heads = self._attended(*(self._split(t) for t in (query, key, value)))
        return self.out(heads.transpose(1, 2).flatten(-2))

    def _split(self, x: Tensor) -> Tensor:
        """(rows, length, attention_dim) -> (rows, heads, length, channels of a head)."""
        return x.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)

    def _attended(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        memory = key.transpose(-1, -2) @ value / key.shape[-2]
        weight = query @ key.mean(-2).unsqueeze(-1)
        heads = query @ memory / (weight + TINY_WEIGHT)
        return heads if self.conv is None else heads + self._local(value)

    def _local(self, value: Tensor) -> Tensor:
        assert self.conv is not None
        lines = value.transpose(-1, -2)  # rows, heads, channels of a head, length
        return self.conv(lines.flatten(0, 1)).unflatten(0, lines.shape[:2]).transpose(-1, -2)


def focused(z: Tensor, scale: Tensor, *, power: float) -> Tensor:
    """phi(z) = u^p |u| / (|u^p| + 1e-8), where u = (relu(z) + 1e-6) / log(1 + e^scale).

    The norms are over all channels (last axis), before they are split into heads. A p above 1
    sharpens: large channels outweigh small ones by more, at the same length of the vector.
    """
    u = (z.relu() + TINY_FEATURE) / F.softplus(scale)
    sharp = u**power
    length, sharp_length = (torch.linalg.vector_norm(t, dim=-1, keepdim=True) for t in (u, sharp))
    return sharp * (length / (sharp_length + TINY_NORM))


class Gate(nn.Module):
    """sigmoid(linear(norm(x))): a factor for each channel of each position."""

    def __init__(self, channels: int, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm
        self.linear = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        with in_float32(x):
            scaled = self.norm(x)
        return self.linear(scaled).sigmoid()


class LinearPart(nn.Module):
    """x + gate(x) * attention(norm(x)), to which a path adds x: as released, x is there twice."""

    def __init__(self, *, norm: nn.Module, attention: FocusedAttention, gate: Gate | None) -> None:
        super().__init__()
        self.norm = norm
        self.attention = attention
        self.gate = gate

    def forward(self, x: Tensor) -> Tensor:
        with in_float32(x):
            scaled = self.norm(x)
        change = self.attention(scaled)
        return x + (change if self.gate is None else self.gate(x) * change)

    def prepared(self, length: int) -> Work:
        """The function for rows of this length; it has no weights to lay out."""
        return self


class UnplacedAttention(Attention):
    """Softmax attention without rotary positions."""

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (
            self.qkv(x).unflatten(-1, (3, self.n_heads, -1)).transpose(1, 3).unbind(2)
        )
        heads = F.scaled_dot_product_attention(query, key, value)
        return self.out(heads.transpose(1, 2).flatten(-2))


class Layers(nn.Module):
    """Paths one after another, each along its own axis.

    (batch, frames, bins, channels) -> the same shape.
    """

    def __init__(self, layers: tuple[Layer, ...], path: Callable[[Layer], LocoformerPath]) -> None:
        super().__init__()
        self.axes = [layer[0] for layer in layers]
        self.paths = nn.ModuleList(map(path, layers))

    def forward(self, features: Tensor) -> Tensor:
        for axis, path in zip(self.axes, self.paths, strict=True):
            features = ALONG[axis](path, features)
        return features


def layers_block(config: ModelConfig) -> Layers:
    """A block of the layers and sizes in the settings."""
    block, settings = config.block, config.focused
    kinds: dict[str, Callable[[], nn.Sequential]] = {
        "linear": partial(_linear_attention, block, settings),
        "softmax": partial(
            softmax_attention, block, Attention if settings.rotary else UnplacedAttention
        ),
    }
    return Layers(config.layers, lambda layer: build_path(block, attention=kinds[layer[2:]]))


def _linear_attention(block: BlockConfig, settings: FocusedConfig) -> nn.Sequential:
    """The part norms its input itself, because it also needs the input as it is."""
    attention = FocusedAttention(
        block.channels,
        attention_dim=block.attention_dim,
        n_heads=block.n_heads,
        power=settings.power,
        kernel=settings.kernel,
    )
    norm = partial(_norm, block.channels, settings)
    gate = Gate(block.channels, norm()) if settings.gated else None
    return nn.Sequential(nn.Identity(), LinearPart(norm=norm(), attention=attention, gate=gate))


def _norm(channels: int, settings: FocusedConfig) -> nn.Module:
    if settings.norm == "layernorm":
        return nn.LayerNorm(channels, eps=NORM_EPS)
    return RMSGroupNorm(channels, groups=settings.norm_groups, eps=NORM_EPS)


def fla_tf_locoformer_parts(config: ModelConfig) -> Parts:
    """The parts for `TISDiSS`, which runs them like its own."""
    encoder, decoder = build_codec(config)
    return Parts(
        encoder=encoder,
        separator=Separator(
            blocks=config.m_sep, block=partial(layers_block, config), residual=None
        ),
        splitter=NoSplit(),
        decoder=decoder,
    )


def fla_tf_locoformer(size: str, **changes: object) -> ModelConfig:
    """A model of a published size: "m" or "l" (12 or 18 layers, a pair of them a block)."""
    sizes = {"m": 6, "l": 9}
    if size not in sizes:
        raise ValueError(f"FLA-TFLocoformer size {size!r}: choose from {', '.join(sizes)}")
    base = ModelConfig.from_name(f"fla-tf-locoformer-sep{sizes[size]}x1-l1")
    return ModelConfig.model_validate(base.model_dump() | changes)
