"""What the claims of a study can find: now, with more seeds, and with more test mixtures.

The comparison that decides a claim varies with the speakers and the mixtures of the test set and
with its trainings. The first two are known from one training (`mixed_model.py`), the third only
from several: with one seed it is unknown, unless a size of it is assumed.

Shipped weights are what they are: they have no noise of training.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import pandas as pd

from tisdiss.analysis.claims import decide, evidence
from tisdiss.analysis.compare import Comparison, decided, depth_weights
from tisdiss.analysis.detectable import Precision
from tisdiss.analysis.frames import StudyFrames, load_study
from tisdiss.analysis.spent import Spent, spent
from tisdiss.analysis.stats import Estimate
from tisdiss.records.expression import Cell, Greater, leaves
from tisdiss.records.report_record import Verdict

SEEDS = (1, 2, 3, 5, 10, 20)
MORE_MIXTURES = (1, 2, 4)
"""Times the test mixtures, of the same speakers."""


@dataclass(frozen=True)
class Parts:
    """Standard deviations of a difference of scores, in dB."""

    speakers: float
    """Of its mean over this test set, by the choice of its speakers."""
    mixtures: float
    """Likewise, by the choice of its mixtures."""
    training: float | None
    """Between trainings, one seed each; None where no row was trained twice."""
    assumed: bool
    """Whether the noise of a row with one seed was assumed."""


@dataclass(frozen=True)
class Planned:
    """So many seeds of every row and so many mixtures: what they find, what they cost."""

    seeds: int
    mixtures: int
    detectable: float
    """dB; NaN where the noise of training is unknown and counts."""
    hours: float
    """Of all these seeds; NaN where no run told its time."""


@dataclass(frozen=True)
class ClaimPower:
    """The comparison that decides a claim: how it varies, and what would be found."""

    verdict: Verdict
    estimate: Estimate
    seeds: int
    """Of the row that has fewest."""
    parts: Parts
    cost: Spent | None

    @property
    def now(self) -> float:
        """dB that the present seeds and mixtures find."""
        return self._precision(1).detectable(self.seeds) if self._known(self.seeds) else math.nan

    @property
    def mixtures(self) -> int:
        return len(self.estimate.values)

    @cached_property
    def plans(self) -> list[Planned]:
        return [self._planned(seeds, more) for more in MORE_MIXTURES for seeds in SEEDS]

    @property
    def needs(self) -> Planned | None:
        """The cheapest of `plans` that would find the difference seen; None where none would."""
        seen = abs(self.estimate.mean)
        finding = [plan for plan in self.plans if plan.detectable <= seen and plan.seeds > 1]
        return min(finding, key=lambda plan: (plan.seeds, plan.mixtures), default=None)

    def _planned(self, seeds: int, more: int) -> Planned:
        found = self._precision(more).detectable(seeds) if self._known(seeds) else math.nan
        hours = self.cost.hours(seeds, more) if self.cost else math.nan
        return Planned(seeds, more * self.mixtures, found, hours)

    def _known(self, seeds: int) -> bool:
        """One seed whose noise is unknown finds what holds for these weights."""
        return seeds == 1 or self.parts.training is not None

    def _precision(self, more: int) -> Precision:
        assert self.estimate.design is not None
        test = self.estimate.design.spread(self.estimate.values, more * self.mixtures)
        return Precision(test, self.parts.training or 0.0)


@dataclass(frozen=True)
class NoPower:
    """A claim of which nothing can be said, and why."""

    verdict: Verdict
    reason: str


def power(
    runs_dir: Path, study: str, profile: str, *, noise: float | None = None
) -> list[ClaimPower | NoPower]:
    """Each claim of a study that was run, in the order of its file.

    `noise` is the standard deviation between trainings of one row, in dB, that is assumed where a
    row has one seed. Raises ValueError where the study was not run, or has no claims.
    """
    frames = load_study(runs_dir, study, profile)
    return power_of(frames, partial(spent, Path(runs_dir), frames.runs), noise=noise)


def power_of(
    frames: StudyFrames,
    cost: Callable[[Sequence[str]], Spent | None],
    *,
    noise: float | None = None,
) -> list[ClaimPower | NoPower]:
    """The same of frames, with the cost of one seed of some rows."""
    study, profile = frames.plan.study, frames.plan.profile
    verdicts = decide(frames)
    if not verdicts:
        raise ValueError(f"study {study!r} has no claims: add some to its file and run it again")
    if frames.scores.empty:
        raise ValueError(
            f"no run of study {study!r} at profile {profile!r} is finished: "
            f"`tisdiss run {study} --profile {profile}` first; a pilot of one or two seeds will do"
        )
    pairs = zip(verdicts, evidence(frames), strict=True)
    return [_power(frames, verdict, held, cost, noise) for verdict, held in pairs]


def _power(
    frames: StudyFrames,
    verdict: Verdict,
    held: list[Comparison],
    cost: Callable[[Sequence[str]], Spent | None],
    noise: float | None,
) -> ClaimPower | NoPower:
    scored = [one for one in held if isinstance(one.value, Estimate)]
    if not scored:
        costs_alone = "compares no scores: seeds change nothing"
        return NoPower(verdict, costs_alone if held else verdict.reason)
    _, deciding = decided(scored)
    estimate = deciding.value
    assert isinstance(estimate, Estimate)
    if estimate.design is None:
        return NoPower(verdict, "too few speakers for an interval: at least four are needed")
    parts = _parts(frames, deciding.part, estimate, noise)
    if not any((parts.speakers, parts.mixtures, parts.training)):
        return NoPower(verdict, "its scores do not vary: there is nothing to estimate from")
    rows = [row for row in _rows(deciding.part) if row in set(frames.runs["row"])]
    return ClaimPower(verdict, estimate, deciding.n_seeds, parts, cost(rows))


def _rows(part: Greater) -> list[str]:
    return list(dict.fromkeys(leaf.row for leaf in leaves(part) if isinstance(leaf, Cell)))


def _parts(frames: StudyFrames, part: Greater, estimate: Estimate, noise: float | None) -> Parts:
    assert estimate.design is not None
    values = estimate.values
    whole = _variance(estimate, len(values))
    speakers = min(whole, _variance(estimate, math.inf))
    seen = [apart.var(ddof=1) for apart in estimate.noise.values() if len(apart) > 1]
    alone = [weight for row, weight in _loads(frames, part).items() if _is_alone(frames, row)]
    training = (
        None
        if alone and noise is None
        else math.sqrt(float(sum(seen)) + sum((weight * (noise or 0.0)) ** 2 for weight in alone))
    )
    return Parts(math.sqrt(speakers), math.sqrt(whole - speakers), training, bool(alone))


def _variance(estimate: Estimate, mixtures: float) -> float:
    assert estimate.design is not None
    spread = estimate.design.spread(estimate.values, mixtures)
    return float(spread.weights @ spread.scales**2)


def _is_alone(frames: StudyFrames, row: str) -> bool:
    """Whether a row was trained once, of several times that it might have been."""
    runs = frames.runs[(frames.runs["row"] == row) & frames.runs["scored"].astype(bool)]
    return len(runs) < 2 and not (runs["kind"] == "weights").any()


def _loads(frames: StudyFrames, part: Greater) -> Mapping[str, float]:
    """How often the noise of a training of each row counts in a comparison.

    Depths of a row that are held against each other count as if each had a noise of its own, which
    is too much rather than too little: what all depths share cancels.
    """
    trained = {row.id: row.n_re_train for row in frames.plan.rows}
    weights = depth_weights(part, lambda leaf: leaf.n_re or (trained.get(leaf.row, 0),))
    by_row: dict[str, list[float]] = defaultdict(list)
    for (row, _), weight in weights.items():
        if row in trained:
            by_row[row].append(weight)
    return {row: max(abs(sum(each)), math.hypot(*each)) for row, each in by_row.items()}


def power_table(claims: Sequence[ClaimPower | NoPower]) -> pd.DataFrame:
    """One line for each claim, number of seeds and number of mixtures: `power.csv`."""
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
