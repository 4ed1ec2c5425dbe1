"""What a model costs, from its settings alone: parameters, multiply-adds, memory. No torch here.

Counted are the products of convolutions, linear maps, LSTMs and attention, one multiply-add each;
not the Fourier transform, norms and element-wise work. A convolution counts every tap at every
position, padding included, as the literature does; our speaker path skips taps that only meet
padding, so a measurement (`tisdiss.cost.measured`) finds fewer there.

At the paper's size, 4 s: 87.8 G per Sep-Block, 276.0 G per Re-Block, 77.1 G for the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tisdiss.band_layouts import mel_bands, tiger_bands
from tisdiss.config import BlockConfig, ModelConfig
from tisdiss.cost import gridnet_formulas as cost_gridnet

_KERNEL = 9
"""Taps of the 3x3 convolutions of codec and splitter."""
_BYTES = 4
_COPIES = 4
"""Weights, gradients and AdamW's two moments."""


@dataclass(frozen=True)
class Shape:
    """The grid that one signal has inside the network."""

    frames: int
    bins: int

    @property
    def points(self) -> int:
        return self.frames * self.bins


def shape(model: ModelConfig, seconds: float) -> Shape:
    """Frames and bins (or bands) of a signal."""
    samples = round(seconds * model.codec.sample_rate)
    bands = _bands(model)
    return Shape(samples // model.codec.hop + 1, len(bands) if bands else model.codec.bins)


def macs(
    model: ModelConfig, seconds: float, *, n_sep: int | None = None, n_re: int | None = None
) -> int:
    """Multiply-adds of one inference pass; only its last output is decoded."""
    n_sep, n_re = model.check_depth(n_sep, n_re)
    grid = shape(model, seconds)
    blocks = model.m_sep * n_sep * _sep_block(model, grid)
    blocks += model.m_re * n_re * _re_block(model, grid)
    return blocks + _encoder(model, grid) + _splitter(model, grid) + _decoder(model, grid)


def macs_per_second(model: ModelConfig, n_re: int | None = None) -> int:
    """Multiply-adds for each second of a long signal, where the last frame no longer counts."""
    seconds = 4
    return round(macs(model, seconds, n_re=n_re) / seconds)


def training_macs(model: ModelConfig, seconds: float) -> int:
    """Multiply-adds of one example in training: all decoded depths, forward and twice back."""
    grid = shape(model, seconds)
    depths = model.decoded()
    sep_side = sum(depth.stage == "sep" for depth in depths)
    forward = macs(model, seconds) + (len(depths) - 1) * _decoder(model, grid)
    return 3 * (forward + sep_side * _splitter(model, grid))


def parameters(model: ModelConfig) -> int:
    """Trainable numbers; what a variant does not use is not built."""
    block = model.block
    sep_block = _sep_block_parameters(model)
    total = model.m_sep * sep_block + _codec_parameters(model)
    total += model.m_re * (sep_block + _path_parameters(block, block.ffn_hidden[-1:]))
    if model.has_splitter:
        total += _splitter_parameters(model)
    if model.has_residual:
        total += 2 * block.channels + 1
    return total


def training_bytes(model: ModelConfig, seconds: float, batch_size: int) -> int:
    """Memory of a training step: parameters with their moments, and features kept for the way back.

    Counted are the tensors that the backward pass reads, within a tenth of what autograd keeps; an
    allocator and its workspaces come on top.
    """
    grid, block = shape(model, seconds), model.block
    per_pass = _kept_by_sep_block(model, grid)
    speaker = _kept_by_path(block, block.ffn_hidden[-1:], _stretch(block, model.n_src))
    kept = (
        model.m_sep * model.n_sep * (per_pass + (2 * block.channels if model.has_residual else 0))
    )
    kept += model.m_re * model.n_re * model.n_src * (per_pass + speaker)
    if model.has_splitter and model.splitter == "swiglu":
        splits = 1 + sum(depth.stage == "sep" for depth in model.decoded())
        kept += splits * 8 * model.n_src * block.channels
    return _BYTES * (_COPIES * parameters(model) + batch_size * grid.points * int(kept))


def _sep_block(model: ModelConfig, grid: Shape) -> int:
    """A path over the bins of each frame, and one over the frames of each bin."""
    if model.architecture == "tf-gridnet":
        return cost_gridnet.macs(model, grid.frames, grid.bins)
    block = model.block
    return grid.frames * _path(block, block.ffn_hidden, grid.bins) + grid.bins * _path(
        block, block.ffn_hidden, grid.frames
    )


def _re_block(model: ModelConfig, grid: Shape) -> int:
    """A Sep-Block for each speaker, and a path over the speakers of each point."""
    across = grid.points * _path(model.block, model.block.ffn_hidden[-1:], model.n_src)
    return model.n_src * _sep_block(model, grid) + across


def _path(block: BlockConfig, ffn_hidden: Sequence[int], length: int) -> int:
    """One row of a path: attention and its feed-forwards."""
    channels, width = block.channels, block.attention_dim
    attention = 4 * channels * width * length + 2 * width * length**2
    per_position = 3 * block.ffn_kernel * channels * sum(ffn_hidden)
    return attention + per_position * _positions(block, length)


def _positions(block: BlockConfig, length: int) -> int:
    """Outputs of the feed-forward's convolution over a row, both ends padded."""
    edge = block.ffn_kernel - block.ffn_stride
    return -(-(length + 2 * edge - block.ffn_kernel) // block.ffn_stride) + 1


def _encoder(model: ModelConfig, grid: Shape) -> int:
    channels, bands = model.block.channels, _bands(model)
    if not bands:
        return grid.points * _KERNEL * 2 * channels
    taps = 3 if model.codec.kind.endswith("conv1d") else 1
    return grid.frames * _rows(bands) * channels * taps


def _decoder(model: ModelConfig, grid: Shape) -> int:
    """All speakers at one depth."""
    channels, bands, kind = model.block.channels, _bands(model), model.codec.kind
    if not bands:
        return model.n_src * grid.points * _KERNEL * 2 * channels
    streams = model.n_src * grid.frames
    if kind == "tiger":
        return streams * _rows(bands) * 2 * channels
    if kind.endswith("conv1d"):
        return streams * _rows(bands) * 3 * channels
    hidden = model.codec.expansion * channels
    deep = len(bands) * hidden * (channels + hidden)
    return streams * (deep + _rows(bands) * 2 * hidden)


def _splitter(model: ModelConfig, grid: Shape) -> int:
    if not model.has_splitter:
        return 0
    channels, hidden = model.block.channels, _split_hidden(model)
    if model.splitter == "conv2d":
        return grid.points * _KERNEL * channels**2 * model.n_src
    return grid.points * _KERNEL * hidden * channels * (2 + model.n_src)


def _split_hidden(model: ModelConfig) -> int:
    return 2 * model.block.channels * model.n_src


def _sep_block_parameters(model: ModelConfig) -> int:
    if model.architecture == "tf-gridnet":
        return cost_gridnet.parameters(model)
    return 2 * _path_parameters(model.block, model.block.ffn_hidden)


def _path_parameters(block: BlockConfig, ffn_hidden: Sequence[int]) -> int:
    channels = block.channels
    norm = channels * (2 if block.norm == "layernorm" else 1)
    attention = norm + 4 * channels * block.attention_dim
    kernels = (3 * block.ffn_kernel * channels * hidden + 2 * hidden for hidden in ffn_hidden)
    return attention + sum(kernels) + len(ffn_hidden) * (norm + channels)


def _splitter_parameters(model: ModelConfig) -> int:
    channels, out = model.block.channels, model.block.channels * model.n_src
    if model.splitter == "conv2d":
        return _KERNEL * channels * out + out
    hidden = _split_hidden(model)
    return _KERNEL * channels * 2 * hidden + 2 * hidden + _KERNEL * hidden * out + out


def _codec_parameters(model: ModelConfig) -> int:
    channels, kind, bands = model.block.channels, model.codec.kind, _bands(model)
    if not bands:
        made = 2 * (1 if model.has_splitter else model.n_src)
        encoder = _KERNEL * 2 * channels + channels + 2 * channels
        return encoder + _KERNEL * channels * made + made
    rows, number = _rows(bands), len(bands)
    if kind.endswith("linear"):
        hidden = model.codec.expansion * channels
        encoder = rows + rows * channels + number * channels
        deep = number * (channels * hidden + hidden + hidden**2 + hidden)
        return encoder + deep + rows * 2 * hidden + rows * 2
    taps = 3 if kind.endswith("conv1d") else 1
    encoder = 2 * rows + rows * channels * taps + number * channels
    if kind == "tiger":
        return encoder + number + rows * 2 * channels + rows * 2
    return encoder + rows * channels * taps + rows


def _bands(model: ModelConfig) -> Sequence[Sequence[int]]:
    """The bins of each band; none where the network sees every bin."""
    codec = model.codec
    if codec.kind == "conv2d":
        return ()
    if codec.kind.startswith("mel"):
        return mel_bands(n_bands=codec.n_bands, n_fft=codec.n_fft, sample_rate=codec.sample_rate)
    return tiger_bands(n_fft=codec.n_fft)


def _rows(bands: Sequence[Sequence[int]]) -> int:
    """Real and imaginary values of all bands together."""
    return 2 * sum(map(len, bands))


def _stretch(block: BlockConfig, length: int) -> float:
    """Positions of the feed-forward's convolution for each position of a short row."""
    return _positions(block, length) / length


def _kept_by_sep_block(model: ModelConfig, grid: Shape) -> float:
    if model.architecture == "tf-gridnet":
        return cost_gridnet.kept(model, grid.frames, grid.bins)
    return 2 * _kept_by_path(model.block, model.block.ffn_hidden, 1.0)


def _kept_by_path(block: BlockConfig, ffn_hidden: Sequence[int], stretch: float) -> float:
    """Numbers per point that one path keeps: inputs of norms, products and gates."""
    attention = 3 * block.channels + 5 * block.attention_dim
    feed_forwards = (2 * block.channels + 3 * stretch * hidden for hidden in ffn_hidden)
    return attention + sum(feed_forwards)
