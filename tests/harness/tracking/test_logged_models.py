"""Weights as LoggedModels: what they compute, what they are linked to, and nothing twice."""

import errno
import json
import shutil

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import save_file

from tisdiss.checkpoint import load_model
from tisdiss.config import named
from tisdiss.harness.tracking.experiment import local_folder
from tisdiss.harness.tracking.mlflow_flavor import example, requirements
from tisdiss.harness.tracking.promote import promote
from tisdiss.harness.tracking.sync import sync
from tisdiss.records import names
from tisdiss.records.run_folder import Journal, RunFolder
from tisdiss.speech_separator import load

HEADER = 8


def computed(model, mixture, **depth):
    with torch.inference_mode():
        return model(torch.from_numpy(mixture), **depth).numpy()


@pytest.fixture
def own_store(client, tmp_path, monkeypatch):
    """The store of the folder as the one that MLflow itself uses."""
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return uri


def test_a_model_of_an_alias_computes_what_the_weights_do(
    own_store, client, tmp_path, write_run, write_model, models_of
):
    folder = write_run(tmp_path / "runs")
    write_model(folder)
    promote(tmp_path / "runs", "abab", alias="best")
    from mlflow import pyfunc  # it is there by now; its first import warns

    kept, model = pyfunc.load_model("models:/tisdiss@best"), load_model(folder.model_file)
    mixture = np.random.default_rng(0).standard_normal((2, 900)).astype(np.float32)
    for n_re in (1, 3, 6):
        estimates = kept.predict(mixture, params={"n_re": n_re})
        assert estimates.dtype == np.float32 and estimates.shape == (2, 2, 900)
        assert np.array_equal(estimates, computed(model, mixture, n_re=n_re))
    deep = kept.predict(mixture, params={"n_re": 2, "n_sep": 4})
    assert np.array_equal(deep, computed(model, mixture, n_re=2, n_sep=4))
    assert np.array_equal(kept.predict(mixture), computed(model, mixture))
    assert np.array_equal(kept.input_example, example(model.config))
    with pytest.raises(ValueError, match="n_re=0: the reconstructor runs at least once"):
        kept.predict(mixture, params={"n_re": 0})
    params = {spec.name: spec.default for spec in kept.metadata.signature.params}
    assert params == {"n_re": 3, "n_sep": 2}
    (logged,) = models_of(client)
    assert logged.params == {"n_re": "3", "n_sep": "2", "n_src": "2", "sample_rate": "8000"}
    files = {path.name: path for path in local_folder(logged.artifact_location).iterdir()}
    assert files["ababababab.safetensors"].read_bytes() == folder.model_file.read_bytes()
    assert not any(name.endswith((".pkl", ".pth", ".py")) for name in files)


def test_whole_models_are_kept_with_their_own_depths(
    own_store, client, tmp_path, write_run, write_model
):
    folder, config = write_run(tmp_path / "runs"), named("sepreformer-base", "smoke")
    write_model(folder, config)
    promote(tmp_path / "runs", "abab", alias="best", name="others")
    from mlflow import pyfunc

    kept, model = pyfunc.load_model("models:/others@best"), load_model(folder.model_file)
    mixture = np.random.default_rng(0).standard_normal((1, 900)).astype(np.float32)
    for n_re in config.dial:
        estimates = kept.predict(mixture, params={"n_re": n_re})
        assert np.array_equal(estimates, computed(model, mixture, n_re=n_re))
    assert requirements(config) == ["tisdiss==0.1.0"]


def test_nothing_is_doubled_by_a_second_sync_or_promotion(
    client, tmp_path, write_run, write_evaluation, write_model, models_of, runs_of
):
    runs_dir, uri = tmp_path / "runs", f"sqlite:///{tmp_path / 'mlflow.db'}"
    folder = write_run(runs_dir)
    write_model(folder)
    write_evaluation(folder)
    first = promote(runs_dir, "abab", alias="best")
    assert (first.version, first.is_new, first.before) == ("1", True, None)
    (run,), (model,) = runs_of(client), models_of(client)
    changed = {path: path.stat().st_mtime_ns for path in (tmp_path / "mlartifacts").rglob("*")}
    assert sync(runs_dir).updated == 0 and sync(runs_dir, uri).updated == 0
    again = promote(runs_dir, "abab", alias="best")
    assert (again.version, again.is_new, again.before) == ("1", False, "1")
    assert [each.model_id for each in models_of(client)] == [model.model_id]
    assert len(models_of(client)[0].metrics) == len(model.metrics)
    (same,) = runs_of(client)
    assert [output.model_id for output in same.outputs.model_outputs] == [model.model_id]
    assert len(client.get_metric_history(run.info.run_id, "depth/si_snri")) == 3
    assert changed == {p: p.stat().st_mtime_ns for p in (tmp_path / "mlartifacts").rglob("*")}
    (version,) = client.search_model_versions("name = 'tisdiss'")
    assert version.source == f"models:/{model.model_id}" and version.run_id == run.info.run_id
    assert promote(runs_dir, "abab", alias="fast").version == "1"  # two aliases of one version


def test_scores_are_linked_at_each_depth_with_their_mixtures(
    client, tmp_path, write_run, write_evaluation, write_model, models_of
):
    folder = write_run(tmp_path / "runs")
    write_model(folder)
    write_evaluation(folder)
    write_evaluation(folder, "9" * 64, gain=float("nan"))  # MLflow would take it for 0
    record = {"identity": "9" * 64, "corpus": "libri2mix", "test_manifest": "fe" * 32}
    for identity in ("cd" * 32, "9" * 64):
        record["identity"] = identity
        (folder.evaluation(identity) / "evaluation.json").write_text(json.dumps(record))
    with Journal(folder.journal) as journal:
        event = {"kind": "depth", "epoch": 0, "evaluation": "9" * 64, "step": 4}
        journal.append({**event, "metrics": {"depth/si_snri": 7.0}})
    sync(tmp_path / "runs")
    (model,) = models_of(client)
    scores = {(m.key, m.step): (m.value, m.dataset_name, m.dataset_digest) for m in model.metrics}
    mixtures = ("libri2mix test", "fefefefefe")
    assert scores == {
        **{("depth.cdcdcdcdcd/si_snri", n): (float(n), *mixtures) for n in (1, 2, 3)},
        ("depth/si_snri", 4): (7.0, *mixtures),
        ("test/si_snri.re4", 0): (7.0, *mixtures),
    }


def test_weights_of_any_size_are_kept_once(client, tmp_path, write_run, write_model, models_of):
    folder = write_run(tmp_path / "runs")
    write_model(folder)
    with safe_open(folder.model_file, framework="np") as file:
        metadata = file.metadata()
    size = 32 * 1024 * 1024
    entry = {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}
    header = json.dumps({"__metadata__": metadata, "all": entry}).encode()
    with folder.model_file.open("wb") as file:
        file.write(len(header).to_bytes(HEADER, "little") + header)
        file.truncate(HEADER + len(header) + size)
    assert sync(tmp_path / "runs").notes == ()
    (model,) = models_of(client)
    kept = [path for path in (tmp_path / "mlartifacts").rglob("*") if path.stat().st_size > size]
    assert [path.parent for path in kept] == [local_folder(model.artifact_location)]


@pytest.mark.parametrize("how", ["deleted", "without files"])
def test_a_model_that_is_gone_is_made_again(
    client, tmp_path, write_run, write_model, models_of, runs_of, how
):
    folder = write_run(tmp_path / "runs")
    write_model(folder)
    sync(tmp_path / "runs")
    (before,) = models_of(client)
    if how == "deleted":
        client.delete_logged_model(before.model_id)
    else:
        shutil.rmtree(local_folder(before.artifact_location))
    assert sync(tmp_path / "runs").updated == 1 and sync(tmp_path / "runs").updated == 0
    (after,) = models_of(client)
    assert (after.model_id == before.model_id) == (how != "deleted")
    assert (local_folder(after.artifact_location) / "MLmodel").is_file()


def test_a_run_that_was_trained_again_has_its_new_weights_alone(
    client, tmp_path, write_run, write_model, models_of, runs_of
):
    folder = write_run(tmp_path / "runs")
    found = []
    for seed in (0, 1, 2):
        write_model(folder, seed=seed)
        folder.journal.write_text(
            json.dumps({"ts_ms": 5 + seed, "kind": "train", "step": 1, "epoch": 0}) + "\n"
        )
        sync(tmp_path / "runs")
        assert len(runs_of(client)) == 1
        found.append([m.tags[names.TAG_WEIGHTS] for m in models_of(client)])
        if seed == 1:
            promote(tmp_path / "runs", "abab", alias="best")  # a version keeps its weights
    assert [len(each) for each in found] == [1, 1, 2]
    assert found[2] == [found[2][0], found[1][0]] and found[0] != found[1]
    assert promote(tmp_path / "runs", "abab", alias="best").before == "1"


def test_another_evaluation_keeps_the_model_and_its_version(
    client, tmp_path, write_run, write_evaluation, write_model, models_of, runs_of
):
    folder = write_run(tmp_path / "runs")
    write_model(folder)
    write_evaluation(folder)
    promote(tmp_path / "runs", "abab")
    (before,) = models_of(client)
    write_evaluation(folder, "9" * 64, gain=1.0)
    assert not promote(tmp_path / "runs", "abab").is_new
    (after,), (run,) = models_of(client), runs_of(client)
    assert after.model_id == before.model_id
    assert [output.model_id for output in run.outputs.model_outputs] == [after.model_id]


def test_weights_that_cannot_be_sent_are_told_and_the_rest_is_sent(
    client, tmp_path, write_run, write_model, models_of, runs_of, monkeypatch
):
    from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

    runs_dir = tmp_path / "runs"
    other, folder = write_run(runs_dir, identity="12" * 32), write_run(runs_dir)
    other.model_file.write_bytes(b"garbage")
    absent = {"format": "tisdiss-1", "model": '{"architecture": "unknown"}', "about": "{}"}
    save_file({"weight": np.zeros(1)}, folder.model_file, absent)
    damaged, missing = sync(runs_dir).notes
    assert damaged.startswith(f"weights are not sent: {other.model_file}: not weights of a TISDiSS")
    assert "no model 'unknown' is installed; there are tisdiss, " in missing
    assert "`tisdiss sync` sends them when that is mended" in missing and "\n" not in missing
    assert len(runs_of(client)) == 2 and models_of(client) == []

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    for each in (folder, other):
        write_model(each)
    with monkeypatch.context() as patch:
        patch.setattr(LocalArtifactRepository, "log_artifacts", full)
        (note,) = sync(runs_dir).notes
        assert note.startswith("weights are not sent: No space left on device; `tisdiss sync`")
        with pytest.raises(ConnectionError, match="run ababababab is not promoted: weights are"):
            promote(runs_dir, "abab")
    assert {str(model.status) for model in models_of(client)} == {"PENDING"}
    assert sync(runs_dir).updated == 2 and sync(runs_dir).notes == ()
    assert [str(model.status) for model in models_of(client)] == ["READY", "READY"]


def test_unfinished_runs_have_no_model(client, tmp_path, write_run, write_model, models_of):
    write_model(write_run(tmp_path / "runs", status="running"))
    sync(tmp_path / "runs")
    assert models_of(client) == []


def test_a_moved_project_finds_its_versions_where_it_is(
    empty_store, tmp_path, monkeypatch, write_run, write_model
):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    old, new = tmp_path / "old", tmp_path / "new"
    folder = write_run(old / "runs")
    write_model(folder)
    (old / "mlflow.db").write_bytes(empty_store.read_bytes())
    promote(old / "runs", "abab", alias="best")
    old.rename(new)
    sync(new / "runs")
    separator = load("models:/tisdiss@best", runs_dir=new / "runs")
    ours = load_model(RunFolder.at(new / "runs" / folder.path.name).model_file)
    assert all(map(torch.equal, separator.model.parameters(), ours.parameters()))
    assert promote(new / "runs", "abab", alias="best").is_new is False and not old.exists()
