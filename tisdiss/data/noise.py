"""Noise for mixtures: speech-shaped, babble of speakers outside the mixture, or recordings.

The `samples` of each kind follow from a `Draw` and have any level; `condition.py` sets the level.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from tisdiss.config.data import NoiseKind
from tisdiss.data.audio import active_rms
from tisdiss.data.convolution import convolved
from tisdiss.data.decoded import Store, open_store
from tisdiss.data.draw import Draw, rank
from tisdiss.data.source import SPLIT_NAMES, Source, Tally, Utterance, canonical_hash
from tisdiss.data.walk import none_left, recordings

SHAPE_TAPS = 257
SHAPE_UTTERANCES = 200
FEWEST_BABBLERS, MOST_BABBLERS = 3, 6
NOISE_LAYOUT = """\
A noise folder holds recordings of noise, of any length from 0.5 s and any rate:
    noise/street/one.wav
    noise/cafe/two.flac
Sub-folders tr, cv and tt (or train, val, test) are the splits; without them a hash decides."""


class Noise(Protocol):
    """A kind of noise."""

    def samples(self, draw: Draw, count: int, speakers: Sequence[str]) -> np.ndarray: ...

    def manifest(self) -> Any: ...


class SpeechShaped:
    """Steady noise with the long-term spectrum of the source's training speech."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def samples(self, draw: Draw, count: int, speakers: Sequence[str]) -> np.ndarray:
        shaped = convolved(draw.normal(count + SHAPE_TAPS - 1), self._taps)
        return shaped[SHAPE_TAPS - 1 : SHAPE_TAPS - 1 + count].astype(np.float32)

    def manifest(self) -> Any:
        return "speech-shaped"

    @cached_property
    def _taps(self) -> np.ndarray:
        """A linear-phase filter with the mean spectrum of some utterances."""
        utterances = sorted(self.source.split("train"), key=lambda u: rank(u.id))
        power = np.zeros(SHAPE_TAPS // 2 + 1)
        window = np.hanning(SHAPE_TAPS - 1)
        for utterance in utterances[:SHAPE_UTTERANCES]:
            signal = self.source.read(utterance).astype(np.float64)
            frames = signal[: len(signal) // len(window) * len(window)].reshape(-1, len(window))
            spectrum = np.abs(np.fft.rfft(frames * window)) ** 2
            power += spectrum.sum(axis=0) / max(spectrum.sum(), 1e-20)
        taps = np.fft.fftshift(np.fft.irfft(np.sqrt(power)))
        return np.append(taps, taps[0]) * np.hanning(SHAPE_TAPS)


class Babble:
    """Other speakers of the same split at equal level, six at once or as many as there are."""

    def __init__(self, source: Source, split: str, n_src: int) -> None:
        self.source, self.split = source, split
        self._voices: dict[str, list[Utterance]] = {}
        for utterance in sorted(source.split(split), key=lambda u: u.id):
            self._voices.setdefault(utterance.speaker, []).append(utterance)
        if len(self._voices) < n_src + FEWEST_BABBLERS:
            raise ValueError(
                f"babble needs {FEWEST_BABBLERS} speakers beside the {n_src} of a mixture; split"
                f" {split!r} of {source.name} has {len(self._voices)}. Set noise: speech-shaped"
            )

    def samples(self, draw: Draw, count: int, speakers: Sequence[str]) -> np.ndarray:
        others = [name for name in self._voices if name not in speakers]
        total = np.zeros(count, np.float32)
        for name in draw.distinct(others, min(MOST_BABBLERS, len(others))):
            part = self._line(draw, self._voices[name], count)
            total += part / np.float32(max(active_rms(part, self.source.sample_rate), 1e-6))
        return total

    def manifest(self) -> Any:
        return "babble"

    def _line(self, draw: Draw, voice: list[Utterance], count: int) -> np.ndarray:
        """Utterances of one speaker in sequence, from a random place in the first."""
        first = voice[draw.integer(len(voice))]
        line = [self.source.read(first, draw.integer(max(1, first.samples - count + 1)))]
        while sum(map(len, line)) < count:
            line.append(self.source.read(voice[draw.integer(len(voice))]))
        return np.concatenate(line)[:count]


class Either:
    """One of several kinds, drawn per mixture."""

    def __init__(self, *kinds: Noise) -> None:
        self.kinds = kinds

    def samples(self, draw: Draw, count: int, speakers: Sequence[str]) -> np.ndarray:
        return self.kinds[draw.integer(len(self.kinds))].samples(draw, count, speakers)

    def manifest(self) -> Any:
        return [kind.manifest() for kind in self.kinds]


class Recorded:
    """Recordings of noise; a recording shorter than the mixture is repeated."""

    def __init__(self, names: Sequence[str], store: Store) -> None:
        self.names, self.store = sorted(names), store

    def samples(self, draw: Draw, count: int, speakers: Sequence[str]) -> np.ndarray:
        name = self.names[draw.integer(len(self.names))]
        length = self.store.entries[name].samples
        if length >= count:
            return self.store.read(name, draw.integer(length - count + 1), count)
        start = draw.integer(length)
        return np.resize(np.roll(self.store.read(name), -start), count)

    def manifest(self) -> Any:
        digests = [self.store.entries[name].digest for name in self.names]
        return {"recorded": canonical_hash([self.names, digests])}


def noise_folder(root: Path, split: str, *, sample_rate: int, cache: Path) -> Recorded:
    """The recordings of a split below a folder of noise."""
    root = Path(root)
    refused = Tally()
    files = recordings(root, refused) if root.is_dir() else []
    if not files:
        why = none_left(refused)
        raise ValueError(f"{root} holds no recordings of noise. {why}\n{NOISE_LAYOUT}")
    names = _of_split(files, split)
    store = open_store(root, names, sample_rate=sample_rate, cache=cache, channel=0)
    usable = [name for name in names if not store.entries[name].refused]
    if not usable:
        raise ValueError(f"{root} has no usable noise for split {split!r}.\n{NOISE_LAYOUT}")
    return Recorded(usable, store)


def _of_split(names: Sequence[str], split: str) -> list[str]:
    folder_of = {alias: s for s, aliases in SPLIT_NAMES.items() for alias in aliases}
    if all(name.split("/")[0] in folder_of for name in names):
        return [name for name in names if folder_of[name.split("/")[0]] == split]
    order = sorted(names, key=rank)
    tenth = max(1, round(0.1 * len(order)))
    part = {"test": order[:tenth], "val": order[tenth : 2 * tenth], "train": order[2 * tenth :]}
    return part[split]


def open_noise(
    kind: NoiseKind, source: Source, split: str, *, n_src: int, folder: Path | None, cache: Path
) -> Noise:
    """The noise of a config for one split."""
    match kind:
        case "speech-shaped":
            return SpeechShaped(source)
        case "babble":
            return Babble(source, split, n_src)
        case "mixed":
            return Either(SpeechShaped(source), Babble(source, split, n_src))
    if folder is None:
        raise ValueError(f"no noise was given: set NOISE=/path/to/noise.\n{NOISE_LAYOUT}")
    return noise_folder(folder, split, sample_rate=source.sample_rate, cache=cache)
