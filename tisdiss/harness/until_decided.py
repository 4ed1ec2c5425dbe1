"""Trains seeds in rounds until claims are decided.

Analysis reports the state of claims (`records/seed_path.py`). This module trains the seeds that
they request, the most promising claim first, and looks again after each round.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tisdiss.harness.runner import Outcome, Runner
from tisdiss.records.seed_path import ClaimPath, SeedPath

Look = Callable[[], Sequence[SeedPath]]
"""Returns the state of each study's claims, from finished runs."""
Train = Callable[[str, int, Sequence[str]], Mapping[str, Outcome]]
"""Brings rows of a study up to date at a seed; returns outcomes by identity."""


@dataclass(frozen=True)
class Deadline:
    """A time limit in hours, from its creation."""

    hours: float
    clock: Callable[[], float] = time.monotonic
    began: float = field(init=False)

    def __post_init__(self) -> None:
        if not 0 < self.hours < math.inf:
            raise ValueError(f"--max-hours {self.hours:g}: give a number above 0, such as 8 or 0.5")
        object.__setattr__(self, "began", self.clock())

    @property
    def left(self) -> float:
        """The seconds that are left."""
        return max(0.0, self.hours * 3600 - (self.clock() - self.began))

    def over(self) -> bool:
        return self.left == 0

    @property
    def told(self) -> str:
        """The message of a command that ends early."""
        over = f"the {self.hours:g} h are over" if self.over() else "stopped"
        return f"{over}; the same command continues from here"

    def heeded_by(self, runner: Runner) -> Runner:
        """The runner, made to save and end when the time is over."""
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
    """Train and look until no claim requests a seed; returns why it ended."""
    requests: list[tuple[str, ClaimPath]] = []
    while True:
        paths = look()
        show(paths)
        before, requests = requests, _requests(paths)
        if not requests:
            return "no claim requests more seeds"
        if _seeds(requests) == _seeds(before):
            return "the last round changed nothing; `tisdiss status` shows its runs"
        for study, claim in requests:
            if deadline.over():
                return deadline.told
            assert claim.next_seed is not None
            outcomes = train(study, claim.next_seed, claim.rows)
            if "stopped" in outcomes.values():
                return deadline.told


def _requests(paths: Sequence[SeedPath]) -> list[tuple[str, ClaimPath]]:
    return [(path.study, claim) for path in paths for claim in path.open]


def _seeds(requests: Sequence[tuple[str, ClaimPath]]) -> set[tuple[str, str, int | None, int]]:
    return {(study, claim.claim, claim.next_seed, len(claim.looks)) for study, claim in requests}
