"""TF-GridNet (Wang et al., "TF-GridNet", TASLP 2023), versions 1 and 2 as ESPnet has them.

As in TF-Locoformer, there is only a separator, and the decoder makes all sources from one feature
map. The model therefore runs at any n_sep, shares its blocks and is supervised at every depth.
Norms start at gain 1 and bias 0. The public recipes draw most gains around 0 instead, because their
Xavier-uniform initialisation treats 4-dimensional gains as weights.
"""

import math
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tisdiss.codec import build_codec
from tisdiss.config import BlockConfig, CodecConfig, GridConfig, ModelConfig
from tisdiss.kernels.modes import recomputed
from tisdiss.parts import Parts
from tisdiss.separator import DualPath, Separator
from tisdiss.splitter import NoSplit


class GridBlock(nn.Module):
    """LSTMs along the bins of each frame and the frames of each bin, then attention over frames.

    (batch, frames, bins, channels) -> the same shape. `margins` gives the zeros before and after a
    length with which the LSTMs run.
    """

    def __init__(
        self,
        *,
        paths: DualPath,
        attention: "FrameAttention",
        margins: Callable[[int], tuple[int, int]],
    ) -> None:
        super().__init__()
        self.paths = paths
        self.attention = attention
        self.margins = margins

    def forward(self, features: Tensor) -> Tensor:
        frames, bins = features.shape[1:3]
        (above, below), (left, right) = self.margins(frames), self.margins(bins)
        padded = self.paths(F.pad(features, (0, 0, left, right, above, below)))
        return self.attention(padded[:, above : above + frames, left : left + bins])


class GridPath(nn.Module):
    """A bidirectional LSTM over windows along one axis, with a residual.

    (rows, length, channels) -> the same shape; the length is a whole number of windows.
    """

    recompute = False
    """Keep only the input for the gradient and recompute the rest (`modes.set_recompute`)."""

    def __init__(
        self, channels: int, *, hidden: int, windows: "Overlapping | Adjoining", eps: float
    ) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels, eps=eps)
        self.lstm = nn.LSTM(windows.size * channels, hidden, batch_first=True, bidirectional=True)
        self.windows = windows

    def forward(self, x: Tensor) -> Tensor:
        return recomputed(self._whole, x, on=self.recompute)

    def _whole(self, x: Tensor) -> Tensor:
        steps, _ = self.lstm(self.windows.cut(self.norm(x)))
        return x + self.windows.joined(steps)


class Overlapping(nn.Module):
    """Windows of `size` positions at a hop, joined by a transposed convolution."""

    def __init__(self, channels: int, *, hidden: int, size: int, hop: int) -> None:
        super().__init__()
        self.size = size
        self.hop = hop
        self.deconv = nn.ConvTranspose1d(2 * hidden, channels, size, stride=hop)

    def cut(self, x: Tensor) -> Tensor:
        """(rows, length, channels) -> (rows, steps, channels * size), channel by channel."""
        return x.unfold(1, self.size, self.hop).flatten(2)

    def joined(self, steps: Tensor) -> Tensor:
        """(rows, steps, 2 * hidden) -> (rows, length, channels)."""
        return self.deconv(steps.transpose(1, 2)).transpose(1, 2)


class Adjoining(nn.Module):
    """Windows of `size` positions side by side, joined by a linear layer; shapes as above."""

    def __init__(self, channels: int, *, hidden: int, size: int) -> None:
        super().__init__()
        self.size = size
        self.linear = nn.Linear(2 * hidden, size * channels)

    def cut(self, x: Tensor) -> Tensor:
        """(rows, length, channels) -> (rows, steps, size * channels), position by position."""
        return x.unflatten(1, (-1, self.size)).flatten(2)

    def joined(self, steps: Tensor) -> Tensor:
        return self.linear(steps).unflatten(2, (self.size, -1)).flatten(1, 2)


class FrameAttention(nn.Module):
    """Self-attention over frames, each with all its bins, with a residual, without positions.

    (batch, frames, bins, channels) -> the same shape.
    """

    recompute = False
    """As in `GridPath`."""

    def __init__(
        self, channels: int, *, bins: int, n_heads: int, qk_width: int, eps: float
    ) -> None:
        super().__init__()
        project = partial(FrameProjection, channels, bins=bins, eps=eps)
        self.query = project(n_heads=n_heads, width=qk_width)
        self.key = project(n_heads=n_heads, width=qk_width)
        self.value = project(n_heads=n_heads, width=channels // n_heads)
        self.out = project(n_heads=1, width=channels)

    def forward(self, x: Tensor) -> Tensor:
        return recomputed(self._whole, x, on=self.recompute)

    def _whole(self, x: Tensor) -> Tensor:
        query, key, value = self.query(x), self.key(x), self.value(x)
        heads = F.scaled_dot_product_attention(*(t.flatten(3) for t in (query, key, value)))
        heads = heads.view_as(value).permute(0, 2, 3, 1, 4).flatten(3)
        return x + self.out(heads).squeeze(1)


class FrameProjection(nn.Module):
    """For each head: a linear map at each point, PReLU, and layer norm of each frame.

    (batch, frames, bins, channels) -> (batch, heads, frames, bins, width). A head has one slope,
    and a gain and bias for each bin and channel.
    """

    def __init__(self, channels: int, *, n_heads: int, width: int, bins: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.linear = nn.Linear(channels, n_heads * width)
        self.slope = nn.Parameter(torch.full((n_heads,), 0.25))
        self.gain = nn.Parameter(torch.ones(n_heads, 1, bins, width))
        self.bias = nn.Parameter(torch.zeros(n_heads, 1, bins, width))

    def forward(self, x: Tensor) -> Tensor:
        mapped = self.linear(x).unflatten(-1, (len(self.slope), -1)).permute(0, 3, 1, 2, 4)
        active = F.prelu(mapped, self.slope)
        return torch.addcmul(
            self.bias, F.layer_norm(active, active.shape[-2:], eps=self.eps), self.gain
        )


def grid_block(block: BlockConfig, grid: GridConfig, *, bins: int) -> GridBlock:
    """A block of the size in the settings."""
    return GridBlock(
        paths=DualPath(path=partial(_path, block, grid), tf_order="ft"),
        attention=FrameAttention(
            block.channels,
            bins=bins,
            n_heads=grid.n_heads,
            qk_width=math.ceil(grid.qk_size / bins),
            eps=block.eps,
        ),
        margins=grid.padding,
    )


def _path(block: BlockConfig, grid: GridConfig) -> GridPath:
    windows: Overlapping | Adjoining
    if grid.adjoining:
        windows = Adjoining(block.channels, hidden=grid.hidden, size=grid.window)
    else:
        windows = Overlapping(block.channels, hidden=grid.hidden, size=grid.window, hop=grid.hop)
    return GridPath(block.channels, hidden=grid.hidden, windows=windows, eps=block.eps)


def tf_gridnet_parts(config: ModelConfig) -> Parts:
    """The parts for `TISDiSS`, which runs them like its own."""
    encoder, decoder = build_codec(config)
    return Parts(
        encoder=encoder,
        separator=Separator(
            blocks=config.m_sep,
            block=partial(grid_block, config.block, config.grid, bins=config.codec.positions),
            residual=None,
        ),
        splitter=NoSplit(),
        decoder=decoder,
    )


def tf_gridnet(size: str, **changes: object) -> ModelConfig:
    """A model of a known size: "article" (14.4 M parameters), ESPnet's "espnet" or "espnet-v2".

    n_fft = 128 gives the article's count; whether its n_fft was 128 or 256 is not known.
    """
    sizes = {
        "article": (64, GridConfig(hidden=256)),
        "espnet": (48, GridConfig()),
        "espnet-v2": (128, GridConfig(window=1, version=2)),
    }
    if size not in sizes:
        raise ValueError(f"TF-GridNet size {size!r}: choose from {', '.join(sizes)}")
    channels, grid = sizes[size]
    base = ModelConfig.from_name("tf-gridnet-sep6x1-l1").model_dump()
    block, codec = BlockConfig(channels=channels).model_dump(), CodecConfig().model_dump()
    return ModelConfig.model_validate(
        base | {"block": block, "codec": codec, "grid": grid.model_dump()} | changes
    )
