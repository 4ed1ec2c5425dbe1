"""Who is who: recognises speakers by their voices, to keep each in one output.

A voice is described by the distribution of two features over the frames in which its estimate
dominates: a few cepstral coefficients of the mel spectrum, and the logarithm of the pitch, each
taken as normally distributed. Two voices are compared by the generalised likelihood ratio of "one
speaker" against "two speakers" (Gish et al., "Segregation of speakers for speech recognition and
speaker identification", ICASSP 1991): the loss of log-likelihood when one distribution describes
both, in nats; 0 for equal ones and for a voice without frames.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

FRAME, HOP = 0.064, 0.032
"""Seconds."""
TOP = 4000.0
"""Hz. Higher frequencies are not used, so that a voice is the same at any rate."""
BINS = 512
"""Bins of the spectrum up to `TOP`."""
MELS, CEPSTRA = 24, 12
LOWEST, HIGHEST = 100.0, 3800.0
"""Hz, of the mel spectrum."""
PITCH = (60.0, 400.0)
"""Hz."""
VOICED = 0.5
"""Least autocorrelation of a voiced frame at its pitch period."""
ACTIVE_DB = 30.0
"""Frames further below a speaker's loudest are not used."""
BLOCK_SECONDS = 10.0


@dataclass(frozen=True)
class Normal:
    """Sums over observations that determine their normal distribution."""

    count: Tensor
    sum: Tensor
    """(size,)"""
    outer: Tensor
    """(size, size)"""

    @classmethod
    def of(cls, observed: Tensor) -> Normal:
        """Of observations (frames, size)."""
        wide = observed.double()
        return cls(torch.tensor(float(len(wide))), wide.sum(0), wide.T @ wide)

    def __add__(self, other: Normal) -> Normal:
        return Normal(self.count + other.count, self.sum + other.sum, self.outer + other.outer)

    def misfit(self) -> Tensor:
        """The negative log-likelihood of the observations but for a constant, in nats."""
        if not self.count:
            return self.count
        mean = self.sum / self.count
        spread = self.outer / self.count - torch.outer(mean, mean)
        return self.count / 2 * torch.logdet(spread + FLOOR * torch.eye(len(mean)).double())


FLOOR = 1e-3
"""Added to each variance, which are of the order of 1 (cepstra) and 0.05 (log pitch)."""


@dataclass(frozen=True)
class Voice:
    """One speaker's voice."""

    timbre: Normal
    pitch: Normal

    def __add__(self, other: Voice) -> Voice:
        return Voice(self.timbre + other.timbre, self.pitch + other.pitch)

    @property
    def seconds(self) -> float:
        """Of sound that describes it."""
        return float(self.timbre.count) * HOP


def difference(one: Voice, other: Voice) -> float:
    """How badly one speaker explains both voices, in nats; >= 0."""
    pairs = ((one.timbre, other.timbre), (one.pitch, other.pitch))
    return sum(float((a + b).misfit() - a.misfit() - b.misfit()) for a, b in pairs)


def voices(estimates: Tensor, rate: int) -> list[Voice]:
    """The voice of each estimate (n_src, samples) at a rate in Hz, from the frames it dominates."""
    power = torch.cat(list(_power(estimates, rate)), dim=1)
    level = power.sum(-1)
    loud = level > 10 ** (-ACTIVE_DB / 10) * level.amax()
    dominant = level > level.sum(0) - level
    return [_voice(power[j, loud[j] & dominant[j]]) for j in range(len(estimates))]


def _voice(power: Tensor) -> Voice:
    if not len(power):
        return Voice(Normal.of(torch.zeros(0, CEPSTRA)), Normal.of(torch.zeros(0, 1)))
    cepstra = torch.log(power @ _mel() + 1e-10) @ _cosines()
    pitch, strength = _pitch(power)
    return Voice(Normal.of(cepstra), Normal.of(torch.log(pitch[strength > VOICED])[:, None]))


def _power(signals: Tensor, rate: int) -> Iterator[Tensor]:
    """Power spectra (signals, frames, BINS) up to `TOP`, in blocks of frames."""
    frame, hop = round(FRAME * rate), round(HOP * rate)
    n_fft = round(2 * BINS * rate / (2 * TOP))
    window = torch.hann_window(frame)
    step = hop * round(BLOCK_SECONDS / HOP)
    for start in range(0, signals.shape[-1], step):
        block = signals[:, start : start + step + frame - hop]
        if block.shape[-1] < frame:
            block = torch.nn.functional.pad(block, (0, frame - block.shape[-1]))
        frames = block.unfold(-1, frame, hop) * window
        spectrum = torch.fft.rfft(frames, n=n_fft)[..., :BINS].abs().square()
        yield torch.nn.functional.pad(spectrum, (0, BINS - spectrum.shape[-1])) / frame


def _pitch(power: Tensor) -> tuple[Tensor, Tensor]:
    """Pitch in Hz and its strength, at most 1, of each frame, by autocorrelation."""
    correlation = torch.fft.irfft(torch.nn.functional.pad(power, (0, 1)), n=2 * BINS)
    rate = 2 * TOP
    window = torch.hann_window(round(FRAME * rate))
    padded = torch.fft.rfft(window, n=2 * BINS).abs().square()
    own = torch.fft.irfft(padded, n=2 * BINS)
    low, high = round(rate / PITCH[1]), round(rate / PITCH[0])
    lags = slice(low, high + 1)
    normal = correlation[:, lags] / own[lags] * own[0] / (correlation[:, :1] + 1e-20)
    strength, lag = normal.max(-1)
    return rate / (lag + low), strength


@cache
def _mel() -> Tensor:
    """(BINS, MELS) triangles of equal width on the mel scale, 2595 log10(1 + f / 700)."""
    low, high = (2595 * math.log10(1 + end / 700) for end in (LOWEST, HIGHEST))
    corners = 700 * (10 ** (torch.linspace(low, high, MELS + 2) / 2595) - 1)
    hertz = torch.linspace(0, TOP, BINS)[:, None]
    up = (hertz - corners[:-2]) / (corners[1:-1] - corners[:-2])
    down = (corners[2:] - hertz) / (corners[2:] - corners[1:-1])
    return torch.minimum(up, down).clamp(min=0)


@cache
def _cosines() -> Tensor:
    """(MELS, CEPSTRA): the orthonormal cosine transform but for its constant, the level."""
    k = torch.arange(1, CEPSTRA + 1)
    angles = math.pi / MELS * (torch.arange(MELS) + 0.5)[:, None] * k
    return math.sqrt(2 / MELS) * torch.cos(angles)
