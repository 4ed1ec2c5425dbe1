"""The data of a plan: the runs that studies need, each once and parents first, and their rows.

`planner.py` makes plans, `plan_file.py` saves them for analysis, `run.py` and `launch.py` run them.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from tisdiss.config import AnyModel, DataConfig, EvalConfig, TrainConfig, WholeConfig
from tisdiss.contract import WHOLE_MODELS
from tisdiss.records.files import JsonObject
from tisdiss.records.identity import SCHEMA, short
from tisdiss.records.plan_record import StudyFile
from tisdiss.records.run_folder import State
from tisdiss.study.profiles import FilePart
from tisdiss.study.words import Claim, Marks, Show

Kind = Literal["train", "finetune", "weights"]


class PlannedEvaluation(FilePart):
    """An evaluation of a run's weights: depths and mixtures."""

    identity: str
    config: EvalConfig
    data: DataConfig
    test_manifest: str


class Member(FilePart):
    """A row of a study that shows a run."""

    study: str
    row: str
    profile: str


class PlannedRun(FilePart):
    """One training (or import of shipped weights) with its evaluations."""

    identity: str
    kind: Kind
    config: TrainConfig
    data_manifest: str
    parent: str | None = None
    file: str | None = None
    """Shipped weights, for kind "weights"."""
    evaluations: tuple[PlannedEvaluation, ...] = ()
    members: tuple[Member, ...] = ()
    state: State = "new"
    unknown: str | None = None
    """Why its mixtures, and so its identity, are unknown; None if they are known."""

    @property
    def name(self) -> str:
        return self.config.model.name

    @property
    def seed(self) -> int:
        return self.config.seed

    @property
    def code(self) -> str:
        """The identity as people see it."""
        return "?" if self.unknown else short(self.identity)

    def __str__(self) -> str:
        rows = ", ".join(sorted({f"{m.study}/{m.row}" for m in self.members})) or "parent only"
        return f"{self.code} {self.name} seed {self.seed} ({rows})"

    def asked(self) -> dict[str, object]:
        """What its config.json says; of a training elsewhere nothing is known but the model."""
        train = self.config.model_dump(mode="json")
        if not self.data_manifest:
            train = {name: train[name] for name in ("model", "seed")}
        return {
            "schema": SCHEMA,
            "identity": self.identity,
            "parent": self.config.parent,
            "data_manifest": self.data_manifest,
            "name": self.name,
            "kind": self.kind,
            "train": train,
        } | self._of_whole()

    def _of_whole(self) -> dict[str, object]:
        """What only the package of a whole model knows: its trained depth, and itself."""
        model = self.config.model
        if not isinstance(model, WholeConfig):
            return {}
        package = WHOLE_MODELS.package(model.architecture)
        return {"n_re": model.n_re} | ({"package": package} if package else {})


class RowRun(FilePart):
    """The run and the evaluation of one seed of a row."""

    seed: int
    identity: str
    evaluation: str


class PlannedRow(FilePart):
    """A row of a study with its runs, one per seed."""

    id: str
    label: str
    name: str
    kind: Kind
    corpus: str
    """Its corpus, by the study's name; scores on different corpora are never compared."""
    n_re_train: int
    n_sep_train: int
    n_sep: int | None = None
    """N_sep at which it is scored, where that is not the trained one."""
    at: tuple[int, ...]
    """N_re of its lines in a table; 0 without early split."""
    params: int | None
    counted: bool = False
    """Whether `params` and `macs` are counted, because the model has no formulas."""
    macs: dict[int, int] = Field(default={})
    """Multiply-adds per second of audio, by N_re."""
    marks: Marks | None
    paper: dict[str, float] | None
    runs: tuple[RowRun, ...]

    @model_serializer(mode="wrap")
    def _with_its_count(self, dump: SerializerFunctionWrapHandler) -> JsonObject:
        """Plain data without the key `counted` where it is false, as in all earlier plans."""
        whole: JsonObject = dump(self)
        return {key: value for key, value in whole.items() if key != "counted" or value}

    def at_its_n_sep(self, model: AnyModel) -> AnyModel:
        """The model of its runs as it is scored, for what does not depend on weights."""
        return model.with_n_sep(self.n_sep)


class ScoredCorpus(FilePart):
    """A corpus that rows are scored on, as figures and tables describe it."""

    label: str | None = None
    source: str | None = None
    data_source: str | None = None
    data_condition: str | None = None
    data_noise: str | None = None
    manifest: str | None = None
    test_manifest: str | None = None
    speakers_test: int | None = None
    note: str | None = None

    @model_serializer(mode="wrap")
    def _with_its_label(self, dump: SerializerFunctionWrapHandler) -> JsonObject:
        """Plain data without the key `label` if it is empty."""
        whole: JsonObject = dump(self)
        return {key: value for key, value in whole.items() if key != "label" or value}


class QuotedRow(FilePart):
    """A row whose numbers others reported."""

    id: str
    label: str | None
    published: dict[str, float]
    source: str | None
    marks: Marks | None
    corpus: str


class StudyContent(FilePart):
    """The parts of a study that a plan keeps beside its rows."""

    title: str
    claim: str
    how_to_read: str
    base: str
    corpus: ScoredCorpus
    corpora: dict[str, ScoredCorpus]
    evaluate: EvalConfig
    show: Show
    claims: tuple[Claim, ...]
    published: tuple[QuotedRow, ...]
    study_hash: str
    profile_hash: str
    order: tuple[str, ...]


class PlannedStudy(FilePart):
    """A study at a profile, as analysis reads it from `runs/plans/`."""

    study: str
    profile: str
    rows: tuple[PlannedRow, ...]
    content: StudyContent

    def record(self) -> StudyFile:
        """The content of its file in `runs/plans/`."""
        head = {"schema": SCHEMA, "study": self.study, "profile": self.profile}
        rows = [row.model_dump(mode="json") for row in self.rows]
        return StudyFile.model_validate(
            {**head, **self.content.model_dump(mode="json"), "rows": rows}
        )


class Plan(FilePart):
    """The runs of some studies at one profile, parents before children, and the studies."""

    profile: str
    runs: tuple[PlannedRun, ...]
    studies: tuple[PlannedStudy, ...]
    partial: bool = False
    """Whether only some rows or seeds were requested."""
    notes: tuple[str, ...] = ()
    """Facts about the plan that may surprise."""

    @property
    def todo(self) -> tuple[PlannedRun, ...]:
        """Runs that are not done."""
        return tuple(run for run in self.runs if run.state != "done")

    @property
    def packages(self) -> tuple[str, ...]:
        """The packages that its scores of quality need."""
        asked = (one.config.packages for run in self.todo for one in run.evaluations)
        return tuple(dict.fromkeys(package for packages in asked for package in packages))

    def run(self, identity: str) -> PlannedRun:
        """The run whose identity starts with the given digits."""
        matches = [run for run in self.runs if run.identity.startswith(identity)]
        if len(matches) != 1:
            codes = ", ".join(short(run.identity) for run in self.runs)
            raise ValueError(f"'{identity}' is not a run of this plan; choose from {codes}")
        return matches[0]

    @property
    def unknown(self) -> tuple[str, ...]:
        """Why the identity of some runs is unknown, each reason once."""
        return tuple(dict.fromkeys(run.unknown for run in self.runs if run.unknown))

    def check_known(self) -> None:
        """Raise ValueError if the identity of a run is unknown."""
        if self.unknown:
            raise ValueError("\n".join(self.unknown))
