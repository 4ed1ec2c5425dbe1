"""Runs in MLflow: replaying them any number of times creates no duplicates."""

import json
import shutil

import pytest

from tisdiss.harness.tracking.experiment import local_folder
from tisdiss.harness.tracking.news import News
from tisdiss.harness.tracking.sync import origin_of, sync
from tisdiss.records.run_folder import Journal


def test_a_damaged_run_is_left_out_and_named(client, tmp_path, write_run, runs_of):
    damaged = write_run(tmp_path / "runs")
    other = write_run(tmp_path / "runs", identity="12" * 32)
    (damaged.path / "result.json").write_text('{"status": "do')
    with pytest.raises(ValueError, match=r"result\.json: not JSON") as told:
        sync(tmp_path / "runs")
    assert "the others: 1 runs in sqlite:" in str(told.value)
    (run,) = runs_of(client)
    assert run.data.tags["tisdiss.identity"] == other.identity
    assert sync(tmp_path / "runs", only=[other.identity]).updated == 0


def test_a_run_is_shown_whole_and_syncing_twice_doubles_nothing(
    client, tmp_path, write_run, write_evaluation, runs_of, identity
):
    folder = write_run(tmp_path / "runs")
    write_evaluation(folder)
    assert str(sync(tmp_path / "runs")).endswith("mlflow.db, 1 updated")
    assert sync(tmp_path / "runs").updated == 0
    (run,) = runs_of(client)
    assert run.info.status == "FINISHED"
    tags = run.data.tags
    assert tags["tisdiss.study.demo"] == "a" and tags["tisdiss.identity"] == identity
    assert (tags["tisdiss.profile"], tags["tisdiss.not_finite"]) == ("smoke", "1")
    assert run.data.params["optim.lr"] == "0.001"
    assert run.data.metrics["test/si_snri.re3"] == 3.0
    curve = client.get_metric_history(run.info.run_id, "depth/si_snri")
    assert [(m.step, m.value) for m in curve] == [(1, 1.0), (2, 2.0), (3, 3.0)]
    assert len(client.get_metric_history(run.info.run_id, "train/loss")) == 3
    files = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert {"config.json", "result.json", "scores.parquet", "audio"} <= files


def test_a_run_that_goes_on_is_brought_up_to_date(
    client, tmp_path, write_run, write_evaluation, runs_of, identity
):
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
    assert sync(tmp_path / "runs", only=[identity]).updated == 1
    (after,) = runs_of(client)
    assert after.info.run_id == before.info.run_id and after.info.status == "FINISHED"
    assert len(client.get_metric_history(after.info.run_id, "train/loss")) == 3
    write_evaluation(folder, "9" * 64, gain=1.0)  # another depth curve takes the place of the first
    sync(tmp_path / "runs")
    (rebuilt,) = runs_of(client)
    curve = client.get_metric_history(rebuilt.info.run_id, "depth/si_snri")
    assert [m.value for m in curve] == [2.0, 3.0, 4.0]


def test_a_run_that_was_made_anew_takes_the_place_of_the_old_one(
    client, tmp_path, write_run, runs_of
):
    folder = write_run(tmp_path / "runs")
    sync(tmp_path / "runs")
    folder.journal.unlink()
    with Journal(folder.journal) as journal:
        values = {"ts_ms": 5, "kind": "train", "step": 1, "epoch": 0}
        journal.append({**values, "metrics": {"train/loss": 7.0}})
    sync(tmp_path / "runs")
    (run,) = runs_of(client)
    assert [m.value for m in client.get_metric_history(run.info.run_id, "train/loss")] == [7.0]


def test_a_run_that_another_folder_made_is_left_and_told(
    client, tmp_path, write_run, event, runs_of, identity
):
    """A colleague's folder of the same run, on the same store."""
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    for runs_dir, start in ((theirs, 5), (ours, 7)):
        folder = write_run(runs_dir)
        folder.journal.write_text(json.dumps(event(1, float(start), start)) + "\n")
        synced = sync(runs_dir, uri)
    (line,) = synced.left
    assert line.startswith(f"run {identity[:10]} from {origin_of(theirs)} (MLflow run ")
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


def test_artifacts_are_sent_again_only_when_they_change(
    client, tmp_path, write_run, event, runs_of
):
    folder = write_run(tmp_path / "runs")
    sync(tmp_path / "runs")
    (run,) = runs_of(client)
    kept = local_folder(run.info.artifact_uri) / "result.json"
    before = kept.stat().st_mtime_ns
    with Journal(folder.journal) as journal:
        journal.append(event(9, 1.0))
    assert sync(tmp_path / "runs").updated == 1 and kept.stat().st_mtime_ns == before
    shutil.rmtree(kept.parent)
    assert sync(tmp_path / "runs").updated == 1 and kept.is_file()
    assert sync(tmp_path / "runs").updated == 0


def test_what_goes_on_is_sent_while_the_pages_are_served(
    client, tmp_path, write_run, event, runs_of
):
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


def test_the_mixtures_of_a_run_are_datasets_with_digest_and_schema(
    client, tmp_path, write_run, write_evaluation, runs_of
):
    def datasets(run):
        return {i.tags[0].value: i.dataset for i in run.inputs.dataset_inputs}

    write_run(tmp_path / "runs")
    sync(tmp_path / "runs")  # of a version that did not record them one by one
    found = datasets(runs_of(client)[0])
    digests = {context: (data.name, data.digest) for context, data in found.items()}
    assert digests == {
        "train": ("synthetic", "efefefefef"),
        "validation": ("synthetic validation", "efefefefef"),
    }
    newer = write_run(tmp_path / "runs", identity="12" * 32)
    train, val = ({"manifest": digit * 64, "mixtures": 9} for digit in "78")
    newer.write("data.json", {"train": train, "val": val})
    write_evaluation(newer)
    scored = {"identity": "cd" * 32, "test_manifest": "9" * 64, "mixtures": 5}
    (newer.evaluation("cd" * 32) / "evaluation.json").write_text(json.dumps(scored))
    sync(tmp_path / "runs")
    (run,) = [r for r in runs_of(client) if r.data.tags["tisdiss.identity"] == newer.identity]
    found = datasets(run)
    assert {context: data.digest for context, data in found.items()} == {
        "train": "7" * 10,
        "validation": "8" * 10,
        "test": "9" * 10,
    }
    from mlflow.types import Schema

    columns = json.dumps(json.loads(found["test"].schema)["mlflow_colspec"])
    assert str(Schema.from_json(columns)) == (
        "['mixture': Tensor('float32', (-1,)), 'sources': Tensor('float32', (-1, -1))]"
    )
    assert json.loads(found["test"].source)["tags"]["manifest"] == "9" * 64
    assert json.loads(found["test"].profile) == {"mixtures": 5}
    assert sync(tmp_path / "runs").updated == 0
