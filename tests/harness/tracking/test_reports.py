"""The report of a study in MLflow: one run per study and profile, and no row of it."""

import json

import pytest

from tisdiss.harness.tracking.live import show_report
from tisdiss.harness.tracking.reports import note_report
from tisdiss.harness.tracking.sync import sync
from tisdiss.records import names
from tisdiss.records.report_record import PROVENANCE_SCHEMA

CLAIM = {"study": "demo", "id": "deeper", "expr": "row('a') > 0", "source": "ours"}
PLAN = {"study": "demo", "profile": "smoke", "title": "A question?", "rows": []}
PLAN |= {"corpus": {"source": "synthetic"}, "evaluate": {"n_re": [1]}, "show": {}}
PLAN |= {"study_hash": "ab"}


@pytest.fixture
def write_report(tmp_path):
    """A report with some files, beside the runs."""

    def write(status="PASS", **files):
        folder = tmp_path / "build" / "demo"
        folder.mkdir(parents=True, exist_ok=True)
        claim = {**CLAIM, "status": status, "says": "A is positive."}
        report = {"schema": PROVENANCE_SCHEMA, "interval": {}, "cells": {}, "claims": [claim]}
        files = {"provenance.json": json.dumps({**report, "plan": PLAN, "runs": []}), **files}
        for name, text in files.items():
            (folder / name).write_text(text)
        return [folder / name for name in files]

    return write


def reports_of(client):
    experiment = client.get_experiment_by_name(names.EXPERIMENT).experiment_id
    return client.search_runs([experiment], "tags.`tisdiss.kind` = 'report'")


def files_of(client, run):
    return {file.path for file in client.list_artifacts(run.info.run_id)}


def test_a_report_has_one_run_whose_files_are_replaced(client, tmp_path, write_run, write_report):
    runs_dir = tmp_path / "runs"
    write_run(runs_dir)
    note_report(runs_dir, "demo", "smoke", write_report(**{"demo.png": "a", "depth.md": "b"}))
    assert sync(runs_dir).updated == 2 and sync(runs_dir).updated == 0
    (run,) = reports_of(client)
    assert run.info.run_name == "Report · demo · smoke" and run.info.status == "FINISHED"
    assert run.data.tags["mlflow.note.content"] == ("**A question?**\n\n* **PASS** A is positive.")
    assert files_of(client, run) == {"provenance.json", "demo.png", "depth.md"}
    written = write_report("FAIL", **{"demo.png": "other", "table.md": "c"})
    said = []
    show_report(runs_dir, "demo", "smoke", written, said.append)
    (again,) = reports_of(client)
    assert again.info.run_id == run.info.run_id and said == []
    assert "* **FAIL** A is positive." in again.data.tags["mlflow.note.content"]
    assert files_of(client, again) == {"provenance.json", "demo.png", "table.md"}
    assert sync(runs_dir).updated == 0
    note_report(runs_dir, "demo", "mini", written)
    sync(runs_dir)
    assert {r.data.tags["tisdiss.profile"] for r in reports_of(client)} == {"smoke", "mini"}


def test_a_report_is_no_row_of_its_study(client, tmp_path, write_run, write_report, identity):
    runs_dir = tmp_path / "runs"
    write_run(runs_dir)
    note_report(runs_dir, "demo", "smoke", write_report())
    sync(runs_dir)
    experiment = client.get_experiment_by_name(names.EXPERIMENT)
    view = json.loads(json.loads(experiment.tags["mlflow.sharedViewState.demo"])["state"])
    (run,) = client.search_runs([experiment.experiment_id], view["searchFilter"])
    assert run.data.tags["tisdiss.identity"] == identity


def test_a_report_makes_no_store_and_one_that_is_gone_changes_nothing(
    tmp_path, monkeypatch, write_report
):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    said, written = [], write_report()
    (tmp_path / "runs").mkdir()
    show_report(tmp_path / "runs", "demo", "smoke", written, said.append)
    assert said == [] and not (tmp_path / "mlflow.db").exists()
    (note,) = (tmp_path / "runs" / "reports").iterdir()
    assert json.loads(note.read_text())["files"] == ["../build/demo/provenance.json"]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://ann:secret@127.0.0.1:9")
    show_report(tmp_path / "runs", "demo", "smoke", written, said.append)
    (line,) = said
    assert "`tisdiss sync` brings it up to date" in line and "secret" not in line


def test_a_report_that_was_deleted_stays_in_mlflow(client, tmp_path, write_run, write_report):
    written = write_report(**{"demo.png": "a"})
    write_run(tmp_path / "runs")
    note_report(tmp_path / "runs", "demo", "smoke", written)
    sync(tmp_path / "runs")
    for path in written:
        path.unlink()
    assert sync(tmp_path / "runs").updated == 0
    assert files_of(client, reports_of(client)[0]) == {"provenance.json", "demo.png"}
