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
    return attention_macs(block, length) + feed_forward_macs(block, ffn_hidden, length)


def attention_macs(block: BlockConfig, length: int) -> int:
    width = block.attention_dim
    return 4 * block.channels * width * length + 2 * width * length**2


def feed_forward_macs(block: BlockConfig, ffn_hidden: Sequence[int], length: int) -> int:
    per_position = 3 * block.ffn_kernel * block.channels * sum(ffn_hidden)
    return per_position * _positions(block, length)


def _positions(block: BlockConfig, length: int) -> int:
    """Output positions of the feed-forward's convolution over a row padded at both ends."""
    edge = block.ffn_kernel - block.ffn_stride
    return -(-(length + 2 * edge - block.ffn_kernel) // block.ffn_stride) + 1


def path_parameters(block: BlockConfig, ffn_hidden: Sequence[int]) -> int:
    return attention_parameters(block) + feed_forward_parameters(block, ffn_hidden)


def attention_parameters(block: BlockConfig) -> int:
    """Those of the norm before it, too."""
    return norm_parameters(block) + 4 * block.channels * block.attention_dim


def feed_forward_parameters(block: BlockConfig, ffn_hidden: Sequence[int]) -> int:
    """Those of the norms before them, too."""
    channels = block.channels
    kernels = (3 * block.ffn_kernel * channels * hidden + 2 * hidden for hidden in ffn_hidden)
    return sum(kernels) + len(ffn_hidden) * (norm_parameters(block) + channels)


def norm_parameters(block: BlockConfig) -> int:
    return block.channels * (2 if block.norm == "layernorm" else 1)


def stretch(block: BlockConfig, length: int) -> float:
    """Output positions of the feed-forward's convolution per position of a short row."""
    return _positions(block, length) / length


def path_kept(block: BlockConfig, ffn_hidden: Sequence[int], stretch: float) -> float:
    """Numbers per point that one path keeps: inputs of norms, products and gates."""
    return attention_kept(block) + feed_forward_kept(block, ffn_hidden, stretch)


def attention_kept(block: BlockConfig) -> int:
    return 3 * block.channels + 5 * block.attention_dim


def feed_forward_kept(block: BlockConfig, ffn_hidden: Sequence[int], stretch: float) -> float:
    return sum(2 * block.channels + 3 * stretch * hidden for hidden in ffn_hidden)
