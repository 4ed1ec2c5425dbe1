"""Scores of a row as arrays, and the speakers of each mixture."""

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
    """The speaker's number, -1 for a slot that a mixture does not have: (mixture, slot)."""
    n_speakers: int

    @classmethod
    def of(cls, scores: pd.DataFrame) -> "Cast":
        """The cast of a frame of scores; ValueError for an empty frame."""
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
        """Whether there are enough speakers for an interval."""
        return self.n_speakers >= FEWEST_SPEAKERS

    @property
    def n_utterances(self) -> int:
        """The number of voices, counted in every mixture."""
        return int((self.speakers >= 0).sum())

    @cached_property
    def _designs(self) -> dict[bytes, Design]:
        return {}

    def design(self, defined: np.ndarray) -> Design:
        """The design of the utterances that are true in `defined` (mixture, slot).

        Mixtures without such an utterance are left out.
        """
        key = defined.tobytes()
        if key not in self._designs:
            rows = zip(self.speakers, defined, strict=True)
            casts = [[str(s) for s in speakers[mask]] for speakers, mask in rows if mask.any()]
            self._designs[key] = Design.of(casts)
        return self._designs[key]


@dataclass(frozen=True)
class Cube:
    """One row's scores as an array (mixture, slot, seed, depth); NaN for a missing score."""

    values: np.ndarray
    seeds: tuple[int, ...]
    depths: np.ndarray
    missing: np.ndarray
    """Number of scores that are not finite: (depth,)."""

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
        """The mean over the speakers with a score: (mixture, seed, depth)."""
        return _mean(self.values, axis=1)

    def seed_means(self) -> np.ndarray:
        """The mean over mixtures: (seed, depth)."""
        return _mean(self.mixture_means(), axis=0)

    def defined(self) -> np.ndarray:
        """Whether there is a score for every seed and depth: (mixture, slot)."""
        return np.isfinite(self.values).all(axis=(2, 3))

    def only(self, defined: np.ndarray) -> "Cube":
        """The cube with only the scores that are true in `defined` (mixture, slot)."""
        values = np.where(defined[:, :, None, None], self.values, np.nan)
        return Cube(values, self.seeds, self.depths, self.missing)

    def at(self, depth: int) -> "Cube":
        """The cube at one depth; `depth` is an index into `depths`."""
        one = slice(depth, depth + 1)
        return Cube(self.values[..., one], self.seeds, self.depths[one], self.missing[one])


def _mean(values: np.ndarray, axis: int) -> np.ndarray:
    """The mean of the finite values; NaN if there are none."""
    finite = np.isfinite(values)
    count = finite.sum(axis=axis)
    return np.where(finite, values, 0.0).sum(axis=axis) / np.where(count > 0, count, np.nan)
