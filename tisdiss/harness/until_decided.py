"""Seeds in rounds until claims are decided: which are trained next, and when to stop.

Analysis says where claims stand (`records/seed_path.py`); this asks for the runs, the most
promising claim first, and looks again when all claims of a round have their seed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tisdiss.harness.runner import Outcome, Runner
from tisdiss.records.seed_path import ClaimPath, SeedPath

Look = Callable[[], Sequence[SeedPath]]
"""Where the claims of each study stand, by the runs that are finished."""
Train = Callable[[str, int, Sequence[str]], Mapping[str, Outcome]]
"""Bring rows of a study up to date at a seed; how each run ended."""


@dataclass(frozen=True)
class Deadline:
    """The hours that a person gives, from now on."""

    hours: float
    clock: Callable[[], float] = time.monotonic
    began: float = field(init=False)

    def __post_init__(self) -> None:
        if not 0 < self.hours < math.inf:
            raise ValueError(f"--max-hours {self.hours:g}: give a number above 0, such as 8 or 0.5")
        object.__setattr__(self, "began", self.clock())

    @property
    def left(self) -> float:
        """Seconds, none when it is over."""
        return max(0.0, self.hours * 3600 - (self.clock() - self.began))

    def over(self) -> bool:
        return self.left == 0

    @property
    def told(self) -> str:
        """What a command says that ends early."""
        over = f"the {self.hours:g} h are over" if self.over() else "stopped"
        return f"{over}; the same command goes on from here"

    def heeded_by(self, runner: Runner) -> Runner:
        """The runner, which saves and ends when the time is over."""
        return replace(
            runner,
            max_seconds=min(runner.max_seconds, self.left),
            stop=lambda: self.over() or runner.stop(),
        )


def until_decided(
    look: Look,
    train: Train,
    deadline: Deadline,
    show: Callable[[Sequence[SeedPath]], object],
) -> str:
    """Train and look until no claim asks for a seed, or why it ended before."""
    asked: list[tuple[str, ClaimPath]] = []
    while True:
        paths = look()
        show(paths)
        before, asked = asked, _asking(paths)
        if not asked:
            return "no claim asks for more seeds"
        if _seeds(asked) == _seeds(before):
            return "the last round changed nothing; `tisdiss status` shows its runs"
        for study, claim in asked:
            if deadline.over():
                return deadline.told
            assert claim.next_seed is not None
            outcomes = train(study, claim.next_seed, claim.rows)
            if "stopped" in outcomes.values():
                return deadline.told


def _asking(paths: Sequence[SeedPath]) -> list[tuple[str, ClaimPath]]:
    return [(path.study, claim) for path in paths for claim in path.open]


def _seeds(asked: Sequence[tuple[str, ClaimPath]]) -> set[tuple[str, str, int | None, int]]:
    return {(study, claim.claim, claim.next_seed, len(claim.looks)) for study, claim in asked}
