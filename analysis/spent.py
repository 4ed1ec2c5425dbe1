"""The cost of finished runs: seconds of training and of evaluation, for one seed of some rows.

A run or a parent that several rows share counts once. Times are those of the machines that ran
them, whatever else these machines did.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import pandas as pd

from tisdiss.records.run_folder import RunFolder


@dataclass(frozen=True)
class Spent:
    """Seconds for one seed."""

    training: float
    evaluation: float

    def hours(self, seeds: int, more_mixtures: float) -> float:
        """Hours for a number of seeds, scored on `more_mixtures` times the mixtures."""
        return seeds * (self.training + more_mixtures * self.evaluation) / 3600


def spent(runs_dir: Path, runs: pd.DataFrame, rows: Iterable[str]) -> Spent | None:
    """The cost from the runs of `StudyFrames`; None if a row has no finished run with a time."""
    training = evaluation = 0.0
    for own, identities in _groups(runs_dir, runs[runs["row"].isin(list(rows))]):
        times = [_training(runs_dir, identity) for identity in identities]
        recorded = [seconds for seconds in times if seconds is not None]
        if not recorded:
            return None
        training += mean(recorded)
        evaluation += mean(_evaluation(runs_dir, run) for run in own) if own else 0.0
    return Spent(training, evaluation)


_Run = tuple[str, str]
"""The identities of a run and of its evaluation."""


def _groups(runs_dir: Path, runs: pd.DataFrame) -> list[tuple[list[_Run], tuple[str, ...]]]:
    """The runs of each row (all its seeds) and of each parent, each group once."""
    scored = runs[runs["scored"].astype(bool)]
    rows = [
        list(zip(row["identity"], row["evaluation"], strict=True))
        for _, row in scored.groupby("row", sort=False)
    ]
    groups: dict[tuple[str, ...], list[_Run]] = {}
    for own in rows:
        groups.setdefault(tuple(sorted(identity for identity, _ in own)), own)
    pending = list(groups)
    while pending:
        parents = {_parent(runs_dir, identity) for identity in pending.pop()} - {""}
        if parents and (key := tuple(sorted(parents))) not in groups:
            groups[key] = []
            pending.append(key)
    return [(own, identities) for identities, own in groups.items()]


def _parent(runs_dir: Path, identity: str) -> str:
    config = RunFolder.of(runs_dir, identity).config()
    return (config.parent if config else None) or ""


def _training(runs_dir: Path, identity: str) -> float | None:
    """Seconds of a training, None if not recorded; 0 for shipped weights."""
    result = RunFolder.of(runs_dir, identity).result()
    return 0.0 if result.status == "imported" else result.seconds


def _evaluation(runs_dir: Path, run: _Run) -> float:
    evaluation = RunFolder.of(runs_dir, run[0]).scored(run[1])
    return (evaluation.seconds if evaluation else None) or 0.0
