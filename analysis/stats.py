"""Means and intervals from score frames. Pure functions: a frame and a Generator in, a frame out.

The mean of a row at a depth is taken over the speakers of a mixture, then over mixtures, then
over seeds. Its interval comes from a bootstrap clustered by speaker, because the scores of one
voice are not independent. In each draw:

1. as many speakers as the test set has are drawn with replacement; c(s) counts how often
   speaker s was drawn;
2. a mixture weighs the product of c(s) over its speakers, so it is in as often as all of its
   speakers are together (a mean of the c(s) would halve the width that speakers cause);
   draws that leave no mixture at all are dropped;
3. with more than one seed, seeds are drawn with replacement as well;
4. the weighted mean over mixtures is averaged over the drawn seeds.

The interval holds the middle 95 % of the draws. All rows and depths of a corpus see the same
speaker draws, so differences between rows or depths are paired. It is wide where mixtures differ
for reasons other than their speakers (Owen, "The pigeonhole bootstrap", 2007), and narrow where
speakers are few: on simulated scores, mostly due to their speakers, it held the truth in 90 % of
cases with 18 speakers and in 78 % with 5. With fewer than four there is no interval (NaN).

Scores that are not finite are missing: they are left out and counted in `n_missing`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

DRAWS = 2000
LEVEL = 0.95
FEWEST_SPEAKERS = 4


def depth_curve(
    scores: pd.DataFrame,
    *,
    rng: np.random.Generator,
    metric: str = "si_snri",
    draws: int = DRAWS,
) -> pd.DataFrame:
    """The mean score of every row at every depth, with its interval, in dB.

    Columns: row, label, n_re_train, n_re, metric, mean, low, high, seed_sd (standard deviation
    between the seeds' means, NaN for one seed), n_mixtures, n_speakers, n_seeds, n_missing. Rows
    stand in the order of the frame.
    """
    parts = []
    for frame, resampling in _rows(scores, rng, draws):
        cube = _cube(frame, metric, resampling)
        means = cube.seed_means()
        low, high = interval(resampling.means(cube, resampling.seeds(len(cube.seeds))))
        parts.append(
            _describe(frame, metric, cube).assign(
                n_re=cube.depths,
                mean=means.mean(axis=0),
                low=low,
                high=high,
                seed_sd=means.std(axis=0, ddof=1) if len(means) > 1 else np.nan,
                n_missing=cube.missing,
            )
        )
    return _stack(parts, ["mean", "low", "high", "seed_sd", "n_missing"])


@dataclass(frozen=True)
class Difference:
    """How much better `row_a` is than `row_b` on the same mixtures, in dB."""

    row_a: str
    row_b: str
    n_re: int
    metric: str
    mean: float
    low: float
    high: float
    p: float
    """Two-sided, from the same draws as the interval: NaN where there is no interval."""
    n_mixtures: int
    n_speakers: int
    n_seeds: tuple[int, int]


def paired_difference(
    scores: pd.DataFrame,
    row_a: str,
    row_b: str,
    n_re: int,
    *,
    rng: np.random.Generator,
    metric: str = "si_snri",
    draws: int = DRAWS,
) -> Difference:
    """Row a minus row b at one depth, over the utterances that are defined in both.

    Seeds are paired too where both rows have the same ones; otherwise each row draws its own.
    p = 2 min(P(draw <= 0), P(draw >= 0)), each counted with one added draw on either side.
    """
    cells = [(row_a, n_re, metric), (row_b, n_re, metric)]
    paired = paired_draws(scores, cells, rng=rng, draws=draws)
    drawn = paired.drawn[:, 0] - paired.drawn[:, 1]
    low, high = interval(drawn)
    return Difference(
        row_a=row_a,
        row_b=row_b,
        n_re=n_re,
        metric=metric,
        mean=float(paired.means[0] - paired.means[1]),
        low=float(low),
        high=float(high),
        p=_p_value(drawn),
        n_mixtures=paired.n_mixtures,
        n_speakers=paired.n_speakers,
        n_seeds=(paired.n_seeds[0], paired.n_seeds[1]),
    )


@dataclass(frozen=True)
class Paired:
    """Means of some cells over the utterances that are defined in all of them, and their draws."""

    means: np.ndarray
    """(cell,)"""
    drawn: np.ndarray
    """(draw, cell); no draws at all where speakers are too few."""
    n_mixtures: int
    n_speakers: int
    n_seeds: tuple[int, ...]
    """Of each cell."""
    n_utterances: int
    """A voice in a mixture, defined or not."""
    n_left_out: int
    """Utterances that are undefined in any cell."""
    n_missing: tuple[int, ...]
    """Utterances that are undefined in each cell."""


def paired_draws(
    scores: pd.DataFrame,
    cells: Sequence[tuple[str, int, str]],
    *,
    rng: np.random.Generator,
    draws: int = DRAWS,
) -> Paired:
    """The cells (row, n_re, metric) under the same draws of speakers, and of seeds where equal.

    Whatever is computed from the columns of `drawn` is paired: differences, maxima, trends.
    """
    resampling = _Resampling(scores, rng, draws)
    cubes = [_cube(_row_at(scores, row, n), metric, resampling) for row, n, metric in cells]
    defined = [np.isfinite(cube.values).all(axis=(2, 3)) for cube in cubes]
    both = np.all(defined, axis=0)
    cubes = [cube.only(both) for cube in cubes]
    counts = {key: resampling.seeds(len(key)) for key in dict.fromkeys(c.seeds for c in cubes)}
    drawn = [resampling.means(cube, counts[cube.seeds])[:, 0] for cube in cubes]
    return Paired(
        means=np.array([cube.seed_means().mean() for cube in cubes]),
        drawn=np.stack(drawn, axis=1),
        n_mixtures=int(both.any(axis=1).sum()),
        n_speakers=resampling.n_speakers,
        n_seeds=tuple(len(cube.seeds) for cube in cubes),
        n_utterances=resampling.n_utterances,
        n_left_out=resampling.n_utterances - int(both.sum()),
        n_missing=tuple(resampling.n_utterances - int(one.sum()) for one in defined),
    )


@dataclass(frozen=True)
class _Cube:
    """One row's scores as an array (mixture, slot, seed, depth); NaN where there is none."""

    values: np.ndarray
    seeds: tuple[int, ...]
    depths: np.ndarray
    missing: np.ndarray
    """Scores that are not finite, per depth."""

    def mixture_means(self) -> np.ndarray:
        """(mixture, seed, depth): the mean over the speakers that are defined."""
        defined = np.isfinite(self.values)
        total = np.where(defined, self.values, 0.0).sum(axis=1)
        return total / _or_nan(defined.sum(axis=1))

    def seed_means(self) -> np.ndarray:
        """(seed, depth): the mean over mixtures."""
        means = self.mixture_means()
        defined = np.isfinite(means)
        return np.where(defined, means, 0.0).sum(axis=0) / _or_nan(defined.sum(axis=0))

    def only(self, defined: np.ndarray) -> "_Cube":
        """The same with all but the (mixture, slot) marked true missing."""
        values = np.where(defined[:, :, None, None], self.values, np.nan)
        return _Cube(values, self.seeds, self.depths, self.missing)


class _Resampling:
    """Speaker draws over the mixtures of a frame, as weights (draw, mixture)."""

    def __init__(self, scores: pd.DataFrame, rng: np.random.Generator, draws: int) -> None:
        if scores.empty:
            raise ValueError("no scores to average: the frame is empty")
        self.rng = rng
        self.draws = draws
        cast = scores[["mixture_id", "slot", "speaker"]].drop_duplicates(["mixture_id", "slot"])
        cast = cast.sort_values(["mixture_id", "slot"])
        self.n_utterances = len(cast)
        self.mixtures = pd.Index(cast["mixture_id"].unique())
        self.slots = pd.Index(np.unique(cast["slot"]))
        codes, speakers = pd.factorize(cast["speaker"], sort=True)
        self.n_speakers = len(speakers)
        # a slot that a mixture does not have points at the extra column of ones
        cells = np.full((len(self.mixtures), len(self.slots)), self.n_speakers)
        at = self.mixtures.get_indexer(cast["mixture_id"]), self.slots.get_indexer(cast["slot"])
        cells[at] = codes
        counts = np.ones((draws, self.n_speakers + 1))
        counts[:, :-1] = self._counts(self.n_speakers)
        weights = np.ones((draws, len(self.mixtures)))
        for slot in range(len(self.slots)):
            weights *= counts[:, cells[:, slot]]
        self.weights = weights if self.n_speakers >= FEWEST_SPEAKERS else weights[:0]

    def seeds(self, n_seeds: int) -> np.ndarray:
        """How often each seed is in each draw (draw, seed)."""
        return self._counts(n_seeds) if n_seeds > 1 else np.ones((self.draws, 1))

    def means(self, cube: _Cube, seeds: np.ndarray) -> np.ndarray:
        """The resampled means (draw, depth), without draws that leave no mixture."""
        means = cube.mixture_means()
        flat = means.reshape(len(means), -1)
        defined = np.isfinite(flat)
        total = self.weights @ np.where(defined, flat, 0.0)
        mass = self.weights @ defined.astype(float)
        by_seed = (total / _or_nan(mass)).reshape(len(total), *means.shape[1:])
        seeds = seeds[: len(by_seed)]
        drawn = np.einsum("ds,dsn->dn", seeds, by_seed) / seeds.sum(axis=1, keepdims=True)
        return drawn[self.weights.any(axis=1)]

    def _counts(self, n: int) -> np.ndarray:
        return self.rng.multinomial(n, np.full(n, 1 / n), size=self.draws)


def _cube(frame: pd.DataFrame, metric: str, resampling: _Resampling) -> _Cube:
    depths, depth = np.unique(frame["n_re"], return_inverse=True)
    seeds, seed = np.unique(frame["seed"], return_inverse=True)
    shape = len(resampling.mixtures), len(resampling.slots), len(seeds), len(depths)
    values = np.full(shape, np.nan)
    mixture = resampling.mixtures.get_indexer(frame["mixture_id"])
    slot = resampling.slots.get_indexer(frame["slot"])
    score = frame[metric].to_numpy(dtype=float)
    finite = np.isfinite(score)
    values[mixture, slot, seed, depth] = np.where(finite, score, np.nan)
    missing = np.bincount(depth[~finite], minlength=len(depths))
    return _Cube(values, tuple(int(s) for s in seeds), depths.astype(int), missing)


def _rows(
    scores: pd.DataFrame, rng: np.random.Generator, draws: int
) -> Iterator[tuple[pd.DataFrame, _Resampling]]:
    """Each row's scores; rows on one corpus share their draws of speakers."""
    if scores.empty:
        raise ValueError("no scores to average: the frame is empty")
    corpus = scores["corpus"] if "corpus" in scores else pd.Series("", index=scores.index)
    for name in corpus.unique():
        of_corpus = scores[corpus == name]
        resampling = _Resampling(of_corpus, rng, draws)
        for row in of_corpus["row"].unique():
            yield of_corpus[of_corpus["row"] == row], resampling


def _row_at(scores: pd.DataFrame, row: str, n_re: int) -> pd.DataFrame:
    frame = scores[(scores["row"] == row) & (scores["n_re"] == n_re)]
    if frame.empty:
        there = ", ".join(
            f"{name!r} at {sorted(int(n) for n in group['n_re'].unique())}"
            for name, group in scores.groupby("row", sort=False)
        )
        raise ValueError(f"no scores of row {row!r} at n_re={n_re}; there are: {there or 'none'}")
    return frame


def _describe(frame: pd.DataFrame, metric: str, cube: _Cube) -> pd.DataFrame:
    first = frame.iloc[0]
    return pd.DataFrame(
        {
            "row": first["row"],
            "label": first["label"],
            "n_re_train": int(first["n_re_train"]),
            "n_re": cube.depths,
            "metric": metric,
            "n_mixtures": frame["mixture_id"].nunique(),
            "n_speakers": frame["speaker"].nunique(),
            "n_seeds": len(cube.seeds),
        }
    )


def _stack(parts: Sequence[pd.DataFrame], values: list[str]) -> pd.DataFrame:
    names = ["row", "label", "n_re_train", "n_re", "metric"]
    columns = [*names, *values, "n_mixtures", "n_speakers", "n_seeds"]
    return pd.concat(parts, ignore_index=True)[columns]


def interval(drawn: np.ndarray, level: float = LEVEL) -> tuple[np.ndarray, np.ndarray]:
    """The ends of the middle 95 % of the draws; NaN where there are none."""
    if not len(drawn):
        nothing = np.full(drawn.shape[1:], np.nan)
        return nothing, nothing
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def _p_value(drawn: np.ndarray) -> float:
    if not len(drawn) or np.isnan(drawn).any():
        return float("nan")
    below, above = (drawn <= 0).sum(), (drawn >= 0).sum()
    return float(min(1.0, 2 * (min(below, above) + 1) / (len(drawn) + 1)))


def _or_nan(count: np.ndarray) -> np.ndarray:
    """Counts to divide by: NaN instead of 0."""
    return np.where(count > 0, count, np.nan)
