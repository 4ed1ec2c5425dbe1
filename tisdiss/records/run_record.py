"""The records of a run folder."""

from __future__ import annotations

import math
from typing import Literal, NotRequired, TypedDict

from pydantic import (
    Field,
    model_validator,
)

from tisdiss.records import names
from tisdiss.records.files import JsonObject
from tisdiss.records.record import Count, Digits, Record


class DataPart(Record):
    """The settings of the mixtures that lists of runs need."""

    train_mixtures: int | None = None


class ModelPart(Record):
    """The settings of a model that lists of runs need."""

    n_re: int | None = None


class SettingsPart(Record):
    """The settings of a training, in reports of any version."""

    model: ModelPart = ModelPart()
    data: DataPart = DataPart()
    batch_size: int | None = None
    epochs: int | None = None
    steps_per_epoch: int | None = None

    @property
    def steps(self) -> int | None:
        """The updates of all epochs; None where an early version does not say it."""
        mixtures, batch = self.data.train_mixtures, self.batch_size
        of_epoch = self.steps_per_epoch or (mixtures and batch and math.ceil(mixtures / batch))
        return self.epochs * of_epoch if self.epochs is not None and of_epoch else None


class TrainPart(SettingsPart):
    """The settings of a training; `RunFolder.settings` has all of them with their types."""

    seed: Count


class RunConfig(Record):
    """config.json: the settings of a run."""

    identity: Digits
    parent: Digits | None = None
    data_manifest: str | None = None
    name: str | None = None
    kind: str | None = None
    train: TrainPart | None = None
    n_re: int | None = None
    """The trained depth of a whole model; others have it among their settings."""
    package: str | None = None
    """Name and version of the package that a whole model is from; None for ours."""


class NamedConfig(RunConfig):
    """config.json with the name of the model."""

    name: str


class TrainedConfig(NamedConfig):
    """config.json with everything that distinguishes a run."""

    data_manifest: str
    train: TrainPart


class Mixtures(Record):
    """A set of mixtures: the hash of their sound, and their number."""

    manifest: str
    mixtures: Count


class TrainedData(Record):
    """data.json: the mixtures that a run is trained and selected on."""

    train: Mixtures
    val: Mixtures


class Training(Record):
    """How a training went, as its weights tell it."""

    steps: Count
    epochs: Count
    best_val: float
    seconds: float
    stopped: str
    averaged_epochs: list[int] = Field(default=[])


class Origin(Record):
    """What a file of weights says of the run that made it: `about` in its metadata."""

    identity: str | None = None
    data_manifest: str | None = None
    train: TrainPart | None = None
    training: Training | None = None
    """None before the end."""
    imported: str | None = None
    """SHA-256 of the checkpoint that it was converted from; None for a training of ours."""


class Changes(Record):
    """What the sources of a run have beyond their commit."""

    file: str | None = None
    """The patch in the run folder; None if no source differs."""
    left_out: list[str] = Field(default=[])
    """Files whose changes the patch lacks, such as ones that are too large."""


class Revision(Record):
    """The commit of the code, None if unknown."""

    commit: str | None = None
    dirty: bool | None = None
    changes: Changes | None = None
    """None if they were not kept, as by earlier versions."""


class Environment(Record):
    """environment.json: the machine and the code of a run."""

    python: str | None = None
    torch: str | None = None
    device: str | None = None
    accelerator: str | None = None
    threads: int | None = None
    platform: str | None = None
    cpu: str | None = None
    cpus: int | None = None
    capability: str | None = None
    """The vector instructions that torch uses, such as AVX512."""
    compiler: str | None = None
    """The C compiler of `kernels.compiled`; None if training ran without compiled routines."""
    processes: int | None = None
    """How many processes trained together."""
    git: Revision = Revision()
    code_hash: str | None = None
    code_scope: int | None = None
    code_files: dict[str, str] | None = None
    """The files that `code_hash` covers, each with the beginning of its own hash."""
    packages: dict[str, str] | None = None
    """The version of every installed distribution, by its normalized name, without this one; None
    if they were not kept, as by earlier versions."""
    local_packages: list[str] = Field(default=[])
    """Packages that were installed from a folder, file or repository, not from an index."""
    parent_weights: str | None = None
    """SHA-256 of the file of weights that a fine-tune starts from."""
    resumed: list[Environment] = Field(default=[])
    """Other environments in which the run was resumed."""


Status = Literal["running", "done", "imported", "failed", "diverged"]
FINAL: tuple[Status, ...] = ("done", "imported")
"""The weights are final and may be evaluated."""
BROKEN: tuple[Status, ...] = ("failed", "diverged")


class RunResult(Record):
    """result.json: how the run ended."""

    status: Status = "running"
    reason: str | None = None
    steps: Count | None = None
    epochs: Count | None = None
    best_val: float | None = None
    seconds: float | None = None


class Evaluation(Record):
    """evaluation.json: the model and the mixtures that were scored."""

    config: JsonObject | None = None
    """The settings of the evaluation."""
    data: JsonObject | None = None
    """The settings of the mixtures; None in evaluations of earlier versions."""
    model: str | None = None
    mixtures: Count | None = None
    seconds: float | None = None
    identity: Digits | None = None
    test_manifest: str | None = None
    corpus: str | None = None


class Logged(TypedDict):
    """An event before the journal adds its time."""

    kind: str
    step: int
    epoch: int
    metrics: NotRequired[dict[str, float]]
    evaluation: NotRequired[str]
    text: NotRequired[str]


class Event(Record):
    """A line of events.jsonl."""

    ts_ms: Count
    kind: str
    step: Count
    epoch: Count
    metrics: dict[str, float] = Field(default={})
    evaluation: Digits | None = None
    text: str | None = None
    """The text of a warning."""

    @model_validator(mode="after")
    def _depths_name_their_evaluation(self) -> Event:
        if self.kind == names.EVENT_DEPTH and self.evaluation is None:
            raise ValueError(f"an event of kind {self.kind!r} names its evaluation")
        return self


RUN_WAY_OUT = "delete that file, or the whole run folder, and run the study again"
