"""A report's provenance: where every number comes from."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    Field,
)

from tisdiss.records.plan_record import ClaimPart, StudyFile
from tisdiss.records.record import Count, Digits, Record


class ReportRun(Record):
    """A planned run as a report knows it."""

    row: str
    seed: int
    identity: Digits
    evaluation: Digits
    status: str
    scored: bool
    steps: Count | None = None
    epochs: Count | None = None
    seconds: float | None = None
    params: int | None = None
    dirty: bool | None = None
    commit: str | None = None
    commit_in_history: bool | None = None
    later_commits: str | None = None
    code_hash: str | None = None
    code_scope: int | None = None
    config: dict[str, Any] | None = None


class ReportClaim(ClaimPart):
    """A claim as it was decided; None where nothing could be computed."""

    study: str
    status: Literal[
        "PASS",
        "FAIL",
        "ONE TRAINING",
        "UNDECIDED",
        "NOT TESTABLE HERE",
        "MISSING",
        "NOT SIGNIFICANT",  # UNDECIDED, in reports of earlier versions
    ]
    reason: str = ""
    difference: float | None = None
    low: float | None = None
    high: float | None = None


class ReportCell(Record):
    """A number of a report."""

    mean: float | None
    interval: Annotated[list[float | None], Field(min_length=2, max_length=2)]
    n_mixtures: Count
    n_speakers: Count
    seeds: list[int]
    runs: list[str]


class ReportFile(Record):
    """provenance.json: where every number of a report comes from."""

    plan: StudyFile
    runs: list[ReportRun]
    cells: dict[str, ReportCell]
    claims: list[ReportClaim]
    interval: dict[str, Any]
