"""Encoders and decoders: from the complex spectrum to features and back (Sec. 2.1).

Encoders turn spectra (batch, frames, bins) into features (batch, frames, bins or bands, channels);
decoders turn features (batch, n_src, frames, bins or bands, channels) and the mixture's spectrum
into spectra (batch, n_src, frames, bins). Band-split codecs are in `bands.py`.
"""

from pkgutil import resolve_name

import torch
from torch import Tensor, nn

from tisdiss.band_layouts import Bands
from tisdiss.bands import (
    ConvBandDecoder,
    ConvBandEncoder,
    LinearBandDecoder,
    LinearBandEncoder,
    TigerDecoder,
)
from tisdiss.config import CodecConfig


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
    """As `ConvDecoder`, but makes all speakers from one feature map (TF-Locoformer)."""

    def __init__(self, *, channels: int, n_src: int) -> None:
        super().__init__()
        self.n_src = n_src
        self.deconv = nn.ConvTranspose2d(channels, 2 * n_src, 3, padding=1)

    def forward(self, features: Tensor, spec: Tensor) -> Tensor:
        parts = self.deconv(features.squeeze(1).permute(0, 3, 1, 2))
        return _complex(parts.unflatten(1, (self.n_src, 2)))


class MaskDecoder(nn.Module):
    """Multiplies the mixture's spectrum by the inner decoder's output, a complex mask."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, features: Tensor, spec: Tensor) -> Tensor:
        return self.inner(features, spec) * spec.unsqueeze(1)


def build_codec(
    config: CodecConfig, *, channels: int, mask: bool, eps: float
) -> tuple[nn.Module, nn.Module]:
    """Encoder and decoder of the config's kind; `codec_kinds.py` lists the kinds."""
    build = resolve_name(config.entry.layers.builder)
    encoder, decoder = build(config, channels=channels, bands=config.entry.layout(config), eps=eps)
    return encoder, MaskDecoder(decoder) if mask else decoder


def conv2d_codec(
    config: CodecConfig, *, channels: int, bands: Bands, eps: float
) -> tuple[nn.Module, nn.Module]:
    return ConvEncoder(channels=channels, eps=eps), ConvDecoder(channels=channels)


def linear_codec(
    config: CodecConfig, *, channels: int, bands: Bands, eps: float
) -> tuple[nn.Module, nn.Module]:
    decoder = LinearBandDecoder(channels=channels, bands=bands, expansion=config.expansion)
    return LinearBandEncoder(channels=channels, bands=bands), decoder


def conv1d_codec(
    config: CodecConfig, *, channels: int, bands: Bands, eps: float
) -> tuple[nn.Module, nn.Module]:
    encoder = ConvBandEncoder(channels=channels, bands=bands)
    return encoder, ConvBandDecoder(channels=channels, bands=bands)


def tiger_codec(
    config: CodecConfig, *, channels: int, bands: Bands, eps: float
) -> tuple[nn.Module, nn.Module]:
    encoder = ConvBandEncoder(channels=channels, bands=bands, kernel_size=1)
    return encoder, TigerDecoder(channels=channels, bands=bands)


def _complex(parts: Tensor) -> Tensor:
    """(batch, n_src, re|im, frames, bins) -> complex (batch, n_src, frames, bins)."""
    return torch.view_as_complex(parts.permute(0, 1, 3, 4, 2).contiguous())
