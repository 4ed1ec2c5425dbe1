"""The results of a study in one object: frames, curves and verdicts, each computed once.

Tables, figures, pages and notebooks are all made from `Results`, so they show the same numbers.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from tisdiss.analysis.breakdown import (
    adaptive,
    by_input_level,
    by_mixture,
    by_sex,
    change_per_step,
)
from tisdiss.analysis.claims import decide
from tisdiss.analysis.frames import StudyFrames, load_saved, load_study
from tisdiss.analysis.stats import depth_curve, difference_curve
from tisdiss.records.identity import short
from tisdiss.records.names import QUALITY, REPORTED
from tisdiss.records.plan_record import StudyFile
from tisdiss.records.report_record import Verdict

SEED = 0
"""Seed of every bootstrap, so that a number is the same in a table, a figure and a page."""


@dataclass(frozen=True)
class Results:
    """The results of a study at a profile; every part is computed on first access."""

    frames: StudyFrames

    @property
    def plan(self) -> StudyFile:
        """The study's plan."""
        return self.frames.plan

    @property
    def metrics(self) -> list[str]:
        """The scores to show; the one that the study names is first, those of quality are last."""
        lead = self.plan.show.y
        further = (*REPORTED, *(score for score in QUALITY if score in self.frames.scores))
        return [lead, *(metric for metric in further if metric != lead)]

    @cached_property
    def curves(self) -> dict[str, pd.DataFrame]:
        """`stats.depth_curve` of each score, over the finished runs."""
        return {m: depth_curve(self.frames.scores, rng=_rng(), metric=m) for m in self.metrics}

    @property
    def against(self) -> str:
        """The row of reference for differences: the study's `against`, or the first with N_re."""
        rows = list(self.curve.loc[self.curve["n_re"] > 0, "row"].unique())
        against = self.plan.show.against
        return against if against and against in rows else str(next(iter(rows), ""))

    @cached_property
    def differences(self) -> dict[str, pd.DataFrame]:
        """`stats.difference_curve` of each score from the row `against`."""
        scores = self.frames.scores
        return {m: difference_curve(scores, self.against, metric=m) for m in self.metrics}

    @property
    def curve(self) -> pd.DataFrame:
        """The curve of the leading score."""
        return self.curves[self.metrics[0]]

    @cached_property
    def verdicts(self) -> list[Verdict]:
        """The verdicts on the study's claims."""
        return decide(self.frames)

    @cached_property
    def difficulty(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The leading score by input level, and by the sexes in a mixture."""
        scores, metric = self.frames.scores, self.metrics[0]
        return (
            by_input_level(scores, rng=_rng(), metric=metric),
            by_sex(scores, rng=_rng(), metric=metric),
        )

    @cached_property
    def change(self) -> pd.DataFrame:
        """The change of the leading score by each further pass."""
        return change_per_step(self.frames.scores, metric=self.metrics[0])

    @cached_property
    def adaptive(self) -> pd.DataFrame:
        """The leading score at depths that adapt to each mixture."""
        return adaptive(self.frames.scores, metric=self.metrics[0])

    @cached_property
    def spread(self) -> pd.DataFrame:
        """The leading score of each mixture."""
        return by_mixture(self.frames.scores, metric=self.metrics[0])

    @property
    def has_depths(self) -> bool:
        """Whether any row was scored at more than one depth."""
        return bool((self.curve.groupby("row")["n_re"].nunique() > 1).any())


def results_of(study: str, profile: str, runs_dir: Path) -> Results:
    """The results of a study from its run folders.

    ValueError says what to run if no run is scored.
    """
    frames = load_study(Path(runs_dir), study, profile)
    if not len(frames.scores):
        raise ValueError(
            f"no run of {study} is scored ({'; '.join(unscored(frames))}): run "
            f"`tisdiss run {study} --profile {profile}`"
        )
    return Results(frames)


def results_in(folder: Path) -> Results:
    """The results of a study from its report, without run folders; ValueError without a report."""
    return Results(load_saved(folder))


def unscored(frames: StudyFrames) -> list[str]:
    """One line for each run without scores, with the reason."""
    return [
        f"{run['row']}, seed {run['seed']} (run {short(run['identity'])}): {run['status']}"
        + (f", {run['reason']}" if isinstance(run["reason"], str) else "")
        for run in frames.runs[~frames.runs["scored"]].to_dict("records")
    ]


def _rng() -> np.random.Generator:
    return np.random.default_rng(SEED)
