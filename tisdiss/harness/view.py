"""How a run folder looks in MLflow: tags, params, metrics, files. Nothing is sent from here."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tisdiss.harness import schema
from tisdiss.harness.folder import BROKEN, FINAL, RunFolder, read_journal
from tisdiss.harness.identity import short

SMALL_BYTES = 10 * 1024 * 1024
"""Weights up to this size are stored as an artifact."""


class Point(NamedTuple):
    """One value of a metric."""

    key: str
    value: float
    timestamp: int
    step: int


@dataclass
class View:
    """How a run folder looks in MLflow."""

    tags: dict[str, str]
    params: dict[str, str]
    metrics: list[Point]
    started: int
    ended: int | None
    status: str
    files: dict[str, list[Path]] = field(default_factory=dict)

    def fingerprint(self) -> str:
        """Changes when anything but the metrics does."""
        stats = [
            (place, path.name, path.stat().st_size, path.stat().st_mtime_ns)
            for place, paths in self.files.items()
            for path in paths
        ]
        text = json.dumps([sorted(self.tags.items()), self.status, stats])
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def view_of(folder: RunFolder, places: list[dict[str, str]]) -> View:
    """The view of a run; `places` are the rows that show it, from the plan files."""
    config = folder.read("config.json", "train", "name", "data_manifest")
    result = folder.read("result.json")
    events = read_journal(folder.journal)
    latest = _latest_evaluation(folder, events)
    metrics, not_finite = metrics_of(events, latest)
    status = result.get("status", "running")
    times = [event["ts_ms"] for event in events] or [_modified_ms(folder.path / "config.json")]
    tags = _tags(folder, config, result, places)
    if latest:
        tags[schema.TAG_EVALUATION] = latest
    if not_finite:
        tags[schema.TAG_NOT_FINITE] = str(not_finite)
    return View(
        tags=tags,
        params=dict(_flat(config["train"])),
        metrics=metrics,
        started=times[0],
        ended=times[-1],
        status="FINISHED" if status in FINAL else "FAILED" if status in BROKEN else "RUNNING",
        files=_artifacts(folder, latest),
    )


def _tags(
    folder: RunFolder, config: dict[str, Any], result: dict[str, Any], places: list[dict[str, str]]
) -> dict[str, str]:
    environment = folder.read("environment.json")
    git = environment.get("git", {})
    label = f" seed {config['train']['seed']}" if config.get("parent") is None else " fine-tuned"
    rows: dict[str, list[str]] = {}
    for place in places:
        rows.setdefault(schema.study_tag(place["study"]), []).append(place["row"])
    tags = {
        schema.TAG_IDENTITY: folder.identity,
        schema.TAG_PARENT: config.get("parent"),
        schema.TAG_KIND: config.get("kind"),
        schema.TAG_NAME: config["name"],
        schema.TAG_SEED: str(config["train"]["seed"]),
        schema.TAG_DATA: config["data_manifest"],
        schema.TAG_PROFILE: ",".join(sorted({place["profile"] for place in places})),
        schema.TAG_STATUS: result.get("status", "running"),
        schema.TAG_REASON: (result.get("reason") or "")[:500],
        schema.TAG_CODE: environment.get("code_hash"),
        schema.GIT_COMMIT_TAG: git.get("commit"),
        schema.TAG_DIRTY: None if git.get("dirty") is None else str(git["dirty"]).lower(),
        schema.RUN_NAME_TAG: config["name"] + label,
        schema.NOTE_TAG: _note(places),
        **{tag: ",".join(sorted(set(ids))) for tag, ids in rows.items()},
    }
    return {key: value for key, value in tags.items() if value}


def _note(places: list[dict[str, str]]) -> str:
    """Markdown: what the run is shown for."""
    lines = [
        f"**{p['study']} / {p['row']}** ({p['profile']}): {p['label']}. {p['title']}"
        f"\n\n> {p['claim']}"
        for p in places
    ]
    return "\n\n".join(lines)


def _latest_evaluation(folder: RunFolder, events: list[dict[str, Any]]) -> str | None:
    named = [event["evaluation"] for event in events if event["kind"] == schema.EVENT_DEPTH]
    there = [identity for identity in named if folder.has_evaluation(identity)]
    return there[-1] if there else None


def metrics_of(events: list[dict[str, Any]], latest: str | None) -> tuple[list[Point], int]:
    """Every value once, in the journal's order: where a run resumed, the first of two stays."""
    metrics: dict[tuple[str, int], Point] = {}
    not_finite = 0
    for event in events:
        for key, step, value in _values(event, latest):
            if (key, step) in metrics:
                continue
            if not math.isfinite(value):
                not_finite, value = not_finite + 1, math.nan
            metrics[key, step] = Point(key, value, event["ts_ms"], step)
    return list(metrics.values()), not_finite


def _values(event: dict[str, Any], latest: str | None) -> Iterator[tuple[str, int, float]]:
    """Metric, step and value of an event; of the latest evaluation also the table's cells."""
    metrics = event.get("metrics", {})
    if event["kind"] == schema.EVENT_SCORED:
        return  # one mixture's score: the scores are an artifact
    if event["kind"] != schema.EVENT_DEPTH:
        for key, value in metrics.items():
            yield key, event["step"], value
        return
    current = event["evaluation"] == latest
    for key, value in metrics.items():
        column = key.rpartition("/")[2]
        other = None if current else short(event["evaluation"])
        yield schema.depth_metric(column, other), event["step"], value
        if current:
            yield schema.cell_metric(column, event["step"]), 0, value


def _artifacts(folder: RunFolder, latest: str | None) -> dict[str, list[Path]]:
    """Files to store, by their folder in MLflow."""
    names = ("config.json", "environment.json", "result.json", "error.txt")
    top = [folder.path / name for name in names]
    if folder.model_file.is_file() and folder.model_file.stat().st_size <= SMALL_BYTES:
        top.append(folder.model_file)
    files = {"": [path for path in top if path.is_file()]}
    if latest:
        scored = folder.evaluation(latest)
        tables = [scored / "scores.parquet", scored / "evaluation.json"]
        files[""] += [path for path in tables if path.is_file()]
        for path in sorted((scored / "audio").glob("*/*.wav")):
            files.setdefault(f"audio/{path.parent.name}", []).append(path)
    return files


def _flat(config: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in config.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value)
            yield prefix + key, text


def _modified_ms(path: Path) -> int:
    return path.stat().st_mtime_ns // 1_000_000
