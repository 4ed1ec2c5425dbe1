"""The weights of finished runs as MLflow's LoggedModels, linked to the scores at each depth.

A LoggedModel is found again by the identity of its run and the hash of its weights, so that nothing
is doubled. One that was deleted or whose files are gone is made anew by the next sync.
"""

from __future__ import annotations

import math
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tisdiss.config import AnyModel
from tisdiss.harness.address import hidden, reason_of
from tisdiss.harness.tracking.experiment import BATCH, Opened, local_folder, out_of_reach
from tisdiss.harness.tracking.mlflow_flavor import describe
from tisdiss.harness.tracking.view import Point, View, digest
from tisdiss.records import names
from tisdiss.records.files import sha256_of_file
from tisdiss.records.identity import short
from tisdiss.records.run_folder import RunFolder
from tisdiss.records.run_record import Evaluation
from tisdiss.study.shipped_weights import read_model

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel, Metric, Run

FORMAT = 1
"""Version of what is sent; another one sends all models again."""
KIND = "speech separator"
"""MLflow's type of the models."""
MODEL_VERSIONS_TAG = "mlflow.modelVersions"
"""MLflow's list of the versions that a LoggedModel was registered as."""
_WAY_OUT = "`tisdiss sync` sends them when that is mended"


class _Sent(NamedTuple):
    """The LoggedModel of a run and a digest of what it has; its text is a tag of the run."""

    model: str = ""
    digest: str = ""

    @classmethod
    def of(cls, run: Run) -> _Sent:
        return cls(*run.data.tags.get(names.TAG_MODEL, "").split()[:2])

    def __str__(self) -> str:
        return " ".join(self)


@dataclass
class LoggedModels:
    """The LoggedModels of our experiment, and the runs folder that writes them."""

    opened: Opened
    origin: str
    unsent: set[str] = field(default_factory=set)
    """Why weights are not sent."""

    def sync(self, run: Run, view: View, folder: RunFolder) -> bool:
        """Make the LoggedModel of a finished run equal to the folder; False if it was before.

        A failure is noted in `unsent`; the next sync tries again.
        """
        from mlflow.exceptions import MlflowException

        there = view.status == "FINISHED" and folder.model_file.is_file()
        if not there or out_of_reach(run.info.artifact_uri, self.opened.address):
            return False
        try:
            return self._sync(run, view, folder)
        except OSError as error:
            self.unsent.add(hidden(f"{error.strerror or reason_of(error)}; {_WAY_OUT}"))
        except (ValueError, MlflowException) as error:
            self.unsent.add(hidden(f"{reason_of(error).rstrip('.')}; {_WAY_OUT}"))
        return False

    def of(self, folder: RunFolder) -> LoggedModel | None:
        """The complete LoggedModel of a run's weights; None if there is none."""
        sha = sha256_of_file(folder.model_file)
        models = self._search(folder)
        return next((m for m in models if _has(m, sha) and _is_complete(m)), None)

    def _sync(self, run: Run, view: View, folder: RunFolder) -> bool:
        before, wanted = _Sent.of(run), _digest(view, folder)
        model = self._alive(before.model)
        if model and before.digest == wanted and _is_complete(model):
            return False
        model = self._model(run, folder)
        outputs = run.outputs.model_outputs if run.outputs else []
        if model.model_id not in [output.model_id for output in outputs]:
            self._link(run, model)
        self._send_scores(run, model, view, folder)
        sent = str(_Sent(model.model_id, wanted))
        self.opened.client.set_tag(run.info.run_id, names.TAG_MODEL, sent)
        return True

    def _alive(self, model_id: str) -> LoggedModel | None:
        from mlflow.exceptions import MlflowException

        if not model_id:
            return None
        try:
            return self.opened.client.get_logged_model(model_id)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None

    def _model(self, run: Run, folder: RunFolder) -> LoggedModel:
        """The LoggedModel of a run's weights with its files; made if there is none."""
        config, sha = read_model(folder.model_file), sha256_of_file(folder.model_file)
        found = self._search(folder)
        model = next((model for model in found if _has(model, sha)), None)
        if model is None:
            self._delete_former(found)
            model = self._create(run, folder, config, sha)
        if not _is_complete(model):
            self._send_files(model, folder, config)
            self.opened.client.finalize_logged_model(model.model_id, "READY")
        return model

    def _search(self, folder: RunFolder) -> list[LoggedModel]:
        query = f"tags.`{names.TAG_IDENTITY}` = '{folder.identity}'"
        return list(self.opened.client.search_logged_models([self.opened.id], query))

    def _delete_former(self, models: list[LoggedModel]) -> None:
        """Delete what this runs folder sent before a run was trained again, but no registered."""
        for model in models:
            ours = model.tags.get(names.TAG_RUNS_DIR) == self.origin
            if ours and MODEL_VERSIONS_TAG not in model.tags:
                self.opened.client.delete_logged_model(model.model_id)

    def _create(self, run: Run, folder: RunFolder, config: AnyModel, sha: str) -> LoggedModel:
        sizes = {"n_re": config.n_re, "n_sep": config.n_sep}
        sizes |= {"n_src": config.n_src, "sample_rate": config.sample_rate}
        return self.opened.client.create_logged_model(
            self.opened.id,
            name=_name(folder),
            source_run_id=run.info.run_id,
            tags={
                names.TAG_IDENTITY: folder.identity,
                names.TAG_WEIGHTS: sha,
                names.TAG_RUNS_DIR: self.origin,
            },
            params={name: str(value) for name, value in sizes.items()},
            model_type=KIND,
        )

    def _send_files(self, model: LoggedModel, folder: RunFolder, config: AnyModel) -> None:
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        place = model.artifact_location
        repository = get_artifact_repository(place, tracking_uri=self.opened.address)
        name = f"{short(folder.identity)}.safetensors"
        with tempfile.TemporaryDirectory() as made:
            describe(Path(made) / "model", name, folder.model_file, config, model)
            repository.log_artifacts(str(Path(made) / "model"))

    def _link(self, run: Run, model: LoggedModel) -> None:
        from mlflow.entities import LoggedModelOutput

        output = LoggedModelOutput(model.model_id, step=0)
        self.opened.client.log_outputs(run.info.run_id, [output])

    def _send_scores(self, run: Run, model: LoggedModel, view: View, folder: RunFolder) -> None:
        """Link the scores; those that are there already are not doubled by MLflow."""
        scores = list(_scores(view, folder, model.model_id))
        for start in range(0, len(scores), BATCH):
            batch = scores[start : start + BATCH]
            self.opened.client.log_batch(run.info.run_id, metrics=batch)


def _has(model: LoggedModel, sha: str) -> bool:
    return bool(model.tags.get(names.TAG_WEIGHTS) == sha)


def _is_complete(model: LoggedModel) -> bool:
    """Whether all files were sent and, if their folder is on this machine, are still there."""
    folder = local_folder(model.artifact_location)
    return str(model.status) == "READY" and (folder is None or (folder / "MLmodel").is_file())


def _name(folder: RunFolder) -> str:
    """The model's name with the run's short identity, without what MLflow does not allow."""
    return re.sub(r"[/:.%\"']", "_", f"{folder.model_name()} {short(folder.identity)}")


def _digest(view: View, folder: RunFolder) -> str:
    """A digest of everything that is sent."""
    weights = folder.model_file.stat()
    return digest([FORMAT, weights.st_size, weights.st_mtime_ns, list(_points(view))])


def _points(view: View) -> Iterator[tuple[str, Point]]:
    """The scores, each with its evaluation; MLflow would take one that is not finite for 0."""
    latest = view.tags.get(names.TAG_EVALUATION)
    for point in view.metrics:
        evaluation = names.evaluation_of(point.key, latest)
        if evaluation and math.isfinite(point.value):
            yield evaluation, point


def _scores(view: View, folder: RunFolder, model_id: str) -> Iterator[Metric]:
    """The scores as metrics of the model on the mixtures of their evaluation."""
    from mlflow.entities import Metric

    mixtures: dict[str, tuple[str | None, str | None]] = {}
    for evaluation, point in _points(view):
        if evaluation not in mixtures:
            mixtures[evaluation] = _mixtures(folder.scored(evaluation))
        name, hashed = mixtures[evaluation]
        yield Metric(*point, model_id=model_id, dataset_name=name, dataset_digest=hashed)


def _mixtures(evaluation: Evaluation | None) -> tuple[str | None, str | None]:
    """Name and digest of the mixtures of an evaluation; both None if they are unknown."""
    if evaluation is None or not (evaluation.corpus and evaluation.test_manifest):
        return None, None
    return names.dataset(evaluation.corpus, names.DATA_TEST), short(evaluation.test_manifest)
