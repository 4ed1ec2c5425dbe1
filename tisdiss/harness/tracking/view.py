"""The content of a run folder for MLflow: tags, params, metrics, files. `sync.py` sends it."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import NamedTuple

from tisdiss.config.dotted import dotted
from tisdiss.harness.tracking.datasets import Data, datasets_of
from tisdiss.machine.lease import is_held
from tisdiss.records import names
from tisdiss.records.identity import short
from tisdiss.records.run_folder import RunFolder, read_journal
from tisdiss.records.run_record import BROKEN, FINAL, Environment, Event, RunResult, TrainedConfig

NAME_LENGTH = 250
"""Limit of MLflow's databases on the characters of a run's name."""


class Point(NamedTuple):
    """One value of a metric."""

    key: str
    value: float
    timestamp: int
    step: int


@dataclass
class View:
    """The content of a run folder for MLflow."""

    tags: dict[str, str]
    params: dict[str, str]
    metrics: list[Point]
    started: int
    ended: int | None
    status: str
    folder: RunFolder | None
    """None for a report."""
    files: dict[str, list[Path]] = field(default_factory=dict)
    """The files to store, by their folder in MLflow."""
    data: list[Data] = field(default_factory=list)
    alone: bool = False
    """Whether other files in MLflow are of an earlier version and are deleted."""

    def fingerprint(self) -> str:
        """A digest of tags, status and data."""
        return digest([sorted(self.tags.items()), self.status, self.data])

    def files_fingerprint(self) -> str:
        """A digest of the files' places, sizes and times."""
        stats = [
            (place, path.name, path.stat().st_size, path.stat().st_mtime_ns)
            for place, paths in self.files.items()
            for path in paths
        ]
        return digest(stats)


class Place(NamedTuple):
    """A row that shows a run."""

    study: str
    profile: str
    title: str
    claim: str
    row: str
    label: str


def view_of(folder: RunFolder, places: Sequence[Place]) -> View:
    """The view of a run; `places` are the rows that show it, from the plan files."""
    config, result = folder.trained_config(), folder.result()
    events = read_journal(folder.journal)
    latest = _latest_evaluation(folder, events)
    of_parts = config.train.model.n_re
    metrics, not_finite = metrics_of(events, latest, config.n_re if of_parts is None else of_parts)
    times = [event.ts_ms for event in events] or [_modified_ms(folder.path / "config.json")]
    tags = _tags(folder, config, result, places)
    if latest:
        tags[names.TAG_EVALUATION] = latest
    if not_finite:
        tags[names.TAG_NOT_FINITE] = str(not_finite)
    params = params_of(config)
    return View(
        tags=tags,
        params=params,
        metrics=metrics,
        started=times[0],
        ended=times[-1],
        status=_status(folder, result),
        folder=folder,
        files=_artifacts(folder, latest),
        data=datasets_of(folder, config, params, latest),
    )


def _status(folder: RunFolder, result: RunResult) -> str:
    """MLflow's status; an unfinished run that no process works on is KILLED, but can resume.

    A trained run is RUNNING while it is scored.
    """
    if is_held(folder.lock_file):
        return "RUNNING"
    if result.status in FINAL:
        return "FINISHED"
    if result.status in BROKEN:
        return "FAILED"
    return "KILLED"


def _tags(
    folder: RunFolder, config: TrainedConfig, result: RunResult, places: Sequence[Place]
) -> dict[str, str]:
    environment = folder.environment() or Environment()
    git = environment.git
    rows: dict[str, list[str]] = {}
    for place in places:
        rows.setdefault(names.study_tag(place.study), []).append(place.row)
    tags = {
        names.TAG_IDENTITY: folder.identity,
        names.TAG_PARENT: config.parent,
        names.TAG_KIND: config.kind,
        names.TAG_NAME: config.name,
        names.TAG_SEED: str(config.train.seed),
        names.TAG_DATA: config.data_manifest,
        names.TAG_PROFILE: ",".join(sorted({place.profile for place in places})),
        names.TAG_STATUS: result.status,
        names.TAG_REASON: (result.reason or "")[:500],
        names.TAG_CODE: environment.code_hash,
        names.GIT_COMMIT_TAG: git.commit,
        names.TAG_DIRTY: None if git.dirty is None else str(git.dirty).lower(),
        names.TAG_LABEL: ", ".join(dict.fromkeys(place.label for place in places)),
        names.TAG_STUDIES: ", ".join(dict.fromkeys(place.study for place in places)),
        names.RUN_NAME_TAG: _run_name(folder, config, places),
        names.NOTE_TAG: _note(places),
        **{tag: ",".join(sorted(set(ids))) for tag, ids in rows.items()},
    }
    return {key: value for key, value in tags.items() if value}


def _run_name(folder: RunFolder, config: TrainedConfig, places: Sequence[Place]) -> str:
    """The label first, because lists cut names; the short identity makes the name unique."""
    label, study = config.name, ""
    if places:
        label, study = places[0].label, places[0].study
    others = len({place.study for place in places} - {study})
    parts = [f"{study} +{others}" if others else study, f"seed {config.train.seed}"]
    rest = f" · {' '.join(part for part in parts if part)} · {short(folder.identity)}"
    room = NAME_LENGTH - len(rest)
    return (label if len(label) <= room else label[: room - 1] + "…") + rest


def _note(places: Sequence[Place]) -> str:
    """Markdown about the rows that show the run."""
    lines = [
        f"**{p.study} / {p.row}** ({p.profile}): {p.label}. {p.title}\n\n> {p.claim}"
        for p in places
    ]
    return "\n\n".join(lines)


def _latest_evaluation(folder: RunFolder, events: list[Event]) -> str | None:
    identities = [e.evaluation for e in events if e.kind == names.EVENT_DEPTH and e.evaluation]
    complete = [identity for identity in identities if folder.has_evaluation(identity)]
    return complete[-1] if complete else None


def metrics_of(
    events: list[Event], latest: str | None, depth: int | None = None
) -> tuple[list[Point], int]:
    """Every value once, in the journal's order, and the number of values that are not finite.

    After a resume, the first of two values stays. The scores of the `latest` evaluation are also
    table cells, and at the trained `depth` the run's score.
    """
    metrics: dict[tuple[str, int], Point] = {}
    not_finite = 0
    for event in _numbered(events):
        for key, step, value in _values(event, latest, depth):
            if (key, step) in metrics:
                continue
            if not math.isfinite(value):
                not_finite, value = not_finite + 1, math.nan
            metrics[key, step] = Point(key, value, event.ts_ms, step)
    return list(metrics.values()), not_finite


def _numbered(events: Iterable[Event]) -> Iterator[Event]:
    """The events; the use of the machine has its number as its step, as in MLflow itself.

    It also goes on while a step of training lasts, and while mixtures are scored.
    """
    samples = count()
    for event in events:
        if event.kind == names.EVENT_SYSTEM:
            yield event.model_copy(update={"step": next(samples)})
        else:
            yield event


def _values(
    event: Event, latest: str | None, depth: int | None
) -> Iterator[tuple[str, int, float]]:
    """Metric, step and value of an event; of the latest evaluation also the table's cells."""
    metrics = event.metrics
    if event.kind == names.EVENT_SCORED:
        return  # scores of single mixtures are in an artifact
    if event.kind != names.EVENT_DEPTH:
        for key, value in metrics.items():
            yield key, event.step, value
        return
    current = event.evaluation == latest
    for key, value in metrics.items():
        column = key.rpartition("/")[2]
        other = None if current else short(event.evaluation or "")
        yield names.depth_metric(column, other), event.step, value
        if current:
            yield names.cell_metric(column, event.step), 0, value
            if event.step == depth:
                yield names.score_metric(column), 0, value


def _artifacts(folder: RunFolder, latest: str | None) -> dict[str, list[Path]]:
    """The files to store, by their folder in MLflow; weights are in `logged_models.py`."""
    records = ("config.json", "data.json", "environment.json", "result.json", "error.txt")
    files = {"": [path for name in records if (path := folder.path / name).is_file()]}
    if latest:
        scored = folder.evaluation(latest)
        tables = [scored / "scores.parquet", scored / "evaluation.json"]
        files[""] += [path for path in tables if path.is_file()]
        for path in sorted((scored / "audio").glob("*/*.wav")):
            files.setdefault(f"audio/{path.parent.name}", []).append(path)
    return files


def params_of(config: TrainedConfig) -> dict[str, str]:
    """The settings of a training by their dotted names."""
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in dotted(config.train.plain())
    }


def digest(words: object) -> str:
    """A short hash of plain data."""
    return hashlib.sha256(json.dumps(words).encode()).hexdigest()[:16]


def _modified_ms(path: Path) -> int:
    return path.stat().st_mtime_ns // 1_000_000
