"""Seeds until claims are decided: a group-sequential test that looks at the data after each seed.

A test at 5 % after every seed, with a stop at the first significant one, errs far more often than
in 5 % of cases. Each look therefore has its own level, from O'Brien and Fleming's error-spending
function (Lan and DeMets, 1983); k of at most K seeds are the fraction k / K of the information. The
levels are computed for a Brownian motion by numerical integration. They are compared with the p
values of `mixed_model.py`, which are those of t distributions; with few seeds that is an
approximation. All looks share the test material, so they are more correlated than assumed; that
makes the test conservative. Of 1000 simulated studies of two equal rows with at most 10 seeds
(`scripts/simulate_seeds.py`), 3.9 % were decided without stopping for futility; with it, 3.0 % of
200.

A claim is FUTILE if the last look would decide it with a probability below 10 %, given the mean and
noise of the seeds so far. Seeds that other claims ask for can still decide it, because the levels
do not depend on stopping for futility.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm, t

from tisdiss.analysis.claims import decide, evidence
from tisdiss.analysis.compare import Comparison
from tisdiss.analysis.detectable import Precision
from tisdiss.analysis.frames import StudyFrames, load_study
from tisdiss.analysis.stats import Estimate
from tisdiss.records.expression import Cell, leaves
from tisdiss.records.report_record import Verdict
from tisdiss.records.seed_path import ClaimPath, Look, Outcome, SeedPath

ALPHA = 0.05
"""Two-sided level of all looks together."""
FUTILE = 0.10
"""A claim is futile below this conditional power."""
FIRST = 2
"""Number of seeds at the first look; one seed cannot estimate the noise."""
_GRID = 801


@cache
def levels(most: int) -> Mapping[int, float]:
    """The two-sided level of the look at each number of seeds, for at most `most` seeds."""
    fractions = np.arange(FIRST, most + 1) / most
    spent = 4 * norm.sf(norm.isf(ALPHA / 4) / np.sqrt(fractions))
    bounds = [norm.isf(spent[0] / 2) * math.sqrt(fractions[0])]
    at, density = _points(bounds[0]), None
    for before, now, share in zip(fractions, fractions[1:], np.diff(spent), strict=False):
        if density is None:
            density = norm.pdf(at, scale=math.sqrt(before))
        step = math.sqrt(now - before)
        bounds.append(_bound(at, density, step, share))
        to = _points(bounds[-1])
        density = np.trapezoid(norm.pdf(to[:, None], at, step) * density, at, axis=1)
        at = to
    pairs = zip(fractions, bounds, strict=True)
    by_look = [float(2 * norm.sf(bound / math.sqrt(now))) for now, bound in pairs]
    return dict(zip(range(FIRST, most + 1), by_look, strict=True))


def _points(bound: float) -> np.ndarray:
    return np.linspace(-bound, bound, _GRID)


def _bound(at: np.ndarray, density: np.ndarray, step: float, share: float) -> float:
    """The bound that the motion crosses with probability `share` at the next look.

    `density` is that of paths at `at` which have crossed no earlier bound; `step` is the standard
    deviation of the motion until the next look.
    """

    def excess(bound: float) -> float:
        leaves = norm.sf(bound, at, step) + norm.cdf(-bound, at, step)
        return float(np.trapezoid(leaves * density, at)) - share

    return float(brentq(excess, 0.0, 8.0))


@dataclass(frozen=True)
class Test:
    """A claim at a look."""

    comparisons: Sequence[Comparison]
    most: int
    """Largest number of seeds."""

    @property
    def seeds(self) -> int:
        """The smallest number of seeds of its rows."""
        return min(one.n_seeds for one in self.comparisons if one.n_seeds)

    @property
    def level(self) -> float:
        return levels(self.most)[min(self.seeds, self.most)]

    @property
    def outcome(self) -> Outcome:
        """PASS or FAIL as in `claims.py`, but at the level of the look; else why it is neither."""
        several = len(self.comparisons)
        if any(_is_above(-one.mean, one.p, self.level / several) for one in self.comparisons):
            return "FAIL"
        if all(_is_above(one.mean, one.p, self.level) for one in self.comparisons):
            return "PASS"
        if self.seeds >= self.most:
            return "UNDECIDED"
        return "FUTILE" if self.power < FUTILE else "OPEN"

    @property
    def least(self) -> Comparison:
        """The comparison of scores that is least above 0."""
        scored = [one for one in self.comparisons if isinstance(one.value, Estimate)]
        return min(scored, key=lambda one: math.copysign(1 - one.p, one.mean))

    @property
    def power(self) -> float:
        """The probability that the last look decides."""
        return conditional_power(_estimate(self.least), self.seeds, self.most)

    def look(self) -> Look:
        """The record of the look."""
        low, high = self.least.interval
        return Look(
            seeds=self.seeds,
            difference=self.least.mean,
            low=low,
            high=high,
            p=self.least.p,
            level=self.level,
            power=self.power,
        )


def _is_above(mean: float, p: float, level: float) -> bool:
    """Whether a mean is above 0 at a level; a comparison without scores has a p value of NaN."""
    return mean > 0 and not p > level


def conditional_power(estimate: Estimate, seeds: int, most: int) -> float:
    """The probability that the look at `most` seeds decides, given the present seeds.

    It averages over the predictive distribution of the mean of `most` seeds. The test material does
    not change, so only the seeds contribute to that distribution.
    """
    assert estimate.design is not None
    noise = math.sqrt(sum(float(deviations.var(ddof=1)) for deviations in estimate.noise.values()))
    test = estimate.design.spread(estimate.values)
    width = Precision(test, noise).half_width(most, 1 - levels(most)[most])
    scale = noise * math.sqrt(max(0.0, 1 / seeds - 1 / most))
    if not scale:
        return float(abs(estimate.mean) > width)
    ends = (np.array([width, -width]) - estimate.mean) / scale
    return float(t.sf(ends[0], seeds - 1) + t.cdf(ends[1], seeds - 1))


def _estimate(comparison: Comparison) -> Estimate:
    assert isinstance(comparison.value, Estimate)
    return comparison.value


def seed_path(
    runs_dir: Path, study: str, profile: str, before: SeedPath | None, most: int
) -> SeedPath:
    """The state of a study's claims after earlier looks and the present one."""
    return path_of(load_study(runs_dir, study, profile), before, most)


def path_of(frames: StudyFrames, before: SeedPath | None, most: int) -> SeedPath:
    """The same from frames. ValueError if earlier looks had another largest number of seeds."""
    plan = frames.plan
    if not plan.claims:
        raise ValueError(f"study {plan.study!r} has no claims: there is nothing to decide")
    if before and before.study_hash != plan.study_hash:
        before = None  # another study of the same name
    if before and before.max_seeds != most:
        raise ValueError(
            f"--max-seeds {most}: the test of {plan.study} at profile {plan.profile} began "
            f"with {before.max_seeds}, and its levels depend on that; use --max-seeds "
            f"{before.max_seeds}"
        )
    paths = {claim.claim: claim for claim in before.claims} if before else {}
    pairs = zip(decide(frames), evidence(frames), strict=True)
    claims = [
        _claim(frames, verdict, comparisons, paths.get(verdict.id), most)
        for verdict, comparisons in pairs
    ]
    return SeedPath(
        study=plan.study,
        profile=plan.profile,
        study_hash=plan.study_hash,
        max_seeds=most,
        claims=claims,
    )


def _claim(
    frames: StudyFrames,
    verdict: Verdict,
    comparisons: list[Comparison],
    before: ClaimPath | None,
    most: int,
) -> ClaimPath:
    if before and before.expr != verdict.expr:
        before = None  # another claim of the same name
    if before and before.outcome in ("PASS", "FAIL"):
        return before
    looks = list(before.looks) if before else []
    own = {row.id: row for row in frames.plan.rows}
    cells = (leaf for one in comparisons for leaf in leaves(one.part) if isinstance(leaf, Cell))
    rows = [row for row in dict.fromkeys(cell.row for cell in cells) if row in own]
    path = ClaimPath(claim=verdict.id, expr=verdict.expr, rows=rows, outcome="NOT ASKED")
    begun = before is not None and before.begun
    if reason := _no_seed_helps(frames, verdict, comparisons, rows, begun=begun):
        return path.model_copy(update={"looks": looks, "reason": reason, "begun": begun})
    test, outcome = Test(comparisons, most), "OPEN"
    if test.seeds >= FIRST:
        outcome = test.outcome
        if not looks or looks[-1].seeds < test.seeds:
            looks.append(test.look())
    seed = _next_seed([own[row].planned_seeds for row in rows]) if outcome == "OPEN" else None
    return path.model_copy(
        update={"outcome": outcome, "looks": looks, "next_seed": seed, "begun": True}
    )


def _no_seed_helps(
    frames: StudyFrames,
    verdict: Verdict,
    comparisons: list[Comparison],
    rows: list[str],
    *,
    begun: bool,
) -> str:
    """The reason why a claim asks for no seed; empty if it may ask for one."""
    if verdict.status in ("MISSING", "NOT TESTABLE HERE"):
        return f"{verdict.status}: {verdict.reason}"
    scored = [one.value for one in comparisons if isinstance(one.value, Estimate)]
    if not scored:
        return f"{verdict.status}: it compares no scores"
    if any(value.design is None for value in scored):
        return "too few speakers for an interval: at least four are needed"
    weights = frames.runs[frames.runs["kind"] == "weights"]["row"]
    if fixed := [row for row in rows if row in set(weights)]:
        return f"{verdict.status}: {', '.join(fixed)} are weights that were trained once"
    if verdict.status in ("PASS", "FAIL") and not begun:
        return f"{verdict.status} by {verdict.n_seeds} seeds before the first look"
    return ""


def _next_seed(planned: list[list[int]]) -> int:
    """The first seed that only some of the rows have; without one, the first that none has."""
    every = sorted({seed for seeds in planned for seed in seeds})
    partial = [seed for seed in every if any(seed not in seeds for seeds in planned)]
    new = next(seed for seed in range(len(every) + 1) if seed not in every)
    return partial[0] if partial else new
