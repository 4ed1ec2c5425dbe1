"""Weights that MLflow keeps: finds the file of an address such as models:/tisdiss@best.

A file on this machine is used where it lies; one that a server keeps is fetched once.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tisdiss.harness.address import answering, check_answer, hidden, sqlite_file
from tisdiss.harness.tracking.experiment import client_of, local_folder, project_of, store_address
from tisdiss.harness.tracking.view import digest
from tisdiss.machine.alone import alone
from tisdiss.machine.extras import need_modules
from tisdiss.machine.folders import CACHE
from tisdiss.machine.mounts import replace
from tisdiss.records.problems import nearest

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.store.artifact.artifact_repo import ArtifactRepository

T = TypeVar("T")

FORMS = "runs:/RUN, models:/NAME@ALIAS, models:/NAME/VERSION or models:/m-ID"
WAY_OUT = "or name another one in $MLFLOW_TRACKING_URI"
_ID = "[0-9a-f]{32}"
_NONE = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "NOT_FOUND")
"""MLflow's codes for what is not there; the second one is for an unknown alias."""


@dataclass(frozen=True)
class Store:
    """An MLflow store, to read."""

    client: MlflowClient
    address: str

    def __str__(self) -> str:
        return f"MLflow store {hidden(self.address)}"

    def find(self, source: str) -> str:
        """The place of the files that an address means; ValueError says what there is."""
        forms: dict[str, Callable[..., str]] = {
            rf"runs:/({_ID})": self._of_run,
            rf"models:/(m-{_ID})": self._of_model,
            r"models:/([^/:]+)@([\w-]+)": self._of_alias,
            r"models:/([^/:]+)/(\d+)": self._of_version,
        }
        for form, find in forms.items():
            if match := re.fullmatch(form, source):
                try:
                    return find(*match.groups())
                except ValueError as error:
                    raise ValueError(f"{source}: {error}") from error
        raise ValueError(f"{source}: no address of weights in MLflow; write {FORMS}")

    def _of_run(self, run_id: str) -> str:
        """The run's LoggedModel, else its own files, which have the weights of earlier versions."""
        run = asked(self.client.get_run, run_id)
        if run is None:
            raise ValueError(f"{self} has no such run; `tisdiss sync` sends runs")
        outputs = run.outputs.model_outputs if run.outputs else []
        return self._of_model(outputs[-1].model_id) if outputs else str(run.info.artifact_uri)

    def _of_model(self, model_id: str) -> str:
        model = asked(self.client.get_logged_model, model_id)
        if model is None:
            raise ValueError(f"{self} has no such model; `tisdiss sync` sends finished runs")
        if str(model.status) != "READY":
            raise ValueError("its files were not sent; `tisdiss sync` sends them")
        return str(model.artifact_location)

    def _of_alias(self, name: str, alias: str) -> str:
        version = asked(self.client.get_model_version_by_alias, name, alias)
        if version is None:
            aliases = self._registered(name)
            raise ValueError(f"{name} has no alias {alias!r}; {_there(alias, aliases)}")
        return self._of_version(name, str(version.version))

    def _of_version(self, name: str, version: str) -> str:
        place = asked(self.client.get_model_version_download_uri, name, version)
        if place is None:
            self._registered(name)
            found = self.client.search_model_versions(f"name = '{name}'")
            there = ", ".join(sorted((str(each.version) for each in found), key=int)) or "none"
            raise ValueError(f"{name} has no version {version}; there are: {there}")
        return str(place)

    def _registered(self, name: str) -> list[str]:
        """The aliases of a registered model; ValueError if there is no such model."""
        model = asked(self.client.get_registered_model, name)
        if model is None:
            models = [each.name for each in self.client.search_registered_models()]
            raise ValueError(f"{self} has no registered model {name!r}; {_there(name, models)}")
        return list(model.aliases)


def fetched(source: str, runs_dir: Path, cache: Path = CACHE) -> Path:
    """The file of weights of an address in MLflow.

    The store is $MLFLOW_TRACKING_URI, else the database beside the runs. Raises ValueError for an
    address that means no weights of ours, ConnectionError if the store fails.
    """
    need_modules(("mlflow", "sqlalchemy"))
    with _reading(runs_dir) as store:
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        place = store.find(source)
        repository = get_artifact_repository(place, tracking_uri=store.address)
        name = _weights_in(repository, source)
        folder = local_folder(place)
        kept = cache / "mlflow" / digest(place)
        return folder / name if folder else _downloaded(repository, name, kept)


def asked(ask: Callable[..., T], *words: str) -> T | None:
    """What a store answers; None if it does not have it."""
    from mlflow.exceptions import MlflowException

    try:
        return ask(*words)
    except MlflowException as error:
        if error.error_code in _NONE:
            return None
        raise


@contextmanager
def _reading(runs_dir: Path) -> Iterator[Store]:
    """The store of a runs folder; a database that is not there is not made."""
    address = store_address(None, project_of(runs_dir))
    file = sqlite_file(address)
    if file and not file.is_file():
        raise ValueError(
            f"{file}: there is no such MLflow database; `tisdiss sync` makes it, and "
            "$MLFLOW_TRACKING_URI names another store"
        )
    with ExitStack() as stack:
        stack.enter_context(answering("MLflow store", address, WAY_OUT))
        if file:  # another process may be making its tables
            say = partial(print, file=sys.stderr)
            stack.enter_context(alone(file.with_name(".mlflow.lock"), str(file), say))
        check_answer(address)
        yield Store(client_of(address), address)


def _there(value: str, names: list[str]) -> str:
    return nearest(value, names) if names else "there is none: `tisdiss promote` makes one"


def _weights_in(repository: ArtifactRepository, source: str) -> str:
    """The name of the only file of weights."""
    names = [file.path for file in repository.list_artifacts()]
    weights = [name for name in names if name.endswith(".safetensors")]
    if len(weights) != 1:
        there = ", ".join(names[:6]) or "nothing"
        raise ValueError(
            f"{source}: one file of weights (.safetensors) is needed, there is {there}; `tisdiss "
            "sync` sends the weights of finished runs"
        )
    return weights[0]


def _downloaded(repository: ArtifactRepository, name: str, folder: Path) -> Path:
    """A file that a server keeps, in our folder for its place; whole or not at all."""
    target = folder / name
    if not target.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as unfinished:
            replace(Path(repository.download_artifacts(name, unfinished)), target)
    return target
