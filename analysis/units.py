"""Units of what claims compare: of scores, parameters, multiply-adds, time and memory."""

import math
from dataclasses import dataclass

from tisdiss.records import names
from tisdiss.records.expression import Cell, Fact, Greater, leaves

_ROUNDING = 1e-9
"""What is closer to nothing is a rounding error."""


@dataclass(frozen=True)
class Unit:
    """How a quantity of an expression is shown."""

    name: str
    per_value: float = 1.0
    """What a 1 in an expression is in this unit."""
    digits: int = 1
    """At least so many are shown of what is no rounding error, however small."""

    def amount(self, value: float) -> str:
        """A number of an expression, as short as it was written."""
        return f"{value * self.per_value:g} {self.name}"


DECIBELS = Unit("dB")
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
_BY_NAME = {unit.name: unit for unit in (DECIBELS, *_OF_FACTS.values())}


def unit_of(part: Greater) -> Unit:
    """Decibels, unless only costs are compared."""
    kinds = list(leaves(part))
    if any(isinstance(leaf, Cell) for leaf in kinds):
        return DECIBELS
    return next((_OF_FACTS[leaf.name] for leaf in kinds if isinstance(leaf, Fact)), DECIBELS)


def signed(value: float, unit: str) -> str:
    """A difference with its sign: two decimals, or more where these would hide it."""
    if abs(value) < _ROUNDING:
        return "0"
    digits = _BY_NAME.get(unit, DECIBELS).digits
    rounded = float(f"{value:.{digits}g}")
    return f"{value:+.{max(2, digits - 1 - math.floor(math.log10(abs(rounded))))}f}"
