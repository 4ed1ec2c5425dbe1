"""What SepReformer costs, from its settings: parameters and multiply-adds. No torch here.

Counted as in `formulas.py`: products of convolutions, maps and attention. A product with relative
positions counts once for each pair of frames; a measurement finds up to twice as many, since ours
also multiplies offsets that only other queries need (`baselines/sepreformer/attention.py`).
"""

from __future__ import annotations

from tisdiss.config.sepreformer import SepReformerConfig

_DOWN_PAIRS, _UP_TRIPLES = 2, 3
"""Blocks of each kind in a stage."""


def parameters(config: SepReformerConfig, *, early_heads: bool = True) -> int:
    """Trainable numbers, with or without the heads that only training and early outputs use."""
    n, channels, stages = config.encoder_channels, config.channels, config.stages
    coded = n * config.kernel + 2 * n + n * channels
    table = 2 * config.max_offset * config.head_width
    halving = (config.down_kernel + 1) * channels + 2 * channels
    down = (stages + 1) * _DOWN_PAIRS * (_global(config) + _local(config)) + stages * halving
    up = _UP_TRIPLES * (_global(config) + _local(config) + _speaker(config))
    up += _linear(2 * channels, channels)
    heads = 1 + (stages if early_heads else 0)
    return (
        coded + table + down + config.splitters * _splitter(config) + stages * up
    ) + heads * _head(config)


def macs(config: SepReformerConfig, samples: int, depth: int | None = None) -> int:
    """Multiply-adds of one pass to a depth, the main output where None; only that is decoded."""
    depth = config.stages if depth is None else depth
    frames, coarse = config.frames(samples), _coarse(config, samples)
    total = frames * config.encoder_channels * (config.kernel + config.channels)
    total += sum(_stage_down_macs(config, coarse, 2**scale) for scale in range(config.stages + 1))
    total += config.down_kernel * config.channels * coarse * (2**config.stages - 1)
    splits = sum(coarse * 2**scale for scale in range(depth + 1))
    total += splits * _splitter_macs(config)
    total += sum(_stage_up_macs(config, coarse, 2**scale) for scale in range(1, depth + 1))
    if depth == config.stages:
        return total + head_macs(config, frames, frames)
    return total + head_macs(config, coarse * 2**depth, frames)


def training_macs(config: SepReformerConfig, samples: int) -> int:
    """Multiply-adds of one example in training: all outputs, forward and twice back."""
    frames, coarse = config.frames(samples), _coarse(config, samples)
    early = sum(head_macs(config, coarse * 2**depth, frames) for depth in range(config.stages))
    return 3 * (macs(config, samples) + early)


def head_macs(config: SepReformerConfig, frames: int, decoded: int) -> int:
    """A head for every speaker: maps on `frames`, a transposed convolution on `decoded` frames."""
    n, channels = config.encoder_channels, config.channels
    maps = 4 * channels**2 + 2 * channels * n
    return config.n_src * (frames * maps + decoded * n * config.kernel)


def _coarse(config: SepReformerConfig, samples: int) -> int:
    """Frames of the bottleneck."""
    return config.frames_padded(samples) // 2**config.stages


def _stage_down_macs(config: SepReformerConfig, coarse: int, means: int) -> int:
    return _DOWN_PAIRS * _pair_macs(config, coarse, means)


def _stage_up_macs(config: SepReformerConfig, coarse: int, means: int) -> int:
    channels, frames = config.channels, coarse * means
    attention = frames * (4 * channels**2 + 2 * config.n_src * channels)
    speaker = attention + frames * _feed_forward_macs(config)
    blocks = _UP_TRIPLES * (_pair_macs(config, coarse, means) + speaker)
    return config.n_src * (blocks + frames * 2 * channels**2)


def _pair_macs(config: SepReformerConfig, coarse: int, means: int) -> int:
    """A global and a local block on one row of `coarse` means of so many frames."""
    channels, frames = config.channels, coarse * means
    attention = 4 * coarse * channels**2 + 3 * coarse**2 * channels
    per_frame = channels**2 + 6 * channels**2 + config.local_kernel * channels
    return attention + frames * (per_frame + 2 * _feed_forward_macs(config))


def _feed_forward_macs(config: SepReformerConfig) -> int:
    return 9 * config.channels**2 + 18 * config.channels


def _splitter_macs(config: SepReformerConfig) -> int:
    width = config.n_src * config.channels
    return config.channels * 4 * width + 2 * width * width


def _linear(inputs: int, outputs: int) -> int:
    return (inputs + 1) * outputs


def _feed_forward(config: SepReformerConfig) -> int:
    channels = config.channels
    maps = _linear(channels, 6 * channels) + _linear(3 * channels, channels)
    return 2 * channels + maps + (3 + 1) * 6 * channels + channels


def _attention(config: SepReformerConfig) -> int:
    return 2 * config.channels + 4 * _linear(config.channels, config.channels) + config.channels


def _global(config: SepReformerConfig) -> int:
    gate = 2 * config.channels + _linear(config.channels, config.channels)
    return _attention(config) + gate + _feed_forward(config)


def _local(config: SepReformerConfig) -> int:
    channels = config.channels
    maps = 2 * _linear(channels, 2 * channels) + _linear(2 * channels, channels)
    norms = 2 * channels + 2 * 2 * channels
    return maps + norms + (config.local_kernel + 1) * channels + channels + _feed_forward(config)


def _speaker(config: SepReformerConfig) -> int:
    return _attention(config) + _feed_forward(config)


def _splitter(config: SepReformerConfig) -> int:
    width = config.n_src * config.channels
    return _linear(config.channels, 4 * width) + _linear(2 * width, width) + 2 * config.channels


def _head(config: SepReformerConfig) -> int:
    n, channels = config.encoder_channels, config.channels
    maps = _linear(channels, 4 * channels) + _linear(2 * channels, n)
    return maps + n * config.kernel
