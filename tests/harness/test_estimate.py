"""Time and memory of a plan, and the basis that the figures rest on."""

import io
import json

import pytest
from rich.console import Console

from tisdiss.cost.formulas import macs, training_macs
from tisdiss.harness.display import show_plan
from tisdiss.harness.estimate import (
    duration,
    find_basis,
    gibibytes,
    seconds,
    summary,
    two_digits,
    work,
)
from tisdiss.harness.planner import plan
from tisdiss.harness.run import run
from tisdiss.study.load import load_study


@pytest.fixture
def make_plan(write_study, corpora, tmp_path):
    def make(lines, profile="smoke", name="demo", more="", **options):
        study = load_study(write_study(lines, name=name, more=more))
        return plan(
            [study], profile, runs_dir=tmp_path / "runs", corpora=corpora, root=tmp_path, **options
        )

    return make


def finish(planned, make_runner, tmp_path, speed):
    """Run a plan, with a speed in its journals."""
    run(planned, runner=make_runner(), track=False)
    for one in planned.runs:
        path = tmp_path / "runs" / one.identity[:10] / "events.jsonl"
        event = {"kind": "train", "step": 4, "epoch": 1, "ts_ms": 1}
        told = event | {"metrics": {"speed/audio_seconds_per_second": speed}}
        path.write_text(path.read_text() + json.dumps(told) + "\n")


def test_work_is_training_validation_and_one_deepest_pass_a_mixture(make_plan):
    (planned,) = make_plan(["{id: a}"]).runs
    model = planned.config.model
    whole = macs(model, 0.5), macs(model, 0.5, n_re=4)
    training = 2 * (2 * 2 * training_macs(model, 0.5) + 2 * whole[0])
    assert work(planned) == training + 4 * whole[1]


def test_without_a_finished_run_there_is_no_basis(make_plan, tmp_path):
    planned = make_plan(["{id: a}"])
    assert find_basis(planned, tmp_path / "runs") is None
    assert seconds(planned.runs[0], None) is None
    assert "time: no basis yet, no run of profile smoke is finished" in summary(planned, None)


def test_a_finished_run_gives_the_speed(make_plan, make_runner, tmp_path):
    planned = make_plan(["{id: a}"])
    finish(planned, make_runner, tmp_path, speed=10.0)
    basis = find_basis(planned, tmp_path / "runs")
    model = planned.runs[0].config.model
    assert basis.macs_per_second == pytest.approx(10 * training_macs(model, 0.5) / 0.5)
    assert "median of 1 finished run at profile smoke" in str(basis)
    told = f"time: about {duration(seconds(planned.runs[0], basis))} on one idle device, all epochs"
    assert any(line.startswith(told) for line in summary(planned, basis))
    assert "1 finished run" not in str(
        find_basis(make_plan(["{id: a}"], "mini"), tmp_path / "runs")
    )


def test_a_damaged_run_gives_no_speed(make_plan, make_runner, tmp_path):
    planned = make_plan(["{id: a}"])
    finish(planned, make_runner, tmp_path, speed=10.0)
    (tmp_path / "runs" / planned.runs[0].identity[:10] / "result.json").write_text("{")
    assert find_basis(planned, tmp_path / "runs") is None


def test_a_deeper_model_takes_longer_in_proportion_to_its_work(make_plan, make_runner, tmp_path):
    planned = make_plan(["{id: a}"])
    finish(planned, make_runner, tmp_path, speed=10.0)
    basis = find_basis(planned, tmp_path / "runs")
    one, two = make_plan(["{id: a}", "{id: b, model: sep1x2-re1x6}"]).runs
    ratio = work(two) / work(one)
    assert ratio > 1.5
    assert seconds(two, basis) / seconds(one, basis) == pytest.approx(ratio)


def test_a_profile_may_assume_a_speed_and_says_so(make_plan, tmp_path):
    basis = find_basis(make_plan(["{id: a}"], "paper"), tmp_path)
    assert "15 TMAC/s on one H100, assumed" in str(basis)


def test_summary_counts_runs_and_what_they_serve(make_plan, make_runner, tmp_path):
    make = ["{id: a}", "{id: b, set: {model.n_re: 3}}", "{id: c, set: {epochs: 1}}"]
    lines = summary(make_plan(make), None)
    assert lines[0] == (
        "1 study, 3 rows counting seeds: 2 runs, 1 of them shared by 2 rows; 0 done"
    )
    run(make_plan(make), runner=make_runner(), track=False)
    (line,) = summary(make_plan(make), None)
    assert line.endswith("2 done")


def test_summary_says_where_the_profile_has_other_seeds_than_the_study(make_plan):
    lines = summary(make_plan(["{id: a}"], more="seeds: [0, 3]\n"), None)
    assert "demo: profile smoke has seed 0, the study has 0, 3; --seed N runs another" in lines
    asked = summary(make_plan(["{id: a}"], more="seeds: [0, 3]\n", seeds=[0]), None)
    assert not [line for line in asked if "by profile" in line]


def test_table_shows_params_cost_by_depth_and_state(make_plan, tmp_path):
    planned = make_plan(["{id: a, model: sep1x2-re1x4}", "{id: b, model: sep1x6-l1x6}"], "paper")
    text = printed(planned, tmp_path, width=160)
    assert "63.2+69*N" in text and " 151 " in text and "8.0 M" in text
    assert "demo/a" in text and "new" in text and "assumed" in text


def test_a_narrow_table_breaks_names_between_their_parts(make_plan, tmp_path):
    rows = [
        "{id: a, model: sep1x2-re1x3-l1+3-melbandsplit-conv1d}",
        "{id: b, init_from: a, set: {epochs: 3}}",
    ]
    planned = make_plan(rows)
    text = printed(planned, tmp_path, width=80)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80 and "GMAC/s" in lines[-1]
    assert any(line.split()[1:2] == ["sep1x2-re1x3-l1+3-"] for line in lines)
    assert sum(line.strip() == "melbandsplit-conv1d" for line in lines) == 2
    assert any(line.strip() == f"from {planned.runs[0].code}" for line in lines)


def printed(planned, tmp_path, width):
    console = Console(width=width, record=True, file=io.StringIO())
    show_plan(planned, tmp_path / "runs", console)
    return console.export_text()


def test_memory_of_the_papers_batch_fits_one_large_gpu(make_plan):
    (planned,) = make_plan(["{id: a}"], "paper").runs
    assert 60 < gibibytes(planned) < 70


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (12.3, "12 s"), (400, "6.7 min"), (6000, "1.7 h"), (4_300_000, "1200 h")],
)
def test_durations_have_two_digits(value, text):
    assert duration(value) == text


def test_two_digits():
    assert [two_digits(v) for v in (0.154, 3.52, 64.9, 2871)] == ["0.15", "3.5", "65", "2900"]
