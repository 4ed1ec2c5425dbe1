"""Generated voices: sounds for tests and the smoke profile, on which no result means anything."""

from pathlib import Path

import numpy as np

from tisdiss.data.draw import Draw
from tisdiss.data.in_memory import in_memory
from tisdiss.data.source import Source
from tisdiss.machine.progress import Progress, silent


def generated(*, sample_rate: int, cache: Path, on_progress: Progress = silent) -> Source:
    """The source "synthetic" of a config; made in memory, so nothing is kept in the cache."""
    return synthetic(sample_rate=sample_rate)


def synthetic(
    n_speakers: int = 12,
    *,
    utterances: int = 6,
    seconds: float = 2.0,
    sample_rate: int = 8000,
    seed: int = 0,
) -> Source:
    """Generated voices, for tests and the smoke profile only: no result on them means anything.

    Each speaker has a pitch and three formants of its own; syllables switch the sound on and off.
    """
    voices = [f"speaker{k:02d}" for k in range(n_speakers)]
    recordings = (
        (f"{name}/{k:02d}.wav", _voice(seed, speaker, k, n_speakers, seconds, sample_rate))
        for speaker, name in enumerate(voices)
        for k in range(utterances)
    )
    sexes = {name: "fm"[speaker % 2] for speaker, name in enumerate(voices)}
    note = "synthetic sounds, no speech"
    return in_memory("synthetic", recordings, sample_rate=sample_rate, sexes=sexes, note=note)


def _voice(
    seed: int, speaker: int, k: int, n_speakers: int, seconds: float, sample_rate: int
) -> np.ndarray:
    own = Draw("voice", seed, speaker)
    pitch = 90 * 2 ** (1.5 * speaker / n_speakers)
    formants = [own.uniform(300, 900), own.uniform(900, 2200), own.uniform(2200, 3600)]
    draw = Draw("voice", seed, speaker, k)
    time = np.arange(round(seconds * draw.uniform(0.8, 1.2) * sample_rate)) / sample_rate
    glide = 1 + 0.1 * np.sin(2 * np.pi * draw.uniform(0.5, 1.5) * time + draw.uniform(0, 6))
    phase = 2 * np.pi * np.cumsum(pitch * glide) / sample_rate
    sound = np.zeros_like(time)
    for harmonic in range(1, int(0.45 * sample_rate / (1.1 * pitch)) + 1):
        weight = sum(np.exp(-(((harmonic * pitch - f) / 250) ** 2)) for f in formants)
        sound += (weight + 0.02) * np.sin(harmonic * phase)
    syllables = np.sin(2 * np.pi * draw.uniform(1.5, 3) * time + draw.uniform(0, 6))
    return 0.1 * sound * np.clip(0.6 + syllables, 0, 1)
