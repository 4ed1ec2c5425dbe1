"""Links to a study's charts and table in MLflow, and the names of runs there."""

import json

from tisdiss.harness.tracking.sync import sync, ui_links
from tisdiss.records import names


def test_a_study_is_found_by_the_filter_of_its_link(client, tmp_path, write_run, identity):
    write_run(tmp_path / "runs", study="fig2e")
    other = write_run(tmp_path / "runs", identity="12" * 32, study="fig2a", status="diverged")
    sync(tmp_path / "runs")
    experiment = client.get_experiment_by_name(names.EXPERIMENT)
    (links,) = ui_links(["fig2e"], 5001, runs_dir=tmp_path / "runs")
    runs = f"http://127.0.0.1:5001/#/experiments/{experiment.experiment_id}/runs?"
    view = "workflowType=machine_learning&viewStateShareKey=fig2e"
    assert links == ("fig2e", f"{runs}compareRunsMode=CHART&{view}", f"{runs}{view}")
    state = json.loads(json.loads(experiment.tags["mlflow.sharedViewState.fig2e"])["state"])
    (run,) = client.search_runs([experiment.experiment_id], state["searchFilter"])
    assert run.data.tags["tisdiss.identity"] == identity
    (failed,) = client.search_runs([experiment.experiment_id], "attributes.status = 'FAILED'")
    assert failed.data.tags["tisdiss.identity"] == other.identity


def test_a_name_begins_with_the_label_and_is_the_only_one(client, tmp_path, write_run, runs_of):
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


def test_the_table_of_a_study_has_its_runs_and_columns_for_label_and_score(
    client, tmp_path, write_run, write_evaluation
):
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


def test_the_view_of_a_study_draws_depth_curves_by_row_and_names_what_differs(
    client, tmp_path, write_run
):
    for identity, n_re in (("ab" * 32, 3), ("12" * 32, 6)):
        folder = write_run(tmp_path / "runs", identity=identity)
        config = json.loads((folder.path / "config.json").read_text())
        config["train"]["model"]["n_re"] = n_re
        config["train"]["seed"] = n_re
        folder.write("config.json", config)
    plan = json.loads((tmp_path / "runs/plans/demo.smoke.json").read_text())
    run = {**plan["rows"][0]["runs"][0], "identity": "ab" * 32}
    plan["rows"].append({"id": "b", "label": "B", "runs": [run]})
    (tmp_path / "runs/plans/demo.smoke.json").write_text(json.dumps(plan))
    sync(tmp_path / "runs")
    tags = client.get_experiment_by_name(names.EXPERIMENT).tags
    state = json.loads(json.loads(tags["mlflow.sharedViewState.demo"])["state"])
    assert state["groupBy"] == {
        "aggregateFunction": "average",
        "groupByKeys": [{"mode": "tag", "groupByData": "tisdiss.study.demo"}],
    }
    first, *_, last = state["compareRunCharts"]
    assert (first["type"], first["metricKey"], first["xAxisKey"]) == (
        *("LINE", "depth/si_snri", "step"),
    )
    assert (last["type"], last["selectedParams"]) == ("PARALLEL", ["model.n_re"])
    sections = {section["uuid"] for section in state["compareRunSections"]}
    assert {chart["metricSectionId"] for chart in state["compareRunCharts"]} <= sections
