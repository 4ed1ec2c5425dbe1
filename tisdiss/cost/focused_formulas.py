"""Cost of one block of an FLA-TFLocoformer: see `formulas.py`. No torch here."""

from __future__ import annotations

from tisdiss.config import Layer, ModelConfig
from tisdiss.cost.locoformer_formulas import (
    attention_kept,
    attention_macs,
    attention_parameters,
    feed_forward_kept,
    feed_forward_macs,
    feed_forward_parameters,
)


def parameters(model: ModelConfig) -> int:
    """Number of trainable parameters of a block."""
    block = model.block
    kinds = {"linear": _linear_parameters(model), "softmax": attention_parameters(block)}
    feed_forwards = feed_forward_parameters(block, block.ffn_hidden)
    return sum(kinds[_kind(layer)] + feed_forwards for layer in model.layers)


def macs(model: ModelConfig, frames: int, bins: int) -> int:
    """Multiply-adds of a block: paths over the bins of each frame and over the frames of each."""
    sizes = {"f": (frames, bins), "t": (bins, frames)}
    return sum(
        rows * _path_macs(model, layer, length)
        for layer in model.layers
        for rows, length in [sizes[layer[0]]]
    )


def kept(model: ModelConfig, frames: int, bins: int) -> float:
    """Numbers that a block keeps for the gradient, per point of frames and bins."""
    block = model.block
    kinds = {"linear": _linear_kept(model), "softmax": attention_kept(block)}
    feed_forwards = feed_forward_kept(block, block.ffn_hidden, 1.0)
    return sum(kinds[_kind(layer)] + feed_forwards for layer in model.layers)


def _kind(layer: Layer) -> str:
    return layer[2:]


def _path_macs(model: ModelConfig, layer: Layer, length: int) -> int:
    """Multiply-adds of one row of a path."""
    block = model.block
    linear = _kind(layer) == "linear"
    attention = length * _linear_macs(model) if linear else attention_macs(block, length)
    return attention + feed_forward_macs(block, block.ffn_hidden, length)


def _linear_macs(model: ModelConfig) -> int:
    """Multiply-adds of a position: four maps, two products with each head's matrix M, one with m,
    the convolution and the gate.
    """
    channels, width = model.block.channels, model.block.attention_dim
    maps = 4 * channels * width + 2 * width * _head_dim(model) + width
    gate = channels**2 if model.focused.gated else 0
    return maps + width * model.focused.kernel + gate


def _linear_parameters(model: ModelConfig) -> int:
    """Norms, the maps to queries, keys and values, the scale, the convolution, output and gate."""
    channels, width, kernel = model.block.channels, model.block.attention_dim, model.focused.kernel
    norm = channels * (2 if model.focused.norm == "layernorm" else 1)
    maps = 3 * (channels + 1) * width + (width + 1) * channels
    conv = (kernel + 1) * _head_dim(model) if kernel else 0
    gate = norm + (channels + 1) * channels if model.focused.gated else 0
    return norm + maps + width + conv + gate


def _linear_kept(model: ModelConfig) -> float:
    """As measured; most are the steps of phi for queries and keys."""
    channels, width = model.block.channels, model.block.attention_dim
    gate = 3 * channels if model.focused.gated else 0
    return 2 * channels + 14.5 * width + gate + (width if model.focused.kernel else 0)


def _head_dim(model: ModelConfig) -> int:
    return model.block.attention_dim // model.block.n_heads
