"""The kinds of splitter, in one table: suffix of a model's name, cost, and builder.

A new kind is an entry of `SPLITTER_KINDS` and the module that its `builder` makes. Names, settings,
costs and the model read the table; no torch is imported here.
"""

from collections.abc import Callable
from dataclasses import dataclass

_TAPS = 9
"""Taps of a 3x3 convolution."""

Count = Callable[[int, int], int]
"""Of channels and n_src."""


@dataclass(frozen=True)
class SplitterKind:
    """How one feature map becomes one per speaker."""

    suffix: str
    """Suffix of a model's name; empty for the default."""
    builder: str
    """"module:class"; called with channels and n_src."""
    parameters: Count
    macs: Count
    """Multiply-adds per point of frames and bins."""
    kept: Count
    """Numbers kept for the gradient, per point of frames and bins."""


def _swiglu_parameters(channels: int, n_src: int) -> int:
    hidden, out = 2 * channels * n_src, channels * n_src
    return _TAPS * channels * 2 * hidden + 2 * hidden + _TAPS * hidden * out + out


def _swiglu_macs(channels: int, n_src: int) -> int:
    return _TAPS * 2 * channels * n_src * channels * (2 + n_src)


def _conv2d_parameters(channels: int, n_src: int) -> int:
    return _TAPS * channels * channels * n_src + channels * n_src


SPLITTER_KINDS = {
    "swiglu": SplitterKind(
        suffix="",
        builder="tisdiss.splitter:SwiGLUSplitter",
        parameters=_swiglu_parameters,
        macs=_swiglu_macs,
        kept=lambda channels, n_src: 8 * n_src * channels,
    ),
    "conv2d": SplitterKind(
        suffix="-spksplitconv2d",
        builder="tisdiss.splitter:ConvSplitter",
        parameters=_conv2d_parameters,
        macs=lambda channels, n_src: _TAPS * channels**2 * n_src,
        kept=lambda channels, n_src: 0,
    ),
}
