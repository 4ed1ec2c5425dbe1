"""`tisdiss promote`: a finished run becomes a version of a registered model, which an alias names.

Equal weights are one version, whenever and however often they are promoted.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tisdiss.harness.diff import find_run
from tisdiss.harness.tracking.experiment import Opened
from tisdiss.harness.tracking.logged_models import MODEL_VERSIONS_TAG, LoggedModels
from tisdiss.harness.tracking.registry import asked
from tisdiss.harness.tracking.sync import opened_store, origin_of, sync
from tisdiss.records import names
from tisdiss.records.identity import short
from tisdiss.records.problems import nearest
from tisdiss.records.report_record import read_report
from tisdiss.records.run_folder import RunFolder
from tisdiss.records.run_record import FINAL

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion

_NAME = re.compile(r"[\w+-][\w .+-]{0,199}")
_ALIAS = re.compile(r"(?!(latest|v\d+)$)[\w-]{1,200}", re.IGNORECASE)


@dataclass(frozen=True)
class Promoted:
    """A run as a version of a registered model."""

    run: str
    """Its short identity."""
    name: str
    version: str
    is_new: bool
    alias: str | None = None
    before: str | None = None
    """The version that the alias named before; None if there was no such alias."""

    def __str__(self) -> str:
        lines = [f"models:/{self.name}/{self.version}: run {self.run}{self._since}"]
        if self.alias:
            lines.append(f"models:/{self.name}@{self.alias}: version {self.version}{self._was}")
        return "\n".join(lines)

    @property
    def _since(self) -> str:
        return ", new" if self.is_new else ", as before"

    @property
    def _was(self) -> str:
        if self.before is None:
            return ", new"
        return ", as before" if self.before == self.version else f", before: {self.before}"


def promote(
    runs_dir: Path,
    digits: str,
    *,
    name: str = names.REGISTERED_MODEL,
    alias: str | None = None,
    uri: str | None = None,
) -> Promoted:
    """Register the weights of a finished run, and let an alias name them.

    Raises ValueError for a run without weights and for names that MLflow does not allow,
    ConnectionError if the store fails or does not take the weights.
    """
    _check_names(name, alias)
    folder = _finished(runs_dir, digits)
    notes = sync(runs_dir, uri, only=[folder.identity]).notes
    with opened_store(runs_dir, uri) as opened:
        model = LoggedModels(opened, origin_of(runs_dir)).of(folder)
        if model is None:
            why = "; ".join(notes) or f"{opened.address} did not keep them"
            raise ConnectionError(f"run {short(folder.identity)} is not promoted: {why}")
        version, is_new = _version(opened, name, model)
        before = _point(opened, name, alias, version) if alias else None
    return Promoted(short(folder.identity), name, version, is_new, alias, before)


def check_claim(claim: str, digits: str, reports: Path, runs_dir: Path) -> None:
    """Raise ValueError unless the report of study/claim says PASS and has the run."""
    study, slash, claim_id = claim.partition("/")
    if not (study and slash and claim_id):
        raise ValueError(f"{claim!r}: a claim is written STUDY/CLAIM, such as fig2a/steady")
    report = read_report(reports / study)
    verdict = next((each for each in report.claims if each.id == claim_id), None)
    if verdict is None:
        there = nearest(claim_id, [each.id for each in report.claims])
        raise ValueError(f"{claim}: the report in {reports / study} has no such claim; {there}")
    run = find_run(runs_dir, digits)
    if run.identity not in [line.identity for line in report.runs]:
        raise ValueError(
            f"{claim} is not about run {short(run.identity)}: the report in {reports / study} does "
            "not have it"
        )
    if verdict.status != "PASS":
        reason = f" ({verdict.reason})" if verdict.reason else ""
        raise ValueError(
            f"{claim}: {verdict.status}{reason}; run {short(run.identity)} is not promoted, which "
            "takes PASS"
        )


def _check_names(name: str, alias: str | None) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{name!r}: the name of a registered model has letters, digits, spaces and . _ + -"
        )
    if alias is not None and not _ALIAS.fullmatch(alias):
        raise ValueError(
            f"{alias!r}: an alias has letters, digits, _ and -; MLflow keeps latest, v1, v2, ... "
            "for itself"
        )


def _finished(runs_dir: Path, digits: str) -> RunFolder:
    folder = find_run(runs_dir, digits)
    status = folder.result().status
    if status not in FINAL:
        raise ValueError(
            f"run {short(folder.identity)} is {status}; only finished runs are promoted"
        )
    if not folder.model_file.is_file():
        raise ValueError(
            f"{folder.model_file}: the run has no weights here; run its study again, or promote it "
            "where they are"
        )
    return folder


def _version(opened: Opened, name: str, model: LoggedModel) -> tuple[str, bool]:
    """The version that a LoggedModel is registered as, and whether it is new."""
    client = opened.client
    if asked(client.get_registered_model, name) is None:
        client.create_registered_model(name)
    for found in client.search_model_versions(f"name = '{name}'"):
        if found.tags.get(names.TAG_MODEL) == model.model_id:
            return str(found.version), False
    tags = {key: model.tags[key] for key in (names.TAG_IDENTITY, names.TAG_WEIGHTS)}
    with _current(opened.address):
        made = client.create_model_version(
            name,
            f"models:/{model.model_id}",
            run_id=model.source_run_id,
            model_id=model.model_id,
            tags={**tags, names.TAG_MODEL: model.model_id},
        )
    _note_version(opened, model, made)
    return str(made.version), True


def _note_version(opened: Opened, model: LoggedModel, made: ModelVersion) -> None:
    """Name the version on its LoggedModel, which a server does by itself."""
    tags = opened.client.get_logged_model(model.model_id).tags
    known = json.loads(tags.get(MODEL_VERSIONS_TAG, "[]"))
    line = {"name": made.name, "version": made.version}
    if str(made.version) not in [str(v["version"]) for v in known if v["name"] == made.name]:
        text = json.dumps([*known, line])
        opened.client.set_logged_model_tags(model.model_id, {MODEL_VERSIONS_TAG: text})


def _point(opened: Opened, name: str, alias: str, version: str) -> str | None:
    """Let an alias name a version; returns the version that it named before."""
    before = opened.client.get_registered_model(name).aliases.get(alias)
    if before is None or str(before) != version:
        opened.client.set_registered_model_alias(name, alias, version)
    return None if before is None else str(before)


@contextmanager
def _current(address: str) -> Iterator[None]:
    """MLflow's store of this process for a block: a database's registry looks models up in it."""
    import mlflow

    before = os.environ.get("MLFLOW_TRACKING_URI")  # MLflow keeps what is set there, too
    mlflow.set_tracking_uri(address)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)  # type: ignore[arg-type]  # None: no store
