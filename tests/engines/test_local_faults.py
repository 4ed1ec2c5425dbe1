"""Faults of one machine: workers that really train, and are killed, stopped or started twice."""

import json
import os
import random
import signal
import sys
import time
from importlib import import_module
from types import SimpleNamespace

import psutil
import pytest
import torch

import tisdiss.evaluate
import tisdiss.train
from tisdiss.checkpoint import load_state, save_state
from tisdiss.harness import worker
from tisdiss.harness.launch import launch, save_queue
from tisdiss.harness.worker import EXIT_CODES, command_line
from tisdiss.machine.lease import holder
from tisdiss.records.run_folder import RunFolder, read_journal

for name in ("pandas", "pyarrow.parquet", "torch._dynamo", "torchmetrics.functional"):
    import_module(name)  # here, so that no forked worker has to

KILLS = int(os.environ.get("DRILL_KILLS", "5"))
ROUNDS = int(os.environ.get("DRILL_ROUNDS", "20"))
FLIPS = int(os.environ.get("DRILL_FLIPS", "100"))


@pytest.fixture
def fork_worker():
    """Start a worker as `launch` does, but by fork: a process of its own, without the imports."""
    torch.set_num_threads(1)
    started: list[Forked] = []

    def fork(planned, runner, *, index=0, save_each_step=False):
        queue = save_queue(planned, runner.runs_dir)
        code_file = queue.with_name(f"code-{len(started)}")
        _, _, _, *arguments = command_line(queue, planned.runs[index], runner, code_file)
        pid = os.fork()
        if pid == 0:
            os.setsid()
            sys.stdout = sys.stderr = (runner.runs_dir / "said.log").open("a", buffering=1)
            if save_each_step:
                tisdiss.train.SAVE_SECONDS = 0.0
            code = 99
            try:
                code = worker.main(arguments)
            finally:
                os._exit(code)
        folder = RunFolder.of(runner.runs_dir, planned.runs[index].identity)
        started.append(Forked(pid, folder))
        return started[-1]

    yield fork
    for running in started:
        running.kill()
        running.wait()


class Forked(SimpleNamespace):
    """A forked worker."""

    def __init__(self, pid, folder):
        super().__init__(pid=pid, folder=folder, code=None)

    def poll(self):
        if self.code is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                return self.code
            self.code = os.waitstatus_to_exitcode(status) if pid else None
        return self.code

    def wait(self, seconds=600):
        end = time.monotonic() + seconds
        while self.poll() is None:
            assert time.monotonic() < end, f"a worker still runs after {seconds} s"
            time.sleep(0.02)
        return self.code

    def kill(self, number=signal.SIGKILL):
        if self.poll() is None:
            os.kill(self.pid, number)

    def until(self, claim, seconds=600):
        end = time.monotonic() + seconds
        while not claim():
            assert self.poll() is None and time.monotonic() < end, self.folder.path
            time.sleep(0.01)

    def newest_state(self):
        states = sorted((self.folder.path / "checkpoints").glob("state-*.sha256"))
        return int(states[-1].stem.partition("-")[2]) if states else 0


@pytest.fixture(scope="module")
def undisturbed():
    """Results of undisturbed trainings by settings; each is trained once."""
    return {}


@pytest.fixture
def expected(make_plan, make_runner, digest, undisturbed, tmp_path, fork_worker):
    def get(**settings):
        key = json.dumps(settings, sort_keys=True)
        if key not in undisturbed:
            runner = make_runner(runs_dir=tmp_path / "undisturbed")
            runner.runs_dir.mkdir()
            planned = make_plan(**settings)
            assert fork_worker(planned, runner).wait() == 0
            undisturbed[key] = digest(runner.runs_dir, planned.runs[0])
        return undisturbed[key]

    return get


@pytest.fixture
def place(make_plan, make_runner):
    """A plan of one run and where it runs."""

    def make(rows=("{id: a}",), settings=None, **options):
        runner = make_runner(**options)
        runner.runs_dir.mkdir(exist_ok=True)
        return make_plan(rows, **(settings or {})), runner

    return make


def kill_often(fork_worker, planned, runner, kills, seed, *, save_each_step=True):
    """Kill a training a little after each of its first states; then let it end."""
    moments, lost = random.Random(seed), []
    for _ in range(kills):
        running = fork_worker(planned, runner, save_each_step=save_each_step)
        before = running.newest_state()
        running.until(lambda r=running, b=before: r.newest_state() > b)
        time.sleep(moments.uniform(0, 0.15))
        running.kill()
        assert running.wait() == -signal.SIGKILL, "the training is too short for this test"
        steps = [e.step for e in read_journal(running.folder.journal) if e.kind == "epoch"]
        lost.append(max(0, max(steps, default=0) - running.newest_state()))
    assert fork_worker(planned, runner).wait() == 0
    return lost


@pytest.mark.slow
@pytest.mark.drill("R1")
def test_a_trainer_killed_at_random_moments_gives_the_same_result(
    fork_worker, place, expected, digest, figure
):
    settings = {"epochs": 4 * KILLS + 10}
    planned, runner = place(settings=settings)
    lost = kill_often(fork_worker, planned, runner, KILLS, seed=1)
    assert digest(runner.runs_dir, planned.runs[0]) == expected(**settings)
    figure(f"{KILLS} kills, result byte-equal, {max(lost)} logged steps lost")


def test_a_trainer_killed_once_gives_the_same_result(fork_worker, place, expected, digest):
    settings = {"epochs": 8}
    planned, runner = place(settings=settings)
    kill_often(fork_worker, planned, runner, 1, seed=2)
    assert digest(runner.runs_dir, planned.runs[0]) == expected(**settings)


@pytest.mark.drill("R3")
def test_a_flipped_bit_in_the_newest_checkpoint_is_found(
    fork_worker, place, expected, digest, figure
):
    settings = {"epochs": 8}
    planned, runner = place(settings=settings)
    running = fork_worker(planned, runner)
    running.until(lambda: running.newest_state() >= 4)
    running.kill()
    running.wait()
    newest = max((running.folder.path / "checkpoints").glob("state-*.pt"))
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 1
    newest.write_bytes(data)
    assert fork_worker(planned, runner).wait() == 0
    warnings = [e for e in read_journal(running.folder.journal) if e.kind == "warning"]
    assert f"{newest.name} does not match its hash" in (warnings[0].text or "")
    assert digest(runner.runs_dir, planned.runs[0]) == expected(**settings)
    figure("a run goes on from the one before, result byte-equal")


@pytest.mark.drill("R3")
def test_every_flipped_bit_and_every_cut_is_found(tmp_path, figure):
    for step in (1, 2):
        save_state(tmp_path, step, {"step": step, "weights": torch.arange(1000.0)})
    newest = tmp_path / "state-00000002.pt"
    mark = newest.with_suffix(".sha256")
    whole, told, places = newest.read_bytes(), mark.read_text(), random.Random(3)
    damaged = [flipped(whole, places.randrange(8 * len(whole))) for _ in range(FLIPS)]
    damaged += [whole[: places.randrange(len(whole))] for _ in range(FLIPS // 10)] + [b""]
    for data, step in [*((data, 1) for data in damaged), (whole, 2)]:
        newest.write_bytes(data)
        mark.write_text(told)
        state, complaints = load_state(tmp_path)
        assert (state["step"], len(complaints)) == (step, 2 - step)
    figure(f"{FLIPS} of {FLIPS} flips and {len(damaged) - FLIPS} cuts found")


def flipped(data, bit):
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda n: n.name)
def test_a_worker_that_is_asked_to_stop_saves_and_resumes(
    fork_worker, place, expected, digest, number
):
    settings = {"epochs": 8}
    planned, runner = place(settings=settings)
    running = fork_worker(planned, runner)
    running.until(lambda: running.newest_state() >= 2)
    running.kill(number)
    assert running.wait() == EXIT_CODES["stopped"]
    assert running.folder.result().status == "running"
    assert fork_worker(planned, runner).wait() == 0
    assert digest(runner.runs_dir, planned.runs[0]) == expected(**settings)


@pytest.mark.slow
@pytest.mark.drill("R8")
def test_of_two_workers_at_once_one_writes(fork_worker, place, expected, digest, figure, tmp_path):
    settings = {"epochs": 8}
    for k in range(ROUNDS):
        planned, runner = place(settings=settings, runs_dir=tmp_path / f"race{k}")
        pair = [fork_worker(planned, runner) for _ in range(2)]
        assert sorted(worker.wait() for worker in pair) == [0, EXIT_CODES["held"]]
        said = (runner.runs_dir / "said.log").read_text()
        assert any(f"is held by process {worker.pid}" in said for worker in pair)
        assert digest(runner.runs_dir, planned.runs[0]) == expected(**settings)
    figure(f"{ROUNDS} races, one writer in each, results byte-equal")


@pytest.mark.drill("R9")
def test_a_stopped_holder_loses_its_lease_and_the_run_goes_on(
    fork_worker, place, expected, digest, figure
):
    settings = {"epochs": 8}
    planned, runner = place(settings=settings, lease_seconds=1.5)
    hung = fork_worker(planned, runner)
    hung.until(lambda: hung.newest_state() >= 2)
    hung.kill(signal.SIGSTOP)
    began = time.monotonic()
    early = fork_worker(planned, runner)
    assert early.wait() == EXIT_CODES["held"]
    time.sleep(max(0.0, 1.6 - (time.monotonic() - began)))
    assert fork_worker(planned, runner).wait() == 0
    assert hung.wait() == -signal.SIGKILL
    assert digest(runner.runs_dir, planned.runs[0]) == expected(**settings)
    figure("lease of 1.5 s: held before, taken over after it, result byte-equal")


@pytest.mark.slow
@pytest.mark.drill("R9")
def test_a_pool_kills_a_stopped_worker_and_starts_it_again(place, figure, tmp_path):
    planned, runner = place(lease_seconds=1.0)
    flag = tmp_path / "stopped-once"
    script = (
        "import os, pathlib, signal, sys; flag = pathlib.Path(sys.argv[1])\n"
        "if not flag.exists(): flag.touch(); os.kill(os.getpid(), signal.SIGSTOP)\n"
    )
    command = [sys.executable, "-S", "-c", script, str(flag)]
    began = time.monotonic()
    outcomes = launch(planned, runner=runner, jobs=2, track=False, command=lambda *_: command)
    seconds = time.monotonic() - began
    assert list(outcomes.values()) == ["done"] and "signal 9" in " ".join(runner.said)
    figure(f"lease of 1.0 s: killed and restarted within {seconds:.1f} s")


@pytest.mark.drill("R16")
def test_a_diverged_run_is_a_row_and_the_rest_completes(fork_worker, place, figure):
    rows = ("{id: a, set: {optim.lr: 1.0e+30, optim.weight_decay: 1.0e+30}}", "{id: b}")
    planned, runner = place(rows, settings={"epochs": 8})
    codes = [fork_worker(planned, runner, index=k).wait() for k in range(2)]
    assert codes == [EXIT_CODES["diverged"], 0]
    folder = RunFolder.of(runner.runs_dir, planned.runs[0].identity)
    assert "validation loss is nan" in folder.result().reason or (
        "non-finite gradient" in folder.result().reason
    )
    assert fork_worker(planned, runner).wait() == EXIT_CODES["diverged"]
    figure("a row with its reason, not retried, the other run done")


@pytest.mark.slow
@pytest.mark.drill("R15")
def test_after_a_killed_orchestrator_the_same_command_ends_the_same(
    place, expected, digest, figure
):
    """Its workers, which are real processes, end with it; what is finished stays finished."""
    rows = ("{id: a}", "{id: b, set: {optim.early_stop: 1000, epochs: 300}}")
    planned, runner = place(rows)
    if (orchestrator := os.fork()) == 0:
        launch(planned, runner=runner, jobs=2, track=False)
        os._exit(0)
    short_run, long_run = (RunFolder.of(runner.runs_dir, run.identity) for run in planned.runs)
    end = time.monotonic() + 600
    while short_run.result().status != "done" or not holder(long_run.lock_file):
        assert time.monotonic() < end
        time.sleep(0.1)
    pids = [json.loads(folder.lock_file.read_text())["pid"] for folder in (short_run, long_run)]
    os.kill(orchestrator, signal.SIGKILL)
    os.waitpid(orchestrator, 0)
    began = time.monotonic()
    while any(_works(pid) for pid in pids):
        assert time.monotonic() < began + 30, "a worker outlives its orchestrator"
        time.sleep(0.1)
    ended = time.monotonic() - began
    made = short_run.model_file.stat().st_mtime_ns
    assert long_run.result().status == "running", "it ended before the kill"
    outcomes = launch(planned, runner=runner, jobs=2, track=False)
    assert set(outcomes.values()) <= {"done", "skipped"}
    assert short_run.model_file.stat().st_mtime_ns == made, "it was trained twice"
    assert digest(runner.runs_dir, planned.runs[0]) == expected()
    steps = [e.step for e in read_journal(long_run.journal) if e.kind == "epoch"]
    assert steps == sorted(set(steps)) and len(steps) == 300
    figure(f"workers ended {ended:.1f} s after it; same command: finished run kept, other resumed")


def _works(pid):
    try:
        state = psutil.Process(pid).status()
    except psutil.NoSuchProcess:
        return False
    return state not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
