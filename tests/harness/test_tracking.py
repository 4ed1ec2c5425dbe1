"""MLflow as a view of run folders: replayed as often as one likes, never doubled."""

import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tisdiss.harness.address import sqlite_at
from tisdiss.harness.experiment import local_folder, out_of_reach, store_address
from tisdiss.harness.tracking import origin_of, sync, ui_link, ui_links
from tisdiss.harness.ui import News, _address
from tisdiss.records import names
from tisdiss.records.run_folder import Journal, RunFolder

IDENTITY = "ab" * 32
EVALUATION = "cd" * 32


def write_run(runs_dir, *, identity=IDENTITY, status="done", study="demo", label="A"):
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


def write_evaluation(folder, identity=EVALUATION, gain=0.0):
    scored = folder.evaluation(identity)
    (scored / "audio/test-0").mkdir(parents=True)
    (scored / "audio/test-0/mixture.wav").write_bytes(b"RIFF")
    (scored / "scores.parquet").write_bytes(b"PAR1")
    (scored / "evaluation.json").write_text(json.dumps({"identity": identity}))
    with Journal(folder.journal) as journal:
        for n_re in (1, 2, 3):
            event = {"kind": "depth", "step": n_re, "epoch": 0, "evaluation": identity}
            journal.append({**event, "metrics": {"depth/si_snri": n_re + gain}})


def event(step, value, ts_ms=5):
    metrics = {"train/loss": value}
    return {"ts_ms": ts_ms, "kind": "train", "step": step, "epoch": 0, "metrics": metrics}


@pytest.fixture(scope="module")
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


def runs_of(client):
    experiment = client.get_experiment_by_name(names.EXPERIMENT)
    return client.search_runs([experiment.experiment_id])


def test_database_lies_beside_the_runs_unless_the_environment_says_otherwise(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert store_address(None, tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracker:5000")
    assert store_address(None, tmp_path) == "http://tracker:5000"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "  ")
    assert store_address(None, tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"


def test_a_store_that_is_down_is_told_without_its_password(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    write_run(tmp_path / "runs")
    with pytest.raises(ConnectionError) as told:
        sync(tmp_path / "runs", "http://ann:secret@127.0.0.1:9")
    assert str(told.value).startswith("MLflow store http://ann:***@127.0.0.1:9: ")
    assert "Start it, or name another one with --uri" in str(told.value)
    assert "secret" not in str(told.value)


def test_a_damaged_run_is_left_out_and_named(client, tmp_path):
    damaged = write_run(tmp_path / "runs")
    other = write_run(tmp_path / "runs", identity="12" * 32)
    (damaged.path / "result.json").write_text('{"status": "do')
    with pytest.raises(ValueError, match=r"result\.json: not JSON") as told:
        sync(tmp_path / "runs")
    assert "the others: 1 runs in sqlite:" in str(told.value)
    (run,) = runs_of(client)
    assert run.data.tags["tisdiss.identity"] == other.identity
    assert sync(tmp_path / "runs", only=[other.identity]).updated == 0


def test_a_run_is_shown_whole_and_syncing_twice_doubles_nothing(client, tmp_path):
    folder = write_run(tmp_path / "runs")
    write_evaluation(folder)
    assert str(sync(tmp_path / "runs")).endswith("mlflow.db, 1 updated")
    assert sync(tmp_path / "runs").updated == 0
    (run,) = runs_of(client)
    assert run.info.status == "FINISHED"
    tags = run.data.tags
    assert tags["tisdiss.study.demo"] == "a" and tags["tisdiss.identity"] == IDENTITY
    assert (tags["tisdiss.profile"], tags["tisdiss.not_finite"]) == ("smoke", "1")
    assert run.data.params["optim.lr"] == "0.001"
    assert run.data.metrics["test/si_snri.re3"] == 3.0
    curve = client.get_metric_history(run.info.run_id, "depth/si_snri")
    assert [(m.step, m.value) for m in curve] == [(1, 1.0), (2, 2.0), (3, 3.0)]
    assert len(client.get_metric_history(run.info.run_id, "train/loss")) == 3
    files = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert {"config.json", "result.json", "scores.parquet", "audio"} <= files


def test_a_run_that_goes_on_is_brought_up_to_date(client, tmp_path):
    folder = write_run(tmp_path / "runs", status="running")
    with folder.lease():
        sync(tmp_path / "runs")
    (before,) = runs_of(client)
    assert before.info.status == "RUNNING" and "test/si_snri.re3" not in before.data.metrics
    assert before.data.tags["tisdiss.status"] == "running"
    sync(tmp_path / "runs")
    assert runs_of(client)[0].info.status == "KILLED"  # nobody works on it
    write_evaluation(folder)
    folder.write("result.json", {"status": "done", "reason": "epochs"})
    assert sync(tmp_path / "runs", only=[IDENTITY]).updated == 1
    (after,) = runs_of(client)
    assert after.info.run_id == before.info.run_id and after.info.status == "FINISHED"
    assert len(client.get_metric_history(after.info.run_id, "train/loss")) == 3
    write_evaluation(folder, "9" * 64, gain=1.0)  # another depth curve takes the place of the first
    sync(tmp_path / "runs")
    (rebuilt,) = runs_of(client)
    curve = client.get_metric_history(rebuilt.info.run_id, "depth/si_snri")
    assert [m.value for m in curve] == [2.0, 3.0, 4.0]


def test_a_run_that_was_made_anew_takes_the_place_of_the_old_one(client, tmp_path):
    folder = write_run(tmp_path / "runs")
    sync(tmp_path / "runs")
    folder.journal.unlink()
    with Journal(folder.journal) as journal:
        values = {"ts_ms": 5, "kind": "train", "step": 1, "epoch": 0}
        journal.append({**values, "metrics": {"train/loss": 7.0}})
    sync(tmp_path / "runs")
    (run,) = runs_of(client)
    assert [m.value for m in client.get_metric_history(run.info.run_id, "train/loss")] == [7.0]


def test_a_run_that_another_folder_made_is_left_and_told(client, tmp_path):
    """A colleague's folder of the same run, on the same store."""
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    for runs_dir, start in ((theirs, 5), (ours, 7)):
        folder = write_run(runs_dir)
        folder.journal.write_text(json.dumps(event(1, float(start), start)) + "\n")
        synced = sync(runs_dir, uri)
    (line,) = synced.left
    assert line.startswith(f"run {IDENTITY[:10]} from {origin_of(theirs)} (MLflow run ")
    assert str(synced).endswith(f"1 updated\nleft as it is: {line}")
    folder.journal.write_text(json.dumps(event(1, 9.0, 9)) + "\n")  # ours is made anew
    assert len(sync(ours, uri).left) == 1
    found = {run.data.tags["tisdiss.runs_dir"]: run.data.metrics for run in runs_of(client)}
    assert {origin: metrics["train/loss"] for origin, metrics in found.items()} == {
        origin_of(theirs): 5.0,
        origin_of(ours): 9.0,
    }
    for run in runs_of(client):  # such as one of before there was this tag
        client.delete_tag(run.info.run_id, "tisdiss.runs_dir")
    (line,) = sync(ours, uri).left
    assert "from an unknown folder of runs" in line and len(runs_of(client)) == 2
    tags = [run.data.tags.get("tisdiss.runs_dir") for run in runs_of(client)]
    assert set(tags) == {origin_of(ours), None}


def test_a_folder_of_runs_keeps_its_origin_where_it_is_moved(tmp_path):
    origin = origin_of(tmp_path / "runs")
    assert str(tmp_path / "runs ") in origin and origin_of(tmp_path / "runs") == origin
    (tmp_path / "runs").rename(tmp_path / "elsewhere")
    assert origin_of(tmp_path / "elsewhere") == origin != origin_of(tmp_path / "runs")


def test_a_study_is_found_by_the_filter_of_its_link(client, tmp_path):
    write_run(tmp_path / "runs", study="fig2e")
    other = write_run(tmp_path / "runs", identity="12" * 32, study="fig2a", status="diverged")
    sync(tmp_path / "runs")
    link = ui_link("fig2e", 5001, runs_dir=tmp_path / "runs")
    experiment = client.get_experiment_by_name(names.EXPERIMENT).experiment_id
    start, _, query = link.partition("&searchFilter=")
    assert start == (
        f"http://127.0.0.1:5001/#/experiments/{experiment}/runs?compareRunsMode=CHART"
        "&workflowType=machine_learning"
    )
    from urllib.parse import unquote

    (links,) = ui_links(["fig2e"], 5001, runs_dir=tmp_path / "runs")
    key = links.table.partition("&viewStateShareKey=")[2]
    views = client.get_experiment(experiment).tags
    assert links.charts == link and f"mlflow.sharedViewState.{key}" in views
    (run,) = client.search_runs([experiment], unquote(query))
    assert run.data.tags["tisdiss.identity"] == IDENTITY
    (failed,) = client.search_runs([experiment], "attributes.status = 'FAILED'")
    assert failed.data.tags["tisdiss.identity"] == other.identity


def test_a_name_begins_with_the_label_and_is_the_only_one(client, tmp_path):
    runs_dir = tmp_path / "runs"
    write_run(runs_dir, label="fine-tuned")
    write_run(runs_dir, study="other", label="fine-tuned", identity="12" * 32)
    write_run(runs_dir, study="third", label="wide, " * 60, identity="34" * 32)
    write_run(runs_dir, study="zoo", identity="34" * 32)
    sync(runs_dir)
    called = {run.data.tags["tisdiss.identity"][:2]: run.info.run_name for run in runs_of(client)}
    assert called["ab"] == "fine-tuned · demo seed 4 · ababababab"
    assert called["12"] == "fine-tuned · other seed 4 · 1212121212"
    assert len(called["34"]) == 250
    assert called["34"].endswith("… · third +1 seed 4 · 3434343434")
    write_run(runs_dir, label="renamed")
    sync(runs_dir)
    assert "renamed · demo seed 4 · ababababab" in {run.info.run_name for run in runs_of(client)}
    (runs_dir / "plans/demo.smoke.json").unlink()
    sync(runs_dir)  # no row shows it any more
    assert "sep1x2-re1x3-l1+3 · seed 4 · ababababab" in {r.info.run_name for r in runs_of(client)}


def test_the_table_of_a_study_has_its_runs_and_columns_for_label_and_score(client, tmp_path):
    folder = write_run(tmp_path / "runs", label="as published")
    write_run(tmp_path / "runs", study="other", identity="12" * 32)
    write_evaluation(folder)
    sync(tmp_path / "runs")
    experiment = client.get_experiment_by_name(names.EXPERIMENT)
    view = json.loads(json.loads(experiment.tags["mlflow.sharedViewState.demo"])["state"])
    (run,) = client.search_runs([experiment.experiment_id], view["searchFilter"])
    kinds = {"tags": run.data.tags, "metrics": run.data.metrics, "params": run.data.params}
    shown = {}
    for column in view["selectedColumns"]:
        kind, _, key = column.partition(".")
        shown[key.strip("`")] = kinds[kind].get(key.strip("`"))
    assert shown["tisdiss.label"] == "as published" and run.data.tags["tisdiss.studies"] == "demo"
    assert shown["test/si_snri"] == 3.0 and shown["model.n_re"] == "3"


def test_weights_of_any_size_are_kept_and_sent_again_only_when_they_change(client, tmp_path):
    folder = write_run(tmp_path / "runs")
    with folder.model_file.open("wb") as file:
        file.truncate(32 * 1024 * 1024)
    sync(tmp_path / "runs")
    (run,) = runs_of(client)
    sizes = {file.path: file.file_size for file in client.list_artifacts(run.info.run_id)}
    assert sizes["model.safetensors"] == 32 * 1024 * 1024
    kept = local_folder(run.info.artifact_uri) / "model.safetensors"
    before = kept.stat().st_mtime_ns
    with Journal(folder.journal) as journal:
        journal.append(event(9, 1.0))
    assert sync(tmp_path / "runs").updated == 1 and kept.stat().st_mtime_ns == before
    shutil.rmtree(kept.parent)
    assert sync(tmp_path / "runs").updated == 1 and kept.is_file()
    assert sync(tmp_path / "runs").updated == 0


def test_an_experiment_in_the_trash_is_restored_with_its_runs(client, tmp_path):
    write_run(tmp_path / "runs")
    sync(tmp_path / "runs")
    experiment = client.get_experiment_by_name(names.EXPERIMENT).experiment_id
    client.delete_experiment(experiment)
    synced = sync(tmp_path / "runs")
    assert synced.notes == ("experiment tisdiss was in MLflow's trash: restored",)
    assert "trash" in str(synced) and sync(tmp_path / "runs").notes == ()
    (run,) = runs_of(client)
    assert run.data.tags["tisdiss.identity"] == IDENTITY
    client.delete_experiment(experiment)
    assert f"experiments/{experiment}/" in ui_link("demo", runs_dir=tmp_path / "runs")


def artifacts_of(root):
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=sqlite_at(root / "mlflow.db"))
    experiment = client.get_experiment_by_name(names.EXPERIMENT)
    (run,) = client.search_runs([experiment.experiment_id])
    places = [experiment.artifact_location, run.info.artifact_uri]
    return places, {file.path for file in client.list_artifacts(run.info.run_id)}


@pytest.fixture
def project(empty_store, tmp_path, monkeypatch):
    """A folder whose name means something in an address, with a run that MLflow has."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    root = tmp_path / "what? 50%41 #1;é&[x]@:日"
    write_run(root / "runs")
    (root / "mlflow.db").write_bytes(empty_store.read_bytes())
    sync(root / "runs")
    return root


def test_characters_that_mean_something_in_an_address_stay_in_their_folder(project):
    places, files = artifacts_of(project)
    assert {local_folder(place).relative_to(project).parts[0] for place in places} == {
        "mlartifacts"
    }
    assert files == {"config.json", "result.json"}
    there = {"runs", "mlflow.db", "mlartifacts", ".mlflow.lock"}
    assert {path.name for path in project.iterdir()} == there
    assert [path.name for path in project.parent.iterdir()] == [project.name]


@pytest.mark.parametrize("how", ["moved", "copied", "copied without artifacts"])
def test_a_project_elsewhere_has_its_artifacts_there(project, how):
    new = project.with_name("new?")
    before = {path: path.stat().st_mtime_ns for path in (project / "mlartifacts").rglob("*")}
    shutil.copytree(project, new)
    if how == "moved":
        shutil.rmtree(project)
    if how == "copied without artifacts":
        shutil.rmtree(new / "mlartifacts")
    folder = write_run(new / "runs", status="failed")
    synced = sync(new / "runs")
    assert f"artifacts of 1 runs are in {new / 'mlartifacts'}" in synced.notes[0]
    places, files = artifacts_of(new)
    assert all(local_folder(place).is_relative_to(new) for place in places)
    assert files == {"config.json", "result.json"}
    kept = local_folder(places[1]) / "result.json"
    assert kept.read_bytes() == (folder.path / "result.json").read_bytes()
    assert sync(new / "runs").notes == () and sync(new / "runs").updated == 0
    if how == "moved":
        assert not project.exists()
    else:
        after = {path: path.stat().st_mtime_ns for path in (project / "mlartifacts").rglob("*")}
        assert after == before


def test_runs_that_are_a_link_to_another_disk_are_tracked_beside_the_link(
    empty_store, tmp_path, monkeypatch
):
    """The disk's own folder is the administrator's: nothing is written there."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    disk, project, elsewhere = (tmp_path / name for name in ("disk", "project", "elsewhere"))
    for folder in (disk, project, elsewhere):
        folder.mkdir()
    write_run(disk / "me")
    (project / "runs").symlink_to(disk / "me")
    for place in (project / "mlflow.db", elsewhere / "x.db"):
        place.write_bytes(empty_store.read_bytes())
    monkeypatch.chdir(project)
    assert sync(Path("runs")).uri == sqlite_at(project / "mlflow.db")
    assert _address(Path("runs")) == sqlite_at(project / "mlflow.db")  # of `tisdiss ui`
    (project / ".mlflow.lock").unlink()
    assert sync(Path("runs"), sqlite_at(elsewhere / "x.db")).updated == 1
    assert [path.name for path in disk.iterdir()] == ["me"]
    assert (elsewhere / ".mlflow.lock").exists() and not (project / ".mlflow.lock").exists()


def test_a_place_that_cannot_be_reached_is_told_with_the_way_to_it(tmp_path):
    server, database = "http://127.0.0.1:5000", "sqlite:///x.db"
    here, gone = ((tmp_path / name / "mlartifacts/1/artifacts").as_uri() for name in (".", "gone"))
    assert out_of_reach(here, server) is None and out_of_reach("s3://b/1/artifacts", server) is None
    assert "which this machine lacks; `tisdiss sync --uri` with" in out_of_reach(gone, server)
    assert out_of_reach("mlflow-artifacts:/1/2/artifacts", server) is None
    assert "goes through it" in out_of_reach("mlflow-artifacts:/1/2/artifacts", database)


def test_a_place_of_ones_own_stays(client, tmp_path):
    """An experiment that was made with artifacts elsewhere."""
    client.create_experiment(names.EXPERIMENT, artifact_location=(tmp_path / "disk").as_uri())
    write_run(tmp_path / "runs")
    assert sync(tmp_path / "runs").notes == ()
    (run,) = runs_of(client)
    assert local_folder(run.info.artifact_uri).is_relative_to(tmp_path / "disk")
    assert client.list_artifacts(run.info.run_id) and not (tmp_path / "mlartifacts").exists()


def test_what_goes_on_is_sent_while_the_pages_are_served(client, tmp_path):
    said = []
    news = News(tmp_path / "runs", said.append)
    folder = write_run(tmp_path / "runs", status="running")
    with folder.lease():
        news.send()
        (run,) = runs_of(client)
        assert run.info.status == "RUNNING" and run.data.metrics["train/loss"] == 1 / 3
        with Journal(folder.journal) as journal:
            journal.append({**event(4, 0.5), "ts_ms": 2**41})
        news.send()
        assert runs_of(client)[0].data.metrics["train/loss"] == 0.5
    news.send()
    assert [run.info.status for run in runs_of(client)] == ["KILLED"]
    (folder.path / "result.json").write_text("{")
    for _ in range(2):
        news.send()
    (line,) = said
    assert "result.json: not JSON" in line
    assert sync(tmp_path / "runs", only=[]).updated == 0 and len(runs_of(client)) == 1


@pytest.mark.slow
def test_several_processes_may_open_a_fresh_database_at_once(tmp_path):
    write_run(tmp_path / "runs")
    code = "import sys; from tisdiss.harness.tracking import sync; print(sync(sys.argv[1]).updated)"
    children = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "runs")], stdout=-1, text=True)
        for _ in range(3)
    ]
    updated = [int(child.communicate(timeout=300)[0]) for child in children]
    assert sorted(updated) == [0, 0, 1]
