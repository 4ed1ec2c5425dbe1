"""MLflow on PostgreSQL, killed in the middle: nothing is lost, nothing doubled, nobody waits."""

import os
import shutil
import tempfile
import threading
import time
from pathlib import Path

import pytest
import tracking_server

from tisdiss.harness.search_store import open_store
from tisdiss.harness.tracking import sync as tracking
from tisdiss.harness.tracking.live import show_in_mlflow
from tisdiss.records import names
from tisdiss.records.identity import sha256_of
from tisdiss.records.run_folder import Journal, RunFolder
from tisdiss.study.search_file import load_search

pytestmark = [pytest.mark.slow, pytest.mark.engines]
EVENTS, METRICS = 60, 10


def write_run(runs_dir, name="a"):
    """A finished run with 600 values in its journal."""
    identity = sha256_of(name)
    folder = RunFolder.of(runs_dir, identity)
    train = {"seed": 0, "data": {"source": "synthetic"}}
    config = {"schema": 1, "identity": identity, "parent": None, "data_manifest": "ef" * 32}
    config |= {"kind": "train", "name": "sep1x2-re1x3-l1+3", "train": train}
    folder.write("config.json", config)
    folder.write("result.json", {"status": "done", "reason": "epochs"})
    with Journal(folder.journal) as journal:
        for step in range(1, EVENTS + 1):
            metrics = {f"train/m{k}": step + k / 16 for k in range(METRICS)}
            journal.append({"kind": "train", "step": step, "epoch": 0, "metrics": metrics})
    return folder


def rows_of(uri, identity):
    """(metric, step, value) of all rows that the store has for a run; one run is there."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name(names.EXPERIMENT)
    query = f"tags.`{names.TAG_IDENTITY}` = '{identity}'"
    (run,) = client.search_runs([experiment.experiment_id], query)
    keys = [f"train/m{k}" for k in range(METRICS)]
    return [
        (key, point.step, point.value)
        for key in keys
        for point in client.get_metric_history(run.info.run_id, key)
    ]


def journal_rows():
    return sorted(
        (f"train/m{k}", step, step + k / 16)
        for k in range(METRICS)
        for step in range(1, EVENTS + 1)
    )


@pytest.fixture
def small_batches(monkeypatch):
    """Many messages a run, so that a kill falls between them."""
    monkeypatch.setattr(tracking, "BATCH", 20)
    for name in ("MAX_RETRIES", "TIMEOUT"):
        monkeypatch.setenv(f"MLFLOW_HTTP_REQUEST_{name}", "1" if name == "MAX_RETRIES" else "10")


@pytest.fixture(scope="module")
def services():
    """PostgreSQL and, on it, a server."""
    if tracking_server.missing():
        pytest.skip(tracking_server.missing())
    at = Path(tempfile.mkdtemp(prefix="tisdiss-drill-"))
    at.chmod(0o755)  # the database is another user
    database = tracking_server.Postgres(at / "postgres")
    database.create()
    server = tracking_server.MlflowServer(at / "mlflow", database.uri)
    try:
        server.start()
        yield database, server
    finally:
        server.kill()
        database.stop()
        shutil.rmtree(at)


def sync_until_it_works(runs_dir, uri, seconds=600):
    """How often it failed before."""
    end, failed = time.monotonic() + seconds, 0
    while True:
        try:
            tracking.sync(runs_dir, uri)
        except Exception:
            assert time.monotonic() < end, f"no sync in {seconds} s"
            failed += 1
            time.sleep(0.5)
        else:
            return failed


def disturbed(fault, times, delay=0.5):
    """A thread that repeats a fault while the test works."""

    def repeat():
        for _ in range(times):
            time.sleep(delay)
            fault()

    thread = threading.Thread(target=repeat)
    thread.start()
    return thread


@pytest.mark.drill("R10")
def test_a_server_killed_in_the_middle_loses_and_doubles_nothing(
    services, small_batches, figure, tmp_path
):
    _, server = services
    folder = write_run(tmp_path / "runs")

    def kill_and_start():
        server.kill()
        server.start()

    thread = disturbed(kill_and_start, 3)
    failed = 0
    while thread.is_alive():
        failed += sync_until_it_works(tmp_path / "runs", server.uri)
        (folder.path / "result.json").touch()  # something to send again
    thread.join()
    sync_until_it_works(tmp_path / "runs", server.uri)
    assert sorted(rows_of(server.uri, folder.identity)) == journal_rows()
    figure(f"3 kills, {failed} failed syncs, {EVENTS * METRICS} of {EVENTS * METRICS} values once")


@pytest.mark.drill("R10")
def test_a_server_that_is_down_costs_a_line(small_batches, figure, tmp_path, monkeypatch):
    folder = write_run(tmp_path / "runs")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{tracking_server.free_port()}")
    said, began = [], time.monotonic()
    show_in_mlflow(tmp_path / "runs", [folder.identity], said.append)
    seconds = time.monotonic() - began
    assert "`tisdiss sync` brings it up to date" in said[0] and seconds < 30
    figure(f"down: one line and {seconds:.1f} s after a run, none during its training")


@pytest.mark.drill("R11")
def test_a_database_stopped_in_the_middle_loses_and_doubles_nothing(
    services, small_batches, figure, tmp_path
):
    database, server = services
    folder = write_run(tmp_path / "runs", "b")

    def stop_and_start():
        database.stop("immediate")
        time.sleep(1)
        database.start()

    thread = disturbed(stop_and_start, 2)
    failed = 0
    while thread.is_alive():
        failed += sync_until_it_works(tmp_path / "runs", server.uri)
        (folder.path / "result.json").touch()
    thread.join()
    sync_until_it_works(tmp_path / "runs", server.uri)
    assert sorted(rows_of(server.uri, folder.identity)) == journal_rows()
    figure(f"2 immediate stops, {failed} failed syncs, {EVENTS * METRICS} values once each")


@pytest.mark.drill("R12")
def test_eight_writers_of_a_fresh_sqlite_file_lose_nothing(small_batches, figure, tmp_path):
    import mlflow  # noqa: F401  (before the forks, which then start at once)

    runs_dir, uri = tmp_path / "runs", f"sqlite:///{tmp_path / 'mlflow.db'}"
    folders = [write_run(runs_dir, str(k)) for k in range(8)]
    children = []
    for folder in folders:
        if (child := os.fork()) == 0:
            code = 1
            try:
                tracking.sync(runs_dir, uri, only=[folder.identity])
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert codes == [0] * 8
    for folder in folders:
        assert sorted(rows_of(uri, folder.identity)) == journal_rows()
    figure(f"8 writers, 0 errors, {8 * EVENTS * METRICS} of {8 * EVENTS * METRICS} values")


SEARCH = """\
search: search_demo
title: Which rate?
base: sep1x2-re1x3-l1+3
space: {optim.lr: {low: 1e-4, high: 1e-2, log: true}}
objectives: [si_snri]
"""


def plain(database):
    """The address as people write it: no driver is named, and a password is in it."""
    return database.uri.replace("postgresql+psycopg2://tracker", "postgresql://tracker:secret")


@pytest.mark.drill("R19")
def test_a_plain_address_of_a_database_serves_mlflow_also_after_a_move(services, figure, tmp_path):
    database, server = services
    folder = write_run(tmp_path / "before" / "runs", "plain")
    tracking.sync(tmp_path / "before" / "runs", server.uri)
    assert "files of runs are not sent: MLflow's server keeps them; " in str(
        tracking.sync(tmp_path / "before" / "runs", plain(database))
    )
    database.add("direct")
    address = plain(database).replace("/tracking", "/direct")
    told = str(tracking.sync(tmp_path / "before" / "runs", address))
    assert "1 runs in postgresql+psycopg2://tracker:***@" in told
    (tmp_path / "before").rename(tmp_path / "after")
    (tmp_path / "after/runs" / folder.path.name / "result.json").touch()
    told = str(tracking.sync(tmp_path / "after" / "runs", address))
    assert f"artifacts of 1 runs are in {tmp_path / 'after'}" in told
    rows = rows_of(address.replace("postgresql", "postgresql+psycopg2"), folder.identity)
    assert sorted(rows) == journal_rows() and not (tmp_path / "before").exists()
    figure("MLflow on postgresql://, moved, values once each")


@pytest.mark.drill("R19")
def test_a_plain_address_of_a_database_serves_a_search_until_it_stops(services, figure, tmp_path):
    database, _ = services
    (tmp_path / "search_demo.yaml").write_text(SEARCH)
    spec = load_search(tmp_path / "search_demo.yaml")
    mlflows = (spec, "smoke", tmp_path / "runs", plain(database), print)
    with pytest.raises(ConnectionError, match="that MLflow does not use"), open_store(*mlflows):
        pass
    database.add("searches")
    address = plain(database).replace("/tracking", "/searches")
    store = (spec, "smoke", tmp_path / "runs", address, print)
    with open_store(*store) as study:
        study.tell(study.ask(), 1.0)
    with pytest.raises(ConnectionError) as told, open_store(*store) as study:
        assert [trial.value for trial in study.trials] == [1.0]
        database.stop("immediate")
        study.ask()
    with pytest.raises(ConnectionError, match="no answer from"), open_store(*store):
        pass
    database.start()
    line = str(told.value)
    assert "or name one with --storage" in line and "secret" not in line
    assert "\n" not in line
    figure("a search on postgresql://: goes on, and one line where it stops")
