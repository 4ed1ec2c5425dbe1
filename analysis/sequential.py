"""Seeds until claims are decided: a group-sequential test that looks after each new seed.

Whoever looks at 5 % after every seed, and stops when it suits, errs far more often than in 5 % of
cases. So each look has a level of its own: the error is spent over the looks as O'Brien and Fleming
would (Lan and DeMets, 1983), k of at most K seeds being the fraction k / K of the information. The
levels are those of a Brownian motion, by numerical integration, and hold the p values of
`mixed_model.py`, which are those of t distributions: with few seeds that is an approximation. The
test material is the same at every look, which makes looks more alike than is assumed: that errs on
the safe side. Measured on 1000 simulated studies of two equal rows (`scripts/simulate_seeds.py`, at
most 10 seeds): 3.9 % were decided where none ended as futile, 3.0 % of 200 where they may.

A claim is FUTILE where the last look would decide it with a probability below 10 %, if its mean and
noise are what the seeds so far say, as far as they can tell. It may still be decided by seeds that
others ask for: the levels do not count on stopping.
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
"""Of all looks together, two-sided."""
FUTILE = 0.10
FIRST = 2
"""Seeds of the first look: one says nothing of the noise."""
_GRID = 801


@cache
def levels(most: int) -> Mapping[int, float]:
    """The two-sided level of the look at so many seeds, for at most `most` of them."""
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
    """Where the motion leaves with that probability at a look, of paths that are still inside."""

    def excess(bound: float) -> float:
        leaves = norm.sf(bound, at, step) + norm.cdf(-bound, at, step)
        return float(np.trapezoid(leaves * density, at)) - share

    return float(brentq(excess, 0.0, 8.0))


@dataclass(frozen=True)
class Test:
    """A claim at a look."""

    comparisons: Sequence[Comparison]
    most: int
    """Seeds, at most."""

    @property
    def seeds(self) -> int:
        """Of the row that has fewest."""
        return min(one.n_seeds for one in self.comparisons if one.n_seeds)

    @property
    def level(self) -> float:
        return levels(self.most)[min(self.seeds, self.most)]

    @property
    def outcome(self) -> Outcome:
        """PASS or FAIL as in `claims.py`, at the level of the look."""
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
        """For people and for the record."""
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
    """Whether something is above 0 at a level; what needs no score has no p value."""
    return mean > 0 and not p > level


def conditional_power(estimate: Estimate, seeds: int, most: int) -> float:
    """Averaged over where the mean of `most` seeds may lie, as the present ones tell.

    The test material stays: that part of the mean does not change.
    """
    assert estimate.design is not None
    noise = math.sqrt(sum(float(apart.var(ddof=1)) for apart in estimate.noise.values()))
    test = estimate.design.spread(estimate.values)
    width = Precision(test, noise).half_width(most, 1 - levels(most)[most])
    apart = noise * math.sqrt(max(0.0, 1 / seeds - 1 / most))
    if not apart:
        return float(abs(estimate.mean) > width)
    ends = (np.array([width, -width]) - estimate.mean) / apart
    return float(t.sf(ends[0], seeds - 1) + t.cdf(ends[1], seeds - 1))


def _estimate(comparison: Comparison) -> Estimate:
    assert isinstance(comparison.value, Estimate)
    return comparison.value


def seed_path(
    runs_dir: Path, study: str, profile: str, before: SeedPath | None, most: int
) -> SeedPath:
    """Where the claims of a study stand, after what earlier looks have seen."""
    return path_of(load_study(runs_dir, study, profile), before, most)


def path_of(frames: StudyFrames, before: SeedPath | None, most: int) -> SeedPath:
    """The same of frames. ValueError where earlier looks counted on another number of seeds."""
    plan = frames.plan
    if not plan.claims:
        raise ValueError(f"study {plan.study!r} has no claims: there is nothing to decide")
    if before and before.study_hash != plan.study_hash:
        before = None  # another study by the same name
    if before and before.max_seeds != most:
        raise ValueError(
            f"--max-seeds {most}: the test of {plan.study} at profile {plan.profile} began "
            f"with {before.max_seeds}, which its levels count on; go on with that"
        )
    known = {claim.claim: claim for claim in before.claims} if before else {}
    pairs = zip(decide(frames), evidence(frames), strict=True)
    claims = [_claim(frames, verdict, held, known.get(verdict.id), most) for verdict, held in pairs]
    return SeedPath(
        schema=1,
        study=plan.study,
        profile=plan.profile,
        study_hash=plan.study_hash,
        max_seeds=most,
        claims=claims,
    )


def _claim(
    frames: StudyFrames,
    verdict: Verdict,
    held: list[Comparison],
    before: ClaimPath | None,
    most: int,
) -> ClaimPath:
    if before and before.expr != verdict.expr:
        before = None  # another claim by the same name
    if before and before.outcome in ("PASS", "FAIL"):
        return before
    looks = list(before.looks) if before else []
    own = {row.id: row for row in frames.plan.rows}
    named = (leaf.row for one in held for leaf in leaves(one.part) if isinstance(leaf, Cell))
    rows = [row for row in dict.fromkeys(named) if row in own]
    path = ClaimPath(claim=verdict.id, expr=verdict.expr, rows=rows, outcome="NOT ASKED")
    begun = before is not None and before.begun
    if reason := _no_seed_helps(frames, verdict, held, rows, begun=begun):
        return path.model_copy(update={"looks": looks, "reason": reason, "begun": begun})
    test, outcome = Test(held, most), "OPEN"
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
    held: list[Comparison],
    rows: list[str],
    *,
    begun: bool,
) -> str:
    """Why a claim asks for no seed; empty where it may."""
    if verdict.status in ("MISSING", "NOT TESTABLE HERE"):
        return f"{verdict.status}: {verdict.reason}"
    scored = [one.value for one in held if isinstance(one.value, Estimate)]
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
    """The first seed that some row lacks and another has, or else the first that none has."""
    every = sorted({seed for seeds in planned for seed in seeds})
    lacked = [seed for seed in every if any(seed not in seeds for seeds in planned)]
    new = next(seed for seed in range(len(every) + 1) if seed not in every)
    return lacked[0] if lacked else new
