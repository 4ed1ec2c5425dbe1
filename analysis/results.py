"""What a study gave, in one object: frames, curves and verdicts, each computed once.

Tables, figures, pages and notebooks are all made from `Results`, so that they show equal numbers.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from tisdiss.analysis.breakdown import by_input_level, by_sex, change_per_step
from tisdiss.analysis.claims import decide
from tisdiss.analysis.frames import StudyFrames, load_saved, load_study
from tisdiss.analysis.stats import depth_curve, difference_curve
from tisdiss.records.names import REPORTED
from tisdiss.records.plan_record import StudyFile
from tisdiss.records.report_record import Verdict

SEED = 0
"""Of every bootstrap, so that a number is the same in a table, a figure and a page."""


@dataclass(frozen=True)
class Results:
    """A study at a profile; every part is computed when first asked for."""

    frames: StudyFrames

    @property
    def plan(self) -> StudyFile:
        """The study's plan."""
        return self.frames.plan

    @property
    def metrics(self) -> list[str]:
        """The scores that are shown, the study's own first."""
        lead = self.plan.show.y
        return [lead, *(metric for metric in REPORTED if metric != lead)]

    @cached_property
    def curves(self) -> dict[str, pd.DataFrame]:
        """`stats.depth_curve` of each score, over the runs that are there."""
        return {m: depth_curve(self.frames.scores, rng=_rng(), metric=m) for m in self.metrics}

    @property
    def against(self) -> str:
        """The row from which differences are drawn: the study's, or the first that has depths."""
        there = list(self.curve.loc[self.curve["n_re"] > 0, "row"].unique())
        named = self.plan.show.against
        return named if named and named in there else str(next(iter(there), ""))

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
        """The study's claims, decided."""
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
        """What each further pass changes in a mixture, by the leading score."""
        return change_per_step(self.frames.scores, metric=self.metrics[0])

    @property
    def has_depths(self) -> bool:
        """Whether any row was scored at more than one depth."""
        return bool((self.curve.groupby("row")["n_re"].nunique() > 1).any())


def results_of(study: str, profile: str, runs_dir: Path) -> Results:
    """The results of a study from its run folders.

    A ValueError says what to run when no run is scored.
    """
    frames = load_study(Path(runs_dir), study, profile)
    if not len(frames.scores):
        raise ValueError(
            f"no run of {study} is scored ({'; '.join(unscored(frames))}): run "
            f"`tisdiss run {study} --profile {profile}`"
        )
    return Results(frames)


def results_in(folder: Path) -> Results:
    """The results of a study from its report, without any run folder; a ValueError if none."""
    return Results(load_saved(folder))


def unscored(frames: StudyFrames) -> list[str]:
    """What is missing, run by run."""
    return [
        f"{run['row']}, seed {run['seed']} (run {run['identity'][:10]}): {run['status']}"
        + (f", {run['reason']}" if isinstance(run["reason"], str) else "")
        for run in frames.runs[~frames.runs["scored"]].to_dict("records")
    ]


def _rng() -> np.random.Generator:
    return np.random.default_rng(SEED)
