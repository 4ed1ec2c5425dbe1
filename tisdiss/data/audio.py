"""One audio file -> mono samples at one rate, or a stated reason why not.

Everything that may be wrong with a file is decided here, by the same rules for every source.
Decoded samples are kept as 16-bit integers with one power of two per file, so that a 16-bit
recording survives unchanged, a faint or hot one loses nothing audible, and digests do not hang
on the last bit of a machine's floating point. Next: `store.py`.
"""

import re
from dataclasses import dataclass
from math import frexp, gcd
from pathlib import Path

import numpy as np
import soundfile

SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff", ".au", ".sph"})
MIN_SECONDS = 0.5
SILENT_PEAK = 1e-4
SILENT_DBFS = -60.0
FRAME_SECONDS = 0.02
ACTIVE_RANGE_DB = 40.0
CUT_SHORT = re.compile(r"^ *(?:data|SSND) *: (\d+) \(should be", re.MULTILINE)  # libsndfile's log
STREAMED_BYTES = 2**30  # a writer that did not know the length promises about 2**32 bytes


class Refused(ValueError):
    """A file that is not used; the message is the rule it breaks."""


@dataclass(frozen=True)
class Decoded:
    """16-bit samples; the signal is `pcm * 2**exponent / 32768`. `converted` says what was done."""

    pcm: np.ndarray
    exponent: int
    converted: tuple[str, ...]


def decode(
    path: Path, sample_rate: int, min_seconds: float = MIN_SECONDS, channel: int | None = None
) -> Decoded:
    """The file as mono at `sample_rate`; raises `Refused` with the rule that it breaks.

    `channel` is the one to take of several; None takes their mean.
    """
    signal, rate = read(path)
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


def read(path: Path) -> tuple[np.ndarray, int]:
    """All channels as float64 (samples, channels), and the file's rate."""
    if path.stat().st_size == 0:
        raise Refused("empty")
    try:
        with soundfile.SoundFile(path) as file:
            expected, rate = file.frames, file.samplerate
            promised = CUT_SHORT.search(file.extra_info)
            signal = file.read(dtype="float64", always_2d=True)
    except (soundfile.SoundFileError, RuntimeError, OSError, TypeError) as error:
        raise Refused("corrupt or no audio: cannot be decoded") from error
    if len(signal) == 0:
        raise Refused("empty")
    if len(signal) < expected or (promised and int(promised[1]) < STREAMED_BYTES):
        raise Refused("corrupt or no audio: ends before its header says")
    if not np.isfinite(signal).all():
        raise Refused("NaN or infinite samples")
    return signal, rate


def quantise(signal: np.ndarray) -> tuple[np.ndarray, int]:
    """16-bit samples and the smallest exponent that holds the peak; exact for 16-bit input."""
    peak = float(np.abs(signal).max())
    mantissa, exponent = frexp(peak)
    if mantissa == 0.5 and signal.max() < peak:
        exponent -= 1  # -32768 still fits, +32768 would not
    scaled = np.rint(np.ldexp(np.asarray(signal, np.float64), 15 - exponent))
    return np.clip(scaled, -32768, 32767).astype(np.int16), exponent


def active_rms(signal: np.ndarray, sample_rate: int) -> float:
    """Root mean square over the 20 ms frames within 40 dB of the loudest: no pauses."""
    frame = max(1, round(FRAME_SECONDS * sample_rate))
    frames = np.asarray(signal[: len(signal) // frame * frame], np.float64).reshape(-1, frame)
    power = np.einsum("fs,fs->f", frames, frames) / frame
    if not power.any():
        return 0.0
    return float(np.sqrt(power[power >= power.max() * 10 ** (-ACTIVE_RANGE_DB / 10)].mean()))


def is_silent(signal: np.ndarray, sample_rate: int) -> bool:
    """Whether the active level lies below -60 dBFS."""
    return active_rms(signal, sample_rate) < 10 ** (SILENT_DBFS / 20)
