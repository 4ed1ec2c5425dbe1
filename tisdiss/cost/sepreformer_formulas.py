"""What SepReformer costs, from its settings: parameters and multiply-adds. No torch here.

Counted as in `formulas.py`: products of convolutions, maps and attention. A product with relative
positions counts once for each pair of frames; a measurement finds up to twice as many, since ours
also multiplies offsets that only other queries need (`baselines/sepreformer/attention.py`).
"""

from __future__ import annotations

from tisdiss.config.sepreformer import (
    DOWN_PAIRS,
    FFN_KERNEL,
    FFN_WIDTH,
    UP_TRIPLES,
    SepReformerConfig,
)
from tisdiss.contract import Cost


def cost(config: SepReformerConfig, seconds: float) -> Cost:
    """The cost by depth, for `tisdiss.contract`; what training keeps is not known."""
    samples = round(seconds * config.sample_rate)
    by_depth = {depth: macs(config, samples, depth) for depth in config.depths if depth}
    return Cost(parameters(config), by_depth, training_macs(config, samples))


def parameters(config: SepReformerConfig, *, early_heads: bool = True) -> int:
    """Trainable numbers, with or without the heads that only training and early outputs use."""
    n, channels, stages = config.encoder_channels, config.channels, config.stages
    coded = n * config.kernel + 2 * n + n * channels
    offsets = 2 * config.max_offset * config.head_width
    pair = _global(config) + _local(config)
    halving = (config.down_kernel + 1) * channels + 2 * channels
    down = (stages + 1) * DOWN_PAIRS * pair + stages * halving
    speaker = _attention(config) + _feed_forward(config)
    up = stages * (_map(2 * channels, channels) + UP_TRIPLES * (pair + speaker))
    heads = 1 + (stages if early_heads else 0)
    split = config.splitters * _splitter(config)
    return coded + offsets + down + split + up + heads * _head(config)


def macs(config: SepReformerConfig, samples: int, depth: int | None = None) -> int:
    """Multiply-adds of one pass to a depth, the main output where None; only that is decoded."""
    depth = config.stages if depth is None else depth
    frames, coarse = config.frames(samples), _coarse(config, samples)
    scales = [coarse * 2**scale for scale in range(config.stages + 1)]
    total = frames * config.encoder_channels * (config.kernel + config.channels)
    total += DOWN_PAIRS * sum(_pair_macs(config, coarse, length) for length in scales)
    total += config.down_kernel * config.channels * sum(scales[:-1])
    total += _splitter_macs(config) * sum(scales[: depth + 1])
    total += sum(_up_macs(config, coarse, length) for length in scales[1 : depth + 1])
    coded = frames if depth == config.stages else scales[depth]
    return total + head_macs(config, coded, frames)


def training_macs(config: SepReformerConfig, samples: int) -> int:
    """Multiply-adds of one example in training: all outputs, forward and twice back."""
    frames, coarse = config.frames(samples), _coarse(config, samples)
    early = sum(head_macs(config, coarse * 2**depth, frames) for depth in range(config.stages))
    return 3 * (macs(config, samples) + early)


def head_macs(config: SepReformerConfig, coded: int, decoded: int) -> int:
    """A head for every speaker: maps of `coded` frames, transposed convolution of `decoded`."""
    n, channels = config.encoder_channels, config.channels
    maps = 4 * channels**2 + 2 * channels * n
    return config.n_src * (coded * maps + decoded * n * config.kernel)


def _coarse(config: SepReformerConfig, samples: int) -> int:
    """Frames of the bottleneck."""
    return config.frames_padded(samples) // 2**config.stages


def _up_macs(config: SepReformerConfig, coarse: int, frames: int) -> int:
    """A stage up, all speakers."""
    channels = config.channels
    attention = frames * (4 * channels**2 + 2 * config.n_src * channels)
    speaker = attention + frames * _feed_forward_macs(config)
    triple = _pair_macs(config, coarse, frames) + speaker
    return config.n_src * (UP_TRIPLES * triple + frames * 2 * channels**2)


def _pair_macs(config: SepReformerConfig, coarse: int, frames: int) -> int:
    """A global and a local block on one row."""
    channels = config.channels
    attention = 4 * coarse * channels**2 + 3 * coarse**2 * channels
    gate, local = channels**2, 6 * channels**2 + config.local_kernel * channels
    return attention + frames * (gate + local + 2 * _feed_forward_macs(config))


def _feed_forward_macs(config: SepReformerConfig) -> int:
    """Of a frame."""
    hidden = FFN_WIDTH * config.channels
    return hidden * config.channels + hidden * FFN_KERNEL + hidden // 2 * config.channels


def _splitter_macs(config: SepReformerConfig) -> int:
    """Of a frame."""
    width = config.n_src * config.channels
    return 4 * width * config.channels + 2 * width**2


def _map(inputs: int, outputs: int) -> int:
    return (inputs + 1) * outputs


def _feed_forward(config: SepReformerConfig) -> int:
    channels, hidden = config.channels, FFN_WIDTH * config.channels
    maps = _map(channels, hidden) + _map(FFN_KERNEL, hidden) + _map(hidden // 2, channels)
    return 2 * channels + maps + channels


def _attention(config: SepReformerConfig) -> int:
    return 2 * config.channels + 4 * _map(config.channels, config.channels) + config.channels


def _global(config: SepReformerConfig) -> int:
    gate = 2 * config.channels + _map(config.channels, config.channels)
    return _attention(config) + gate + _feed_forward(config)


def _local(config: SepReformerConfig) -> int:
    channels = config.channels
    maps = 2 * _map(channels, 2 * channels) + _map(2 * channels, channels)
    conv, norms = _map(config.local_kernel, channels), 2 * channels + 4 * channels
    return maps + conv + norms + channels + _feed_forward(config)


def _splitter(config: SepReformerConfig) -> int:
    width = config.n_src * config.channels
    return _map(config.channels, 4 * width) + _map(2 * width, width) + 2 * config.channels


def _head(config: SepReformerConfig) -> int:
    n, channels = config.encoder_channels, config.channels
    return _map(channels, 4 * channels) + _map(2 * channels, n) + n * config.kernel
