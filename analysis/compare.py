"""Comparisons of a claim: what must be above 0, how sure it is, and what several say together."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tisdiss.analysis.detectable import detectable
from tisdiss.analysis.stats import LEVEL, Estimate
from tisdiss.analysis.verdict import Kind, Status
from tisdiss.records.expression import TIMED, Cell, Combined, Fact, Greater, Number, Value, leaves

Score = Estimate | float

LEAST_GAIN = 0.5
"""dB from N_re = 1 to the trained depth, from which on a model counts as using its depth."""
MOST_WORSE = 0.05
"""Share of mixtures that the trained depth may make worse than one repetition."""


@dataclass(frozen=True)
class Comparison:
    """What must be above 0, and how sure it is."""

    part: Greater
    value: Score
    n_seeds: int
    """Of the row that has fewest; 0 for what needs no score."""

    @property
    def mean(self) -> float:
        return self.value.mean if isinstance(self.value, Estimate) else self.value

    @property
    def interval(self) -> tuple[float, float]:
        """For people: NaN where there is none."""
        return self.value.interval() if isinstance(self.value, Estimate) else (np.nan, np.nan)

    @property
    def p(self) -> float:
        """Two-sided; NaN for what needs no score."""
        return self.value.p if isinstance(self.value, Estimate) else float("nan")

    @property
    def detectable(self) -> float:
        """The true difference that these seeds and mixtures would find; NaN without an interval."""
        spread = self.value.spread if isinstance(self.value, Estimate) else None
        return detectable(spread) if spread else float("nan")

    def ends(self, level: float) -> tuple[float, float]:
        """For a decision: what needs no score is above 0 or not, what has no interval is open."""
        if not isinstance(self.value, Estimate):
            exact = self.value if self.value > 0 else -np.inf
            return exact, exact
        low, high = self.value.interval(level)
        return (-np.inf, np.inf) if np.isnan(low) else (low, high)


def seeds(comparisons: list[Comparison]) -> list[int]:
    return [comparison.n_seeds for comparison in comparisons if comparison.n_seeds]


def combined(value: Combined, parts: list[Score]) -> Score:
    match value.how:
        case "+":
            return parts[0] + parts[1]
        case "-":
            return parts[0] - parts[1]
        case "*":
            factor, other = sorted(parts, key=lambda part: isinstance(part, Estimate))
            assert not isinstance(factor, Estimate)  # the language has no products of scores
            return other * factor
        case "max":
            return max(parts, key=_mean)
        case "min":
            return min(parts, key=_mean)


def _mean(value: Score) -> float:
    return value.mean if isinstance(value, Estimate) else value


def decided(comparisons: list[Comparison]) -> tuple[Status, Comparison]:
    """The status, and which comparison decided it: the one that is least above 0."""
    narrow = 1 - (1 - LEVEL) / len(comparisons)
    highs = [comparison.ends(narrow)[1] for comparison in comparisons]
    if min(highs) < 0:
        return "FAIL", comparisons[highs.index(min(highs))]
    lows = {at: one.ends(LEVEL)[0] for at, one in enumerate(comparisons)}
    least = min(lows, key=lambda at: (lows[at], comparisons[at].mean))
    return ("PASS" if lows[least] > 0 else "UNDECIDED"), comparisons[least]


def depth_weights(
    part: Greater, depths_of: Callable[[Cell], tuple[int, ...]]
) -> Mapping[tuple[str, int], float]:
    """How much each score (row, n_re) counts in what must be above 0."""
    weights: dict[tuple[str, int], float] = defaultdict(float)

    def add(value: Value, weight: float) -> None:
        if isinstance(value, Cell):
            depths = depths_of(value)
            for n_re in depths:
                weights[value.row, n_re] += weight / len(depths)
        elif isinstance(value, Combined):
            factors = [part.value for part in value.values if isinstance(part, Number)]
            scale = factors[0] if value.how == "*" and factors else 1.0
            if value.how in ("max", "min"):
                scale = 1 / len(value.values)
            for at, inner in enumerate(value.values):
                add(inner, -weight if value.how == "-" and at else weight * scale)

    add(part.left, 1.0)
    add(part.right, -1.0)
    return weights


def has_tolerance(part: Greater) -> bool:
    """Whether scores are compared with each other up to a constant."""
    return (_linear(part.left)[1] - _linear(part.right)[1]) != 0


def is_level(part: Greater) -> bool:
    """Whether scores or sizes are held against a plain number, rather than against each other."""
    left, right = _linear(part.left), _linear(part.right)
    weight, constant = left[0] - right[0], left[1] - right[1]
    return abs(weight) > 1e-9 and constant != 0


def _linear(value: Value) -> tuple[float, float]:
    """How often a value counts our own numbers, and the constant that it adds."""
    if isinstance(value, Number):
        return 0.0, value.value
    if not isinstance(value, Combined):
        return 1.0, 0.0
    parts = [_linear(part) for part in value.values]
    if value.how in "+-":
        sign = 1 if value.how == "+" else -1
        return parts[0][0] + sign * parts[1][0], parts[0][1] + sign * parts[1][1]
    if value.how == "*":
        factor = next(part.value for part in value.values if isinstance(part, Number))
        other = parts[1] if isinstance(value.values[0], Number) else parts[0]
        return factor * other[0], factor * other[1]
    return parts[0]


def kind_of(source: str, parts: Sequence[Greater]) -> Kind:
    """Whose sentence a claim is, and what decides it where it compares no scores."""
    named = [leaf for part in parts for leaf in leaves(part)]
    if not any(isinstance(leaf, Cell) for leaf in named):
        timed = any(isinstance(leaf, Fact) and leaf.name in TIMED for leaf in named)
        return "measured" if timed else "construction"
    return "ours" if source.startswith("ours") else "paper"
