"""The only writer of MLflow: replays run folders into it, as often as one likes.

The run folder is the truth and MLflow a view. A run is looked up by its identity before one is
made; metrics carry the journal's own times, so what was sent before is not doubled. There is one
experiment with flat runs, and studies are tags. A curve over N_re is a metric whose step is N_re:
MLflow then draws Fig. 2 by itself. A store may serve several folders of runs: of equal identities
each has its own run, and deletes no other's.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import re
import secrets
import socket
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from tisdiss.files import DamagedError, write_atomic
from tisdiss.harness import schema
from tisdiss.harness.children import stop_group, termination_as_exit
from tisdiss.harness.folder import RunFolder, run_folders
from tisdiss.harness.identity import short
from tisdiss.harness.plan import saved_plans
from tisdiss.harness.view import View, view_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

BATCH, BATCH_PARAMS = 1000, 100
"""The most metrics, and the most params, that MLflow takes at once."""
PORT = 5000


@dataclass(frozen=True)
class Synced:
    """What one sync did."""

    runs: int
    updated: int
    uri: str
    left: tuple[str, ...] = ()
    """Runs of the same identities that another folder made, or nobody knows which."""

    def __str__(self) -> str:
        told = f"{self.runs} runs in {self.uri}, {self.updated} updated"
        return "\n".join([told, *(f"left as it is: {line}" for line in self.left)])


def default_uri(runs_dir: Path) -> str:
    """MLFLOW_TRACKING_URI, or a sqlite file beside the runs."""
    given = os.environ.get("MLFLOW_TRACKING_URI")
    return given or f"sqlite:///{_root(runs_dir) / 'mlflow.db'}"


def sync(runs_dir: Path, uri: str | None = None, *, only: Iterable[str] | None = None) -> Synced:
    """Bring MLflow up to date with the run folders; `only` names some by identity."""
    runs_dir = Path(runs_dir)
    uri = uri or default_uri(runs_dir)
    wanted = None if only is None else {short(identity) for identity in only}
    updated, problems = list[bool](), list[str]()
    shown = _members(runs_dir, problems)
    paths = [path for path in run_folders(runs_dir) if wanted is None or path.name in wanted]
    with _locked(_root(runs_dir) / ".mlflow.lock"), _answering(uri):
        store = _Store(*_open(uri, _root(runs_dir)), origin_of(runs_dir) if paths else "")
        for path in paths:
            try:
                updated.append(store.sync(_view(path, shown)))
            except (DamagedError, OSError) as error:  # or a file that may not be read
                problems.append(str(error))
    uri, left = _without_password(uri), tuple(store.left)
    synced = Synced(runs=len(updated), updated=sum(updated), uri=uri, left=left)
    if problems:
        raise DamagedError("\n".join([*problems, f"the others: {synced}"]))
    return synced


def origin_of(runs_dir: Path) -> str:
    """Which folder of runs it is, wherever it is moved: kept in it, and in MLflow's runs."""
    path = Path(runs_dir) / "origin.txt"
    if not path.is_file():
        place = f"{socket.gethostname()}:{path.parent.resolve()}"
        write_atomic(path, f"{place} {secrets.token_hex(4)}\n")
    return path.read_text(encoding="utf-8").strip()


def _view(path: Path, shown: dict[str, list[dict[str, str]]]) -> View:
    folder = RunFolder.at(path)
    return view_of(folder, shown.get(folder.identity, []))


def _root(runs_dir: Path) -> Path:
    return Path(runs_dir).resolve().parent


def _members(runs_dir: Path, problems: list[str]) -> dict[str, list[dict[str, str]]]:
    """Which rows of which studies show a run, from the plan files."""
    members: dict[str, list[dict[str, str]]] = {}
    for plan in saved_plans(runs_dir, damaged=lambda error: problems.append(str(error))):
        words = {key: plan.get(key) or "" for key in ("study", "profile", "title", "claim")}
        for row in plan["rows"]:
            for run in row["runs"]:
                place = {**words, "row": row["id"], "label": row.get("label", "")}
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


@contextmanager
def _answering(uri: str) -> Iterator[None]:
    """ConnectionError, with the way out, where the store is down or refuses."""
    try:
        yield
    except Exception as error:
        if type(error).__module__.split(".")[0] not in ("mlflow", "sqlalchemy"):
            raise
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        told = _without_password(f"{uri}: {reason}")
        raise ConnectionError(
            f"MLflow store {told}. Start it, or name another one with --uri or "
            "$MLFLOW_TRACKING_URI; nothing is lost, the next sync sends all"
        ) from error


def _without_password(text: str) -> str:
    return re.sub(r"(//[^:/@]*):[^@/]*@", r"\1:***@", text)


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
    # A server that is down costs seconds, not the minutes of MLflow's own patience.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=uri)


# --- one run ------------------------------------------------------------------------------------


@dataclass
class _Store:
    """The experiment, as a folder of runs writes it."""

    client: MlflowClient
    experiment: str
    origin: str
    left: list[str] = field(default_factory=list)

    def sync(self, view: View) -> bool:
        """Make MLflow's run equal to the folder; False if it was so before."""
        run = self._find(view)
        done = f"{len(view.metrics)} {view.fingerprint()}"
        before = run.data.tags.get(schema.TAG_SYNCED, "0 -") if run else "0 -"
        if run is None:
            tags = {**view.tags, schema.TAG_RUNS_DIR: self.origin}
            run = self.client.create_run(self.experiment, start_time=view.started, tags=tags)
        elif schema.TAG_RUNS_DIR not in run.data.tags:
            self.client.set_tag(run.info.run_id, schema.TAG_RUNS_DIR, self.origin)
        if before == done:
            return False
        _send(self.client, run, view, sent=int(before.split()[0]))
        self.client.set_tag(run.info.run_id, schema.TAG_SYNCED, done)
        return True

    def _find(self, view: View) -> Run | None:
        """The run of this identity: the oldest if a crash made two, none if the folder is another.

        A folder that was trained anew, or whose latest evaluation is another one, gets a new run;
        its old one goes. One that began when ours did is the same run, whoever sent it.
        """
        query = f"tags.`{schema.TAG_IDENTITY}` = '{view.tags[schema.TAG_IDENTITY]}'"
        order = ["attributes.start_time ASC"]
        latest = view.tags.get(schema.TAG_EVALUATION)
        keep = None
        for run in self.client.search_runs([self.experiment], query, order_by=order):
            same_curve = run.data.tags.get(schema.TAG_EVALUATION, latest) == latest
            if keep is None and same_curve and run.info.start_time == view.started:
                keep = run
            elif run.data.tags.get(schema.TAG_RUNS_DIR) == self.origin:
                self.client.delete_run(run.info.run_id)
            else:
                self._leave(run)
        return keep

    def _leave(self, run: Run) -> None:
        tags = run.data.tags
        origin = tags.get(schema.TAG_RUNS_DIR, "an unknown folder of runs")
        code = short(tags[schema.TAG_IDENTITY])
        self.left.append(f"run {code} from {origin} (MLflow run {run.info.run_id})")


def _send(client: MlflowClient, run: Run, view: View, *, sent: int) -> None:
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


def _send_dataset(client: MlflowClient, run_id: str, view: View) -> None:
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


# --- looking at it ------------------------------------------------------------------------------


def ui_link(study: str, port: int = PORT, *, runs_dir: Path = Path("runs")) -> str:
    """The address of the chart page that shows only a study's runs."""
    uri = default_uri(runs_dir)
    with _locked(_root(runs_dir) / ".mlflow.lock"), _answering(uri):
        _, experiment = _open(uri, _root(runs_dir))
    wanted = quote(f"tags.`{schema.study_tag(study)}` LIKE '%'", safe="")
    server = uri.rstrip("/") if is_server(uri) else f"http://127.0.0.1:{port}"
    return (
        f"{server}/#/experiments/{experiment}/runs?compareRunsMode=CHART"
        f"&workflowType=machine_learning&searchFilter={wanted}"
    )


def is_server(uri: str) -> bool:
    """Whether a store is a server that shows its pages itself."""
    return uri.startswith(("http://", "https://"))


def check_port(port: int, *, runs_dir: Path = Path("runs")) -> None:
    """ValueError where the pages cannot be served at a port of this machine."""
    if is_server(default_uri(runs_dir)):
        return
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise ValueError(
                f"port {port} of this machine cannot be used ({error.strerror}): stop what serves "
                "there, or name another one with --port"
            ) from error


def ui(port: int = PORT, *, runs_dir: Path = Path("runs")) -> int:
    """Serve MLflow's pages on this machine until interrupted; returns the server's exit code.

    Where the store is a server already, there is nothing to do.
    """
    uri = default_uri(runs_dir)
    if is_server(uri):
        return 0
    with _locked(_root(runs_dir) / ".mlflow.lock"), _answering(uri):
        _open(uri, _root(runs_dir))
    quiet = {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_BACKEND_STORE_URI": uri,  # not on the command line: it may hold a password
    }
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", "1"]
    # A clean folder: the server imports what lies in its own, such as a file called types.py.
    with tempfile.TemporaryDirectory() as clean, termination_as_exit():
        environment = {**os.environ, **quiet}
        server = subprocess.Popen(command, cwd=clean, env=environment, start_new_session=True)
        try:
            return server.wait()
        finally:
            stop_group(server)
