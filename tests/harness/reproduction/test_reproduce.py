"""A run is made again from its own folder, and compared with itself."""

import json
import sys
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tisdiss.harness.plan import Plan
from tisdiss.harness.reproduction.reproduce import How, reproduce
from tisdiss.harness.run import run
from tisdiss.records.revision import PACKAGE
from tisdiss.records.run_folder import RunFolder

ROWS = ["{id: a}", "{id: b, init_from: a, model: sep1x2-re1x6}"]
HERE = How(here=True, this_code=True)


class Machine:
    """Pretends to train; `noise` is what its rounding adds to a weight."""

    noise = 0.0

    def train(self, config, corpus, folder, *, parent, on_log, **options):
        start = load_file(parent)["w"][0] if parent else 0.0
        weight = np.float32(start + 1 + config.optim.lr + self.noise)
        save_file({"w": np.array([weight])}, folder / "model.safetensors")
        return SimpleNamespace(steps=100, epochs=1, best_val=-1.0, seconds=40.0, stopped="epochs")


@pytest.fixture
def machine():
    return Machine()


@pytest.fixture
def ran(make_plan, make_runner, machine):
    """The identities of a parent and its child, which were run."""
    made = make_plan(ROWS)
    run(made, runner=make_runner(train=machine.train), track=False)
    return [planned.identity for planned in made.runs]


@pytest.fixture
def again(tmp_path, corpora, make_runner, machine):
    """Makes a run again in this process; the result, with what was said."""
    said = []

    def call(identity, how=HERE, **options):
        def start(plan, *, runner, command, **_):
            for planned in plan.runs:
                call.lines.append(command(tmp_path, planned, tmp_path / "code"))
            keep = {"corpora": corpora, "train": machine.train}
            runner = replace(make_runner(), runs_dir=runner.runs_dir, say=said.append, **keep)
            return {planned.identity: runner.run(planned) for planned in plan.runs}

        return reproduce(
            tmp_path / "runs",
            identity[:6],
            replace(how, scratch=how.scratch or tmp_path / "scratch"),
            corpora=corpora,
            say=said.append,
            start=start,
            **options,
        )

    call.said, call.lines = said, []
    return call


def change(tmp_path, identity, name="environment.json", **values):
    path = RunFolder.of(tmp_path / "runs", identity).path / name
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_run_made_again_is_equal_and_leaves_nothing(ran, again, tmp_path):
    result = again(ran[0])
    assert (result.verdict, result.causes, result.notes) == ("equal", [], [])
    assert [each.verdict for each in result.agreements] == ["equal", "equal"]
    assert result.agreements[0].what == "weights" and result.agreements[1].count == 4 * 2 * 4
    assert not (tmp_path / "scratch").exists() and result.scratch is None
    assert any("about 40 s" in line for line in again.said)


def test_the_worker_has_the_code_the_packages_and_the_threads_of_the_run(ran, again, tmp_path):
    change(tmp_path, ran[0], threads=3)
    again(ran[0], replace(HERE, keep=True))
    (line,) = again.lines
    assert line[0] == "env" and f"PYTHONPATH={PACKAGE.parent}" in " ".join(line)
    assert "PYTHONSAFEPATH=1" in line and sys.executable in line
    words = dict(pairwise(line))
    assert (words["--threads"], words["--device"]) == ("3", "cpu")
    assert words["--runs-dir"] == str(tmp_path / "scratch" / "runs")
    plan = next((tmp_path / "scratch").glob("plan-*.json")).read_text()
    (planned,) = Plan.model_validate_json(plan).runs
    config = json.loads((tmp_path / "runs" / ran[0][:10] / "config.json").read_text())
    assert json.loads(plan)["runs"][0]["config"] == config["train"], "as its version wrote it"
    assert planned.identity == ran[0] and len(planned.evaluations) == 1


@pytest.mark.parametrize(
    ("noise", "verdict"), [(2**-20, "equal within rounding"), (0.5, "different")]
)
def test_other_weights_are_told_with_what_differs(ran, again, machine, tmp_path, noise, verdict):
    packages = json.loads((tmp_path / "runs" / ran[0][:10] / "environment.json").read_text())
    then = packages["packages"] | {"scipy": "1.0", "rich": "1.0"}
    change(tmp_path, ran[0], packages=then, cpu="an abacus")
    machine.noise = noise
    result = again(ran[0])
    assert result.verdict == verdict
    assert [(each.part, each.what, each.a) for each in result.causes] == [
        ("packages", "scipy", "1.0"),
        ("environment", "cpu", "an abacus"),
        ("packages", "rich", "1.0"),
    ]
    assert (result.scratch is not None) == (verdict == "different")


def test_a_child_starts_from_the_kept_weights_of_its_parent(ran, again, tmp_path):
    recorded = json.loads((tmp_path / "runs" / ran[1][:10] / "environment.json").read_text())
    assert len(recorded["parent_weights"]) == 64
    result = again(ran[1])
    assert result.verdict == "equal"
    assert result.parent == f"kept weights of parent {ran[0][:10]}, by hash"


def test_other_weights_of_the_parent_are_a_cause(ran, again, tmp_path):
    parent = RunFolder.of(tmp_path / "runs", ran[0])
    save_file({"w": np.array([7.0], "float32")}, parent.model_file)
    result = again(ran[1])
    assert result.verdict == "different" and result.causes[0].what == "parent_weights"
    assert "is not the file that the run started from" in result.notes[0]


def test_a_chain_is_made_again_from_its_beginning(ran, again, tmp_path):
    RunFolder.of(tmp_path / "runs", ran[0]).model_file.unlink()
    with pytest.raises(ValueError, match=r"parent \w+ has no weights here: .*--chain trains it"):
        again(ran[1])
    result = again(ran[1], replace(HERE, chain=True))
    assert result.verdict == "equal" and len(again.lines) == 2
    assert result.parent == f"parent {ran[0][:10]}, made again"


def test_kept_weights_are_scored_without_training(ran, again, machine):
    machine.noise = 1.0
    result = again(ran[1], replace(HERE, evaluate_only=True))
    assert result.verdict == "equal"
    assert [each.what.split()[0] for each in result.agreements] == ["scores"]
    assert result.agreements[0].bound < 2e-5


def test_an_old_run_says_what_it_lacks(ran, again, tmp_path):
    folder = RunFolder.of(tmp_path / "runs", ran[0])
    new = ("packages", "capability", "compiler", "processes")
    environment = {k: v for k, v in folder.environment().plain().items() if k not in new}
    environment["git"] = {"commit": "0" * 40, "dirty": True}
    folder.write("environment.json", environment)
    (record,) = folder.path.glob("evaluations/*/evaluation.json")
    old = {k: v for k, v in json.loads(record.read_text()).items() if k != "data"}
    record.write_text(json.dumps(old))
    result = again(ran[0])
    assert result.verdict == "equal"
    assert [note.partition(":")[0].split()[0] for note in result.notes] == ["evaluation"]
    assert "the training's have the same hash" in result.notes[0]


def test_a_run_of_a_report_has_scores_alone(ran, again, tmp_path):
    folder = RunFolder.of(tmp_path / "runs", ran[0])
    folder.model_file.unlink()
    result = again(ran[0])
    assert [each.what.split()[0] for each in result.agreements] == ["scores"]
    with pytest.raises(ValueError, match=r"model.safetensors: is missing, so its scores"):
        again(ran[0], replace(HERE, evaluate_only=True))


def test_other_data_are_told_before_anything_is_made(ran, again, corpora, monkeypatch, tmp_path):
    open_corpus = corpora.open

    def other(data, n_src):
        return open_corpus(data.model_copy(update={"seed": 99}), n_src)

    monkeypatch.setattr(corpora, "open", other)
    result = again(ran[0])
    assert (result.verdict, result.agreements) == ("different", [])
    assert [each.what for each in result.causes] == ["training", "test_manifest"]
    assert not (tmp_path / "scratch").exists() and again.lines == []


def test_runs_that_cannot_be_made_again_are_told(ran, again, tmp_path):
    with pytest.raises(ValueError, match="'zzzzzz' matches 0 runs"):
        again("zzzzzz")
    change(tmp_path, ran[0], "result.json", status="running")
    with pytest.raises(ValueError, match=r"is not finished \(running\): `tisdiss run`"):
        again(ran[0])


def test_an_interrupted_reproduction_goes_on(ran, again, machine, tmp_path):
    trainings, train = [], machine.train

    def interrupted(*arguments, **options):
        trainings.append(1)
        if len(trainings) == 1:
            raise KeyboardInterrupt
        return train(*arguments, **options)

    machine.train = interrupted
    with pytest.raises(KeyboardInterrupt):
        again(ran[0])
    with pytest.raises(ValueError, match=r"other options \(evaluate_only: False, now True\)"):
        again(ran[0], replace(HERE, evaluate_only=True))
    assert again(ran[0]).verdict == "equal" and len(trainings) == 2


def test_a_run_that_fails_again_gives_its_reason(ran, again, machine, tmp_path):
    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    machine.train = fail
    with pytest.raises(ValueError, match=r"could not be made again: OSError: .*No space left"):
        again(ran[0])
