"""Scores of a row as arrays, and who speaks in which mixture."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from tisdiss.analysis.mixed_model import Design

FEWEST_SPEAKERS = 4


@dataclass(frozen=True)
class Cast:
    """The mixtures of a test set and their speakers."""

    mixtures: pd.Index
    slots: pd.Index
    speakers: np.ndarray
    """(mixture, slot): the speaker's number, -1 for a slot that a mixture does not have."""
    n_speakers: int

    @classmethod
    def of(cls, scores: pd.DataFrame) -> "Cast":
        """ValueError for a frame without scores."""
        if scores.empty:
            raise ValueError("no scores to average: the frame is empty")
        cast = scores[["mixture_id", "slot", "speaker"]].drop_duplicates(["mixture_id", "slot"])
        cast = cast.sort_values(["mixture_id", "slot"])
        mixtures, slots = pd.Index(cast["mixture_id"].unique()), pd.Index(np.unique(cast["slot"]))
        codes, names = pd.factorize(cast["speaker"], sort=True)
        speakers = np.full((len(mixtures), len(slots)), -1)
        at = (
            mixtures.get_indexer(pd.Index(cast["mixture_id"])),
            slots.get_indexer(pd.Index(cast["slot"])),
        )
        speakers[at] = codes
        return cls(mixtures, slots, speakers, len(names))

    @property
    def is_enough(self) -> bool:
        """Whether there are speakers enough for an interval."""
        return self.n_speakers >= FEWEST_SPEAKERS

    @property
    def n_utterances(self) -> int:
        """Voices in mixtures."""
        return int((self.speakers >= 0).sum())

    @cached_property
    def _designs(self) -> dict[bytes, Design]:
        return {}

    def design(self, defined: np.ndarray) -> Design:
        """Of the mixtures with an utterance (mixture, slot) that is `defined`, over those."""
        key = defined.tobytes()
        if key not in self._designs:
            rows = zip(self.speakers, defined, strict=True)
            casts = [[str(s) for s in speakers[there]] for speakers, there in rows if there.any()]
            self._designs[key] = Design.of(casts)
        return self._designs[key]


@dataclass(frozen=True)
class Cube:
    """One row's scores as an array (mixture, slot, seed, depth); NaN where there is none."""

    values: np.ndarray
    seeds: tuple[int, ...]
    depths: np.ndarray
    missing: np.ndarray
    """Scores that are not finite, per depth."""

    @classmethod
    def of(cls, frame: pd.DataFrame, metric: str, cast: Cast) -> "Cube":
        depths, depth = np.unique(frame["n_re"], return_inverse=True)
        seeds, seed = np.unique(frame["seed"], return_inverse=True)
        values = np.full((len(cast.mixtures), len(cast.slots), len(seeds), len(depths)), np.nan)
        mixture = cast.mixtures.get_indexer(pd.Index(frame["mixture_id"]))
        slot = cast.slots.get_indexer(pd.Index(frame["slot"]))
        score = frame[metric].to_numpy(dtype=float)
        finite = np.isfinite(score)
        values[mixture, slot, seed, depth] = np.where(finite, score, np.nan)
        missing = np.bincount(depth[~finite], minlength=len(depths))
        return cls(values, tuple(int(s) for s in seeds), depths.astype(int), missing)

    def mixture_means(self) -> np.ndarray:
        """(mixture, seed, depth): the mean over the speakers that are defined."""
        return _mean(self.values, axis=1)

    def seed_means(self) -> np.ndarray:
        """(seed, depth): the mean over mixtures."""
        return _mean(self.mixture_means(), axis=0)

    def defined(self) -> np.ndarray:
        """(mixture, slot): whether a score is there for every seed and depth."""
        return np.isfinite(self.values).all(axis=(2, 3))

    def only(self, defined: np.ndarray) -> "Cube":
        """The same with all but the (mixture, slot) marked true missing."""
        values = np.where(defined[:, :, None, None], self.values, np.nan)
        return Cube(values, self.seeds, self.depths, self.missing)

    def at(self, depth: int) -> "Cube":
        """The same at one depth, by its place in `depths`."""
        one = slice(depth, depth + 1)
        return Cube(self.values[..., one], self.seeds, self.depths[one], self.missing[one])


def _mean(values: np.ndarray, axis: int) -> np.ndarray:
    """The mean of what is there; NaN where nothing is."""
    there = np.isfinite(values)
    count = there.sum(axis=axis)
    return np.where(there, values, 0.0).sum(axis=axis) / np.where(count > 0, count, np.nan)
