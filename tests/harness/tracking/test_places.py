"""Locations of the MLflow database and its artifacts, and errors for unreachable ones."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tisdiss.harness.address import sqlite_at
from tisdiss.harness.tracking.experiment import local_folder, out_of_reach, store_address
from tisdiss.harness.tracking.sync import sync, ui_links
from tisdiss.harness.tracking.ui import _address
from tisdiss.records import names


def test_database_lies_beside_the_runs_unless_the_environment_says_otherwise(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert store_address(None, tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracker:5000")
    assert store_address(None, tmp_path) == "http://tracker:5000"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "  ")
    assert store_address(None, tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"


def test_a_store_that_is_down_is_told_without_its_password(tmp_path, monkeypatch, write_run):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    write_run(tmp_path / "runs")
    with pytest.raises(ConnectionError) as told:
        sync(tmp_path / "runs", "http://ann:secret@127.0.0.1:9")
    assert str(told.value).startswith("MLflow store http://ann:***@127.0.0.1:9: ")
    assert "Start it, or name another one with --uri" in str(told.value)
    assert "secret" not in str(told.value)


def test_an_experiment_in_the_trash_is_restored_with_its_runs(
    client, tmp_path, write_run, runs_of, identity
):
    write_run(tmp_path / "runs")
    sync(tmp_path / "runs")
    experiment = client.get_experiment_by_name(names.EXPERIMENT).experiment_id
    client.delete_experiment(experiment)
    synced = sync(tmp_path / "runs")
    assert synced.notes == ("experiment tisdiss was in MLflow's trash: restored",)
    assert "trash" in str(synced) and sync(tmp_path / "runs").notes == ()
    (run,) = runs_of(client)
    assert run.data.tags["tisdiss.identity"] == identity
    client.delete_experiment(experiment)
    (links,) = ui_links(["demo"], runs_dir=tmp_path / "runs")
    assert f"experiments/{experiment}/" in links.charts


def artifacts_of(root):
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=sqlite_at(root / "mlflow.db"))
    experiment = client.get_experiment_by_name(names.EXPERIMENT)
    (run,) = client.search_runs([experiment.experiment_id])
    places = [experiment.artifact_location, run.info.artifact_uri]
    return places, {file.path for file in client.list_artifacts(run.info.run_id)}


@pytest.fixture
def project(empty_store, tmp_path, monkeypatch, write_run):
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
def test_a_project_elsewhere_has_its_artifacts_there(project, how, write_run):
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
    empty_store, tmp_path, monkeypatch, write_run
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


def test_a_place_of_ones_own_stays(client, tmp_path, write_run, runs_of):
    """An experiment that was made with artifacts elsewhere."""
    client.create_experiment(names.EXPERIMENT, artifact_location=(tmp_path / "disk").as_uri())
    write_run(tmp_path / "runs")
    assert sync(tmp_path / "runs").notes == ()
    (run,) = runs_of(client)
    assert local_folder(run.info.artifact_uri).is_relative_to(tmp_path / "disk")
    assert client.list_artifacts(run.info.run_id) and not (tmp_path / "mlartifacts").exists()


@pytest.mark.slow
def test_several_processes_may_open_a_fresh_database_at_once(tmp_path, write_run):
    write_run(tmp_path / "runs")
    load = "import sys; from tisdiss.harness.tracking.sync import sync"
    code = f"{load}; print(sync(sys.argv[1]).updated)"
    children = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "runs")], stdout=-1, text=True)
        for _ in range(3)
    ]
    updated = [int(child.communicate(timeout=300)[0]) for child in children]
    assert sorted(updated) == [0, 0, 1]


def test_a_kill_while_the_database_is_made_leaves_none(tmp_path, write_run, monkeypatch):
    """MLflow makes its tables in many steps, and cannot go on from the middle of them."""
    write_run(tmp_path / "runs")
    made = tmp_path / "mlflow.db"

    class Killed(BaseException):
        pass

    def cut_short(address):
        assert not made.exists()
        (tmp_path / ".mlflow.db.new").write_bytes(b"half of a database")
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr("tisdiss.harness.tracking.experiment.client_of", cut_short)
        with pytest.raises(Killed):
            sync(tmp_path / "runs")
    assert not made.exists()
    assert sync(tmp_path / "runs").updated == 1
    assert made.is_file() and not (tmp_path / ".mlflow.db.new").exists()
