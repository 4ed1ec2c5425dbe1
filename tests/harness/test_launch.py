"""Several runs at a time, a process each, parents before children."""

import errno
import os
import re
import signal
import sys

import pytest

from tisdiss.harness.launch import _spawn, _workers, gpu_slots, launch, sharing
from tisdiss.harness.plan import Plan
from tisdiss.harness.planner import plan
from tisdiss.harness.worker import EXIT_CODES, TRY_AGAIN, main
from tisdiss.records.run_folder import RunFolder
from tisdiss.records.run_record import RunResult
from tisdiss.study.load import load_study

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
    def command(queue, run, code_file):
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
    command = pretending_child(tmp_path / "log", codes)
    outcomes = launch(planned, runner=make_runner(), jobs=4, tries=1, track=False, command=command)
    assert [outcomes[run.identity] for run in planned.runs] == [
        *["diverged", "blocked"],
        *["failed", "done"],
    ]


@pytest.mark.parametrize("code", [99, TRY_AGAIN, -9])
def test_a_worker_that_crashes_is_started_again_but_not_for_ever(
    planned, make_runner, tmp_path, code
):
    script = f"import os, sys; os.kill(os.getpid(), 9) if {code} < 0 else sys.exit({code})"
    planned = planned.model_copy(update={"runs": planned.runs[:1]})
    runner = make_runner()
    command = lambda *_: [sys.executable, "-S", "-c", script]  # noqa: E731
    outcomes = launch(planned, runner=runner, jobs=2, tries=2, track=False, command=command)
    assert list(outcomes.values()) == ["failed"]
    assert sum("is started again and resumes" in line for line in runner.said) == 1
    folder = RunFolder.of(runner.runs_dir, planned.runs[0].identity)
    reason = (
        "was killed (signal 9), 2 times" if code < 0 else f"crashed (exit code {code}), 2 times"
    )
    assert folder.result() == RunResult(status="failed", reason=reason)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda text: text.replace('"seed":0', '"seed":-1'), "ValidationError: .*seed"),
        (lambda text: text[:-9], "ValidationError: .*Invalid JSON"),
        (
            lambda text: text.replace('"identity":"', '"identity":"x'),
            "ValueError: .* is not a run",
        ),
    ],
)
def test_an_error_that_would_come_again_is_a_failed_run_with_its_reason_at_once(
    planned, make_runner, capsys, spoil, reason
):
    """Such as a plan that the worker refuses: no crash, and no reason to start it again."""
    planned = planned.model_copy(update={"runs": planned.runs[:1]})
    runner = make_runner()
    real, starts = _workers(runner, 1), []

    def command(queue, run, code_file):
        queue.write_text(spoil(planned.model_dump_json()))
        _, _, _, *arguments = real(queue, run, code_file)
        starts.append(main(arguments[: arguments.index("--parent")]))
        return [sys.executable, "-S", "-c", f"raise SystemExit({starts[-1]})"]

    outcomes = launch(planned, runner=runner, jobs=2, track=False, command=command)
    assert list(outcomes.values()) == ["failed"] and starts == [EXIT_CODES["failed"]]
    folder = RunFolder.of(runner.runs_dir, planned.runs[0].identity)
    result = folder.result()
    assert result.status == "failed" and re.match(reason, result.reason, re.DOTALL)
    assert runner.said[-1] == f"{planned.runs[0]}: failed: {result.reason}"
    assert "Traceback" in capsys.readouterr().err  # for its output.log


def test_a_refused_plan_leaves_finished_weights_finished(planned, make_runner, tmp_path, capsys):
    launch(planned, runner=make_runner(), track=False)
    folder = RunFolder.of(tmp_path / "runs", planned.runs[0].identity)
    before = folder.result()
    (tmp_path / "queue").write_text("no plan")
    arguments = [str(tmp_path / "queue"), folder.identity, "--runs-dir", str(tmp_path / "runs")]
    assert main(arguments) == EXIT_CODES["failed"] and folder.result() == before


def test_an_error_that_passes_is_worth_another_start(planned, monkeypatch, tmp_path, capsys):
    def refuse(*_):
        raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr("tisdiss.harness.worker.Plan.model_validate_json", refuse)
    (tmp_path / "queue").write_text("{}")
    arguments = [str(tmp_path / "queue"), "0" * 64, "--code-file", str(tmp_path / "code")]
    assert main([*arguments, "--runs-dir", str(tmp_path / "runs")]) == TRY_AGAIN
    assert (tmp_path / "code").read_text() == f"{TRY_AGAIN}\n"
    assert not (tmp_path / "runs").exists()


def test_a_result_that_cannot_be_read_does_not_end_the_others(planned, make_runner, tmp_path):
    damaged = RunFolder.of(tmp_path / "runs", planned.runs[2].identity)
    damaged.path.mkdir(parents=True)
    (damaged.path / "result.json").write_text("[]")
    codes = {"c": EXIT_CODES["failed"], "d": 99}
    command = pretending_child(tmp_path / "log", codes)
    runner = make_runner()
    outcomes = launch(planned, runner=runner, jobs=4, tries=1, track=False, command=command)
    assert [outcomes[run.identity] for run in planned.runs] == ["done", "done", "failed", "failed"]
    assert (damaged.path / "result.json").read_text() == "[]"
    assert any("result.json: holds a list, not an object" in line for line in runner.said)


def test_a_worker_without_a_sign_of_life_is_killed(planned, make_runner):
    planned = planned.model_copy(update={"runs": planned.runs[:1]})
    runner = make_runner(lease_seconds=0.5)
    command = lambda *_: ["sleep", "60"]  # noqa: E731
    outcomes = launch(planned, runner=runner, jobs=2, tries=1, track=False, command=command)
    assert list(outcomes.values()) == ["failed"] and "was killed" not in runner.said[0]


def test_no_queue_is_left_behind_and_the_plan_is(planned, make_runner, tmp_path):
    command = pretending_child(tmp_path / "log", {})
    launch(planned, runner=make_runner(), jobs=4, track=False, command=command)
    left = [path.name for path in (tmp_path / "runs/plans").glob("[!.]*")]
    assert left == ["demo.smoke.json"]


def test_what_is_done_gets_no_child(planned, make_runner, tmp_path):
    done = planned.runs[0].model_copy(update={"state": "done"})
    planned = planned.model_copy(update={"runs": (done, *planned.runs[1:])})
    command = pretending_child(tmp_path / "log", {})
    outcomes = launch(planned, runner=make_runner(), jobs=4, track=False, command=command)
    assert outcomes[done.identity] == "skipped" and "a starts" not in (tmp_path / "log").read_text()


def test_one_job_runs_in_this_process(planned, make_runner):
    outcomes = launch(planned, runner=make_runner(), jobs=1, track=False)
    assert set(outcomes.values()) == {"done"}


def ask_to_stop(number=signal.SIGTERM):
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda n: n.name)
def test_one_job_saves_and_ends_when_it_is_asked_to(planned, make_runner, pretend, number):
    def train(*arguments, stop, **options):
        assert not stop()
        ask_to_stop(number)
        trained = pretend.train(*arguments, **options)
        trained.stopped = "time" if stop() else "epochs"
        return trained

    before, runner = signal.getsignal(number), make_runner(train=train)
    outcomes = launch(planned, runner=runner, track=False)
    assert list(outcomes.values()) == ["stopped"] * 4
    assert [line.partition(": ")[2] for line in runner.said] == [
        "starts",
        "stopped; the same command continues from here",
    ]
    assert RunFolder.of(runner.runs_dir, planned.runs[0].identity).state() == "partial"
    assert signal.getsignal(number) == before
    assert set(launch(planned, runner=make_runner(), track=False).values()) == {"done"}


def test_one_job_ends_between_two_scored_mixtures(planned, make_runner, pretend):
    seen = []

    def evaluate(*arguments, on_log, **options):
        ask_to_stop()
        on_log({"kind": "eval", "step": 1, "epoch": 0, "metrics": {}})
        raise AssertionError("it goes on")

    runner = make_runner(evaluate=evaluate, watch=lambda run, event: seen.append(event.kind))
    outcomes = launch(planned, runner=runner, track=False)
    assert list(outcomes.values()) == ["stopped"] * 4 and seen == ["train"] * 3 + ["eval"]
    assert runner.said[-1].endswith("stopped by a signal; the same command continues from here")
    first = RunFolder.of(runner.runs_dir, planned.runs[0].identity)
    assert first.result().status == "done"


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


@pytest.mark.parametrize(
    ("jobs", "processes", "expected"),
    [(2, 1, ["3", "5"]), (3, 1, ["3", "5", "3"]), (1, 2, ["3,5"]), (2, 2, ["3,5", "3,5"])],
)
def test_jobs_have_gpus_of_their_own_as_long_as_there_are_some(
    monkeypatch, jobs, processes, expected
):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    assert [slot["CUDA_VISIBLE_DEVICES"] for slot in gpu_slots(jobs, processes)] == expected


@pytest.mark.parametrize(
    ("jobs", "processes", "expected"), [(1, 1, 1), (2, 1, 1), (3, 1, 2), (1, 2, 1), (2, 2, 2)]
)
def test_jobs_share_the_memory_of_a_gpu_that_several_have(monkeypatch, jobs, processes, expected):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    assert sharing(gpu_slots(jobs, processes), processes) == expected


def test_all_jobs_and_processes_share_the_memory_of_the_machine():
    assert sharing([{}, {}], processes=3) == 6


def test_the_worker_is_told_with_how_many_it_shares(planned, make_runner, tmp_path):
    runner = make_runner(sharing=6)
    line = _workers(runner, 1)(tmp_path / "queue", planned.runs[0], tmp_path / "code")
    assert line[line.index("--sharing") + 1] == "6"


def test_processes_of_one_run_take_no_single_gpu(planned, make_runner, monkeypatch):
    monkeypatch.setattr("tisdiss.harness.launch.check_device", lambda device: None)
    with pytest.raises(ValueError, match="processes=2 need a GPU each, not cuda:1: use cuda"):
        launch(planned, runner=make_runner(device="cuda:1"), processes=2)


def test_a_run_on_more_gpus_than_there_are_is_refused(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    with pytest.raises(ValueError, match="processes=2 need a GPU each, but 1 are visible"):
        gpu_slots(1, 2)


def test_a_device_that_is_not_there_is_refused_before_anything_starts(planned, make_runner):
    runner = make_runner(device="cuda:99")
    with pytest.raises(ValueError, match="device='cuda:99' cannot be used here"):
        launch(planned, runner=runner, jobs=2)
    assert not runner.runs_dir.exists() and not runner.said


WRITER = """
import pathlib, sys
journal = pathlib.Path(sys.argv[1])
journal.parent.mkdir(parents=True, exist_ok=True)
with journal.open("a") as file:
    file.write('{"ts_ms": 1, "kind": "epoch", "step": 2, "epoch": 2}\\n{"kind": "ep')
"""


def test_what_workers_log_is_seen_while_they_work(planned, make_runner):
    planned = planned.model_copy(update={"runs": planned.runs[:1]})
    seen = []
    runner = make_runner(watch=lambda run, event: seen.append((run.identity, event.step)))
    folder = RunFolder.of(runner.runs_dir, planned.runs[0].identity)
    folder.path.mkdir(parents=True)
    folder.journal.write_text(
        '{"ts_ms": 1, "kind": "epoch", "step": 1, "epoch": 1}\n'
    )  # of an earlier call
    command = [sys.executable, "-S", "-c", WRITER, str(folder.journal)]
    launch(planned, runner=runner, jobs=2, track=False, command=lambda *_: command)
    assert seen == [(planned.runs[0].identity, 2)]


def test_no_job_at_all_is_refused(planned, make_runner):
    with pytest.raises(ValueError, match="jobs=0: give a number of runs from 1 to"):
        launch(planned, runner=make_runner(), jobs=0)


def test_processes_of_one_run_ask_no_name_server(planned, make_runner, tmp_path):
    """The machine's own host name may not resolve."""
    line = _workers(make_runner(), 2)(tmp_path / "queue", planned.runs[0], tmp_path / "code")
    assert line[line.index("--local-addr") + 1] == "127.0.0.1"


def test_a_real_worker_understands_its_command_line(
    planned, make_runner, tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("WORLD_SIZE", "4")  # as a launcher left it: nobody else is waited for
    runner = make_runner(again=True, max_seconds=7.0, threads=1, recompute=True)
    launch(planned, runner=runner, jobs=1, track=False)
    queue, code_file = tmp_path / "queue", tmp_path / "code"
    queue.write_text(planned.model_dump_json())
    _, _, module, *arguments = _workers(runner, 1)(queue, planned.runs[0], code_file)
    assert module == "tisdiss.harness.worker"
    assert arguments[arguments.index("--recompute") + 1] == "1"
    assert main([*arguments[: arguments.index("--parent")], "--again"]) == 0  # it was done before
    assert "done before" in capsys.readouterr().out and code_file.read_text() == "0\n"
