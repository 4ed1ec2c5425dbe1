"""Encoders and decoders: from the complex spectrum to features and back (Sec. 2.1).

Encoders turn spectra (batch, frames, bins) into features (batch, frames, bins or bands, channels);
decoders turn features (batch, n_src, frames, bins or bands, channels) and the mixture's spectrum
into spectra (batch, n_src, frames, bins). Band-split codecs are in `bands.py`.
"""

from collections.abc import Callable
from functools import partial
from pkgutil import resolve_name

import torch
from torch import Tensor, nn

from tisdiss.bands import (
    ConvBandDecoder,
    ConvBandEncoder,
    JointTigerDecoder,
    LinearBandDecoder,
    LinearBandEncoder,
    TigerDecoder,
)
from tisdiss.codec_kinds import CodecSize
from tisdiss.config import ModelConfig


class ConvEncoder(nn.Module):
    """A 3x3 convolution over real and imaginary part, then global layer norm."""

    def __init__(self, *, channels: int, eps: float) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, channels, 3, padding=1)
        self.norm = nn.GroupNorm(1, channels, eps=eps)

    def forward(self, spec: Tensor) -> Tensor:
        parts = torch.view_as_real(spec).permute(0, 3, 1, 2)  # batch, re|im, frames, bins
        mapped = self.conv(parts).contiguous()  # a channels-last norm has twice the rounding error
        return self.norm(mapped).permute(0, 2, 3, 1).contiguous()


class ConvDecoder(nn.Module):
    """A 3x3 transposed convolution to real and imaginary part, the same for every speaker."""

    def __init__(self, *, channels: int) -> None:
        super().__init__()
        self.deconv = nn.ConvTranspose2d(channels, 2, 3, padding=1)

    def forward(self, features: Tensor, spec: Tensor) -> Tensor:
        parts = self.deconv(features.flatten(0, 1).permute(0, 3, 1, 2))
        return _complex(parts.unflatten(0, features.shape[:2]))


class JointConvDecoder(nn.Module):
    """Like `ConvDecoder`, but decodes all sources from one feature map (TF-Locoformer)."""

    def __init__(self, *, channels: int, n_src: int) -> None:
        super().__init__()
        self.n_src = n_src
        self.deconv = nn.ConvTranspose2d(channels, 2 * n_src, 3, padding=1)

    def forward(self, features: Tensor, spec: Tensor) -> Tensor:
        parts = self.deconv(features.squeeze(1).permute(0, 3, 1, 2))
        return _complex(parts.unflatten(1, (self.n_src, 2)))


class JointDecoder(nn.Module):
    """One decoder for each source, all from one feature map."""

    def __init__(self, decoders: list[nn.Module]) -> None:
        super().__init__()
        self.decoders = nn.ModuleList(decoders)

    def forward(self, features: Tensor, spec: Tensor) -> Tensor:
        return torch.cat([decoder(features, spec) for decoder in self.decoders], dim=1)


class MaskDecoder(nn.Module):
    """Multiplies the mixture's spectrum by the inner decoder's output, a complex mask."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, features: Tensor, spec: Tensor) -> Tensor:
        return self.inner(features, spec) * spec.unsqueeze(1)


Codec = tuple[nn.Module, nn.Module]
"""An encoder and its decoder."""


def build_codec(config: ModelConfig) -> Codec:
    """Encoder and decoder of the config's kind; `codec_kinds.py` lists the kinds."""
    layers = config.codec.entry.layers
    encoder, decoder = resolve_name(layers.builder)(config.codec_size, eps=config.block.eps)
    return encoder, MaskDecoder(decoder) if config.mask and not layers.masks else decoder


def conv2d_codec(size: CodecSize, *, eps: float) -> Codec:
    encoder = ConvEncoder(channels=size.channels, eps=eps)
    if size.joint:
        return encoder, JointConvDecoder(channels=size.channels, n_src=size.n_src)
    return encoder, ConvDecoder(channels=size.channels)


def linear_codec(size: CodecSize, *, eps: float) -> Codec:
    encoder = LinearBandEncoder(channels=size.channels, bands=size.bands)
    return encoder, _for_sources(
        size,
        partial(
            LinearBandDecoder, channels=size.channels, bands=size.bands, expansion=size.expansion
        ),
    )


def conv1d_codec(size: CodecSize, *, eps: float) -> Codec:
    encoder = ConvBandEncoder(channels=size.channels, bands=size.bands)
    make = partial(ConvBandDecoder, channels=size.channels, bands=size.bands)
    return encoder, _for_sources(size, make)


def tiger_codec(size: CodecSize, *, eps: float) -> Codec:
    encoder = ConvBandEncoder(channels=size.channels, bands=size.bands, kernel_size=1)
    make = partial(TigerDecoder, channels=size.channels, bands=size.bands)
    if size.joint:
        return encoder, JointTigerDecoder([make() for _ in range(size.n_src)])
    return encoder, make()


def _for_sources(size: CodecSize, make: Callable[[], nn.Module]) -> nn.Module:
    """One decoder for all sources, or one for each if they share one feature map."""
    return JointDecoder([make() for _ in range(size.n_src)]) if size.joint else make()


def _complex(parts: Tensor) -> Tensor:
    """(batch, n_src, re|im, frames, bins) -> complex (batch, n_src, frames, bins)."""
    return torch.view_as_complex(parts.permute(0, 1, 3, 4, 2).contiguous())
