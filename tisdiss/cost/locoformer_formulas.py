"""Cost of one Locoformer block and of one of its paths: see `formulas.py`. No torch here."""

from __future__ import annotations

from collections.abc import Sequence

from tisdiss.config import BlockConfig, ModelConfig


def parameters(model: ModelConfig) -> int:
    """Number of trainable parameters of a Sep-Block."""
    return 2 * path_parameters(model.block, model.block.ffn_hidden)


def macs(model: ModelConfig, frames: int, bins: int) -> int:
    """Multiply-adds of a Sep-Block: a path over the bins of each frame, one over the frames."""
    block = model.block
    along_bins = frames * path_macs(block, block.ffn_hidden, bins)
    return along_bins + bins * path_macs(block, block.ffn_hidden, frames)


def kept(model: ModelConfig, frames: int, bins: int) -> float:
    """Numbers that a Sep-Block keeps for the gradient, per point of frames and bins."""
    return 2 * path_kept(model.block, model.block.ffn_hidden, 1.0)


def path_macs(block: BlockConfig, ffn_hidden: Sequence[int], length: int) -> int:
    """Multiply-adds of one row of a path: attention and feed-forwards."""
    channels, width = block.channels, block.attention_dim
    attention = 4 * channels * width * length + 2 * width * length**2
    per_position = 3 * block.ffn_kernel * channels * sum(ffn_hidden)
    return attention + per_position * _positions(block, length)


def _positions(block: BlockConfig, length: int) -> int:
    """Output positions of the feed-forward's convolution over a row padded at both ends."""
    edge = block.ffn_kernel - block.ffn_stride
    return -(-(length + 2 * edge - block.ffn_kernel) // block.ffn_stride) + 1


def path_parameters(block: BlockConfig, ffn_hidden: Sequence[int]) -> int:
    channels = block.channels
    norm = channels * (2 if block.norm == "layernorm" else 1)
    attention = norm + 4 * channels * block.attention_dim
    kernels = (3 * block.ffn_kernel * channels * hidden + 2 * hidden for hidden in ffn_hidden)
    return attention + sum(kernels) + len(ffn_hidden) * (norm + channels)


def stretch(block: BlockConfig, length: int) -> float:
    """Output positions of the feed-forward's convolution per position of a short row."""
    return _positions(block, length) / length


def path_kept(block: BlockConfig, ffn_hidden: Sequence[int], stretch: float) -> float:
    """Numbers per point that one path keeps: inputs of norms, products and gates."""
    attention = 3 * block.channels + 5 * block.attention_dim
    feed_forwards = (2 * block.channels + 3 * stretch * hidden for hidden in ffn_hidden)
    return attention + sum(feed_forwards)
