"""Plans and timings, as the harness writes and analysis reads them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    Field,
)

from tisdiss.records import names
from tisdiss.records.expression import parse
from tisdiss.records.reading import read_record, read_typed
from tisdiss.records.record import Count, Digits, Record, Score


class PlanRun(Record):
    """A seed of a row."""

    seed: int
    identity: Digits
    evaluation: Digits


class PlanRow(Record):
    """A row with its runs."""

    id: str
    label: str = ""
    runs: list[PlanRun]


class Corpus(Record):
    """What is scored, as captions state it."""

    label: str | None = None
    source: str
    data_source: str | None = None
    data_condition: str | None = None
    data_noise: str | None = None
    manifest: str | None = None
    test_manifest: str | None = None
    speakers_test: Count | None = None
    note: str | None = None


class PlanFile(Record):
    """plans/<study>.<profile>.json, as far as runs go."""

    rows: Sequence[PlanRow]
    study: str = ""
    profile: str = ""
    title: str = ""
    claim: str | None = None
    corpora: dict[str, Corpus] = Field(default={})


class Show(Record):
    """How a study is drawn."""

    figure: str | None = None
    x: str | None = None
    y: Score = names.SI_SNRI


def _that_parses(expr: str) -> str:
    parse(expr)
    return expr


class ClaimPart(Record):
    """A claim of a study."""

    id: str
    expr: Annotated[str, AfterValidator(_that_parses)]
    source: str
    says: str | None = None
    same_as: str | None = None


class QuotedRow(Record):
    """A row whose numbers others reported."""

    id: str
    label: str | None = None
    published: dict[str, int | float]


class ShownRow(PlanRow):
    """A row as tables and figures show it."""

    label: str
    name: str
    n_re_train: int
    params: int | None = None
    corpus: str | None = None
    macs: dict[str, int | float] | None = None
    paper: dict[str, int | float] | None = None
    at: list[int] = Field(default=[])
    rtf: dict[str, float] | None = None


class TimedOn(Record):
    """The machine and the code that were timed."""

    threads: int
    torch: str
    cpu: str
    accelerator: str | None


class AboutTiming(Record):
    """How real-time factors were measured."""

    rounds: Count
    seconds: float
    environment: TimedOn


class StudyFile(PlanFile):
    """plans/<study>.<profile>.json, as reports need it."""

    study: str
    profile: str
    title: str
    rows: Sequence[ShownRow]
    corpus: Corpus
    evaluate: dict[str, Any]
    show: Show | None
    claims: list[ClaimPart] | None = None
    published: list[QuotedRow] | None = None
    study_hash: str
    profile_hash: str | None = None
    order: list[str] = Field(default=[])
    """Ids of trained and of published rows, as the study has them."""
    timing: AboutTiming | None = None


class TimedRow(Record):
    """Real-time factors of a row by N_re."""

    identity: str
    rtf: dict[str, float]
    range: dict[str, list[float]] = Field(default={})
    """The shortest and the longest."""


class Timing(AboutTiming):
    """timings/<study>.<profile>.json."""

    rows: dict[str, TimedRow]


def plan_files(runs_dir: Path, profile: str = "*") -> list[Path]:
    """The files of all saved plans, or of those at a profile."""
    return sorted((Path(runs_dir) / "plans").glob(f"*.{profile}.json"))


def saved_plan(path: Path) -> PlanFile:
    """A saved plan; DamagedError if its file cannot be read."""
    return read_typed(path, PlanFile, way_out=_way_out(path))


def saved_study(path: Path) -> StudyFile:
    """A saved plan, as reports need it; DamagedError if its file cannot be read."""
    return read_typed(path, StudyFile, way_out=_way_out(path))


def read_plan(path: Path, shape: type[PlanFile] = PlanFile) -> dict[str, Any]:
    """A saved plan as plain data."""
    return read_record(path, shape, way_out=_way_out(path))


def _way_out(path: Path) -> str:
    study, _, profile = path.stem.partition(".")
    command = "search" if study.startswith("search_") else "run"
    return f"delete it, or write it again with `tisdiss {command} {study} --profile {profile}`"
