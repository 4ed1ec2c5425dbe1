"""Findings of checks: a level, the check, a message, and the likely cause of a problem."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, nan
from typing import Literal

Level = Literal["PASS", "WARN", "FAIL"]
SHOWN = 3


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    level: Level
    check: str
    message: str
    cause: str = ""

    def __str__(self) -> str:
        cause = f"\n     likely cause: {self.cause}" if self.cause else ""
        return f"{self.level} {self.check}: {self.message}{cause}"


def failed(findings: Sequence[Finding]) -> bool:
    """Whether the command ends with an error."""
    return any(finding.level == "FAIL" for finding in findings)


def summary(findings: Sequence[Finding]) -> str:
    """The worst level and the counts, for the last line."""
    counts = Counter(finding.level for finding in findings)
    worst = next(level for level in ("FAIL", "WARN", "PASS") if counts[level] or level == "PASS")
    parts = ", ".join(f"{counts[level]} {level}" for level in ("PASS", "WARN", "FAIL"))
    return f"{worst}: {len(findings)} checks, {parts}"


def some(items: Sequence[str]) -> str:
    """The first few items, with the total if there are more."""
    shown = "; ".join(items[:SHOWN])
    return f"{len(items)}, such as {shown}" if len(items) > SHOWN else shown


def mean(values: Sequence[float]) -> float:
    """The mean of the finite values, because a silent source has no level."""
    finite = [value for value in values if isfinite(value)]
    return sum(finite) / len(finite) if finite else nan
