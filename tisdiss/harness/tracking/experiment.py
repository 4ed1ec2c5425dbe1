"""Our MLflow experiment: opens it, restores it from the trash, and corrects the place of its files.

MLflow stores the absolute path of the artifacts of an experiment and of every run. A project that
was moved or copied would keep writing into its old folder. Paths that are out of date are therefore
corrected in the database, and a run whose files were left behind is sent again.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

from tisdiss.harness.address import (
    check_answer,
    database,
    hidden,
    is_server,
    sqlite_at,
    sqlite_file,
)
from tisdiss.records import names

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment
    from sqlalchemy import Connection, Select

ARTIFACTS = "mlartifacts"
"""The folder beside the runs folder for artifacts that no server keeps."""
DATABASE = "mlflow.db"
BATCH = 1000
"""MLflow's limit on metrics per request."""
NOTE = (
    "One run per training. `depth/*` has N_re as its step; studies are tags "
    "`tisdiss.study.<name>`, whose value is the row. Rebuilt by `tisdiss sync`."
)


@dataclass(frozen=True)
class Opened:
    """The experiment, open for writing."""

    client: MlflowClient
    address: str
    id: str
    tags: dict[str, str]
    notes: tuple[str, ...] = ()
    """Repairs that were made."""


def project_of(runs_dir: Path) -> Path:
    """The folder that contains the runs folder; links are not resolved."""
    return Path(os.path.abspath(runs_dir)).parent


def store_address(given: str | None, root: Path) -> str:
    """The store `given`, else $MLFLOW_TRACKING_URI, else a file beside the runs.

    Raises ValueError for a store that cannot be used.
    """
    given = (given or os.environ.get("MLFLOW_TRACKING_URI") or "").strip()
    if not given:
        return sqlite_at(root / DATABASE)
    if is_server(given):
        return _checked_server(given)
    if "://" not in given or given.startswith("file:"):
        raise ValueError(
            f"{hidden(given)}: MLflow keeps runs in a database or on a server: write "
            f"sqlite:///FOLDER/{DATABASE} or http://HOST:PORT"
        )
    return database(given)


def has_store(runs_dir: Path) -> bool:
    """Whether there is a store already: a server's, or a file that earlier runs made."""
    file = sqlite_file(store_address(None, project_of(runs_dir)))
    return file is None or file.is_file()


def _checked_server(given: str) -> str:
    try:
        split = urlsplit(given)
        named = bool(split.hostname) and (split.port is None or split.port > 0)
    except ValueError:  # unbalanced brackets, or a port that is not a number
        named = False
    if not named:
        raise ValueError(f"{hidden(given)}: names no host and port; write http://HOST:PORT")
    return given


def open_experiment(address: str, root: Path, origin: str) -> Opened:
    """Our experiment in a store, created if it is missing and restored if it was deleted."""
    check_answer(address)
    file = sqlite_file(address)
    if file is not None and not file.exists():
        _make_database(file)
    client = client_of(address)
    local = None if is_server(address) else root / ARTIFACTS
    found = client.get_experiment_by_name(names.EXPERIMENT)
    if found is None:
        return Opened(client, address, _make(client, local), {})
    notes = []
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
        notes.append(f"experiment {names.EXPERIMENT} was in MLflow's trash: restored")
    if local and (moved := _correct_paths(address, found, local, origin)):
        notes.append(f"the project was moved or copied: artifacts of {moved} runs are in {local}")
    return Opened(client, address, found.experiment_id, found.tags, tuple(notes))


def out_of_reach(place: str, address: str) -> str | None:
    """Why artifacts cannot be written to a run's `place` through this store; None if they can."""
    folder = local_folder(place)
    if folder and not _project(_location(folder)).is_dir():
        return (
            f"MLflow keeps them in {_location(folder)}, which this machine lacks; `tisdiss sync "
            "--uri` with the server's own database corrects the path"
        )
    if place.startswith("mlflow-artifacts:") and not is_server(address):
        return "MLflow's server keeps them; `tisdiss sync --uri http://HOST:PORT` goes through it"
    return None


def local_folder(place: str) -> Path | None:
    """The folder of an artifact location; None if a server keeps it."""
    split = urlsplit(place)
    return Path(url2pathname(split.path)) if split.scheme in ("", "file") else None


def client_of(address: str) -> MlflowClient:
    """MLflow's client, without telemetry and with warnings only."""
    os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_UV_AUTO_DETECT", "false")  # our models list what they need
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    # A server that is down costs seconds instead of the minutes of MLflow's defaults.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=address)


def _make_database(file: Path) -> None:
    """Make an empty store whole or not at all, for MLflow cannot use one that a kill cut short."""
    new = file.with_name(f".{file.name}.new")
    new.unlink(missing_ok=True)
    client_of(sqlite_at(new)).search_experiments(max_results=1)
    os.replace(new, file)


def _make(client: MlflowClient, local: Path | None) -> str:
    kind = {names.EXPERIMENT_KIND_TAG: names.EXPERIMENT_KIND, names.NOTE_TAG: NOTE}
    place = local.as_uri() if local else None
    return client.create_experiment(names.EXPERIMENT, artifact_location=place, tags=kind)


def _location(artifacts: Path) -> Path:
    """The experiment's folder of a run's, which is <location>/<run>/artifacts."""
    return artifacts.parent.parent


def _project(location: Path) -> Path:
    return location.parent


def _correct_paths(address: str, experiment: Experiment, local: Path, origin: str) -> int:
    """Correct paths into a project's former folder; returns the number of runs.

    Only runs of this runs folder, and runs whose artifacts were moved along, are corrected. So are
    their models.
    """
    own = address == sqlite_at(local.parent / DATABASE)

    def is_stale(location: Path | None) -> bool:
        if location is None or location == local:
            return False
        return (own and location.name == ARTIFACTS) or not _project(location).is_dir()

    places: dict[str, str] = {}
    with _connected(address) as connection:
        for run, place, owner in _places(connection, experiment.experiment_id):
            folder = local_folder(place)
            target = local / run / "artifacts"
            if folder and is_stale(_location(folder)) and (owner == origin or target.is_dir()):
                places[run] = target.as_uri()
        _set_run_places(connection, places)
        _correct_models(connection, experiment.experiment_id, local, is_stale, origin)
        if is_stale(local_folder(experiment.artifact_location)):
            _set_location(connection, experiment.experiment_id, local.as_uri())
    return len(places)


@contextmanager
def _connected(address: str) -> Iterator[Connection]:
    from sqlalchemy import NullPool, create_engine

    with create_engine(address, poolclass=NullPool).begin() as connection:
        yield connection


def _places(connection: Connection, experiment: str) -> list[tuple[str, str, str | None]]:
    """(run, artifact path, runs folder) of all runs; MLflow's client would query each."""
    from mlflow.store.tracking.dbmodels.models import SqlRun, SqlTag
    from sqlalchemy import and_, select

    owner = and_(SqlTag.run_uuid == SqlRun.run_uuid, SqlTag.key == names.TAG_RUNS_DIR)
    columns: Select[str, str, str | None] = select(
        SqlRun.run_uuid, SqlRun.artifact_uri, SqlTag.value
    )
    rows = connection.execute(
        columns.outerjoin(SqlTag, owner).where(SqlRun.experiment_id == int(experiment))
    )
    return [(run, place, owner) for run, place, owner in rows]


def _set_run_places(connection: Connection, places: dict[str, str]) -> None:
    from mlflow.store.tracking.dbmodels.models import SqlRun
    from sqlalchemy import update

    for run, place in places.items():
        connection.execute(update(SqlRun).where(SqlRun.run_uuid == run).values(artifact_uri=place))


def _correct_models(
    connection: Connection,
    experiment: str,
    local: Path,
    is_stale: Callable[[Path | None], bool],
    origin: str,
) -> None:
    """The same for LoggedModels, <location>/models/<model>/artifacts, and registered versions."""
    from mlflow.store.model_registry.dbmodels.models import SqlModelVersion
    from mlflow.store.tracking.dbmodels.models import SqlLoggedModel, SqlLoggedModelTag
    from sqlalchemy import and_, select, update

    owner = and_(
        SqlLoggedModelTag.model_id == SqlLoggedModel.model_id,
        SqlLoggedModelTag.tag_key == names.TAG_RUNS_DIR,
    )
    columns: Select[str, str, str | None] = select(
        SqlLoggedModel.model_id, SqlLoggedModel.artifact_location, SqlLoggedModelTag.tag_value
    )
    rows = columns.outerjoin(SqlLoggedModelTag, owner).where(
        SqlLoggedModel.experiment_id == int(experiment)
    )
    for model, place, writer in list(connection.execute(rows)):
        folder, target = local_folder(place), local / "models" / model / "artifacts"
        if folder and is_stale(folder.parents[2]) and (writer == origin or target.is_dir()):
            new = target.as_uri()
            it = update(SqlLoggedModel).where(SqlLoggedModel.model_id == model)
            connection.execute(it.values(artifact_location=new))
            versions = update(SqlModelVersion).where(SqlModelVersion.storage_location == place)
            connection.execute(versions.values(storage_location=new))


def _set_location(connection: Connection, experiment: str, place: str) -> None:
    from mlflow.store.tracking.dbmodels.models import SqlExperiment
    from sqlalchemy import update

    moved = update(SqlExperiment).values(artifact_location=place)
    connection.execute(moved.where(SqlExperiment.experiment_id == int(experiment)))
