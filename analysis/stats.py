"""Means of scores and their confidence intervals, as pure functions of frames.

The mean of a row at a depth is taken over the speakers of a mixture, then over mixtures, then over
seeds. Its interval comes from a model of crossed speakers (`mixed_model.py`). With several seeds it
includes the noise of training. Differences are taken per mixture and seed before the model is
applied, so effects that two rows share cancel. With fewer than four speakers there is no interval
(NaN). `bootstrap.py` gives another interval as a check.

Scores that are not finite are missing: they are left out and counted in `n_missing`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from tisdiss.analysis.bootstrap import SpeakerBootstrap
from tisdiss.analysis.cube import Cast, Cube
from tisdiss.analysis.mixed_model import Design, Spread
from tisdiss.records.names import SI_SNRI

LEVEL = 0.95

Seeds = tuple[int, ...]


@dataclass(frozen=True)
class Estimate:
    """A mean score, or a linear combination of several, with the data for its interval."""

    mean: float
    values: np.ndarray
    """Values of the mixtures, averaged over speakers and seeds: (mixture,)."""
    design: Design | None
    """The speakers of each mixture; None if there are too few for an interval."""
    noise: Mapping[Seeds, np.ndarray] = field(default_factory=dict)
    """Deviations of the seeds' means from the mean of all (seed,), by the seeds of the rows."""

    def __add__(self, other: "Estimate | float") -> "Estimate":
        if not isinstance(other, Estimate):
            return Estimate(self.mean + other, self.values + other, self.design, self.noise)
        noise = dict(self.noise)
        for seeds, deviations in other.noise.items():
            noise[seeds] = noise[seeds] + deviations if seeds in noise else deviations
        return Estimate(self.mean + other.mean, self.values + other.values, self.design, noise)

    __radd__ = __add__

    def __mul__(self, factor: float) -> "Estimate":
        noise = {seeds: factor * deviations for seeds, deviations in self.noise.items()}
        return Estimate(factor * self.mean, factor * self.values, self.design, noise)

    __rmul__ = __mul__

    def __neg__(self) -> "Estimate":
        return self * -1.0

    def __sub__(self, other: "Estimate | float") -> "Estimate":
        return self + -other

    def __rsub__(self, other: float) -> "Estimate":
        return -self + other

    @cached_property
    def spread(self) -> Spread | None:
        """The distribution of the mean's deviation from the truth; None with too few speakers."""
        if self.design is None:
            return None
        variances = [
            (len(deviations), deviations.var(ddof=1) / len(deviations))
            for deviations in self._noisy()
        ]
        spread = self.design.spread(self.values)
        total = sum(variance for _, variance in variances)
        if not total:
            return spread
        # Welch and Satterthwaite, where rows have different seeds
        df = total**2 / sum(variance**2 / (n - 1) for n, variance in variances)
        return spread.with_noise(float(np.sqrt(total)), df)

    def _noisy(self) -> Iterator[np.ndarray]:
        return (deviations for deviations in self.noise.values() if len(deviations) > 1)

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """The two ends of the confidence interval; NaN with too few speakers."""
        spread = self.spread
        half = float("nan") if spread is None else spread.half_width(level)
        return self.mean - half, self.mean + half

    @property
    def p(self) -> float:
        """The two-sided p value of a true mean of 0; NaN with too few speakers."""
        spread = self.spread
        return float("nan") if spread is None else spread.p_value(self.mean)


def depth_curve(
    scores: pd.DataFrame, *, rng: np.random.Generator, metric: str = SI_SNRI
) -> pd.DataFrame:
    """The mean score of every row at every depth, with its interval, in dB.

    Columns: row, label, n_re_train, n_re, metric, mean, low, high, check_low, check_high (interval
    of the speaker bootstrap, drawn from `rng`), seed_sd (standard deviation between the seeds'
    means, NaN for one seed), n_mixtures, n_speakers, n_seeds, n_missing. Rows keep the order of the
    frame.
    """
    parts = []
    for frame, cast, bootstrap in _rows(scores, rng):
        cube = Cube.of(frame, metric, cast)
        means = cube.seed_means()
        ends = [_estimate(cube.at(depth), cast).interval() for depth in range(len(cube.depths))]
        check = bootstrap.interval(cube, LEVEL) if cast.is_enough else (np.nan, np.nan)
        parts.append(
            _describe(frame, metric, cube).assign(
                mean=means.mean(axis=0),
                low=[low for low, _ in ends],
                high=[high for _, high in ends],
                check_low=check[0],
                check_high=check[1],
                seed_sd=means.std(axis=0, ddof=1) if len(means) > 1 else np.nan,
                n_missing=cube.missing,
            )
        )
    values = ["mean", "low", "high", "check_low", "check_high", "seed_sd", "n_missing"]
    names = ["row", "label", "n_re_train", "n_re", "metric"]
    columns = [*names, *values, "n_mixtures", "n_speakers", "n_seeds"]
    return pd.concat(parts, ignore_index=True)[columns]


def difference_curve(scores: pd.DataFrame, against: str, *, metric: str = SI_SNRI) -> pd.DataFrame:
    """Every row minus `against` at each depth that both are scored at, paired by mixture, in dB.

    Columns: row, label, n_re_train, n_re, mean, low, high, n_seeds (the smaller number of both
    rows). Rows on another corpus and rows without N_re are left out; the frame is empty if none
    remains.
    """
    reference = scores[scores["row"] == against]
    corpora = set(reference["corpus"]) if "corpus" in scores else set()
    lines = []
    for row in scores["row"].unique():
        own = scores[scores["row"] == row]
        if row == against or (corpora and set(own["corpus"]) != corpora):
            continue
        both = pd.concat([own, reference])
        for n_re in sorted({*own["n_re"]} & {*reference["n_re"]} - {0}):
            cells = paired(both, [(row, n_re, metric), (against, n_re, metric)])
            difference = cells.estimates[0] - cells.estimates[1]
            low, high = difference.interval()
            first = own.iloc[0]
            lines.append(
                {
                    "row": row,
                    "label": first["label"],
                    "n_re_train": int(first["n_re_train"]),
                    "n_re": int(n_re),
                    "mean": difference.mean,
                    "low": low,
                    "high": high,
                    "n_seeds": min(cells.n_seeds),
                }
            )
    return pd.DataFrame(lines)


@dataclass(frozen=True)
class Paired:
    """Estimates of some cells over the utterances that are defined in all of them."""

    estimates: tuple[Estimate, ...]
    n_mixtures: int
    n_speakers: int
    n_seeds: tuple[int, ...]
    """Number of seeds of each cell."""
    n_utterances: int
    """Number of voices in mixtures, with or without a defined score."""
    n_left_out: int
    """Number of utterances that are undefined in any cell."""
    n_missing: tuple[int, ...]
    """Number of utterances that are undefined in each cell."""


def paired(scores: pd.DataFrame, cells: Sequence[tuple[str, int, str]]) -> Paired:
    """Estimates of cells (row, n_re, metric) over the same mixtures, for paired differences."""
    cast = Cast.of(scores)
    cubes = [Cube.of(_row_at(scores, row, n), metric, cast) for row, n, metric in cells]
    defined = [cube.defined() for cube in cubes]
    both = np.all(defined, axis=0)
    return Paired(
        estimates=tuple(_estimate(cube.only(both), cast) for cube in cubes),
        n_mixtures=int(both.any(axis=1).sum()),
        n_speakers=cast.n_speakers,
        n_seeds=tuple(len(cube.seeds) for cube in cubes),
        n_utterances=cast.n_utterances,
        n_left_out=cast.n_utterances - int(both.sum()),
        n_missing=tuple(cast.n_utterances - int(one.sum()) for one in defined),
    )


def _estimate(cube: Cube, cast: Cast) -> Estimate:
    """The estimate of a cube of one depth, over utterances with a score for any seed."""
    means, by_seed = cube.mixture_means()[:, :, 0], cube.seed_means()[:, 0]
    finite = np.isfinite(cube.values[..., 0])
    # the seeds that have the mixture; usually all
    count = np.isfinite(means).sum(axis=1)
    values = np.nansum(means, axis=1)[count > 0] / count[count > 0]
    return Estimate(
        mean=float(by_seed.mean()),
        values=values,
        design=cast.design(finite.any(axis=2)) if cast.is_enough and len(values) else None,
        noise={cube.seeds: by_seed - by_seed.mean()},
    )


def _rows(
    scores: pd.DataFrame, rng: np.random.Generator
) -> Iterator[tuple[pd.DataFrame, Cast, SpeakerBootstrap]]:
    """Each row's scores, with the cast and bootstrap of its corpus."""
    if scores.empty:
        raise ValueError("no scores to average: the frame is empty")
    corpus = scores["corpus"] if "corpus" in scores else pd.Series("", index=scores.index)
    for name in corpus.unique():
        of_corpus = scores[corpus == name]
        cast = Cast.of(of_corpus)
        bootstrap = SpeakerBootstrap(cast, rng)
        for row in of_corpus["row"].unique():
            yield of_corpus[of_corpus["row"] == row], cast, bootstrap


def _row_at(scores: pd.DataFrame, row: str, n_re: int) -> pd.DataFrame:
    frame = scores[(scores["row"] == row) & (scores["n_re"] == n_re)]
    if frame.empty:
        cells = ", ".join(
            f"{name!r} at {sorted(int(n) for n in group['n_re'].unique())}"
            for name, group in scores.groupby("row", sort=False)
        )
        raise ValueError(f"no scores of row {row!r} at n_re={n_re}; there are: {cells or 'none'}")
    return frame


def _describe(frame: pd.DataFrame, metric: str, cube: Cube) -> pd.DataFrame:
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
