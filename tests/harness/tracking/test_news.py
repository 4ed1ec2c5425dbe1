"""News of runs that go on: outages, other troubles, and the end that is the same."""

import errno
import math
import sqlite3
import subprocess
import sys
import time

import pytest

from tisdiss.harness.tracking import sync as tracking
from tisdiss.harness.tracking.live import Live
from tisdiss.harness.tracking.news import News
from tisdiss.harness.tracking.sync import sync
from tisdiss.records import names
from tisdiss.records.run_folder import Journal


def content(client, runs):
    """All that MLflow has of some runs, but for what differs from store to store."""
    found = {}
    for run in runs:
        tags = {k: v for k, v in run.data.tags.items() if k != names.TAG_RUNS_DIR}
        history = {
            key: [
                (p.timestamp, p.step, p.value)
                for p in client.get_metric_history(run.info.run_id, key)
                if p.value == p.value
            ]
            for key in run.data.metrics
        }
        data = sorted(
            (i.dataset.name, i.dataset.digest, i.dataset.schema, i.tags[0].value)
            for i in run.inputs.dataset_inputs
        )
        files = sorted(file.path for file in client.list_artifacts(run.info.run_id))
        found[tags.pop(names.TAG_IDENTITY)] = (tags, run.data.params, history, data, files)
        found[run.info.run_name] = (run.info.status, run.info.start_time)
    return found


def used(value):
    return {
        "kind": "system",
        "step": 3,
        "epoch": 0,
        "metrics": {"system/cpu_utilization_percentage": value},
    }


def test_an_outage_in_the_middle_leaves_what_a_sync_without_one_leaves(
    client, tmp_path, write_run, write_evaluation, runs_of, event, monkeypatch, empty_store
):
    runs_dir, said = tmp_path / "runs", []
    news = News(runs_dir, said.append)
    folder = write_run(runs_dir, status="running")
    with folder.lease():
        with Journal(folder.journal) as journal:
            journal.append(used(40.0))
        news.send()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://ann:secret@127.0.0.1:9")
        with Journal(folder.journal) as journal:
            journal.append({**event(4, 0.25), "ts_ms": 2**41})
            journal.append(used(60.0))
        news.send()
        news.send()
        (line,) = said
        assert "127.0.0.1:9" in line and "secret" not in line and "\n" not in line
        monkeypatch.delenv("MLFLOW_TRACKING_URI")
        news.send()
        assert said[1:] == ["MLflow is up to date again"]
        (run,) = runs_of(client)
        assert run.info.status == "RUNNING" and run.data.metrics["train/loss"] == 0.25
        samples = client.get_metric_history(run.info.run_id, "system/cpu_utilization_percentage")
        assert [(p.step, p.value) for p in samples] == [(0, 40.0), (1, 60.0)]
    write_evaluation(folder)
    folder.write("result.json", {"status": "done", "reason": "epochs"})
    news.send()
    assert sync(runs_dir).updated == 0
    from mlflow import MlflowClient

    (tmp_path / "whole.db").write_bytes(empty_store.read_bytes())
    uri = f"sqlite:///{tmp_path / 'whole.db'}"
    anew = MlflowClient(tracking_uri=uri)
    anew.rename_experiment(anew.get_experiment_by_name(names.EXPERIMENT).experiment_id, "template")
    assert sync(runs_dir, uri).updated == 1
    assert content(client, runs_of(client)) == content(anew, runs_of(anew))


def _finds_no_room(place, store, view):
    raise OSError(errno.ENOSPC, "No space left on device", "mlartifacts/model.safetensors")


def test_a_disk_without_room_for_files_costs_a_line_and_no_value(
    client, tmp_path, write_run, runs_of, monkeypatch
):
    said, send_files = [], tracking._send_files
    news = News(tmp_path / "runs", said.append)
    write_run(tmp_path / "runs")

    monkeypatch.setattr(tracking, "_send_files", _finds_no_room)
    news.send()
    news.send()
    (line,) = said
    assert line.startswith("not up to date: [Errno 28] No space left on device: 'mlartifacts/")
    assert runs_of(client)[0].data.metrics["train/loss"] == 1 / 3
    monkeypatch.setattr(tracking, "_send_files", send_files)
    assert sync(tmp_path / "runs").updated == 1 and sync(tmp_path / "runs").updated == 0


def test_a_nan_is_not_sent_twice_because_some_stores_refuse_it(
    client, tmp_path, write_run, runs_of, monkeypatch
):
    sent, log_batch = [], type(client).log_batch

    def noted(self, run_id, metrics=(), *rest, **named):
        sent.extend(metrics)
        return log_batch(self, run_id, metrics, *rest, **named)

    monkeypatch.setattr(tracking, "_send_files", _finds_no_room)
    monkeypatch.setattr(type(client), "log_batch", noted)
    write_run(tmp_path / "runs")
    for _ in range(2):
        with pytest.raises(tracking.PartlySyncedError, match="No space left"):
            sync(tmp_path / "runs")
    numbers = [point for point in sent if not math.isnan(point.value)]
    assert [p.key for p in sent if math.isnan(p.value)] == ["train/grad_norm"]
    assert len(numbers) == 2 * len({(p.key, p.step) for p in numbers})


def test_an_experiment_that_is_deleted_meanwhile_comes_back(
    client, tmp_path, write_run, runs_of, event
):
    said = []
    news = News(tmp_path / "runs", said.append)
    folder = write_run(tmp_path / "runs", status="running")
    with folder.lease():
        news.send()
        client.delete_experiment(client.get_experiment_by_name(names.EXPERIMENT).experiment_id)
        with Journal(folder.journal) as journal:
            journal.append({**event(4, 0.25), "ts_ms": 2**41})
        news.send()
    assert said == ["experiment tisdiss was in MLflow's trash: restored"]
    assert runs_of(client)[0].data.metrics["train/loss"] == 0.25


def test_a_database_of_an_older_mlflow_costs_one_line_with_the_way_out(
    empty_store, tmp_path, write_run, monkeypatch
):
    (tmp_path / "old.db").write_bytes(empty_store.read_bytes())
    with sqlite3.connect(tmp_path / "old.db") as database:
        database.execute("update alembic_version set version_num = 'bda7b8c39065'")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'old.db'}")
    said = []
    news = News(tmp_path / "runs", said.append)
    write_run(tmp_path / "runs")
    news.send()
    news.send()
    (line,) = said
    assert "mlflow db upgrade" in line and "Upgrade it so" in line and "\n" not in line


@pytest.mark.slow
def test_a_run_is_in_mlflow_before_it_ends(client, tmp_path, write_run, runs_of, event):
    folder = write_run(tmp_path / "runs", status="running")
    said = []
    with Live(tmp_path / "runs", said.append, seconds=2) as shown, folder.lease():
        with Journal(folder.journal) as journal:
            journal.append({**event(4, 0.25), "ts_ms": 2**41})
        end = time.monotonic() + 300
        while client.get_experiment_by_name(names.EXPERIMENT) is None or not runs_of(client):
            assert (time.monotonic() < end and shown.child is None) or shown.child.poll() is None
            time.sleep(0.2)
        while runs_of(client)[0].data.metrics.get("train/loss") != 0.25:
            assert time.monotonic() < end
            time.sleep(0.2)
        assert runs_of(client)[0].info.status == "RUNNING"
    assert said == []


@pytest.mark.slow
def test_the_process_ends_with_the_one_that_started_it(client, tmp_path, write_run):
    write_run(tmp_path / "runs")
    code = """
import os, signal, sys, time
from tisdiss.harness.tracking.live import Live
with Live(sys.argv[1], print, seconds=0.01) as shown:
    while shown.child is None:
        time.sleep(0.01)
    print(shown.child.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    line = [sys.executable, "-c", code, str(tmp_path / "runs")]
    pid = int(subprocess.run(line, capture_output=True, text=True).stdout)
    import psutil

    end = time.monotonic() + 120
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < end
        time.sleep(0.1)
