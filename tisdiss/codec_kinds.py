"""The table of codec kinds: name, bands, parameters, multiply-adds and builder of each.

To add one, add an entry to `CODEC_KINDS` and the modules that its `builder` makes; names, settings,
costs and the model read the table. This module does not import torch, because planning uses it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from tisdiss.band_layouts import Bands, mel_bands, tiger_bands

_TAPS_2D = 9
"""Taps of a 3x3 convolution."""
_TAPS = 3
"""Taps along the frames of a convolutional band codec."""


class Grid(Protocol):
    """The settings of a codec that determine its bands."""

    n_fft: int
    n_bands: int
    sample_rate: int


@dataclass(frozen=True)
class CodecSize:
    """What determines the parameters and multiply-adds of a codec."""

    channels: int
    n_src: int
    bins: int
    bands: Bands
    """The bins of each band; empty where the network sees every bin."""
    expansion: int
    joint: bool
    """Whether all sources are decoded from one feature map, each by its own decoder."""

    @property
    def rows(self) -> int:
        """Number of real and imaginary values of all bands."""
        return 2 * sum(map(len, self.bands))


Count = Callable[[CodecSize], int]


@dataclass(frozen=True)
class CodecLayers:
    """The layers of an encoder and its decoder."""

    builder: str
    """"module:function" that takes a `CodecSize` and eps=, and returns encoder and decoder."""
    encoder_parameters: Count
    decoder_parameters: Count
    """Parameters of one decoder. It serves all sources, or one source if `joint`."""
    encoder_macs: Count
    """Multiply-adds per frame."""
    decoder_macs: Count
    """Multiply-adds per frame and source."""
    masks: bool = False
    """Whether the decoder itself applies masks to the mixture, so that `mask` has no effect."""

    def parameters(self, size: CodecSize) -> int:
        """Parameters of the encoder and of all decoders."""
        decoders = size.n_src if size.joint else 1
        return self.encoder_parameters(size) + decoders * self.decoder_parameters(size)


@dataclass(frozen=True)
class CodecKind:
    """A layout of bands and the layers for it."""

    suffixes: tuple[str, ...]
    """Suffixes of a model's name: all are read, the first is written."""
    layout: Callable[[Grid], Bands]
    layers: CodecLayers


def no_bands(grid: Grid) -> Bands:
    """No bands: the network sees every bin."""
    return ()


def mel_layout(grid: Grid) -> Bands:
    """`n_bands` bands of a mel filterbank."""
    return mel_bands(n_bands=grid.n_bands, n_fft=grid.n_fft, sample_rate=grid.sample_rate)


def tiger_layout(grid: Grid) -> Bands:
    """TIGER's 33 bands."""
    return tiger_bands(n_fft=grid.n_fft)


def _conv2d_encoder_parameters(size: CodecSize) -> int:
    return _TAPS_2D * 2 * size.channels + size.channels + 2 * size.channels


def _conv2d_decoder_parameters(size: CodecSize) -> int:
    return _TAPS_2D * size.channels * 2 + 2


def _conv2d_macs(size: CodecSize) -> int:
    return size.bins * _TAPS_2D * 2 * size.channels


def _linear_encoder_parameters(size: CodecSize) -> int:
    return size.rows + size.rows * size.channels + len(size.bands) * size.channels


def _linear_decoder_parameters(size: CodecSize) -> int:
    bands, hidden = len(size.bands), size.expansion * size.channels
    deep = bands * (size.channels * hidden + hidden + hidden**2 + hidden)
    return deep + size.rows * 2 * hidden + size.rows * 2


def _linear_encoder_macs(size: CodecSize) -> int:
    return size.rows * size.channels


def _linear_decoder_macs(size: CodecSize) -> int:
    hidden = size.expansion * size.channels
    return len(size.bands) * hidden * (size.channels + hidden) + size.rows * 2 * hidden


def _conv1d_encoder_parameters(size: CodecSize) -> int:
    return _normed_parameters(size, _TAPS)


def _conv1d_decoder_parameters(size: CodecSize) -> int:
    return size.rows * size.channels * _TAPS + size.rows


def _conv1d_macs(size: CodecSize) -> int:
    return size.rows * size.channels * _TAPS


def _tiger_encoder_parameters(size: CodecSize) -> int:
    return _normed_parameters(size, 1)


def _tiger_decoder_parameters(size: CodecSize) -> int:
    slopes = len(size.bands)
    return slopes + size.rows * 2 * size.channels + size.rows * 2


def _tiger_decoder_macs(size: CodecSize) -> int:
    return size.rows * 2 * size.channels


def _normed_parameters(size: CodecSize, taps: int) -> int:
    """Parameters of an encoder: a norm over each band, then a convolution along the frames."""
    return 2 * size.rows + size.rows * size.channels * taps + len(size.bands) * size.channels


CONV2D = CodecLayers(
    "tisdiss.codec:conv2d_codec",
    _conv2d_encoder_parameters,
    _conv2d_decoder_parameters,
    encoder_macs=_conv2d_macs,
    decoder_macs=_conv2d_macs,
)
LINEAR = CodecLayers(
    "tisdiss.codec:linear_codec",
    _linear_encoder_parameters,
    _linear_decoder_parameters,
    encoder_macs=_linear_encoder_macs,
    decoder_macs=_linear_decoder_macs,
)
CONV1D = CodecLayers(
    "tisdiss.codec:conv1d_codec",
    _conv1d_encoder_parameters,
    _conv1d_decoder_parameters,
    encoder_macs=_conv1d_macs,
    decoder_macs=_conv1d_macs,
)
TIGER = CodecLayers(
    "tisdiss.codec:tiger_codec",
    _tiger_encoder_parameters,
    _tiger_decoder_parameters,
    encoder_macs=_linear_encoder_macs,
    decoder_macs=_tiger_decoder_macs,
    masks=True,
)

CODEC_KINDS = {
    "conv2d": CodecKind(("",), no_bands, CONV2D),
    "mel-linear": CodecKind(("-melbandsplit", "-melbandsplit-linear"), mel_layout, LINEAR),
    "mel-conv1d": CodecKind(("-melbandsplit-conv1d",), mel_layout, CONV1D),
    "bands-linear": CodecKind(("-bandsplit-linear",), tiger_layout, LINEAR),
    "bands-conv1d": CodecKind(("-bandsplit-conv1d",), tiger_layout, CONV1D),
    "tiger": CodecKind(("-bandsplit",), tiger_layout, TIGER),
}
