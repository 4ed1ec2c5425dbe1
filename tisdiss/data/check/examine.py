"""Measurements of one stored mixture, which `part.py` and `doctor.py` judge."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from scipy.fft import next_fast_len

from tisdiss.data.audio import FRAME_SECONDS, active_rms, is_silent
from tisdiss.data.layouts import Roles
from tisdiss.sound.decode import UNKNOWN, Refused, blocks, opened, read_sound

FULL_SCALE = 32767 / 32768
CLIPPED_SAMPLES = 3
GAIN = re.compile(r"_(-?\d[\d.]*(?:e-?\d+)?)(?=_|$)")
PITCH_HZ = (40, 400)
PITCH_FRAMES = 40  # evenly spaced frames per source
VOICED = 0.5  # normalised autocorrelation
PIECE = 4096  # bytes in the middle of a file that identify copies


@dataclass(frozen=True)
class Header:
    """The header of a sound file, and a mark that equal files share."""

    rate: int
    samples: int
    channels: int
    mark: str


@dataclass(frozen=True)
class Measured:
    """Levels in dB, one number per source; `sum_error` in 16-bit steps, None if unknown.

    `delays` are the samples by which the mixture lags behind each source.
    """

    sum_error: float | None
    si_snr: tuple[float, ...]
    sdr: tuple[float, ...]
    silent: tuple[str, ...]
    clipped: tuple[str, ...]
    ends_early: bool
    level_error: float | None
    floor: float
    pitch: tuple[float, ...]
    delays: tuple[int, ...]


def header(path: Path) -> Header:
    """The header of a file; raises `Refused` for a file that is not sound or is cut short."""
    with opened(path) as sound:
        samples = sound.frames
        if samples == UNKNOWN:
            samples = sum(map(len, blocks(sound, "float32")))
        rate, channels = sound.samplerate, sound.channels
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(size // 2)
        mark = hashlib.sha256(file.read(PIECE)).hexdigest()[:20]
    return Header(rate, samples, channels, f"{size}-{mark}")


def measure(folder: Path, roles: Roles, stem: str, *, gains: bool) -> Measured:
    """All measurements of one mixture in a part's folder; `Refused` if a file cannot be read."""
    signals = {role: _read(folder, role, stem) for role in roles.needed}
    rate = soundfile.info(folder / roles.mixture / f"{stem}.wav").samplerate
    samples = min(map(len, signals.values()))
    mixture = signals[roles.mixture][:samples]
    sources = np.stack([signals[role][:samples] for role in roles.sources])
    import torch  # slow to load, and not needed to report a missing folder

    from tisdiss.metrics import sdr, si_snr

    unprocessed = torch.from_numpy(mixture).expand(len(sources), -1)
    parts = torch.from_numpy(sources)
    return Measured(
        _sum_error(folder, roles, stem, mixture, signals),
        tuple(si_snr(unprocessed, parts).tolist()),
        tuple(sdr(unprocessed, parts).tolist()),
        tuple(role for role, s in signals.items() if is_silent(s, rate)),
        tuple(role for role, s in signals.items() if _clipped(s)),
        any(_ends_early(source, rate) for source in sources),
        _level_error(stem, sources, rate) if gains else None,
        float(np.median([_floor(source, rate) for source in sources])),
        tuple(p for source in sources if (p := pitch(source, rate))),
        tuple(delay(mixture, source) for source in sources),
    )


def _read(folder: Path, role: str, stem: str) -> np.ndarray:
    """The first channel of a file."""
    name = f"{role}/{stem}.wav"
    try:
        return read_sound(folder / name)[0][:, 0]
    except Refused as refusal:
        raise Refused(f"{name}: {refusal}") from refusal


def _sum_error(
    folder: Path, roles: Roles, stem: str, mixture: np.ndarray, signals: dict[str, np.ndarray]
) -> float | None:
    total = np.zeros_like(mixture)
    for role in roles.summands:
        if role not in signals:
            if not (folder / role / f"{stem}.wav").is_file():
                return None
            signals = signals | {role: _read(folder, role, stem)}
        part = signals[role][: len(total)]
        total[: len(part)] += part
    return float(np.abs(mixture - total).max() * 32768)


def _clipped(signal: np.ndarray) -> bool:
    """Whether samples are clipped; float files may exceed full scale without loss."""
    if np.abs(signal).max(initial=0.0) > 1:
        return False
    return int((np.abs(signal) >= FULL_SCALE).sum()) >= CLIPPED_SAMPLES


def _ends_early(source: np.ndarray, rate: int) -> bool:
    """Whether the last quarter of a second is exact zeros, with which `max` mode pads."""
    return not source[-rate // 4 :].any() and bool(source.any())


def _level_error(stem: str, sources: np.ndarray, rate: int) -> float | None:
    """The level difference of the first two sources in dB, minus the difference in the name."""
    gains = [float(text) for text in GAIN.findall(stem)]
    levels = [active_rms(source, rate) for source in sources]
    if len(gains) != len(levels) or min(levels) == 0:
        return None
    return float(20 * np.log10(levels[0] / levels[1]) - (gains[0] - gains[1]))


def _floor(source: np.ndarray, rate: int) -> float:
    """Active level above that of the quietest tenth of the frames, in dB."""
    frame = round(FRAME_SECONDS * rate)
    frames = source[: len(source) // frame * frame].reshape(-1, frame)
    quiet = float(np.quantile(np.sqrt((frames**2).mean(axis=1)), 0.1)) if len(frames) else 0.0
    return float(20 * np.log10(max(active_rms(source, rate), 1e-9) / max(quiet, 1e-9)))


def pitch(signal: np.ndarray, rate: int) -> float:
    """Median fundamental frequency of the voiced frames in Hz, 0 if there are none."""
    width, least, most = round(0.05 * rate), rate // PITCH_HZ[1], rate // PITCH_HZ[0]
    if len(signal) <= width + most or not signal.any():
        return 0.0
    level = active_rms(signal, rate)
    pitches = []
    for start in np.linspace(0, len(signal) - width - most - 1, PITCH_FRAMES).astype(int):
        frame, later = signal[start : start + width], signal[start : start + width + most]
        energy = float(frame @ frame)
        if energy < width * (0.5 * level) ** 2:
            continue
        products = np.correlate(later, frame, "valid")
        squares = np.cumsum(np.concatenate([[0.0], later**2]))
        norms = np.sqrt(energy * np.maximum(squares[width:] - squares[:-width], 1e-20))
        correlation = (products / norms)[least:]
        # the first lag near the maximum, because multiples of the period correlate as well
        best = int(np.argmax(correlation >= 0.9 * correlation.max()))
        while best + 1 < len(correlation) and correlation[best + 1] > correlation[best]:
            best += 1
        if correlation[best] > VOICED:
            pitches.append(rate / (least + best))
    return float(np.median(pitches)) if pitches else 0.0


def delay(mixture: np.ndarray, source: np.ndarray) -> int:
    """Samples by which the mixture lags behind the source: the peak of the phase correlation."""
    width = next_fast_len(2 * len(mixture), real=True)
    cross = np.fft.rfft(mixture, width) * np.conj(np.fft.rfft(source, width))
    best = int(np.argmax(np.fft.irfft(cross / np.maximum(np.abs(cross), 1e-12), width)))
    return best if best < width // 2 else best - width
