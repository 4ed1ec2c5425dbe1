"""Comparisons of a claim: their values, their intervals, and the status that they give together."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tisdiss.analysis.detectable import detectable
from tisdiss.analysis.stats import Estimate
from tisdiss.records.expression import TIMED, Cell, Combined, Fact, Greater, Number, Value, leaves
from tisdiss.records.report_record import Kind

Score = Estimate | float
Leaf = Number | Cell | Fact
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Comparison:
    """A quantity that must be above 0, with its interval."""

    part: Greater
    value: Score
    n_seeds: int
    """The smallest number of seeds of its rows; 0 if it needs no score."""

    @property
    def mean(self) -> float:
        return self.value.mean if isinstance(self.value, Estimate) else self.value

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval to show; NaN if there is none."""
        return self.value.interval() if isinstance(self.value, Estimate) else (np.nan, np.nan)

    @property
    def p(self) -> float:
        """The two-sided p value; NaN if the comparison needs no score."""
        return self.value.p if isinstance(self.value, Estimate) else float("nan")

    @property
    def detectable(self) -> float:
        """The true difference that these seeds and mixtures find in 80 % of cases, in dB.

        NaN without an interval.
        """
        spread = self.value.spread if isinstance(self.value, Estimate) else None
        return detectable(spread) if spread else float("nan")

    def ends(self, level: float) -> tuple[float, float]:
        """The interval for a decision.

        A comparison without scores is exact: both ends are its value, or -inf if it is not above 0.
        A comparison of scores without an interval has the ends -inf and inf.
        """
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


def depth_weights(
    part: Greater, depths_of: Callable[[Cell], tuple[int, ...]]
) -> Mapping[tuple[str, int], float]:
    """The weight of each score (row, n_re) in a comparison's value."""
    weights: dict[tuple[str, int], float] = defaultdict(float)
    for leaf, weight in _weighted(part):
        if isinstance(leaf, Cell):
            depths = depths_of(leaf)
            for n_re in depths:
                weights[leaf.row, n_re] += weight / len(depths)
    return weights


def has_tolerance(part: Greater) -> bool:
    """Whether scores are compared with each other up to a constant."""
    return abs(_constant(part)) > _ROUNDING


def is_level(part: Greater) -> bool:
    """Whether scores or sizes are compared with a plain number, rather than with each other."""
    ours = sum(weight for leaf, weight in _weighted(part) if not isinstance(leaf, Number))
    return abs(ours) > _ROUNDING and has_tolerance(part)


def _constant(part: Greater) -> float:
    """The sum of the plain numbers in a comparison's value."""
    numbers = ((leaf, weight) for leaf, weight in _weighted(part) if isinstance(leaf, Number))
    return sum(weight * number.value for number, weight in numbers)


def _weighted(part: Greater) -> Iterator[tuple[Leaf, float]]:
    """Each number, cell and fact of a comparison, with its weight in left - right."""
    yield from _leaves_of(part.left, 1.0)
    yield from _leaves_of(part.right, -1.0)


def _leaves_of(value: Value, weight: float) -> Iterator[tuple[Leaf, float]]:
    if not isinstance(value, Combined):
        yield value, weight
        return
    for inner, share in _shares(value):
        yield from _leaves_of(inner, weight * share)


def _shares(value: Combined) -> list[tuple[Value, float]]:
    """The parts of a value with their weights; the parts of a max or min have equal weights."""
    match value.how:
        case "+":
            return [(inner, 1.0) for inner in value.values]
        case "-":
            return list(zip(value.values, (1.0, -1.0), strict=True))
        case "*":
            first, second = value.values
            if isinstance(first, Number):
                return [(second, first.value)]
            assert isinstance(second, Number)  # the language has no products of scores
            return [(first, second.value)]
        case "max" | "min":
            return [(inner, 1 / len(value.values)) for inner in value.values]


def kind_of(source: str, parts: Sequence[Greater]) -> Kind:
    """The kind of a claim: the paper's, ours, or without scores."""
    operands = [leaf for part in parts for leaf in leaves(part)]
    if not any(isinstance(leaf, Cell) for leaf in operands):
        has_time = any(isinstance(leaf, Fact) and leaf.name in TIMED for leaf in operands)
        return "measured" if has_time else "construction"
    return "ours" if source.startswith("ours") else "paper"
