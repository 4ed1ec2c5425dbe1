"""Executes the runs of a plan on this machine: in this process, or in several worker processes.

Parents finish before their children start. A worker that crashes, is killed or loses its heartbeat
is restarted a few times and resumes; a run that failed with an error or diverged is not. On SIGTERM
all workers save and end. `slurm.py` does the same on several machines.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path

from tisdiss.harness.children import stop_group
from tisdiss.harness.plan import Plan, PlannedRun
from tisdiss.harness.plan_file import save_plan
from tisdiss.harness.run import run
from tisdiss.harness.runner import Outcome, Runner
from tisdiss.harness.tracking.live import Live
from tisdiss.harness.worker import StopSignal, command_line, give_up, outcome_of
from tisdiss.limits import MAX_JOBS
from tisdiss.machine.device import check_device, cpus
from tisdiss.machine.lease import silent_seconds
from tisdiss.machine.termination import termination_as_exit
from tisdiss.records.files import DamagedError, write_atomic
from tisdiss.records.identity import sha256_of, short
from tisdiss.records.run_folder import Follower, RunFolder
from tisdiss.records.run_record import BROKEN
from tisdiss.records.runs_layout import code_file, queue_file

Command = Callable[[Path, PlannedRun, Path], list[str]]
"""The command line of a worker, from the plan file, the run and the file for the exit code."""

Slot = Mapping[str, str]
"""Environment variables that give a worker its share of the machine."""
_ANY: Slot = {}

POLL_SECONDS = 0.2
TRIES = 3
"""How often a run that crashes is started."""


def launch(
    plan: Plan,
    *,
    runner: Runner,
    jobs: int = 1,
    processes: int = 1,
    tries: int = TRIES,
    track: bool = True,
    command: Command | None = None,
) -> dict[str, Outcome]:
    """Bring every run of a plan up to date, `jobs` at a time; returns outcomes by identity.

    `processes` train each run together (torchrun). `command` makes the command line of a worker;
    for tests.
    """
    if not 1 <= jobs <= MAX_JOBS:
        raise ValueError(f"jobs={jobs}: give a number of runs from 1 to {MAX_JOBS}")
    if not 1 <= processes <= MAX_JOBS:
        raise ValueError(f"processes={processes}: give a number from 1 to {MAX_JOBS}")
    check_device(runner.device)
    if jobs == processes == 1 and command is None:
        with StopSignal() as stop_signal:
            return run(plan, runner=stop_signal.heeded_by(runner), track=track)
    if processes > 1 and runner.device.startswith("cuda:"):
        raise ValueError(f"processes={processes} need a GPU each, not {runner.device}: use cuda")
    slots = gpu_slots(jobs, processes) if runner.device == "cuda" else [_ANY] * jobs
    runner = replace(runner, sharing=sharing(slots, processes))
    save_plan(plan, runner.runs_dir)
    return _Pool(plan, runner, slots, tries, track, command or _workers(runner, processes)).work()


def gpu_slots(jobs: int, processes: int = 1) -> list[Slot]:
    """GPUs for the workers of each slot, which are shared if there are too few.

    Raises ValueError if one run needs more than there are.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    gpus = visible.split(",") if visible else [str(gpu) for gpu in range(_gpu_count())]
    if processes > len(gpus):
        raise ValueError(
            f"processes={processes} need a GPU each, but {len(gpus)} are visible; use fewer"
        )
    endless = cycle(gpus)
    return [{"CUDA_VISIBLE_DEVICES": ",".join(islice(endless, processes))} for _ in range(jobs)]


def sharing(slots: Sequence[Slot], processes: int) -> int:
    """How many processes share a memory: the most that use one GPU, or all on the CPU."""
    gpus = [gpu for slot in slots if slot for gpu in slot["CUDA_VISIBLE_DEVICES"].split(",")]
    return max(Counter(gpus).values()) if gpus else len(slots) * processes


def _gpu_count() -> int:
    import torch

    return torch.cuda.device_count()


def _workers(runner: Runner, processes: int) -> Command:
    def command(queue: Path, planned: PlannedRun, code_file: Path) -> list[str]:
        line = command_line(queue, planned, runner, code_file, processes)
        # under torchrun, this process is not the parent of the workers
        return line if processes > 1 else [*line, "--parent", str(os.getpid())]

    return command


@dataclass
class _Worker:
    """A worker process and its run."""

    planned: PlannedRun
    process: subprocess.Popen[bytes]
    folder: RunFolder
    code_file: Path
    started: float
    slot: Slot
    journal: Follower

    def code(self) -> int | None:
        """The exit code, None while it works; from the file if possible, as torchrun hides it."""
        code = self.process.poll()
        if code is None or not self.code_file.is_file():
            return code
        return int(self.code_file.read_text())

    def silent(self) -> float:
        return min(silent_seconds(self.folder.lock_file), time.time() - self.started)


class _Pool:
    """The workers, and the runs that wait for a slot or for their parent."""

    def __init__(
        self,
        plan: Plan,
        runner: Runner,
        slots: Sequence[Slot],
        tries: int,
        track: bool,
        command: Command,
    ):
        self.plan, self.runner, self.free = plan, runner, list(slots)
        self.threads = runner.threads or max(1, cpus() // len(slots))
        self.tries, self.command = tries, command
        self.live = Live(runner.runs_dir, runner.say, track=track)
        self.waiting = list(plan.todo)
        self.working: dict[str, _Worker] = {}
        self.starts: dict[str, int] = {}
        done = [run for run in plan.runs if run not in self.waiting]
        self.outcomes: dict[str, Outcome] = {run.identity: "skipped" for run in done}
        self.queue = save_queue(plan, runner.runs_dir)

    def work(self) -> dict[str, Outcome]:
        for identity in self.outcomes:
            self.runner.say(f"{self.plan.run(identity)}: done before, nothing to do")
        with termination_as_exit(), self.live:
            try:
                while self.waiting or self.working:
                    if self.runner.stop():
                        self._leave()
                        break
                    self._start_ready()
                    self._collect()
                    time.sleep(POLL_SECONDS)
            finally:  # on Ctrl-C the workers stop too; their folders resume
                for worker in self.working.values():
                    stop_group(worker.process)
                    worker.code_file.unlink(missing_ok=True)
                self.queue.unlink(missing_ok=True)
        return self.outcomes

    def _leave(self) -> None:
        """Stop the workers, which save, and leave the waiting runs."""
        self.outcomes |= dict.fromkeys((run.identity for run in self.waiting), "stopped")
        for identity, worker in self.working.items():
            stop_group(worker.process)
            code = worker.code()
            outcome = None if code is None else outcome_of(code)
            self.outcomes[identity] = outcome or "stopped"

    def _start_ready(self) -> None:
        open_runs = {run.identity for run in self.waiting} | set(self.working)
        for planned in list(self.waiting):
            if not self.free:
                return
            if planned.parent in open_runs:
                continue
            self.waiting.remove(planned)
            self._start(planned)

    def _start(self, planned: PlannedRun) -> None:
        folder = RunFolder.of(self.runner.runs_dir, planned.identity)
        folder.path.mkdir(parents=True, exist_ok=True)
        slot = self.free.pop(0)
        environment = {**os.environ, "OMP_NUM_THREADS": str(self.threads), **slot}
        code = code_file(self.queue, short(planned.identity))
        code.unlink(missing_ok=True)
        log = folder.path / "output.log"
        process = _spawn(self.command(self.queue, planned, code), environment, log)
        self.working[planned.identity] = _Worker(
            planned, process, folder, code, time.time(), slot, Follower(folder.journal)
        )
        self.starts[planned.identity] = self.starts.get(planned.identity, 0) + 1
        self.runner.say(f"{planned}: started, output in {log}")

    def _collect(self) -> None:
        for identity, worker in list(self.working.items()):
            report(self.runner, worker.planned, worker.journal)
            if worker.silent() > self.runner.lease_seconds:
                os.killpg(worker.process.pid, signal.SIGKILL)
                worker.process.wait()
            code = worker.code()
            if code is None:
                continue
            self.free.append(self.working.pop(identity).slot)
            worker.code_file.unlink(missing_ok=True)
            self._ended(worker, code)

    def _ended(self, worker: _Worker, code: int) -> None:
        planned, outcome = worker.planned, outcome_of(code)
        if outcome is None:
            how = f"crashed (exit code {code})" if code >= 0 else f"was killed (signal {-code})"
            if self.starts[planned.identity] < self.tries:
                self.runner.say(f"{planned}: {how}; it is started again and resumes")
                self.waiting.insert(0, planned)
                return
            outcome = give_up(worker.folder, f"{how}, {self.tries} times")
        self.outcomes[planned.identity] = outcome
        self.runner.say(f"{planned}: {ending(worker.folder, outcome)}")
        self.live.ended(planned.identity, outcome)


def report(runner: Runner, planned: PlannedRun, journal: Follower) -> None:
    """Show the new events of a run in another process."""
    if runner.watch:
        for event in journal.news():
            runner.watch(planned, event)


def ending(folder: RunFolder, outcome: Outcome) -> str:
    """How a run in another process ended, with the reason if it is broken."""
    try:
        reason = folder.result().reason if outcome in BROKEN else None
    except DamagedError as error:
        reason = str(error)
    return f"{outcome}: {reason}" if reason else outcome


def _spawn(command: list[str], env: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def save_queue(plan: Plan, runs_dir: Path) -> Path:
    """Write the whole plan for the workers."""
    text = plan.model_dump_json()
    path = queue_file(runs_dir, short(sha256_of(text)))
    write_atomic(path, text)
    return path
