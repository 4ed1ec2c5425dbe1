"""The record of a report's provenance: the origin of every number."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    Field,
)

from tisdiss.records.plan_record import ClaimPart, StudyFile
from tisdiss.records.record import Count, Digits, Number, Record

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
    config: dict[str, Any] | None = None


class ReportRun(RunLine):
    """A planned run in a report."""

    planned_steps: int | None = None
    """Updates of a training that runs all its epochs."""
    commit_in_history: bool | None = None


class ReportClaim(ClaimPart):
    """A claim and how it was decided; values that could not be computed are None."""

    study: str
    status: Literal[Status, "NOT SIGNIFICANT"]
    """NOT SIGNIFICANT is UNDECIDED in reports of earlier versions."""
    reason: str = ""
    difference: Number | None = None
    low: Number | None = None
    high: Number | None = None
    unit: str = "dB"
    n_mixtures: Count = 0
    n_speakers: Count = 0
    n_seeds: Count = 0
    says: str = ""
    most_seeds: Count = 0
    p: Number | None = None
    p_holm: Number | None = None
    kind: Kind = "paper"
    same_as: str = ""


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
    claims: list[ReportClaim]
    plan: StudyFile
    runs: list[ReportRun]
