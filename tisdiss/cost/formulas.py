"""Cost of a model from its settings alone: parameters, multiply-adds, memory. No torch here.

The products of convolutions, linear maps, LSTMs and attention count, one multiply-add each; the
Fourier transform, norms and element-wise operations do not. A convolution counts every tap at every
position, padding included, as in the literature. Our speaker path skips taps that only meet
padding, so a measurement (`tisdiss.cost.measured`) is lower there.

At the paper's size, 4 s: 87.8 G per Sep-Block, 276.0 G per Re-Block, 77.1 G for the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from tisdiss.config import ModelConfig
from tisdiss.cost.locoformer_formulas import path_kept, path_macs, path_parameters, stretch
from tisdiss.splitter_kinds import SPLITTER_KINDS

_BYTES = 4
_COPIES = 4
"""Weights, gradients and AdamW's two moments."""


@dataclass(frozen=True)
class Shape:
    """The frames and bins of one signal inside the network."""

    frames: int
    bins: int

    @property
    def points(self) -> int:
        return self.frames * self.bins


def shape(model: ModelConfig, seconds: float) -> Shape:
    """Frames and bins (or bands) of a signal."""
    samples = round(seconds * model.codec.sample_rate)
    return Shape(samples // model.codec.hop + 1, model.codec.positions)


def macs(
    model: ModelConfig, seconds: float, *, n_sep: int | None = None, n_re: int | None = None
) -> int:
    """Multiply-adds of one inference pass, which decodes only its last output."""
    n_sep, n_re = model.check_depth(n_sep, n_re)
    grid = shape(model, seconds)
    blocks = model.m_sep * n_sep * _block_cost(model).macs(model, grid.frames, grid.bins)
    blocks += model.m_re * n_re * _re_block(model, grid)
    return blocks + _encoder(model, grid) + _splitter(model, grid) + _decoder(model, grid)


def macs_per_second(model: ModelConfig, n_re: int | None = None) -> int:
    """Multiply-adds per second of audio, the mean over a signal of 4 s."""
    seconds = 4
    return round(macs(model, seconds, n_re=n_re) / seconds)


def training_macs(model: ModelConfig, seconds: float) -> int:
    """Multiply-adds of one training example: all decoded depths; backward costs two forwards."""
    grid = shape(model, seconds)
    depths = model.decoded()
    sep_side = sum(depth.stage == "sep" for depth in depths)
    forward = macs(model, seconds) + (len(depths) - 1) * _decoder(model, grid)
    return 3 * (forward + sep_side * _splitter(model, grid))


def parameters(model: ModelConfig) -> int:
    """Number of trainable parameters; parts that a variant does not use have none."""
    block = model.block
    sep_block = _block_cost(model).parameters(model)
    total = model.m_sep * sep_block + model.codec.entry.layers.parameters(model.codec_size)
    total += model.m_re * (sep_block + path_parameters(block, block.ffn_hidden[-1:]))
    if model.has_splitter:
        total += SPLITTER_KINDS[model.splitter].parameters(block.channels, model.n_src)
    if model.has_residual:
        total += 2 * block.channels + 1
    return total


def training_bytes(model: ModelConfig, seconds: float, batch_size: int) -> int:
    """Bytes of a training step: parameters, gradients, moments, and features kept for backward.

    The result is within a tenth of what autograd keeps; the overhead and workspaces of an allocator
    are not counted.
    """
    grid, block = shape(model, seconds), model.block
    per_pass = _block_cost(model).kept(model, grid.frames, grid.bins)
    speaker = path_kept(block, block.ffn_hidden[-1:], stretch(block, model.n_src))
    kept = (
        model.m_sep * model.n_sep * (per_pass + (2 * block.channels if model.has_residual else 0))
    )
    kept += model.m_re * model.n_re * model.n_src * (per_pass + speaker)
    if model.has_splitter:
        splits = 1 + sum(depth.stage == "sep" for depth in model.decoded())
        kept += splits * SPLITTER_KINDS[model.splitter].kept(block.channels, model.n_src)
    return _BYTES * (_COPIES * parameters(model) + batch_size * grid.points * int(kept))


def _block_cost(model: ModelConfig) -> Any:
    """The module that counts a Sep-Block of the model's architecture."""
    return import_module(model.entry.block_cost)


def _encoder(model: ModelConfig, grid: Shape) -> int:
    return grid.frames * model.codec.entry.layers.encoder_macs(model.codec_size)


def _decoder(model: ModelConfig, grid: Shape) -> int:
    """Multiply-adds of all speakers at one depth."""
    return grid.frames * model.n_src * model.codec.entry.layers.decoder_macs(model.codec_size)


def _re_block(model: ModelConfig, grid: Shape) -> int:
    """Multiply-adds of a Sep-Block per speaker and of a path over the speakers per point."""
    across = grid.points * path_macs(model.block, model.block.ffn_hidden[-1:], model.n_src)
    return model.n_src * _block_cost(model).macs(model, grid.frames, grid.bins) + across


def _splitter(model: ModelConfig, grid: Shape) -> int:
    """Multiply-adds of one call, none without a splitter."""
    if not model.has_splitter:
        return 0
    return grid.points * SPLITTER_KINDS[model.splitter].macs(model.block.channels, model.n_src)
