"""Units of the quantities in claims: scores, parameters, multiply-adds, time and memory."""

import math
from dataclasses import dataclass

from tisdiss.records import names
from tisdiss.records.expression import Cell, Fact, Greater, leaves

_ROUNDING = 1e-9
"""Smaller values are rounding errors."""


@dataclass(frozen=True)
class Unit:
    """The unit of a quantity, and its format."""

    name: str
    per_value: float = 1.0
    """The value of 1, as in an expression, in this unit."""
    digits: int = 1
    """Fewest significant digits to show."""

    def amount(self, value: float) -> str:
        """A number of an expression with its unit, without trailing zeros."""
        return f"{value * self.per_value:g} {self.name}".rstrip()


DECIBELS = Unit("dB")
OPINION = Unit("MOS")
INDEX = Unit("", digits=2)
"""Of scores between 0 and 1."""
PARAMETERS = Unit("M parameters", digits=3)
MULTIPLY_ADDS = Unit("GMAC/s", per_value=1e-3, digits=3)
TIMES_REAL_TIME = Unit("s per s of sound", digits=3)
MEGABYTES = Unit("MB", digits=3)
_OF_FACTS = {
    names.PARAMS: PARAMETERS,
    names.MACS: MULTIPLY_ADDS,
    names.RTF: TIMES_REAL_TIME,
    names.MEMORY: MEGABYTES,
}
_OF_SCORES = {unit.name: unit for unit in (DECIBELS, OPINION, INDEX)}
_BY_NAME = _OF_SCORES | {unit.name: unit for unit in _OF_FACTS.values()}


def unit_of(part: Greater) -> Unit:
    """The unit of a comparison: that of its scores, else that of its costs, else decibels."""
    operands = list(leaves(part))
    scores = [leaf.metric for leaf in operands if isinstance(leaf, Cell)]
    if scores:
        return _OF_SCORES[names.score_unit(scores[0])]
    return next((_OF_FACTS[leaf.name] for leaf in operands if isinstance(leaf, Fact)), DECIBELS)


def signed(value: float, unit: str) -> str:
    """A difference with its sign: two decimals, or more for a small one."""
    if abs(value) < _ROUNDING:
        return "0"
    digits = _BY_NAME.get(unit, DECIBELS).digits
    rounded = float(f"{value:.{digits}g}")
    return f"{value:+.{max(2, digits - 1 - math.floor(math.log10(abs(rounded))))}f}"
