"""The shapes of the records on disk; every reader of one, in harness and analysis, asks here.

A record is read as plain data, so that keys of other versions stay; the shape says which keys it
must have and of which type the known ones are. What is wrong is a DamagedError that names file,
key, value, rule and the way out.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from tisdiss.records import names
from tisdiss.records.expression import parse
from tisdiss.records.files import DamagedError, read_json, read_object
from tisdiss.records.problems import problems_of, shown

if TYPE_CHECKING:
    import pandas as pd

Digits = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z]+$")]
"""An identity: it becomes a part of a path."""
Count = Annotated[int, Field(ge=0, le=2**53)]
"""At most what JSON and databases of every kind hold."""


class Record(BaseModel):
    """A record or a part of one: what is named has its type, what is not is kept."""

    model_config = ConfigDict(extra="allow", strict=True, defer_build=True)


Shape = TypeVar("Shape", bound=BaseModel)

# --- a run -----------------------------------------------------------------------------------


class TrainPart(Record):
    """The settings of a training; `RunFolder.settings` has all of them with their types."""

    seed: Count


class RunConfig(Record):
    """config.json: what was asked for."""

    identity: Digits
    parent: Digits | None = None
    data_manifest: str | None = None
    name: str | None = None
    kind: str | None = None
    train: TrainPart | None = None


class Revision(Record):
    """The commit of the code, None where it is not known."""

    commit: str | None = None
    dirty: bool | None = None


class Environment(Record):
    """environment.json: where, and with which code."""

    git: Revision = Revision()
    code_hash: str | None = None
    code_scope: int | None = None
    accelerator: str | None = None
    threads: int | None = None
    resumed: list[Environment] = []
    """Where it went on since, with what code."""


class RunResult(Record):
    """result.json: how the run ended."""

    status: Literal["running", "done", "imported", "failed", "diverged"] = "running"
    reason: str | None = None
    steps: Count | None = None
    epochs: Count | None = None
    best_val: float | None = None
    seconds: float | None = None


class Evaluation(Record):
    """evaluation.json: what was scored."""

    identity: Digits | None = None
    test_manifest: str | None = None
    corpus: str | None = None
    mixtures: Count | None = None


class Event(Record):
    """A line of events.jsonl."""

    ts_ms: Count
    kind: str
    step: Count
    epoch: Count
    metrics: dict[str, float] = {}
    evaluation: Digits | None = None

    @model_validator(mode="after")
    def _depths_name_their_evaluation(self) -> Event:
        if self.kind == names.EVENT_DEPTH and self.evaluation is None:
            raise ValueError(f"an event of kind {self.kind!r} names its evaluation")
        return self


RUN_WAY_OUT = "delete that file, or the whole run folder, and run the study again"

RUN_FILES: dict[str, type[Record]] = {
    "config.json": RunConfig,
    "environment.json": Environment,
    "result.json": RunResult,
    "evaluation.json": Evaluation,
}

# --- plans and timings -----------------------------------------------------------------------


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

    source: str
    data_source: str | None = None
    data_condition: str | None = None
    data_noise: str | None = None
    manifest: str | None = None
    test_manifest: str | None = None
    speakers_test: Count | None = None
    label: str | None = None
    note: str | None = None


class PlanFile(Record):
    """plans/<study>.<profile>.json, as far as runs go."""

    rows: Sequence[PlanRow]
    study: str = ""
    profile: str = ""
    title: str = ""
    claim: str | None = None
    corpora: dict[str, Corpus] = {}


class Show(Record):
    """How a study is drawn."""

    figure: str | None = None
    y: Literal["si_snri", "sdri", "si_snr", "sdr"] = "si_snri"


def _that_parses(expr: str) -> str:
    parse(expr)
    return expr


class ClaimPart(Record):
    """A claim of a study."""

    id: str
    expr: Annotated[str, AfterValidator(_that_parses)]
    source: str
    says: str | None = None


class QuotedRow(Record):
    """A row whose numbers others reported."""

    id: str
    published: dict[str, float]


class ShownRow(PlanRow):
    """A row as tables and figures show it."""

    label: str
    name: str
    n_re_train: int
    params: int | None = None
    corpus: str | None = None
    macs: dict[str, float] | None = None
    paper: dict[str, float] | None = None
    at: list[int] = []
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
    timing: AboutTiming | None = None


class TimedRow(Record):
    """Real-time factors of a row by N_re."""

    identity: str
    rtf: dict[str, float]


class Timing(AboutTiming):
    """timings/<study>.<profile>.json."""

    rows: dict[str, TimedRow]


# --- a search --------------------------------------------------------------------------------


class TrialPart(Record):
    """A trial of a search."""

    number: Count
    state: str
    params: dict[str, Any]
    values: list[float] | None
    identity: str


class SearchFile(Record):
    """searches/<search>.<profile>.json."""

    title: str
    profile: str
    objectives: list[str]
    trials: list[TrialPart]
    best: list[int]


# --- a report --------------------------------------------------------------------------------


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


# --- reading ---------------------------------------------------------------------------------


def read_record(
    path: Path, shape: type[BaseModel], *, way_out: str, needs: Sequence[str] = ()
) -> dict[str, Any]:
    """A record as plain data, with the keys that it `needs` beyond those of its shape.

    DamagedError where it is not of that shape; FileNotFoundError where there is no file.
    """
    found = read_object(path, way_out=way_out)
    checked(found, shape, where=str(path), way_out=way_out)
    for key in needs:
        if found.get(key) is None:
            raise DamagedError(f"{path}: holds no '{key}'; {way_out}")
    return found


def read_digits(path: Path, *, way_out: str) -> tuple[str, ...]:
    """A list of identities."""
    try:
        return tuple(_DIGITS.validate_python(read_json(path, way_out=way_out), strict=True))
    except ValidationError as error:
        rule = error.errors(include_url=False)[0]["msg"]
        raise DamagedError(f"{path}: not a list of identities ({rule}); {way_out}") from None


def read_scores(path: Path, columns: Iterable[str] = ()) -> pd.DataFrame:
    """Scores with the columns that every evaluation has, and those that are asked for.

    DamagedError says how to get them anew; nothing but the evaluation is repeated.
    """
    import pandas as pd
    import pyarrow

    way_out = f"delete {path.parent} and run the study again: only the evaluation is repeated"
    if not path.is_file():
        what = "is no file" if os.path.lexists(path) else "is missing"
        raise DamagedError(f"{path} {what}: {way_out}")
    try:
        scores = pd.read_parquet(path)
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise DamagedError(f"{path} cannot be read ({error}): {way_out}") from error
    wanted = dict.fromkeys((*_SCORED, *columns))
    if absent := [name for name in wanted if name not in scores]:
        raise DamagedError(f"{path} lacks {', '.join(absent)}: {way_out}")
    if scores.empty:
        raise DamagedError(f"{path} holds no scores: {way_out}")
    if scores[list(_SCORED)].isna().any(axis=None):
        raise DamagedError(f"{path} does not say what was scored in every line: {way_out}")
    for name in {"n_re", "slot", *_NUMBERS} & set(scores):
        if not pd.api.types.is_numeric_dtype(scores[name]):
            raise DamagedError(f"{path} holds {name} that is no number: {way_out}")
    return scores


def checked(found: Any, shape: type[Shape], *, where: str, way_out: str) -> Shape:
    """Data as a model; DamagedError tells the first thing that does not fit."""
    try:
        return shape.model_validate(found)
    except OverflowError as error:
        raise DamagedError(f"{where}: {error}; {way_out}") from None
    except ValidationError as error:
        first, *more = problems_of(error, shape)
        rest = f" (and {len(more)} more)" if more else ""
        place = ".".join(map(str, first.place))
        if first.rule == "this key is missing":
            said = f"holds no '{place}'"
        else:
            said = f"{place} = {shown(first.value)}: {first.rule}" if place else first.rule
        raise DamagedError(f"{where}: {said}{rest}; {way_out}") from None


def plan_files(runs_dir: Path, profile: str = "*") -> list[Path]:
    """The files of all saved plans, or of those at a profile."""
    return sorted((Path(runs_dir) / "plans").glob(f"*.{profile}.json"))


def read_plan(path: Path, shape: type[PlanFile] = PlanFile) -> dict[str, Any]:
    """A saved plan; DamagedError if its file cannot be read."""
    study, _, profile = path.stem.partition(".")
    command = "search" if study.startswith("search_") else "run"
    way_out = f"delete it, or write it again with `tisdiss {command} {study} --profile {profile}`"
    return read_record(path, shape, way_out=way_out)


_DIGITS = TypeAdapter(list[Digits])
_SCORED = ("mixture_id", "n_re")
_NUMBERS = ("si_snr", "si_snri", "sdr", "sdri", "mixture_si_snr")
