"""The only writer of MLflow: replays run folders into it, which may be repeated at any time.

MLflow is only a view of the run folders. A run is looked up by its identity before one is created;
metrics have the journal's own times, so that nothing is doubled. There is one experiment with flat
runs, and studies are tags. A curve over N_re is a metric whose step is N_re, so that MLflow draws
Fig. 2 by itself. A store may serve several runs folders: each has its own MLflow run of an identity
and never deletes another folder's.
"""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, urlsplit, urlunsplit

from tisdiss.harness.address import answering, hidden, is_of_a_library, is_server, sqlite_file
from tisdiss.harness.tracking.experiment import (
    BATCH,
    DATABASE,
    Opened,
    local_folder,
    open_experiment,
    out_of_reach,
    project_of,
    store_address,
)
from tisdiss.harness.tracking.logged_models import LoggedModels
from tisdiss.harness.tracking.reports import noted_identity, report_view
from tisdiss.harness.tracking.saved_view import saved_view
from tisdiss.harness.tracking.shown import Shown
from tisdiss.harness.tracking.view import View, view_of
from tisdiss.machine.alone import alone
from tisdiss.machine.folders import RUNS
from tisdiss.records import names
from tisdiss.records.files import DamagedError, write_atomic
from tisdiss.records.identity import short
from tisdiss.records.run_folder import RunFolder, run_folders
from tisdiss.records.runs_layout import origin_file, report_notes

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

BATCH_PARAMS = 100
"""MLflow's limit on params per request."""
PORT = 5000
TRAINING = "workflowType=machine_learning"
"""Selects MLflow's pages for training; it has others for chats."""
NOTHING = "-"
"""Stands for content that was never sent."""
WAY_OUT = (
    "or name another one with --uri or $MLFLOW_TRACKING_URI; nothing is lost, the next sync sends "
    "everything"
)


class Links(NamedTuple):
    """The addresses of a study's pages in MLflow."""

    study: str
    charts: str
    table: str
    """Both are its saved view, which a sync makes of its runs."""


@dataclass(frozen=True)
class Synced:
    """The result of one sync."""

    runs: int
    updated: int
    uri: str
    left: tuple[str, ...] = ()
    """MLflow runs of the same identities that another or an unknown runs folder made."""
    notes: tuple[str, ...] = ()
    """Repairs that were made, and files that could not be sent."""

    def __str__(self) -> str:
        summary = f"{self.runs} runs in {self.uri}, {self.updated} updated"
        left = [f"left as it is: {line}" for line in self.left]
        return "\n".join([*self.notes, summary, *left])


class PartlySyncedError(DamagedError):
    """Some runs were not synced, each with its problem."""

    def __init__(self, problems: Sequence[str], others: Synced):
        super().__init__("\n".join([*problems, f"the others: {others}"]))
        self.problems = tuple(problems)


def sync(runs_dir: Path, uri: str | None = None, *, only: Iterable[str] | None = None) -> Synced:
    """Bring MLflow up to date with the run folders and noted reports; `only` selects by identity.

    Raises PartlySyncedError for files that cannot be read or sent, after the others were synced.
    """
    runs_dir = Path(runs_dir)
    codes = None if only is None else {short(identity) for identity in only}
    updated, problems = list[bool](), list[str]()
    shown = Shown.of(runs_dir, problems)
    paths = [path for path in run_folders(runs_dir) if codes is None or path.name in codes]
    notes = [
        note
        for note in report_notes(runs_dir)
        if codes is None or short(noted_identity(note)) in codes
    ]
    views: list[Callable[[], View | None]] = [partial(_view, path, shown) for path in paths]
    views += [partial(report_view, runs_dir, note) for note in notes]
    with opened_store(runs_dir, uri, writes=bool(views)) as opened:
        store = _Store(opened, origin_of(runs_dir) if views else "")
        for make in views:
            try:
                if view := make():
                    updated.append(store.sync(view))
            except (DamagedError, OSError) as error:  # OSError: a file may not be read or written
                if is_of_a_library(error):
                    raise
                problems.append(str(error))
        for study in shown.studies(None if codes is None else {path.name for path in paths}):
            store.save_view(study, shown.differing(study))
    synced = Synced(
        runs=len(updated),
        updated=sum(updated),
        uri=hidden(opened.address),
        left=tuple(store.left),
        notes=(*opened.notes, *store.notes()),
    )
    if problems:
        raise PartlySyncedError(problems, synced)
    return synced


def origin_of(runs_dir: Path) -> str:
    """The name of a runs folder in MLflow, which stays the same when the folder is moved."""
    path = origin_file(runs_dir)
    if not path.is_file():
        place = f"{socket.gethostname()}:{path.parent.resolve()}"
        write_atomic(path, f"{place} {secrets.token_hex(4)}\n")
    return path.read_text(encoding="utf-8").strip()


def _view(path: Path, shown: Shown) -> View:
    folder = RunFolder.at(path)
    return view_of(folder, shown.places.get(folder.identity, []))


# --- the store ----------------------------------------------------------------------------------


@contextmanager
def opened_store(runs_dir: Path, uri: str | None, *, writes: bool = True) -> Iterator[Opened]:
    """Our experiment, for one process at a time."""
    root = project_of(runs_dir)
    address = store_address(uri, root)
    # Several processes that create the tables of a new sqlite file would destroy it.
    place = sqlite_file(address) or root / DATABASE
    lock = alone(place.with_name(".mlflow.lock"), f"MLflow's store {hidden(address)}")
    with lock, answering("MLflow store", address, WAY_OUT):
        yield open_experiment(address, root, origin_of(runs_dir) if writes else "")


# --- one run ------------------------------------------------------------------------------------


class _Sent(NamedTuple):
    """How much of a run folder is in MLflow; its text is a tag of the run."""

    metrics: int = 0
    tags: str = NOTHING
    files: str = NOTHING

    @classmethod
    def of(cls, run: Run) -> _Sent:
        parts = run.data.tags.get(names.TAG_SYNCED, "").split()
        if len(parts) != len(cls._fields):  # never sent, or by another version
            return cls()
        return cls(int(parts[0]), *parts[1:])

    def __str__(self) -> str:
        return " ".join(map(str, self))


@dataclass
class _Store:
    """The experiment, and the runs folder that writes it."""

    opened: Opened
    origin: str
    left: list[str] = field(default_factory=list)
    unsent: set[str] = field(default_factory=set)
    """Why files are not sent."""

    def __post_init__(self) -> None:
        self.models = LoggedModels(self.opened, self.origin)

    @property
    def client(self) -> MlflowClient:
        return self.opened.client

    def sync(self, view: View) -> bool:
        """Make MLflow's run equal to the folder; False if it was equal before."""
        run = self._find(view) or self._create(view)
        before = _sent(run)
        files = view.files_fingerprint() if self._keeps_files(run) else NOTHING
        done = _Sent(len(view.metrics), view.fingerprint(), files)
        if before != done:
            _send(self.client, run, view, sent=before.metrics)
            if files not in (NOTHING, before.files):
                _send_files(run.info.artifact_uri, self.opened.address, view)
            self.client.set_tag(run.info.run_id, names.TAG_SYNCED, str(done))
        has_new_model = view.folder is not None and self.models.sync(run, view, view.folder)
        return before != done or has_new_model

    def save_view(self, study: str, differing: Sequence[str]) -> None:
        """Save the view of a study, whose runs differ in these parameters."""
        key, value = saved_view(study, differing)
        if self.opened.tags.get(key) != value:
            self.client.set_experiment_tag(self.opened.id, key, value)

    def notes(self) -> list[str]:
        """Why files were not sent."""
        files = [f"files of runs are not sent: {why}" for why in sorted(self.unsent)]
        return [*files, *(f"weights are not sent: {why}" for why in sorted(self.models.unsent))]

    def _create(self, view: View) -> Run:
        tags = {**view.tags, names.TAG_RUNS_DIR: self.origin}
        return self.client.create_run(self.opened.id, start_time=view.started, tags=tags)

    def _keeps_files(self, run: Run) -> bool:
        why = out_of_reach(run.info.artifact_uri, self.opened.address)
        if why:
            self.unsent.add(why)
        return why is None

    def _find(self, view: View) -> Run | None:
        """The MLflow run of this identity, the oldest if a crash made two; None if there is none.

        If the run was trained again or its latest evaluation is another one, its MLflow run is
        deleted. An MLflow run with the same start time is the same run, whichever folder sent it.
        """
        query = f"tags.`{names.TAG_IDENTITY}` = '{view.tags[names.TAG_IDENTITY]}'"
        order = ["attributes.start_time ASC"]
        latest = view.tags.get(names.TAG_EVALUATION)
        keep = None
        for run in self.client.search_runs([self.opened.id], query, order_by=order):
            same_curve = run.data.tags.get(names.TAG_EVALUATION, latest) == latest
            if keep is None and same_curve and run.info.start_time == view.started:
                keep = run
                if names.TAG_RUNS_DIR not in run.data.tags:
                    self.client.set_tag(run.info.run_id, names.TAG_RUNS_DIR, self.origin)
            elif run.data.tags.get(names.TAG_RUNS_DIR) == self.origin:
                self.client.delete_run(run.info.run_id)
            else:
                self._leave(run)
        return keep

    def _leave(self, run: Run) -> None:
        tags = run.data.tags
        origin = tags.get(names.TAG_RUNS_DIR, "an unknown folder of runs")
        code = short(tags[names.TAG_IDENTITY])
        self.left.append(f"run {code} from {origin} (MLflow run {run.info.run_id})")


def _sent(run: Run) -> _Sent:
    """The content that was sent before; artifacts whose folder is gone count as never sent."""
    sent, folder = _Sent.of(run), local_folder(run.info.artifact_uri)
    gone = folder is not None and not folder.is_dir()
    return sent._replace(files=NOTHING) if gone else sent


def _send(client: MlflowClient, run: Run, view: View, *, sent: int) -> None:
    from mlflow.entities import Metric, Param, RunTag

    run_id = run.info.run_id
    present = run.data.params
    params = [Param(key, value) for key, value in view.params.items() if key not in present]
    client.log_batch(run_id, tags=[RunTag(*tag) for tag in view.tags.items()])
    for start in range(0, len(params), BATCH_PARAMS):
        client.log_batch(run_id, params=params[start : start + BATCH_PARAMS])
    for tag in run.data.tags:
        if tag.startswith(names.study_tag("")) and tag not in view.tags:
            client.delete_tag(run_id, tag)
    for start in range(sent, len(view.metrics), BATCH):
        batch = [Metric(*point) for point in view.metrics[start : start + BATCH]]
        client.log_batch(run_id, metrics=_without_known_nans(client, run_id, batch))
    _send_data(client, run_id, view)
    if view.status != "RUNNING":
        client.set_terminated(run_id, view.status, end_time=view.ended)
    # The name too, because MLflow keeps it a second time beside its tag.
    client.update_run(run_id, status=view.status, name=view.tags[names.RUN_NAME_TAG])


def _without_known_nans(client: MlflowClient, run_id: str, batch: list[Metric]) -> list[Metric]:
    """The batch less the NaNs that the store has from a sync that was stopped.

    A store keeps one of two equal points. For MLflow 3.13 two NaNs differ, and it fails.
    """
    keys = {point.key for point in batch if isnan(point.value)}
    stored = [point for key in keys for point in client.get_metric_history(run_id, key)]
    nans = {(point.key, point.step, point.timestamp) for point in stored if isnan(point.value)}
    return [p for p in batch if not (isnan(p.value) and (p.key, p.step, p.timestamp) in nans)]


def _send_files(place: str, store: str, view: View) -> None:
    """Write to the place directly, because MLflow's client would still use a corrected one."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    repository = get_artifact_repository(place, tracking_uri=store)
    if view.alone:
        ours = {path.name for path in view.files[""]}
        for file in repository.list_artifacts():
            if file.path not in ours:
                repository.delete_artifacts(file.path)
    for folder, paths in view.files.items():
        for path in paths:
            repository.log_artifact(str(path), folder or None)


def _send_data(client: MlflowClient, run_id: str, view: View) -> None:
    """Name the mixtures of the run in MLflow's data column."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    inputs = [
        DatasetInput(
            Dataset(
                name=data.name,
                digest=data.digest,
                source_type="code",
                source=data.source,
                schema=data.schema,
                profile=data.profile,
            ),
            [InputTag(names.DATA_CONTEXT_TAG, data.context)],
        )
        for data in view.data
    ]
    if inputs:
        client.log_inputs(run_id, inputs)


# --- the address of its pages -------------------------------------------------------------------


def ui_links(studies: Iterable[str], port: int = PORT, *, runs_dir: Path = RUNS) -> list[Links]:
    """The addresses of each study's pages; they hold no password."""
    with opened_store(Path(runs_dir), None, writes=False) as opened:
        runs = f"{_pages(opened.address, port)}/#/experiments/{opened.id}/runs?"
    links = []
    for study in studies:
        view = f"{TRAINING}&viewStateShareKey={quote(study, safe='')}"
        links.append(Links(study, f"{runs}compareRunsMode=CHART&{view}", f"{runs}{view}"))
    return links


def _pages(address: str, port: int) -> str:
    if not is_server(address):
        return f"http://127.0.0.1:{port}"
    split = urlsplit(address)
    return urlunsplit(
        (split.scheme, split.netloc.rpartition("@")[2], split.path.rstrip("/"), "", "")
    )
