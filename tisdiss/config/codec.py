"""Settings of the codec: the STFT grid and the layers next to it."""

from typing import Annotated

from pydantic import Field, model_validator

from tisdiss.band_layouts import Bands
from tisdiss.codec_kinds import CODEC_KINDS, CodecKind
from tisdiss.config.choice import OneOf
from tisdiss.config.numbers import Blocks, Config, Rate, Width
from tisdiss.limits import MAX_FFT


class CodecConfig(Config):
    """Waveform to features and back: the STFT grid and the layers next to it."""

    kind: Annotated[str, OneOf(lambda: CODEC_KINDS)] = "conv2d"
    n_fft: Annotated[int, Field(ge=8, le=MAX_FFT, multiple_of=2)] = 128
    hop: Width = 64
    sample_rate: Rate = 8000
    """Hz. The mel layout depends on it; audio at another rate is resampled before the model."""
    n_bands: Width = 32
    """Bands of the mel layout; n_fft determines the other layouts."""
    expansion: Blocks = 4
    """Hidden width of the linear band decoders, in units of D."""

    @model_validator(mode="after")
    def _frames_overlap(self) -> "CodecConfig":
        if 2 * self.hop > self.n_fft:
            raise ValueError(f"hop={self.hop} must be at most half of n_fft={self.n_fft}")
        return self

    @property
    def bins(self) -> int:
        """F: one-sided STFT bins."""
        return self.n_fft // 2 + 1

    @property
    def bands(self) -> Bands:
        """The bins of each band; empty where the network sees every bin."""
        return self.entry.layout(self)

    @property
    def positions(self) -> int:
        """Bands or, without them, bins that the network sees in a frame."""
        return len(self.bands) or self.bins

    @property
    def entry(self) -> CodecKind:
        """The entry of this kind in the table of codecs."""
        return CODEC_KINDS[self.kind]
