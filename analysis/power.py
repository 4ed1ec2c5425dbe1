"""Power of a study's claims: detectable differences now, with more seeds and with more mixtures.

The comparison that decides a claim varies with the speakers, the mixtures and the trainings. One
training suffices to estimate the first two (`mixed_model.py`), but not the noise of training: with
one seed it is unknown, unless a value is assumed. Shipped weights have no noise of training.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import pandas as pd

from tisdiss.analysis.claims import decide, evidence
from tisdiss.analysis.compare import Comparison, depth_weights
from tisdiss.analysis.detectable import Precision
from tisdiss.analysis.frames import StudyFrames, load_study
from tisdiss.analysis.spent import Spent, spent
from tisdiss.analysis.stats import Estimate
from tisdiss.analysis.verdict import decided
from tisdiss.records.expression import Cell, Greater, leaves
from tisdiss.records.report_record import Verdict

SEEDS = (1, 2, 3, 5, 10, 20)
MORE_MIXTURES = (1, 2, 4)
"""Factors by which the number of test mixtures is multiplied, with the same speakers."""


@dataclass(frozen=True)
class Parts:
    """Standard deviations of a difference of scores, in dB."""

    speakers: float
    """Of the mean over this test set, due to the choice of speakers."""
    mixtures: float
    """Of the mean over this test set, due to the choice of mixtures."""
    training: float | None
    """Between trainings with one seed each; None if it is unknown."""
    assumed: bool
    """Whether a row has one seed, so that its noise can only be assumed."""


@dataclass(frozen=True)
class Planned:
    """A number of seeds per row and of mixtures, with its detectable difference and its cost."""

    seeds: int
    mixtures: int
    detectable: float
    """Detectable difference in dB; NaN if it needs the noise of training, which is unknown."""
    hours: float
    """Hours for all seeds; NaN if no run has a recorded time."""


@dataclass(frozen=True)
class ClaimPower:
    """The power of the comparison that decides a claim."""

    verdict: Verdict
    estimate: Estimate
    seeds: int
    """The smallest number of seeds of its rows."""
    parts: Parts
    cost: Spent | None

    @property
    def now(self) -> float:
        """The detectable difference with the present seeds and mixtures, in dB."""
        return self._detectable(self.seeds, 1)

    @property
    def mixtures(self) -> int:
        return len(self.estimate.values)

    @cached_property
    def plans(self) -> list[Planned]:
        return [self._planned(seeds, more) for more in MORE_MIXTURES for seeds in SEEDS]

    @property
    def needs(self) -> Planned | None:
        """The smallest of `plans` that would find the observed difference; None if none would."""
        observed = abs(self.estimate.mean)
        enough = [plan for plan in self.plans if plan.detectable <= observed and plan.seeds > 1]
        return min(enough, key=lambda plan: (plan.seeds, plan.mixtures), default=None)

    def _planned(self, seeds: int, more: int) -> Planned:
        hours = self.cost.hours(seeds, more) if self.cost else math.nan
        return Planned(seeds, more * self.mixtures, self._detectable(seeds, more), hours)

    def _detectable(self, seeds: int, more: int) -> float:
        """NaN if it needs the noise of training, which is unknown.

        One seed does not need it: its result holds for these weights only.
        """
        if seeds > 1 and self.parts.training is None:
            return math.nan
        return self._precision(more).detectable(seeds)

    def _precision(self, more: int) -> Precision:
        assert self.estimate.design is not None
        test = self.estimate.design.spread(self.estimate.values, more * self.mixtures)
        return Precision(test, self.parts.training or 0.0)


@dataclass(frozen=True)
class NoPower:
    """A claim without an estimate of its power, and the reason."""

    verdict: Verdict
    reason: str


def power(
    runs_dir: Path, study: str, profile: str, *, noise: float | None = None
) -> list[ClaimPower | NoPower]:
    """The power of each claim of a study, in the order of its file.

    `noise` is the standard deviation between trainings of one row, in dB; it is assumed for rows
    with one seed. Raises ValueError if the study was not run or has no claims.
    """
    frames = load_study(runs_dir, study, profile)
    return power_of(frames, partial(spent, Path(runs_dir), frames.runs), noise=noise)


def power_of(
    frames: StudyFrames,
    cost: Callable[[Sequence[str]], Spent | None],
    *,
    noise: float | None = None,
) -> list[ClaimPower | NoPower]:
    """The same from frames; `cost` gives the cost of one seed of some rows."""
    study, profile = frames.plan.study, frames.plan.profile
    verdicts = decide(frames)
    if not verdicts:
        raise ValueError(f"study {study!r} has no claims: add some to its file and run it again")
    if frames.scores.empty:
        raise ValueError(
            f"no run of study {study!r} at profile {profile!r} is finished: "
            f"`tisdiss run {study} --profile {profile}` first; one or two seeds suffice"
        )
    pairs = zip(verdicts, evidence(frames), strict=True)
    return [_power(frames, verdict, comparisons, cost, noise) for verdict, comparisons in pairs]


def _power(
    frames: StudyFrames,
    verdict: Verdict,
    comparisons: list[Comparison],
    cost: Callable[[Sequence[str]], Spent | None],
    noise: float | None,
) -> ClaimPower | NoPower:
    scored = [one for one in comparisons if isinstance(one.value, Estimate)]
    if not scored:
        without_scores = "compares no scores: seeds change nothing"
        return NoPower(verdict, without_scores if comparisons else verdict.reason)
    _, deciding = decided(scored)
    estimate = deciding.value
    assert isinstance(estimate, Estimate)
    if estimate.design is None:
        return NoPower(verdict, "too few speakers for an interval: at least four are needed")
    parts = _parts(frames, deciding.part, estimate, noise)
    if not any((parts.speakers, parts.mixtures, parts.training)):
        return NoPower(verdict, "its scores do not vary")
    rows = [row for row in _rows(deciding.part) if row in set(frames.runs["row"])]
    return ClaimPower(verdict, estimate, deciding.n_seeds, parts, cost(rows))


def _rows(part: Greater) -> list[str]:
    return list(dict.fromkeys(leaf.row for leaf in leaves(part) if isinstance(leaf, Cell)))


def _parts(frames: StudyFrames, part: Greater, estimate: Estimate, noise: float | None) -> Parts:
    assert estimate.design is not None
    values = estimate.values
    total = _variance(estimate, len(values))
    speakers = min(total, _variance(estimate, math.inf))
    variances = [
        deviations.var(ddof=1) for deviations in estimate.noise.values() if len(deviations) > 1
    ]
    weights = [
        weight for row, weight in _row_weights(frames, part).items() if _lacks_noise(frames, row)
    ]
    training = (
        None
        if weights and noise is None
        else math.sqrt(float(sum(variances)) + sum((w * (noise or 0.0)) ** 2 for w in weights))
    )
    return Parts(math.sqrt(speakers), math.sqrt(total - speakers), training, bool(weights))


def _variance(estimate: Estimate, mixtures: float) -> float:
    assert estimate.design is not None
    spread = estimate.design.spread(estimate.values, mixtures)
    return float(spread.weights @ spread.scales**2)


def _lacks_noise(frames: StudyFrames, row: str) -> bool:
    """Whether a row has fewer than two trainings; False for shipped weights, without noise."""
    runs = frames.runs[(frames.runs["row"] == row) & frames.runs["scored"].astype(bool)]
    return len(runs) < 2 and not (runs["kind"] == "weights").any()


def _row_weights(frames: StudyFrames, part: Greater) -> Mapping[str, float]:
    """The weight of the noise of training of each row in a comparison.

    Compared depths of one row count as if each had noise of its own. This overestimates the noise,
    because the part that all depths share cancels.
    """
    trained = {row.id: row.n_re_train for row in frames.plan.rows}
    weights = depth_weights(part, lambda leaf: leaf.n_re or (trained.get(leaf.row, 0),))
    by_row: dict[str, list[float]] = defaultdict(list)
    for (row, _), weight in weights.items():
        if row in trained:
            by_row[row].append(weight)
    return {row: max(abs(sum(each)), math.hypot(*each)) for row, each in by_row.items()}


def power_table(claims: Sequence[ClaimPower | NoPower]) -> pd.DataFrame:
    """The content of `power.csv`: one line per claim, number of seeds and number of mixtures."""
    return pd.DataFrame(
        [
            {
                "study": claim.verdict.study,
                "claim": claim.verdict.id,
                "status": claim.verdict.status,
                "difference_db": claim.estimate.mean,
                "sd_speakers_db": claim.parts.speakers,
                "sd_mixtures_db": claim.parts.mixtures,
                "sd_training_db": claim.parts.training,
                "training_assumed": claim.parts.assumed and claim.parts.training is not None,
                "seeds_now": claim.seeds,
                "mixtures_now": claim.mixtures,
                "detectable_now_db": claim.now,
                "seeds": plan.seeds,
                "mixtures": plan.mixtures,
                "detectable_db": plan.detectable,
                "hours": plan.hours,
            }
            for claim in claims
            if isinstance(claim, ClaimPower)
            for plan in claim.plans
        ]
    )
