"""A corpus: one source and its training, validation and test mixtures, as a config asks."""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from tisdiss.config import DataConfig
from tisdiss.data.audio import quantise
from tisdiss.data.draw import Draw
from tisdiss.data.dynamic import DynamicMixtures
from tisdiss.data.mixture import MixtureSet, fixed_set
from tisdiss.data.source import Listed, Source, Tally, build, canonical_hash
from tisdiss.data.speakers import LAYOUT, folder
from tisdiss.data.store import Entry, Store, digest


@dataclass(frozen=True)
class Corpus:
    """What a model is trained, chosen and tested on."""

    source: Source
    train: MixtureSet | DynamicMixtures
    val: MixtureSet
    test: MixtureSet
    config: DataConfig

    @cached_property
    def manifest_hash(self) -> str:
        """SHA-256 of the sound, the three sets and the settings that made them."""
        return canonical_hash(
            {
                "config": self.config.model_dump(mode="json"),
                "source": self.source.manifest_hash,
                "sets": [s.manifest_hash for s in (self.train, self.val, self.test)],
            }
        )


def open_corpus(config: DataConfig, n_src: int, *, speech: Path | None, cache: Path) -> Corpus:
    """The corpus of a config. `speech` is the folder of speakers (None: environment SPEECH)."""
    source = open_source(config, speech=speech, cache=cache)

    def fixed(split: str, n_mixtures: int, max_seconds: float | None) -> MixtureSet:
        return fixed_set(
            source,
            split,
            n_mixtures=n_mixtures,
            n_src=n_src,
            gain_db=config.gain_db,
            min_seconds=config.min_seconds,
            max_seconds=max_seconds,
            seed=config.seed,
        )

    train = (
        _dynamic(source, config, n_src)
        if config.dynamic
        else fixed("train", config.train_mixtures, None)
    )
    val = fixed("val", config.val_mixtures, config.max_seconds)
    test = fixed("test", config.test_mixtures, config.max_seconds)
    return Corpus(source, train, val, test, config)


def _dynamic(source: Source, config: DataConfig, n_src: int) -> DynamicMixtures:
    return DynamicMixtures(
        source,
        "train",
        n_src=n_src,
        length=config.train_mixtures,
        gain_db=config.gain_db,
        seconds=config.segment_seconds,
        seed=config.seed,
    )


def open_source(config: DataConfig, *, speech: Path | None, cache: Path) -> Source:
    """The speech that a config names, decoded into the cache where it is not yet there."""
    if config.source == "synthetic":
        return synthetic(sample_rate=config.sample_rate)
    if config.source == "prompts":
        from tisdiss.data.prompts import prompts

        return prompts(sample_rate=config.sample_rate, cache=cache)
    root = speech or os.environ.get("SPEECH")
    if not root:
        raise ValueError(f"no speech was given: set SPEECH=/path/to/speakers.\n{LAYOUT}")
    return folder(Path(root), sample_rate=config.sample_rate, cache=cache)


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
    entries, listed, sounds, offset = {}, [], [], 0
    for speaker in range(n_speakers):
        for k in range(utterances):
            name = f"speaker{speaker:02d}/{k:02d}.wav"
            pcm, exponent = quantise(_voice(seed, speaker, k, n_speakers, seconds, sample_rate))
            mark = digest(pcm, exponent)
            entries[name] = Entry(offset, len(pcm), exponent, mark)
            listed.append(Listed(name, f"speaker{speaker:02d}", sex="fm"[speaker % 2]))
            sounds.append(pcm)
            offset += len(pcm)
    store = Store(np.concatenate(sounds), entries)
    note = "synthetic sounds, no speech"
    return build("synthetic", listed, store, Tally(), sample_rate=sample_rate, note=note)


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
