"""Runs restored from a report count as finished, and are trained only if weights are needed."""

import json

import pandas as pd
import pytest

from tisdiss.analysis.report import report
from tisdiss.harness.restore import restore, runs_of
from tisdiss.harness.run import run
from tisdiss.records.files import DamagedError
from tisdiss.records.run_folder import RunFolder

ROWS = ["{id: a}", "{id: b, model: sep1x1-re1x2-l1}"]
CHILD = "{id: c, init_from: a, model: sep1x2-re1x4-l1+4}"


def evaluate(model_file, corpus, config, folder, **options):
    """Two mixtures of two speakers, with all that a report reads; SI-SNRi is N_re."""
    voices = [("p", "F"), ("q", "M"), ("r", "M"), ("s", "F")]
    rows = [
        {"mixture_id": f"test-{m}", "slot": s, "speaker": voices[2 * m + s][0]}
        | {"sex": voices[2 * m + s][1], "n_sep": config.n_sep or 2, "n_re": n}
        | {"si_snri": float(n), "sdri": n + 0.5, "si_snr": n - 1.0, "sdr": float(n)}
        | {"mixture_si_snr": -1.0, "mixture_sdr": -0.5}
        for m in range(2)
        for s in range(2)
        for n in config.n_re or (0,)
    ]
    pd.DataFrame(rows).to_parquet(folder / "scores.parquet")


@pytest.fixture
def make_runner(make_runner):
    """A runner whose evaluation gives all that a report reads."""
    return lambda **options: make_runner(evaluate=evaluate, **options)


@pytest.fixture
def reported(make_plan, make_runner, tmp_path):
    """A report of two rows, and an empty folder of runs."""
    run(make_plan(ROWS), runner=make_runner(), track=False)
    report("demo", "smoke", tmp_path / "runs", tmp_path / "reports")
    (tmp_path / "runs").rename(tmp_path / "runs elsewhere")
    return tmp_path / "reports" / "demo"


def states(plan):
    return {member.row: each.state for each in plan.runs for member in each.members}


def test_restored_runs_are_done_and_give_the_same_report(
    reported, make_plan, make_runner, tmp_path
):
    assert states(make_plan(ROWS)) == {"a": "new", "b": "new"}
    made = restore(make_plan(ROWS), reported, tmp_path / "runs")
    assert [planned.state for planned in made] == ["new", "new"]
    planned = make_plan(ROWS)
    assert states(planned) == {"a": "done", "b": "done"}
    assert set(run(planned, runner=make_runner(), track=False).values()) == {"skipped"}
    for name in ("table.csv", "scores.parquet", "provenance.json"):
        before = (reported / name).read_bytes()
        report("demo", "smoke", tmp_path / "runs", tmp_path / "again")
        assert (tmp_path / "again" / "demo" / name).read_bytes() == before, name


def test_a_run_that_is_here_is_left_as_it_is(reported, make_plan, make_runner, tmp_path):
    first = make_plan(ROWS).runs[0]
    runner = make_runner()
    runner.run(first)
    folder = RunFolder.of(tmp_path / "runs", first.identity)
    before = {path: path.stat().st_mtime_ns for path in folder.path.rglob("*")}
    made = restore(make_plan(ROWS), reported, tmp_path / "runs")
    assert [planned.members[0].row for planned in made] == ["b"]
    assert {path: path.stat().st_mtime_ns for path in folder.path.rglob("*")} == before


def test_a_parent_without_weights_is_trained_for_its_child(
    reported, make_plan, make_runner, tmp_path
):
    restore(make_plan(ROWS), reported, tmp_path / "runs")
    planned = make_plan([*ROWS, CHILD])
    assert states(planned) == {"a": "partial", "b": "done", "c": "new"}
    runner = make_runner()
    outcomes = run(planned, runner=runner, track=False)
    assert [outcomes[each.identity] for each in planned.runs] == ["done", "skipped", "done"]
    assert states(make_plan([*ROWS, CHILD])) == {"a": "done", "b": "done", "c": "done"}


def test_another_evaluation_trains_a_run_without_weights(
    reported, make_plan, make_runner, tmp_path
):
    restore(make_plan(ROWS), reported, tmp_path / "runs")
    planned = make_plan([*ROWS, "{id: once, use: demo/a}"][:2], more="seeds: [0]\n")
    assert set(states(planned).values()) == {"done"}
    deeper = make_plan(["{id: a, n_sep: 1}"])
    assert states(deeper) == {"a": "partial"}
    assert set(run(deeper, runner=make_runner(), track=False).values()) == {"done"}


def test_runs_of_other_settings_are_not_taken(reported, make_plan, tmp_path):
    other = make_plan(["{id: a, set: {optim.lr: 0.5}}"])
    assert restore(other, reported, tmp_path / "runs") == []
    assert not list((tmp_path / "runs").glob("*/config.json"))


def test_a_report_that_cannot_be_read_is_told(reported, make_plan, tmp_path):
    (reported / "provenance.json").write_text("{")
    with pytest.raises(DamagedError, match=r"provenance\.json.*tisdiss report demo"):
        restore(make_plan(ROWS), reported, tmp_path / "runs")


def test_a_shared_run_is_restored_with_the_scores_of_one_row(make_plan, make_runner, tmp_path):
    twins = ["{id: a}", "{id: twin}"]
    run(make_plan(twins), runner=make_runner(), track=False)
    report("demo", "smoke", tmp_path / "runs", tmp_path / "reports")
    ((identity, _),) = runs_of(tmp_path / "reports" / "demo")
    before = RunFolder.of(tmp_path / "runs", identity)
    (evaluation,) = make_plan(twins).runs[0].evaluations
    place = before.evaluation(evaluation.identity) / "scores.parquet"
    scores = pd.read_parquet(place)
    restore(make_plan(twins), tmp_path / "reports" / "demo", tmp_path / "other")
    after = RunFolder.of(tmp_path / "other", identity)
    restored = pd.read_parquet(after.evaluation(evaluation.identity) / "scores.parquet")
    pd.testing.assert_frame_equal(restored[scores.columns], scores)
    assert json.loads((after.path / "config.json").read_text()) == json.loads(
        (before.path / "config.json").read_text()
    )


def test_rows_that_score_a_run_differently_are_restored_with_it(make_plan, make_runner, tmp_path):
    rows = ["{id: twice}", "{id: once, n_sep: 1}", "{id: thrice, n_sep: 3}"]
    run(make_plan(rows), runner=make_runner(), track=False)
    report("demo", "smoke", tmp_path / "runs", tmp_path / "reports")
    (tmp_path / "runs").rename(tmp_path / "runs elsewhere")
    (planned,) = make_plan(rows).runs
    asked = {(planned.identity, evaluation.identity) for evaluation in planned.evaluations}
    assert runs_of(tmp_path / "reports" / "demo").keys() == asked and len(asked) == 3
    made = restore(make_plan(rows), tmp_path / "reports" / "demo", tmp_path / "runs")
    assert [each.identity for each in made] == [planned.identity]
    assert states(make_plan(rows)) == {"twice": "done", "once": "done", "thrice": "done"}
    folder = RunFolder.of(tmp_path / "runs", planned.identity)
    scored = {
        row.id: pd.read_parquet(folder.evaluation(row.runs[0].evaluation) / "scores.parquet")
        for row in make_plan(rows).studies[0].rows
    }
    passes = {row: set(scores["n_sep"]) for row, scores in scored.items()}
    assert passes == {"twice": {2}, "once": {1}, "thrice": {3}}
    assert {len(scores) for scores in scored.values()} == {2 * 2 * 4}
