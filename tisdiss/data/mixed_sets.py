"""Stored mixtures: the sets of the paper's corpora.

A mixture is read as stored, not summed again. `paper_corpora.py` finds and opens the sets.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np

from tisdiss.data.audio import active_rms, is_silent
from tisdiss.data.draw import Draw
from tisdiss.data.mixture import LEVEL_DBFS, REDRAWS, Example, add, crop_samples, gains
from tisdiss.data.source import Source, canonical_hash


@dataclass(frozen=True)
class StoredMixture:
    """One stored mixture: its files below the corpus, and the number of samples that are used."""

    id: str
    mixture: str
    sources: tuple[str, ...]
    heard: tuple[str, ...]
    noise: str
    speakers: tuple[str, ...]
    samples: int

    @property
    def files(self) -> tuple[str, ...]:
        names = (self.mixture, *self.sources, *self.heard, self.noise)
        return tuple(dict.fromkeys(name for name in names if name))


class StoredMixtures:
    """Mixtures as stored on disk, with the interface of `MixtureSet`."""

    def __init__(self, source: Source, mixtures: Sequence[StoredMixture], *, seed: int = 0) -> None:
        self.source, self.mixtures, self.seed = source, tuple(mixtures), seed

    def __len__(self) -> int:
        return len(self.mixtures)

    def __getitem__(self, i: int) -> Example:
        """The whole mixture."""
        return self._example(self.mixtures[i], 0, self.mixtures[i].samples)

    def crop(self, epoch: int, i: int, seconds: float) -> Example:
        """A random part of mixture `i`, different in each epoch; zero-padded if it is too short."""
        stored, n_samples = self.mixtures[i], crop_samples(seconds, self.source.sample_rate)
        draw = Draw("crop", self.seed, epoch, i)
        for _ in range(REDRAWS if stored.samples > n_samples else 1):
            start = draw.integer(max(0, stored.samples - n_samples) + 1)
            part = self._example(stored, start, n_samples)
            if not any(is_silent(s.numpy(), self.source.sample_rate) for s in part.sources):
                break
        return part

    def rows(self) -> list[dict]:
        """The manifest: one row per mixture."""
        return [asdict(m) for m in self.mixtures]

    @cached_property
    def manifest_hash(self) -> str:
        """SHA-256 of names, lengths and decoded sound, independent of the corpus's folder."""
        entries = self.source.store.entries
        sound = [[entries[name].digest for name in m.files] for m in self.mixtures]
        return canonical_hash({"stored": self.rows(), "sound": sound})

    def _example(self, stored: StoredMixture, start: int, n_samples: int) -> Example:
        count = min(n_samples, stored.samples - start)
        signals = np.zeros((1 + len(stored.sources), n_samples), np.float32)
        for row, name in zip(signals, (stored.mixture, *stored.sources), strict=True):
            row[:count] = self.source.store.read(name, start, count)
        return Example.of(
            signals[0],
            signals[1:],
            stored.id,
            stored.speakers,
            ("",) * len(stored.sources),
            count,
        )


class DynamicStored:
    """Dynamic mixing of a stored corpus: sources of different mixtures, for every (seed, epoch, i).

    Each source is brought to the same active level plus its gain. In a reverberant corpus, a
    reverberant source gets the crop and gain of its anechoic one. The noise is that of the first
    source's mixture and keeps its level relative to that source.
    """

    def __init__(
        self, base: StoredMixtures, *, length: int, gain_db: float, seconds: float
    ) -> None:
        self.base, self.source = base, base.source
        self.length, self.gain_db, self.seconds = length, gain_db, seconds
        self.n_src = len(base.mixtures[0].sources)

    def __len__(self) -> int:
        return self.length

    def crop(self, epoch: int, i: int, seconds: float | None = None) -> Example:
        """Example `i` of an epoch, independent of earlier examples."""
        n_samples = crop_samples(seconds or self.seconds, self.source.sample_rate)
        draw = Draw("dynamic-stored", self.base.seed, epoch, i)
        for _ in range(REDRAWS):
            slots = [self._slot(draw) for _ in range(self.n_src)]
            speakers = tuple(m.speakers[k] for m, k in slots)
            if len(set(speakers)) < self.n_src:
                continue
            windows = [self._window(draw, m, n_samples) for m, _ in slots]
            sources = self._read(((m.sources[k] for m, k in slots)), windows, n_samples)
            if not any(is_silent(s, self.source.sample_rate) for s in sources):
                break
        else:
            raise ValueError(
                f"{REDRAWS} draws gave no {self.n_src} different audible speakers; use more than"
                f" {len(self.base)} training mixtures, or mixtures of more speakers"
            )
        images = self._read((m.heard[k] for m, k in slots), windows, n_samples)
        factors = self._factors(draw, sources)
        sources *= factors[:, None]
        images *= factors[:, None]
        mixture = add(images)
        if slots[0][0].noise:
            mixture += factors[0] * self._read([slots[0][0].noise], windows[:1], n_samples)[0]
        peak = max(np.float32(1), np.abs(mixture).max())
        mixture, sources = mixture / peak, sources / peak
        return Example.of(
            mixture,
            sources,
            f"train-e{epoch}-{i}",
            speakers,
            ("",) * self.n_src,
            n_samples,
        )

    @cached_property
    def manifest_hash(self) -> str:
        """SHA-256 of the stored mixtures and of everything that determines the examples."""
        recipe = {"length": self.length, "gain_db": self.gain_db, "seconds": self.seconds}
        return canonical_hash(
            {"base": self.base.manifest_hash, "seed": self.base.seed, "dynamic": recipe}
        )

    def _slot(self, draw: Draw) -> tuple[StoredMixture, int]:
        stored = self.base.mixtures[draw.integer(len(self.base))]
        return stored, draw.integer(self.n_src)

    @staticmethod
    def _window(draw: Draw, stored: StoredMixture, n_samples: int) -> tuple[int, int]:
        count = min(n_samples, stored.samples)
        return draw.integer(stored.samples - count + 1), count

    def _read(
        self, names: Iterable[str], windows: list[tuple[int, int]], n_samples: int
    ) -> np.ndarray:
        signals = np.zeros((len(windows), n_samples), np.float32)
        for row, name, (start, count) in zip(signals, names, windows, strict=True):
            row[:count] = self.source.store.read(name, start, count)
        return signals

    def _factors(self, draw: Draw, sources: np.ndarray) -> np.ndarray:
        rate = self.source.sample_rate
        levels = gains(draw, self.n_src, self.gain_db)
        return np.array(
            [
                10 ** ((LEVEL_DBFS + gain) / 20) / active_rms(s, rate)
                for s, gain in zip(sources, levels, strict=True)
            ],
            np.float32,
        )
