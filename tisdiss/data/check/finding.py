"""What a check found: a level, what was looked at, and the likely cause of what is wrong."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, nan
from typing import Literal

Level = Literal["PASS", "WARN", "FAIL"]
SHOWN = 3


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

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
    told = ", ".join(f"{counts[level]} {level}" for level in ("PASS", "WARN", "FAIL"))
    return f"{worst}: {len(findings)} checks, {told}"


def some(items: Sequence[str]) -> str:
    """The first few, and how many there are."""
    shown = "; ".join(items[:SHOWN])
    return f"{len(items)}, such as {shown}" if len(items) > SHOWN else shown


def mean(values: Sequence[float]) -> float:
    """Of those that are numbers: a silent source has no level."""
    known = [value for value in values if isfinite(value)]
    return sum(known) / len(known) if known else nan
