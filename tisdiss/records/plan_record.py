"""Records of plans and timings, which the harness writes and analysis reads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    Field,
)

from tisdiss.records import names
from tisdiss.records.expression import parse
from tisdiss.records.reading import read_as
from tisdiss.records.record import Count, Digits, Number, Record, Score
from tisdiss.records.runs_layout import study_and_profile

CostName = Literal["macs", "rtf"]
"""The costs of a row by depth: multiply-adds, and the real-time factor."""


class PlanRun(Record):
    """The run of one seed of a row."""

    seed: int
    identity: Digits
    evaluation: Digits


class Marks(Record):
    """The check marks of Table 3: early split, shared parameters, more than one loss."""

    es: bool = False
    sp: bool = False
    ml: bool = False


class TableRow(Record):
    """A row of a table, ours or reported by others."""

    id: str
    label: str | None = None
    corpus: str | None = None
    marks: Marks | None = None

    @property
    def role(self) -> str:
        """The study's name for its corpus; empty if the study has only one."""
        return self.corpus or ""

    @property
    def is_torn(self) -> bool:
        """Whether only some of its runs are scored; it is shown with those."""
        return False


class QuotedRow(TableRow):
    """A row whose numbers others reported."""

    published: dict[str, Number]
    source: str | None = None


class PlanRow(TableRow):
    """A row with its runs."""

    runs: list[PlanRun]


class ShownRow(PlanRow):
    """A row as tables and figures show it."""

    label: str
    name: str
    kind: str | None = None
    n_re_train: int
    n_sep_train: int | None = None
    n_sep: int | None = None
    """N_sep at which it is scored, where that is not the trained one."""
    at: list[int] = Field(default=[])
    """N_re of its lines in a table, if the study sets them."""
    params: int | None = None
    macs: dict[str, Number] | None = None
    """Multiply-adds per second of audio, by N_re."""
    rtf: dict[str, Number] | None = None
    """Real-time factors by N_re, if measured."""
    memory: Count | None = None
    """Peak bytes of a pass beyond model and input, where they were measured."""
    training_memory: Count | None = None
    """Peak bytes of a training step beyond model and batch, where they were measured."""
    paper: dict[str, Number] | None = None
    scored_seeds: list[int] | None = None
    """The seeds that are scored, if others are missing."""

    @property
    def is_torn(self) -> bool:
        return bool(self.scored_seeds)

    @property
    def planned_seeds(self) -> list[int]:
        """The seeds of all planned runs, in order."""
        return sorted(run.seed for run in self.runs)

    @property
    def shown_seeds(self) -> list[int]:
        """The seeds that it is averaged over, in order."""
        return self.planned_seeds if self.scored_seeds is None else sorted(self.scored_seeds)

    def cost(self, name: CostName) -> dict[int, float]:
        """Its cost by N_re; empty if unknown."""
        return {int(n_re): value for n_re, value in (getattr(self, name) or {}).items()}


class Corpus(Record):
    """A corpus that rows are scored on, as captions describe it."""

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
    """plans/<study>.<profile>.json: the part about runs."""

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
    marks: bool = False
    equal_cost: bool = False
    against: str | None = None
    """The row from which differences are drawn; None: the first."""
    pareto: bool = False
    """Whether there is a figure of the score against each cost."""


class Depths(Record):
    """The N_re at which a study is evaluated."""

    n_re: list[int]


def _that_parses(expr: str) -> str:
    parse(expr)
    return expr


Expression = Annotated[str, AfterValidator(_that_parses)]
"""What a claim says, in the language of `expression.py`."""


class ClaimPart(Record):
    """A claim of a study."""

    id: str
    expr: Expression
    source: str
    says: str | None = None
    same_as: str | None = None


class TimedOn(Record):
    """The machine and the code that were timed."""

    threads: int
    torch: str
    cpu: str
    accelerator: str | None


class AboutTiming(Record):
    """How real-time factors were measured."""

    rounds: Count
    seconds: Number
    environment: TimedOn


class StudyFile(PlanFile):
    """plans/<study>.<profile>.json with everything that reports need."""

    study: str
    profile: str
    title: str
    how_to_read: str = ""
    rows: Sequence[ShownRow]
    corpus: Corpus
    evaluate: Depths
    show: Show
    claims: list[ClaimPart] = Field(default=[])
    published: list[QuotedRow] = Field(default=[])
    order: list[str] = Field(default=[])
    """The ids of all rows, also quoted ones, in the order of the study."""
    study_hash: str
    profile_hash: str | None = None
    timing: AboutTiming | None = None

    @property
    def n_own_rows(self) -> int:
        """The number of rows that the study has, planned or not, without quoted ones."""
        return len(self.order) - len(self.published) if self.order else len(self.rows)

    @property
    def scored_on(self) -> dict[str, Corpus]:
        """Every corpus that rows are scored on, by role."""
        roles = dict.fromkeys(row.role for row in self.rows)
        return {role: self.corpora.get(role, self.corpus) for role in roles}

    @property
    def is_comparison(self) -> bool:
        """Whether the study is one of the paper's tables rather than a figure."""
        return self.show.figure == "table"

    @property
    def at_paper(self) -> bool:
        """Whether its numbers are comparable with the paper's."""
        return self.profile == "paper"


class TimedRow(Record):
    """Real-time factors of a row by N_re."""

    identity: str
    rtf: dict[str, Number]
    range: dict[str, list[Number]] = Field(default={})
    """The smallest and the largest factor, by N_re."""
    memory: Count | None = None
    """Peak bytes of a pass beyond model and input."""
    training_memory: Count | None = None
    """Peak bytes of a training step beyond model and batch; None for a step that might not fit."""


class Timing(AboutTiming):
    """timings/<study>.<profile>.json."""

    rows: dict[str, TimedRow]


def saved_plan(path: Path) -> PlanFile:
    """A saved plan; DamagedError if its file cannot be read."""
    return read_as(path, PlanFile, way_out=_way_out(path))


def read_study(path: Path) -> StudyFile:
    """A saved plan with everything that reports need; DamagedError if its file cannot be read."""
    return read_as(path, StudyFile, way_out=_way_out(path))


def _way_out(path: Path) -> str:
    study, profile = study_and_profile(path)
    command = "search" if study.startswith("search_") else "run"
    return f"delete it, or write it again with `tisdiss {command} {study} --profile {profile}`"
