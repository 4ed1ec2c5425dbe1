"""Run folders made by hand, and an MLflow store of their own."""

import json
import math

import pytest
import torch

from tisdiss.checkpoint import save_model
from tisdiss.harness.tracking.sync import sync
from tisdiss.records import names
from tisdiss.records.run_folder import Journal, RunFolder
from tisdiss.records.run_record import Origin
from tisdiss.whole import build

IDENTITY = "ab" * 32
EVALUATION = "cd" * 32


@pytest.fixture(scope="session")
def identity():
    return IDENTITY


def _write_run(runs_dir, *, identity=IDENTITY, status="done", study="demo", label="A"):
    """A run folder with a journal, one evaluation and a plan that shows it."""
    folder = RunFolder.of(runs_dir, identity)
    train = {"seed": 4, "optim": {"lr": 1e-3}, "data": {"source": "synthetic"}}
    train |= {"model": {"n_re": 3}}
    config = {"identity": identity, "parent": None, "data_manifest": "ef" * 32, "kind": "train"}
    config |= {"schema": 1, "name": "sep1x2-re1x3-l1+3"}
    folder.write("config.json", {**config, "train": train})
    folder.write("result.json", {"status": status, "reason": "epochs"})
    with Journal(folder.journal) as journal:
        for step in range(1, 4):
            values = {"train/loss": 1.0 / step, "train/grad_norm": math.inf if step == 2 else 1.0}
            journal.append({"kind": "train", "step": step, "epoch": 0, "metrics": values})
    plan = {"study": study, "profile": "smoke", "title": "A question?", "claim": "It holds."}
    run = {"seed": 4, "identity": identity, "evaluation": EVALUATION}
    plan["rows"] = [{"id": "a", "label": label, "runs": [run]}]
    (runs_dir / "plans").mkdir(exist_ok=True)
    (runs_dir / f"plans/{study}.smoke.json").write_text(json.dumps(plan))
    return folder


@pytest.fixture(scope="session")
def write_run():
    return _write_run


def _write_evaluation(folder, identity=EVALUATION, gain=0.0):
    scored = folder.evaluation(identity)
    (scored / "audio/test-0").mkdir(parents=True)
    (scored / "audio/test-0/mixture.wav").write_bytes(b"RIFF")
    (scored / "scores.parquet").write_bytes(b"PAR1")
    (scored / "evaluation.json").write_text(json.dumps({"identity": identity}))
    with Journal(folder.journal) as journal:
        for n_re in (1, 2, 3):
            event = {"kind": "depth", "step": n_re, "epoch": 0, "evaluation": identity}
            journal.append({**event, "metrics": {"depth/si_snri": n_re + gain}})


@pytest.fixture(scope="session")
def write_evaluation():
    return _write_evaluation


def _event(step, value, ts_ms=5):
    metrics = {"train/loss": value}
    return {"ts_ms": ts_ms, "kind": "train", "step": step, "epoch": 0, "metrics": metrics}


@pytest.fixture(scope="session")
def event():
    return _event


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    """An MLflow database whose tables exist: making them takes seconds, so it is done once."""
    root = tmp_path_factory.mktemp("template")
    (root / "runs").mkdir()
    sync(root / "runs")
    return root / "mlflow.db"


@pytest.fixture
def client(empty_store, tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "mlflow.db").write_bytes(empty_store.read_bytes())
    from mlflow import MlflowClient

    found = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = found.get_experiment_by_name(names.EXPERIMENT)
    found.rename_experiment(experiment.experiment_id, "template")
    return found


def _runs_of(client):
    experiment = client.get_experiment_by_name(names.EXPERIMENT)
    return client.search_runs([experiment.experiment_id])


@pytest.fixture(scope="session")
def runs_of():
    return _runs_of


@pytest.fixture(scope="session")
def write_model(tiny):
    """Gives a run folder random weights of a small model, or of the settings `config`."""

    def write(folder, config=None, seed=0):
        torch.manual_seed(seed)
        save_model(folder.model_file, build(config or tiny()), Origin(identity=folder.identity))

    return write


def _models_of(client):
    experiment = client.get_experiment_by_name(names.EXPERIMENT)
    return client.search_logged_models([experiment.experiment_id])


@pytest.fixture(scope="session")
def models_of():
    return _models_of
