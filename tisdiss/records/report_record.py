"""The record of a report's provenance: the origin of every number."""

from __future__ import annotations

import os
from math import nan
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from tisdiss.records.files import read_object
from tisdiss.records.names import PROVENANCE
from tisdiss.records.plan_record import Expression, StudyFile
from tisdiss.records.reading import check_schema, checked
from tisdiss.records.record import Count, Digits, Measured, Number, Record
from tisdiss.records.run_record import SettingsPart

PROVENANCE_SCHEMA = 2

Status = Literal["PASS", "FAIL", "ONE TRAINING", "UNDECIDED", "NOT TESTABLE HERE", "MISSING"]
Kind = Literal["paper", "ours", "construction", "measured"]
"""The kind of a claim: about scores and from the paper, or ours; "construction": about sizes and
counted costs, known before training; "measured": about time or memory on one machine."""


class RunLine(Record):
    """A planned run, from the plan and the run's files."""

    row: str
    label: str | None = None
    name: str | None = None
    kind: str | None = None
    corpus: str | None = None
    params: int | None = None
    seed: int
    identity: Digits
    evaluation: Digits
    status: str
    reason: str | None = None
    scored: bool
    steps: Count | None = None
    epochs: Count | None = None
    seconds: Number | None = None
    test_manifest: str | None = None
    code_hash: str | None = None
    code_scope: int | None = None
    code_files: dict[str, str] | None = None
    commit: str | None = None
    later_commits: str | None = None
    dirty: bool | None = None
    config: SettingsPart | None = None


class ReportRun(RunLine):
    """A planned run in a report."""

    planned_steps: int | None = None
    """Number of updates of a training that runs all its epochs."""
    commit_in_history: bool | None = None
    """Whether the commit is in the local Git history; None if unknown."""


def _as_now(status: object) -> object:
    return "UNDECIDED" if status == "NOT SIGNIFICANT" else status  # the term of earlier versions


class Verdict(Record):
    """A claim and its status.

    `difference`, `low` and `high` are the value and interval of the deciding comparison, in `unit`;
    they are NaN if they could not be computed. `reason` says why there is no decision, or has the
    caveats of one.
    """

    study: str
    id: str
    expr: Expression
    source: str
    status: Annotated[Status, BeforeValidator(_as_now)]
    reason: str = ""
    difference: Measured = nan
    low: Measured = nan
    high: Measured = nan
    unit: str = "dB"
    n_mixtures: Count = 0
    n_speakers: Count = 0
    n_seeds: Count = 0
    says: str = ""
    """The claim as a sentence; verdicts of earlier reports have none."""
    most_seeds: Count = 0
    """The largest number of seeds of a row; `n_seeds` is the smallest."""
    p: Measured = nan
    """The two-sided p value of the deciding comparison; NaN if it needs no score."""
    p_holm: Measured = nan
    """The same, corrected for all claims of the study (Holm, 1979)."""
    kind: Kind = "paper"
    same_as: str = ""
    """Another claim (study/id) that says the same and is counted for both."""


class ReportCell(Record):
    """A score of a report."""

    mean: Number | None
    interval: Annotated[list[Number | None], Field(min_length=2, max_length=2)]
    seed_sd: Number | None = None
    n_mixtures: Count
    n_speakers: Count
    n_missing: Count = 0
    seeds: list[int]
    evaluations: list[str] = Field(default=[])
    runs: list[str]


class Interval(Record):
    """How the confidence intervals of a report were computed."""

    level: Number | None = None
    method: str | None = None
    over: str | None = None


class ReportFile(Record):
    """provenance.json: the origin of every number of a report."""

    interval: Interval
    undefined_scores: dict[str, int] = Field(default={})
    analysis_hash: str | None = None
    cells: dict[str, ReportCell]
    claims: list[Verdict]
    plan: StudyFile
    runs: list[ReportRun]


class ReportPlace(Record):
    """reports/<study>.<profile>.json in a runs folder: the files of a report."""

    study: str
    profile: str
    first_ms: Count
    """When there was a report for the first time."""
    files: list[str]
    """Paths relative to the runs folder."""


def check_report(folder: Path) -> None:
    """Raise ValueError without a report; the message names the command that writes it."""
    if not os.path.lexists(folder / PROVENANCE):
        raise ValueError(f"{folder} holds no report: `tisdiss report {folder.name}` writes it")


def read_report(folder: Path) -> ReportFile:
    """The provenance of a report; ValueError if there is none or it cannot be read."""
    check_report(folder)
    path, way_out = folder / PROVENANCE, f"run `tisdiss report {folder.name}` again"
    content = read_object(path, way_out=way_out)
    check_schema(content, PROVENANCE_SCHEMA, path, way_out)
    return checked(content, ReportFile, where=str(path), way_out=way_out)
