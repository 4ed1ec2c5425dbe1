"""The record of a report's provenance: the origin of every number."""

from __future__ import annotations

from math import nan
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from tisdiss.records.plan_record import Expression, StudyFile
from tisdiss.records.record import Count, Digits, Measured, Number, Record
from tisdiss.records.run_record import SettingsPart

Status = Literal["PASS", "FAIL", "ONE TRAINING", "UNDECIDED", "NOT TESTABLE HERE", "MISSING"]
Kind = Literal["paper", "ours", "construction", "measured"]
"""Whose sentence a claim is; "construction": decided by what the models are, before training;
"measured": by the time or memory that they take on one machine."""


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
    """Updates of a training that runs all its epochs."""
    commit_in_history: bool | None = None


def _as_now(status: object) -> object:
    return "UNDECIDED" if status == "NOT SIGNIFICANT" else status  # the word of earlier versions


class Verdict(Record):
    """A claim and what the runs say about it.

    `difference`, `low` and `high` are of the comparison that decided: how far it is above 0, in
    `unit`. They are NaN where nothing could be computed. `reason` says why there is no decision,
    and with what reserve one is to be read.
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
    """Of the row that has most, where `n_seeds` is of the one that has fewest."""
    p: Measured = nan
    """Two-sided, of the comparison that decided; NaN for what needs no score."""
    p_holm: Measured = nan
    """The same, corrected for all claims of the study (Holm, 1979)."""
    kind: Kind = "paper"
    same_as: str = ""
    """The claim, study/id, that says the same and counts for both."""


class ReportCell(Record):
    """A number of a report."""

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
