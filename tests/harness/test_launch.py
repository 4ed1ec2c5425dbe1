"""Several runs at a time, a process each, parents before children."""

import sys

import pytest

from tisdiss.harness.launch import _child_command, _spawn, launch
from tisdiss.harness.plan import Plan, plan
from tisdiss.harness.run import EXIT_CODES, main
from tisdiss.harness.study import load_study

ROWS = [
    "{id: a}",
    "{id: b, init_from: a, model: sep1x2-re1x6}",
    "{id: c, set: {epochs: 1}}",
    "{id: d, set: {epochs: 3}}",
]
CHILD = """
import pathlib, sys, time
log, name, code = pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
for word in ("starts", "ends"):
    with log.open("a") as file:
        file.write(f"{name} {word}\\n")
    time.sleep(0.3)
raise SystemExit(code)
"""


@pytest.fixture
def planned(write_study, corpora, tmp_path):
    study = load_study(write_study(ROWS))
    return plan([study], "smoke", runs_dir=tmp_path / "runs", corpora=corpora)


def pretending_child(log, codes):
    def command(queue, run):
        assert Plan.model_validate_json(queue.read_text()).run(run.identity) == run
        (row,) = {member.row for member in run.members}
        return [sys.executable, "-c", CHILD, str(log), row, str(codes.get(row, 0))]

    return command


def test_children_start_after_their_parents_and_no_more_than_asked(planned, make_runner, tmp_path):
    command = pretending_child(tmp_path / "log", {})
    outcomes = launch(planned, runner=make_runner(), jobs=2, track=False, command=command)
    assert set(outcomes.values()) == {"done"} and len(outcomes) == 4
    lines = (tmp_path / "log").read_text().splitlines()
    assert lines.index("a ends") < lines.index("b starts")
    working = 0
    for line in lines:
        working += 1 if line.endswith("starts") else -1
        assert working <= 2


def test_how_a_child_ended_is_told_by_its_exit_code(planned, make_runner, tmp_path):
    codes = {"a": EXIT_CODES["diverged"], "b": EXIT_CODES["blocked"], "c": 99}
    runner = make_runner()
    command = pretending_child(tmp_path / "log", codes)
    outcomes = launch(planned, runner=runner, jobs=4, track=False, command=command)
    assert [outcomes[run.identity] for run in planned.runs] == [
        *["diverged", "blocked"],
        *["failed", "done"],
    ]


def test_no_queue_is_left_behind_and_the_plan_is(planned, make_runner, tmp_path):
    command = pretending_child(tmp_path / "log", {})
    launch(planned, runner=make_runner(), jobs=4, track=False, command=command)
    assert [p.name for p in (tmp_path / "runs/plans").iterdir()] == ["demo.smoke.json"]


def test_what_is_done_gets_no_child(planned, make_runner, tmp_path):
    done = planned.runs[0].model_copy(update={"state": "done"})
    planned = planned.model_copy(update={"runs": (done, *planned.runs[1:])})
    command = pretending_child(tmp_path / "log", {})
    outcomes = launch(planned, runner=make_runner(), jobs=4, track=False, command=command)
    assert outcomes[done.identity] == "skipped" and "a starts" not in (tmp_path / "log").read_text()


def test_one_job_runs_in_this_process(planned, make_runner):
    outcomes = launch(planned, runner=make_runner(), jobs=1, track=False)
    assert set(outcomes.values()) == {"done"}


def test_children_stop_with_the_command_that_started_them(planned, make_runner, monkeypatch):
    started = []

    def interrupt(_):
        raise KeyboardInterrupt

    def spawn(*arguments):
        started.append(_spawn(*arguments))
        return started[-1]

    monkeypatch.setattr("tisdiss.harness.launch._Pool._collect", interrupt)
    monkeypatch.setattr("tisdiss.harness.launch._spawn", spawn)
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    with pytest.raises(KeyboardInterrupt):
        launch(planned, runner=make_runner(), jobs=3, track=False, command=lambda *_: command)
    assert [child.returncode for child in started] == [-15, -15, -15]


def test_no_job_at_all_is_refused(planned, make_runner):
    with pytest.raises(ValueError, match="jobs=0: at least one run at a time"):
        launch(planned, runner=make_runner(), jobs=0)


def test_a_real_child_understands_its_command_line(planned, make_runner, tmp_path, capsys):
    runner = make_runner(again=True, max_seconds=7.0, threads=1)
    launch(planned, runner=runner, jobs=1, track=False)
    queue = tmp_path / "queue"
    queue.write_text(planned.model_dump_json())
    _, _, module, *arguments = _child_command(runner)(queue, planned.runs[0])
    assert module == "tisdiss.harness.run"
    assert main(arguments) == 0  # it was done before
    assert "done before" in capsys.readouterr().out
