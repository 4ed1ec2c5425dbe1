"""A run that is to be made again, as its own folder describes it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tisdiss.harness.corpora import Corpora
from tisdiss.harness.plan import PlannedRun
from tisdiss.harness.reproduction.checkout import Say
from tisdiss.records import names
from tisdiss.records.files import JsonObject, sha256_of_file
from tisdiss.records.identity import short
from tisdiss.records.run_folder import RunFolder
from tisdiss.records.run_record import FINAL, Environment, Evaluation
from tisdiss.study.overrides import validated
from tisdiss.study.shipped_weights import read_shipped

WEIGHTS = "weights"
_RECORDS = ("config.json", "result.json", "model.safetensors")
"""The files of a run that another one, or an evaluation, starts from."""


@dataclass(frozen=True)
class Replica:
    """A run that is to be made again, with what it needs of the kept runs."""

    kept: RunFolder
    planned: PlannedRun
    settings: JsonObject
    """The planned run as data, with the settings as its own version wrote them."""
    trains: bool
    """Whether it is trained again; else only its kept weights are scored."""
    seconds: float
    """How long the run took."""
    start: RunFolder | None = None
    """The kept run whose weights it starts from; None if there is none, or it is made again."""
    parent: str | None = None
    """Where the weights come from that it starts with, in words."""

    @property
    def device(self) -> str:
        device = self._environment.device or "cpu"
        return device.partition(":")[0] if self.processes > 1 else device

    @property
    def threads(self) -> int | None:
        return self._environment.threads

    @property
    def processes(self) -> int:
        return self._environment.processes or 1

    @property
    def _environment(self) -> Environment:
        return self.kept.environment() or Environment()

    @property
    def plan_text(self) -> str:
        """The plan of this run alone, for a worker of any version."""
        return json.dumps({"profile": "again", "runs": [self.settings], "studies": []})

    def copy_into(self, runs_dir: Path) -> None:
        """Copy the kept files that it starts from, unless they are there."""
        if self.start:
            _copy(self.start, runs_dir)
        if not self.trains:
            _copy(self.kept, runs_dir)


def _copy(kept: RunFolder, runs_dir: Path) -> None:
    """Copy a finished run without its evaluations; config.json comes last, as it marks a run."""
    place = RunFolder.of(runs_dir, kept.identity).path
    if (place / "config.json").is_file():
        return
    place.mkdir(parents=True, exist_ok=True)
    for name in reversed(_RECORDS):
        shutil.copyfile(kept.path / name, place / name)


def replicas(
    runs_dir: Path,
    folder: RunFolder,
    *,
    chain: bool,
    evaluate_only: bool,
    corpora: Corpora,
    say: Say,
) -> list[Replica]:
    """The run and, with `chain`, before it those that its weights come from.

    `say` gets what the record lacks and what is used instead. ValueError if the run is not
    finished, or if weights that it needs are not here.
    """
    check_finished(folder)
    config, environment = folder.trained_config(), folder.environment() or Environment()
    if environment.resumed:
        count = len(environment.resumed)
        say(f"parts of the run were made in {count} other environments; now all is in the first")
    trains = not (evaluate_only or config.kind == WEIGHTS)
    if not trains:
        _check_weights(folder, "its scores cannot be computed again")
        if not evaluate_only:
            say("its weights were imported, not trained here: they are scored again")
    elif not folder.model_file.is_file():
        say("the run has no weights, as it was taken from a report: only scores are compared")
    before, start, parent = [], None, None
    if trains and config.parent:
        origin = RunFolder.of(runs_dir, config.parent)
        if chain and _is_trained(origin):
            parent = f"parent {short(config.parent)}, made again"
            before = replicas(
                runs_dir, origin, chain=True, evaluate_only=False, corpora=corpora, say=say
            )
        else:
            parent, start = _kept_parent(origin, environment.parent_weights, say), origin
    evaluations = list(_evaluations(folder, corpora, say))
    if not trains and not evaluations:
        raise ValueError(f"run {short(folder.identity)} has no evaluation to make again")
    settings: JsonObject = {
        "identity": folder.identity,
        "kind": config.kind or ("finetune" if config.parent else "train"),
        "config": config.train.plain(),
        "data_manifest": config.data_manifest,
        "parent": config.parent if trains else None,
        "evaluations": [_asked(each) for each in evaluations],
    }
    spent = [each.seconds or 0.0 for each in evaluations]
    trained = (folder.result().seconds or 0.0) if trains else 0.0
    shown = {"study": "reproduce", "row": short(folder.identity), "profile": "again"}
    planned = validated(PlannedRun, {**settings, "members": [shown]})
    last = Replica(folder, planned, settings, trains, trained + sum(spent), start, parent)
    return [*before, last]


def check_finished(folder: RunFolder) -> None:
    """Raise ValueError unless the training of the run is finished."""
    status = folder.result().status
    if status not in FINAL:
        raise ValueError(
            f"run {short(folder.identity)} is not finished ({status}): `tisdiss run` with its "
            "study finishes it; then it can be made again"
        )


def _check_weights(folder: RunFolder, otherwise: str) -> None:
    if not folder.model_file.is_file():
        raise ValueError(f"{folder.model_file}: is missing, so {otherwise}")


def _is_trained(folder: RunFolder) -> bool:
    config = folder.config()
    return config is not None and config.kind != WEIGHTS


def _kept_parent(parent: RunFolder, recorded: str | None, say: Say) -> str:
    """Check the weights that a fine-tune starts from; returns where they come from."""
    way_out = "run its study to make them"
    way_out += ", or --chain trains it again" if _is_trained(parent) else ""
    if parent.result().status not in FINAL or not parent.model_file.is_file():
        raise ValueError(f"its parent {short(parent.identity)} has no weights here: {way_out}")
    about = f"kept weights of parent {short(parent.identity)}"
    if recorded is None:
        identity = read_shipped(parent.model_file)[0]
        if identity != parent.identity:
            raise ValueError(f"{parent.model_file}: holds weights of run {short(identity)}")
        say(f"the run kept no hash of its parent's weights: {parent.model_file} is used, by name")
        return f"{about}, by name"
    if sha256_of_file(parent.model_file) != recorded:
        say(f"{parent.model_file}: is not the file that the run started from (other hash)")
        return f"{about}, which are not those of then"
    return f"{about}, by hash"


def _evaluations(folder: RunFolder, corpora: Corpora, say: Say) -> Iterator[Evaluation]:
    """The evaluations that can be made again, with the settings of their mixtures."""
    for path in sorted(folder.path.glob("evaluations/[0-9a-f]*")):
        record = folder.scored(path.name)
        if record is None or record.identity is None or not (path / names.SCORES).is_file():
            continue
        what = f"evaluation {short(record.identity)}"
        if record.config is None:
            say(f"{what} was taken from a report: it is not made again")
            continue
        if record.data is None:
            record = _with_data(record, folder, corpora)
            if record.data is None:
                say(f"{what} kept no settings of its mixtures, which are not the training's")
                continue
            say(f"{what} kept no settings of its mixtures: the training's have the same hash")
        yield record


def _with_data(record: Evaluation, folder: RunFolder, corpora: Corpora) -> Evaluation:
    """The record with the mixtures of the training, if these were scored."""
    settings = folder.settings()
    split = str((record.config or {}).get("split", "test"))
    corpus = corpora.open(settings.data, settings.model.n_src)
    if getattr(corpus, split).manifest_hash != record.test_manifest:
        return record
    return record.updated(data=settings.data.model_dump(mode="json"))


def _asked(record: Evaluation) -> JsonObject:
    plain = record.plain()
    return {name: plain[name] for name in ("identity", "config", "data", "test_manifest")}
