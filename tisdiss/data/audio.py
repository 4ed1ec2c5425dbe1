"""Decodes one audio file to mono samples at one rate, or refuses it with the rule that it breaks.

The rules are here and in `sound/decode.py`, the same for every source. Decoded samples are 16-bit
integers with one power of two per file: a 16-bit recording stays unchanged, a faint or loud one
loses nothing audible, and digests do not depend on a machine's floating-point rounding. Next:
`decoded.py`.
"""

from dataclasses import dataclass
from math import frexp, gcd
from pathlib import Path

import numpy as np

from tisdiss.sound.decode import Refused, read_sound

SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff", ".au", ".sph"})
MIN_SECONDS = 0.5
SILENT_PEAK = 1e-4
SILENT_DBFS = -60.0
FRAME_SECONDS = 0.02
ACTIVE_RANGE_DB = 40.0


@dataclass(frozen=True)
class Decoded:
    """16-bit samples; the signal is `pcm * 2**exponent / 32768`. `converted` lists conversions."""

    pcm: np.ndarray
    exponent: int
    converted: tuple[str, ...]


def decode(
    path: Path, sample_rate: int, min_seconds: float = MIN_SECONDS, channel: int | None = None
) -> Decoded:
    """The file as mono at `sample_rate`; raises `Refused` with the rule that it breaks.

    `channel` is the one to take, or the last if there are fewer; None takes the mean of all.
    """
    signal, rate = read_sound(path, "float64")
    converted = []
    if channel is not None:
        signal = signal[:, [min(channel, signal.shape[1] - 1)]]
    if signal.shape[1] > 1:
        converted.append("several channels: their mean was taken")
    mono = signal.mean(axis=1)
    if rate != sample_rate:
        converted.append(f"{rate} Hz: resampled to {sample_rate} Hz")
        common = gcd(rate, sample_rate)
        from scipy.signal import resample_poly

        mono = resample_poly(mono, sample_rate // common, rate // common)
    if np.abs(mono).max(initial=0.0) < SILENT_PEAK:
        raise Refused(f"silent: the peak is below {SILENT_PEAK:g}")
    if len(mono) < min_seconds * sample_rate:
        raise Refused(f"shorter than {min_seconds:g} s")
    if is_silent(mono, sample_rate):
        raise Refused(f"silent: the active level is below {SILENT_DBFS:g} dBFS")
    pcm, exponent = quantise(mono)
    return Decoded(pcm, exponent, tuple(converted))


def quantise(signal: np.ndarray) -> tuple[np.ndarray, int]:
    """16-bit samples and the smallest exponent for their peak; exact for 16-bit input."""
    peak = float(np.abs(signal).max())
    mantissa, exponent = frexp(peak)
    if mantissa == 0.5 and signal.max() < peak:
        exponent -= 1  # -32768 still fits, +32768 would not
    scaled = np.rint(np.ldexp(np.asarray(signal, np.float64), 15 - exponent))
    return np.clip(scaled, -32768, 32767).astype(np.int16), exponent


def active_rms(signal: np.ndarray, sample_rate: int) -> float:
    """Root mean square over the 20 ms frames within 40 dB of the loudest, so without pauses."""
    frame = max(1, round(FRAME_SECONDS * sample_rate))
    frames = np.asarray(signal[: len(signal) // frame * frame], np.float64).reshape(-1, frame)
    power = np.einsum("fs,fs->f", frames, frames) / frame
    if not power.any():
        return 0.0
    return float(np.sqrt(power[power >= power.max() * 10 ** (-ACTIVE_RANGE_DB / 10)].mean()))


def is_silent(signal: np.ndarray, sample_rate: int) -> bool:
    """Whether the active level is below -60 dBFS."""
    return active_rms(signal, sample_rate) < 10 ** (SILENT_DBFS / 20)
