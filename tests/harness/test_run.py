"""Runs end as done or with a reason; they resume, and no run is executed twice at once."""

import hashlib
import json
import threading
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from tisdiss.cost.formulas import training_bytes
from tisdiss.harness.planner import plan
from tisdiss.harness.reproduction.packages import installed
from tisdiss.harness.run import run
from tisdiss.harness.runner import StopRun
from tisdiss.records.run_folder import RunFolder, read_journal
from tisdiss.records.scores import mean_by_depth
from tisdiss.records.uncommitted import Uncommitted
from tisdiss.study.load import load_study

ROWS = ["{id: a}", "{id: b, init_from: a, model: sep1x2-re1x6}", "{id: c, set: {model.n_re: 4}}"]


@pytest.fixture
def make_plan(write_study, corpora, tmp_path):
    def make(rows=ROWS):
        study = load_study(write_study(rows))
        return plan([study], "smoke", runs_dir=tmp_path / "runs", corpora=corpora)

    return make


def folder_of(planned, runner, k=0):
    return RunFolder.of(runner.runs_dir, planned.runs[k].identity)


class Diverged(RuntimeError):
    """Named like the one of tisdiss.train."""


def test_a_finished_run_has_all_its_files(make_plan, make_runner):
    planned, runner = make_plan(), make_runner()
    outcomes = run(planned, runner=runner, track=False)
    assert list(outcomes.values()) == ["done"] * 3
    folder = folder_of(planned, runner)
    config = folder.config()
    assert (config.plain()["schema"], config.name) == (1, "sep1x2-re1x3-l1+3")
    assert config.train.plain()["model"]["block"]["channels"] == 8
    assert {"python", "torch", "git", "code_hash", "device"} <= set(folder.environment().plain())
    environment = folder.environment()
    assert environment.packages == installed() and environment.processes == 1
    assert environment.capability == torch.backends.cpu.get_cpu_capability()
    assert folder.result().status == "done"
    asked = planned.runs[0].evaluations[0]
    evaluation = json.loads((folder.evaluation(asked.identity) / "evaluation.json").read_text())
    assert evaluation["train_identity"] == planned.runs[0].identity
    assert (evaluation["mixtures"], evaluation["corpus"]) == (2, "synthetic")
    assert evaluation["data"] == asked.data.model_dump(mode="json")


def test_a_fine_tune_gets_its_parents_weights(make_plan, make_runner):
    planned, runner = make_plan(), make_runner()
    run(planned, runner=runner, track=False)
    parent, child = (folder_of(planned, runner, k) for k in (0, 1))
    assert child.model_file.read_text() == f"from {parent.model_file}"
    assert parent.environment().parent_weights is None
    started = hashlib.sha256(parent.model_file.read_bytes()).hexdigest()
    assert child.environment().parent_weights == started


def test_a_run_keeps_what_was_not_committed(make_plan, make_runner, monkeypatch):
    found = Uncommitted(b"a patch", ("tisdiss/big.py",))
    monkeypatch.setattr("tisdiss.harness.environment.uncommitted", lambda: found)
    planned, runner = make_plan(["{id: a}"]), make_runner()
    run(planned, runner=runner, track=False)
    folder = folder_of(planned, runner)
    changes = folder.environment().git.changes
    assert (folder.path / changes.file).read_bytes() == b"a patch"
    assert changes.left_out == ["tisdiss/big.py"]


def test_the_journal_holds_training_and_the_depth_curve(make_plan, make_runner):
    planned, runner = make_plan(["{id: a}"]), make_runner()
    run(planned, runner=runner, track=False)
    events = read_journal(folder_of(planned, runner).journal)
    assert [event.kind for event in events] == ["train"] * 3 + ["depth"] * 4
    assert events[-1].step == 4
    assert events[-1].metrics == {"depth/si_snri": 4.0, "depth/sdri": 4.5}


def test_what_is_done_is_skipped_with_one_line(make_plan, make_runner):
    planned = make_plan(["{id: a}"])
    run(planned, runner=make_runner(), track=False)
    runner = make_runner(train=None, evaluate=None)
    assert list(run(planned, runner=runner, track=False).values()) == ["skipped"]
    (line,) = runner.said
    assert line.endswith("(demo/a): done before, nothing to do")


def test_a_diverged_run_is_a_row_and_the_rest_goes_on(make_plan, make_runner, pretend):
    def train(config, *args, **options):
        if config.model.n_re == 3:
            raise Diverged("step 7: loss is nan")
        return pretend.train(config, *args, **options)

    planned, runner = make_plan(), make_runner(train=train)
    outcomes = run(planned, runner=runner, track=False)
    assert list(outcomes.values()) == ["diverged", "blocked", "done"]
    result = folder_of(planned, runner).result()
    assert result.plain() == {"status": "diverged", "reason": "Diverged: step 7: loss is nan"}
    assert (folder_of(planned, runner).path / "error.txt").is_file()


def test_a_diverged_run_is_trained_again_only_when_asked(make_plan, make_runner):
    def diverge(*args, folder=None, **options):
        raise Diverged("loss is nan")

    planned = make_plan(["{id: a}"])
    run(planned, runner=make_runner(train=diverge), track=False)
    folder = folder_of(planned, make_runner())
    (folder.path / "checkpoints").mkdir()
    assert list(run(planned, runner=make_runner(), track=False).values()) == ["diverged"]
    assert list(run(planned, runner=make_runner(again=True), track=False).values()) == ["done"]
    assert not (folder.path / "checkpoints").exists()
    assert (folder.path / "events.diverged-1.jsonl").is_file()


def test_a_failed_run_is_tried_again(make_plan, make_runner):
    def fail(*args, **options):
        raise OSError("no space left")

    planned = make_plan(["{id: a}"])
    runner = make_runner(train=fail)
    assert list(run(planned, runner=runner, track=False).values()) == ["failed"]
    assert "failed: OSError: no space left" in runner.said[-1]
    assert list(run(planned, runner=make_runner(), track=False).values()) == ["done"]


def test_a_failed_evaluation_keeps_the_training(make_plan, make_runner):
    def fail(*args, **options):
        raise OSError("no space left")

    planned = make_plan(["{id: a}"])
    run(planned, runner=make_runner(evaluate=fail), track=False)
    assert folder_of(planned, make_runner()).result().status == "done"
    assert make_plan(["{id: a}"]).runs[0].state == "partial"
    runner = make_runner(train=fail)
    assert list(run(planned, runner=runner, track=False).values()) == ["done"]


@pytest.mark.parametrize("name", ["config.json", "result.json"])
def test_a_damaged_run_fails_and_the_others_go_on(make_plan, make_runner, name):
    rows, runner = ["{id: a}", "{id: c, set: {model.n_re: 4}}"], make_runner()
    planned = make_plan(rows)
    damaged = folder_of(planned, runner)
    damaged.write("config.json", {"identity": damaged.identity})
    (damaged.path / name).write_text('{"status": "do')
    planned = make_plan(rows)
    assert [each.state for each in planned.runs] == ["damaged", "new"]
    assert list(run(planned, runner=runner, track=False).values()) == ["failed", "done"]
    assert f"{name}: not JSON" in runner.said[0] and "delete that file" in runner.said[0]
    (damaged.path / name).unlink()
    assert list(run(make_plan(rows), runner=runner, track=False).values()) == ["done", "skipped"]


def test_an_interrupted_run_resumes(make_plan, make_runner):
    def interrupt(*args, on_log, **options):
        on_log({"kind": "train", "step": 1, "epoch": 0, "metrics": {}})
        raise KeyboardInterrupt

    planned = make_plan(["{id: a}"])
    with pytest.raises(KeyboardInterrupt):
        run(planned, runner=make_runner(train=interrupt), track=False)
    assert make_plan(["{id: a}"]).runs[0].state == "partial"
    runner = make_runner()
    run(planned, runner=runner, track=False)
    assert "resumes" in runner.said[0]
    assert len(read_journal(folder_of(planned, runner).journal)) == 1 + 3 + 4


def test_a_run_whose_time_is_up_resumes_later(make_plan, make_runner):
    def pause(*args, max_seconds, **options):
        assert max_seconds == 5
        return SimpleNamespace(steps=1, epochs=0, best_val=0.0, seconds=5.0, stopped="time")

    planned = make_plan(["{id: a}"])
    runner = make_runner(train=pause, max_seconds=5)
    assert list(run(planned, runner=runner, track=False).values()) == ["stopped"]
    assert make_plan(["{id: a}"]).runs[0].state == "partial"


def test_a_watcher_can_stop_a_run_and_finished_weights_stay_finished(
    make_plan, make_runner, pretend
):
    def stop_at(kind):
        def watch(planned, event):
            if event.kind == kind:
                raise StopRun(f"enough of {kind}")

        return watch

    planned = make_plan(["{id: a}"])
    for kind, status in (("train", "running"), ("depth", "done")):
        runner = make_runner(watch=stop_at(kind))
        assert list(run(planned, runner=runner, track=False).values()) == ["stopped"]
        assert folder_of(planned, runner).result().status == status
    assert list(run(planned, runner=make_runner(), track=False).values()) == ["done"]


def test_of_two_runners_one_is_refused(make_plan, make_runner, pretend):
    inside, go_on = threading.Event(), threading.Event()

    def wait(*args, **options):
        inside.set()
        assert go_on.wait(timeout=20)
        return pretend.train(*args, **options)

    planned, outcomes = make_plan(["{id: a}"]), []
    first = make_runner(train=wait)
    thread = threading.Thread(target=lambda: outcomes.append(first.run(planned.runs[0])))
    thread.start()
    assert inside.wait(timeout=20)
    second = make_runner()
    assert second.run(planned.runs[0]) == "held"
    assert "is held by process" in second.said[0]
    go_on.set()
    thread.join()
    assert outcomes == ["done"]


def test_mixtures_that_changed_since_the_plan_are_refused(make_plan, make_runner, corpora):
    planned = make_plan(["{id: a}"])
    changed = planned.runs[0].model_copy(update={"data_manifest": "0" * 64})
    runner = make_runner()
    assert runner.run(changed) == "failed"
    assert "training mixtures changed since the plan was made" in runner.said[-1]


def test_a_killed_evaluation_leaves_nothing_that_counts(make_plan, make_runner, pretend):
    def die(*args, **options):
        pretend.evaluate(*args, **options)
        raise KeyboardInterrupt

    planned = make_plan(["{id: a}"])
    with pytest.raises(KeyboardInterrupt):
        run(planned, runner=make_runner(evaluate=die), track=False)
    folder = folder_of(planned, make_runner())
    assert not folder.evaluation(planned.runs[0].evaluations[0].identity).exists()
    run(planned, runner=make_runner(), track=False)
    assert [p.name[0] for p in (folder.path / "evaluations").iterdir()] != ["."]


def test_shipped_weights_become_an_imported_run(write_study, corpora, tmp_path, make_runner):
    source = tmp_path / "models/tiny.safetensors"
    source.parent.mkdir()
    _write_weights(source)
    more = "profiles: {smoke: {weights: {tiny: {file: models/tiny.safetensors}}}}\n"
    study = load_study(write_study(["{id: a, weights: tiny}"], more=more))
    planned = plan(
        [study], "smoke", runs_dir=tmp_path / "runs", corpora=corpora, root=tmp_path, seeds=[0, 1]
    )
    (only,) = planned.runs
    assert (only.identity, only.kind, only.config.epochs) == ("f" * 64, "weights", 9)
    assert len(planned.studies[0].rows[0].runs) == 1
    run(planned, runner=make_runner(), track=False)
    folder = RunFolder.of(tmp_path / "runs", only.identity)
    assert folder.result().status == "imported"
    assert folder.model_file.read_bytes() == source.read_bytes()
    assert folder.state((only.evaluations[0].identity,)) == "done"


def test_weights_that_were_trained_here_keep_their_folder(
    write_study, corpora, tmp_path, make_runner
):
    (tmp_path / "models").mkdir()
    _write_weights(tmp_path / "models/tiny.safetensors")
    more = "profiles: {smoke: {weights: {tiny: {file: models/tiny.safetensors}}}}\n"
    study = load_study(write_study(["{id: a, weights: tiny}"], more=more))
    folder = RunFolder.of(tmp_path / "runs", "f" * 64)
    trained = {"identity": "f" * 64, "parent": "e" * 64, "kind": "finetune"}
    folder.write("config.json", trained)
    folder.write("result.json", {"status": "done", "reason": "epochs"})
    folder.model_file.write_text("trained here")
    planned = plan([study], "smoke", runs_dir=tmp_path / "runs", corpora=corpora, root=tmp_path)
    assert list(run(planned, runner=make_runner(), track=False).values()) == ["done"]
    assert folder.config().plain() == trained
    assert folder.model_file.read_text() == "trained here"


def test_weights_that_were_replaced_since_the_plan_are_not_taken(
    write_study, corpora, tmp_path, make_runner
):
    source = tmp_path / "models/tiny.safetensors"
    source.parent.mkdir()
    _write_weights(source)
    study = load_study(write_study(["{id: a, weights: models/tiny.safetensors}"]))
    planned = plan([study], "smoke", runs_dir=tmp_path / "runs", corpora=corpora, root=tmp_path)
    _write_weights(source, identity="e" * 64)
    runner = make_runner()
    assert list(run(planned, runner=runner, track=False).values()) == ["failed"]
    folder = RunFolder.of(tmp_path / "runs", "f" * 64)
    told = "tiny.safetensors: was replaced since the plan was made (run ffffffffff then, eeeeeeeeee"
    assert told in folder.result().reason and told in runner.said[-1]
    assert not folder.model_file.exists() and not list(folder.path.glob("evaluations/*"))
    source.write_bytes(b"hello")
    assert list(run(planned, runner=runner, track=False).values()) == ["failed"]
    assert "tiny.safetensors: not a safetensors file" in folder.result().reason
    _write_weights(source)
    assert list(run(planned, runner=runner, track=False).values()) == ["done"]


def _write_weights(path, identity="f" * 64):
    from tisdiss.config import ModelConfig, TrainConfig

    config = TrainConfig(epochs=9)
    about = {"identity": identity, "data_manifest": "d", "train": config.model_dump(mode="json")}
    metadata = {"model": ModelConfig().model_dump_json(), "about": json.dumps(about)}
    head = json.dumps({"__metadata__": metadata}).encode()
    path.write_bytes(len(head).to_bytes(8, "little") + head)


def test_a_file_that_is_not_weights_is_refused(tmp_path):
    from tisdiss.study.shipped_weights import read_shipped

    path = tmp_path / "x.safetensors"
    path.write_bytes(b"hello")
    with pytest.raises(ValueError, match="not a safetensors file"):
        read_shipped(path)


def test_means_leave_out_what_is_not_finite(tmp_path):
    import pandas as pd

    rows = [(1, 2.0), (1, float("inf")), (1, float("nan")), (2, 4.0)]
    frame = pd.DataFrame(rows, columns=["n_re", "si_snri"]).assign(mixture_id="m", sdri=1.0)
    frame.to_parquet(tmp_path / "scores.parquet")
    means, mixtures = mean_by_depth(tmp_path / "scores.parquet")
    assert {n: m["depth/si_snri"] for n, m in means.items()} == {1: 2.0, 2: 4.0}
    assert mixtures == 1


def test_a_tracker_that_fails_costs_one_line(make_plan, make_runner, monkeypatch):
    def unreachable(*args, **options):
        raise ConnectionError("no server\nat all")

    monkeypatch.setattr("tisdiss.harness.tracking.sync.sync", unreachable)
    runner = make_runner()
    assert list(run(make_plan(["{id: a}"]), runner=runner).values()) == ["done"]
    assert runner.said[-1] == (
        "MLflow is not up to date (no server); `tisdiss sync` brings it up to date"
    )


@pytest.fixture
def trained(pretend):
    """Stand-in training, and what it was asked for."""
    asked = []

    def train(*arguments, **options):
        asked.append(options["recompute"])
        return pretend.train(*arguments, **options)

    return SimpleNamespace(train=train, asked=asked)


@pytest.mark.parametrize(
    ("there", "given", "expected"),
    [(1e12, None, False), (1e4, None, True), (1e4, False, False), (1e12, True, True)],
)
def test_training_recomputes_where_its_tensors_would_not_fit_or_as_it_is_told(
    make_plan, make_runner, trained, monkeypatch, there, given, expected
):
    monkeypatch.setattr("tisdiss.harness.runner.memory_of", lambda device: there)
    runner = make_runner(train=trained.train, recompute=given)
    assert list(run(make_plan(["{id: a}"]), runner=runner, track=False).values()) == ["done"]
    assert trained.asked == [expected]
    told = [line for line in runner.said if "recomputes instead" in line]
    assert len(told) == (given is None and expected)


@pytest.mark.parametrize(("sharing", "expected"), [(1, False), (3, True)])
def test_runs_that_share_a_memory_have_their_part_of_it(
    make_plan, make_runner, trained, monkeypatch, sharing, expected
):
    planned = make_plan(["{id: a}"])
    config = planned.runs[0].config
    needed = training_bytes(config.model, config.data.segment_seconds, config.batch_size)
    monkeypatch.setattr("tisdiss.harness.runner.memory_of", lambda device: 3 * needed)
    run(planned, runner=make_runner(train=trained.train, sharing=sharing), track=False)
    assert trained.asked == [expected]


def test_a_lost_result_is_read_off_the_weights_instead_of_training_again(
    make_plan, make_runner, pretend
):
    def train(config, corpus, folder, **options):
        result = pretend.train(config, corpus, folder, **options)
        about = json.dumps({**options["about"].plain(), "training": vars(result)})
        save_file({"weight": np.zeros(1)}, folder / "model.safetensors", {"about": about})
        return result

    def trains_again(*arguments, **options):
        raise AssertionError("trained again")

    planned, runner = make_plan(["{id: a}"]), make_runner(train=train)
    run(planned, runner=runner, track=False)
    folder = folder_of(planned, runner)
    before = folder.result()
    (folder.path / "result.json").unlink()
    later = make_runner(train=trains_again)
    assert list(run(planned, runner=later, track=False).values()) == ["done"]
    assert folder.result() == before
    assert "already trained; restored result.json" in later.said[0]


class OutOfMemoryError(RuntimeError):
    """Named like torch's."""


def test_a_training_that_does_not_fit_says_what_to_do(make_plan, make_runner):
    def train(*arguments, **options):
        raise OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has ...")

    planned, runner = make_plan(["{id: a}"]), make_runner(train=train)
    assert list(run(planned, runner=runner, track=False).values()) == ["failed"]
    assert folder_of(planned, runner).result().reason == (
        "OutOfMemoryError: CUDA out of memory; use --recompute, --processes N or a smaller "
        "batch_size"
    )
