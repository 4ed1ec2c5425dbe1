"""The only writer of MLflow: replays run folders into it, as often as one likes.

The run folder is the truth and MLflow a view. A run is looked up by its identity before one is
made; metrics carry the journal's own times, so what was sent before is not doubled. There is one
experiment with flat runs, and studies are tags. A curve over N_re is a metric whose step is N_re:
MLflow then draws Fig. 2 by itself.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import math
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from tisdiss.harness import schema
from tisdiss.harness.children import stop_group, termination_as_exit
from tisdiss.harness.folder import BROKEN, FINAL, RunFolder, read_journal
from tisdiss.harness.identity import SHORT, short

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

BATCH, BATCH_PARAMS = 1000, 100
"""The most metrics, and the most params, that MLflow takes at once."""
SMALL_BYTES = 10 * 1024 * 1024
"""Weights up to this size are stored as an artifact."""
PORT = 5000


@dataclass(frozen=True)
class Synced:
    """What one sync did."""

    runs: int
    updated: int
    uri: str

    def __str__(self) -> str:
        return f"{self.runs} runs in {self.uri}, {self.updated} updated"


def default_uri(runs_dir: Path) -> str:
    """MLFLOW_TRACKING_URI, or a sqlite file beside the runs."""
    given = os.environ.get("MLFLOW_TRACKING_URI")
    return given or f"sqlite:///{_root(runs_dir) / 'mlflow.db'}"


def sync(runs_dir: Path, uri: str | None = None, *, only: Iterable[str] | None = None) -> Synced:
    """Bring MLflow up to date with the run folders; `only` names some by identity."""
    runs_dir = Path(runs_dir)
    uri = uri or default_uri(runs_dir)
    wanted = None if only is None else {short(identity) for identity in only}
    shown = _members(runs_dir)
    folders = [f for f in run_folders(runs_dir) if wanted is None or short(f.identity) in wanted]
    with _locked(_root(runs_dir) / ".mlflow.lock"):
        client, experiment = _open(uri, _root(runs_dir))
        updated = [_sync_run(client, experiment, f, shown.get(f.identity, [])) for f in folders]
    return Synced(runs=len(folders), updated=sum(updated), uri=uri)


def run_folders(runs_dir: Path) -> list[RunFolder]:
    """Every run on disk."""
    configs = sorted(Path(runs_dir).glob("?" * SHORT + "/config.json"))
    return [RunFolder(path.parent, json.loads(path.read_text())["identity"]) for path in configs]


def _root(runs_dir: Path) -> Path:
    return Path(runs_dir).resolve().parent


def _members(runs_dir: Path) -> dict[str, list[dict[str, str]]]:
    """Which rows of which studies show a run, from the plan files."""
    members: dict[str, list[dict[str, str]]] = {}
    for path in sorted((runs_dir / "plans").glob("*.*.json")):
        plan = json.loads(path.read_text(encoding="utf-8"))
        words = {key: plan[key] for key in ("study", "profile", "title", "claim")}
        for row in plan["rows"]:
            for run in row["runs"]:
                place = {**words, "row": row["id"], "label": row["label"]}
                members.setdefault(run["identity"], []).append(place)
    return members


# --- the store ----------------------------------------------------------------------------------


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One process at a time: a fresh sqlite file is destroyed by several that create its tables."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _open(uri: str, root: Path) -> tuple[MlflowClient, str]:
    """A client and the experiment's id; both are made where they are missing."""
    client = _client(uri)
    found = client.get_experiment_by_name(schema.EXPERIMENT)
    if found is not None:
        return client, found.experiment_id
    tags = {
        schema.EXPERIMENT_KIND_TAG: schema.EXPERIMENT_KIND,
        schema.NOTE_TAG: "One run per training. `depth/*` has N_re as its step; studies are tags "
        "`tisdiss.study.<name>`, whose value is the row. Rebuilt by `tisdiss sync`.",
    }
    local = (root / "mlartifacts").as_uri() if uri.startswith("sqlite:") else None
    made = client.create_experiment(schema.EXPERIMENT, artifact_location=local, tags=tags)
    return client, made


def _client(uri: str) -> MlflowClient:
    """MLflow's client, without its telemetry and its chatter."""
    os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=uri)


# --- one run ------------------------------------------------------------------------------------


class Point(NamedTuple):
    """One value of a metric."""

    key: str
    value: float
    timestamp: int
    step: int


@dataclass
class _View:
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


def _sync_run(
    client: MlflowClient, experiment: str, folder: RunFolder, places: list[dict[str, str]]
) -> bool:
    """Make MLflow's run equal to the folder; False if it was so before."""
    view = _view(folder, places)
    run = _find(client, experiment, view)
    done = f"{len(view.metrics)} {view.fingerprint()}"
    before = run.data.tags.get(schema.TAG_SYNCED, "0 -") if run else "0 -"
    if before == done:
        return False
    if run is None:
        run = client.create_run(experiment, start_time=view.started, tags=view.tags)
    _send(client, run, view, sent=int(before.split()[0]))
    client.set_tag(run.info.run_id, schema.TAG_SYNCED, done)
    return True


def _find(client: MlflowClient, experiment: str, view: _View) -> Run | None:
    """The run of this identity: the oldest if a crash made two, none if the folder is another.

    A folder that was trained anew, or whose latest evaluation is another one, gets a new run.
    """
    query = f"tags.`{schema.TAG_IDENTITY}` = '{view.tags[schema.TAG_IDENTITY]}'"
    found = client.search_runs([experiment], query, order_by=["attributes.start_time ASC"])
    latest = view.tags.get(schema.TAG_EVALUATION)
    keep = None
    for run in found:
        same_curve = run.data.tags.get(schema.TAG_EVALUATION, latest) == latest
        if keep is None and same_curve and run.info.start_time == view.started:
            keep = run
        else:
            client.delete_run(run.info.run_id)
    return keep


def _send(client: MlflowClient, run: Run, view: _View, *, sent: int) -> None:
    from mlflow.entities import Metric, Param, RunTag

    run_id = run.info.run_id
    known = run.data.params
    params = [Param(key, value) for key, value in view.params.items() if key not in known]
    client.log_batch(run_id, tags=[RunTag(*tag) for tag in view.tags.items()])
    for start in range(0, len(params), BATCH_PARAMS):
        client.log_batch(run_id, params=params[start : start + BATCH_PARAMS])
    for tag in run.data.tags:
        if tag.startswith(schema.study_tag("")) and tag not in view.tags:
            client.delete_tag(run_id, tag)
    for start in range(sent, len(view.metrics), BATCH):
        batch = [Metric(*point) for point in view.metrics[start : start + BATCH]]
        client.log_batch(run_id, metrics=batch)
    _send_dataset(client, run_id, view)
    for place, paths in view.files.items():
        for path in paths:
            client.log_artifact(run_id, str(path), place or None)
    if view.status == "RUNNING":
        client.update_run(run_id, status="RUNNING")
    else:
        client.set_terminated(run_id, view.status, end_time=view.ended)


def _send_dataset(client: MlflowClient, run_id: str, view: _View) -> None:
    """Name the mixtures in MLflow's data column."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    source, manifest = view.params.get("data.source", ""), view.tags[schema.TAG_DATA]
    dataset = Dataset(
        name=source,
        digest=short(manifest),
        source_type="code",
        source=json.dumps({"tags": {"manifest": manifest}}),
    )
    tags = [InputTag("mlflow.data.context", "train")]
    client.log_inputs(run_id, [DatasetInput(dataset, tags)])


def _view(folder: RunFolder, places: list[dict[str, str]]) -> _View:
    config, result = folder.read("config.json"), folder.read("result.json")
    events = read_journal(folder.journal)
    latest = _latest_evaluation(folder, events)
    metrics, not_finite = _metrics(events, latest)
    status = result.get("status", "running")
    times = [event["ts_ms"] for event in events] or [_modified_ms(folder.path / "config.json")]
    tags = _tags(folder, config, result, places)
    if latest:
        tags[schema.TAG_EVALUATION] = latest
    if not_finite:
        tags[schema.TAG_NOT_FINITE] = str(not_finite)
    return _View(
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
    label = f" seed {config['train']['seed']}" if config["parent"] is None else " fine-tuned"
    rows: dict[str, list[str]] = {}
    for place in places:
        rows.setdefault(schema.study_tag(place["study"]), []).append(place["row"])
    tags = {
        schema.TAG_IDENTITY: folder.identity,
        schema.TAG_PARENT: config["parent"],
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


def _metrics(events: list[dict[str, Any]], latest: str | None) -> tuple[list[Point], int]:
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
        files[""] += [scored / "scores.parquet", scored / "evaluation.json"]
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


# --- looking at it ------------------------------------------------------------------------------


def ui_link(study: str, port: int = PORT, *, runs_dir: Path = Path("runs")) -> str:
    """The address of the chart page that shows only a study's runs."""
    with _locked(_root(runs_dir) / ".mlflow.lock"):
        _, experiment = _open(default_uri(runs_dir), _root(runs_dir))
    wanted = quote(f"tags.`{schema.study_tag(study)}` LIKE '%'", safe="")
    return (
        f"http://127.0.0.1:{port}/#/experiments/{experiment}/runs?compareRunsMode=CHART"
        f"&workflowType=machine_learning&searchFilter={wanted}"
    )


def ui(port: int = PORT, *, runs_dir: Path = Path("runs")) -> int:
    """Serve MLflow's pages on this machine until interrupted; returns the server's exit code."""
    with _locked(_root(runs_dir) / ".mlflow.lock"):
        _open(default_uri(runs_dir), _root(runs_dir))
    quiet = {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", default_uri(runs_dir)]
    # A clean folder: the server imports what lies in its own, such as a file called types.py.
    with tempfile.TemporaryDirectory() as clean, termination_as_exit():
        environment = {**os.environ, **quiet}
        server = subprocess.Popen(command, cwd=clean, env=environment, start_new_session=True)
        try:
            return server.wait()
        finally:
            stop_group(server)
