"""Runs of a plan on this machine: in this process, or several at a time, a process each.

A child gets a plan file and an identity, and needs nothing else; its output goes to `output.log`
in the run folder. Parents are finished before their children start.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from tisdiss.files import write_atomic
from tisdiss.harness.children import stop_group, termination_as_exit
from tisdiss.harness.folder import BROKEN, RunFolder
from tisdiss.harness.identity import sha256_of, short
from tisdiss.harness.plan import Plan, PlannedRun
from tisdiss.harness.run import EXIT_CODES, Outcome, Runner, run, show_in_mlflow

Command = Callable[[Path, PlannedRun], list[str]]
POLL_SECONDS = 0.2


def launch(
    plan: Plan,
    *,
    runner: Runner,
    jobs: int = 1,
    track: bool = True,
    command: Command | None = None,
) -> dict[str, Outcome]:
    """Bring every run of a plan up to date, `jobs` at a time; how each ended, by identity.

    `command` makes the command line of a child from the plan file and the run; for tests.
    """
    if jobs < 1:
        raise ValueError(f"jobs={jobs}: at least one run at a time; pass jobs >= 1")
    if jobs == 1:
        return run(plan, runner=runner, track=track)
    plan.save(runner.runs_dir)
    pool = _Pool(plan, runner, jobs, track, command or _child_command(runner))
    return pool.work()


def _child_command(runner: Runner) -> Command:
    def command(queue: Path, planned: PlannedRun) -> list[str]:
        options = {
            "--runs-dir": runner.runs_dir,
            "--root": runner.root,
            "--cache": runner.corpora.cache,
            "--speech": runner.corpora.speech,
            "--device": runner.device,
            "--threads": runner.threads,
            "--max-seconds": runner.max_seconds if math.isfinite(runner.max_seconds) else None,
        }
        line = [sys.executable, "-m", "tisdiss.harness.run", str(queue), planned.identity]
        for name, value in options.items():
            line += [] if value is None else [name, str(value)]
        return [*line, "--again"] if runner.again else line

    return command


class _Pool:
    """Children that work, and runs that wait for a slot or for their parent."""

    def __init__(self, plan: Plan, runner: Runner, jobs: int, track: bool, command: Command):
        self.plan, self.runner, self.jobs = plan, runner, jobs
        self.track, self.command = track, command
        self.waiting = list(plan.todo)
        self.working: dict[str, tuple[PlannedRun, subprocess.Popen[bytes]]] = {}
        done = [run for run in plan.runs if run not in self.waiting]
        self.outcomes: dict[str, Outcome] = {run.identity: "skipped" for run in done}
        self.queue = _save_queue(plan, runner.runs_dir)

    def work(self) -> dict[str, Outcome]:
        for identity in self.outcomes:
            self.runner.say(f"{self.plan.run(identity)}: done before, nothing to do")
        with termination_as_exit():
            try:
                while self.waiting or self.working:
                    self._start_ready()
                    self._collect()
                    time.sleep(POLL_SECONDS)
            finally:  # on Ctrl-C the children stop too; their folders resume
                for _, child in self.working.values():
                    stop_group(child)
                self.queue.unlink(missing_ok=True)
        return self.outcomes

    def _start_ready(self) -> None:
        open_runs = {run.identity for run in self.waiting} | set(self.working)
        for planned in list(self.waiting):
            if len(self.working) >= self.jobs:
                return
            if planned.parent in open_runs:
                continue
            self.waiting.remove(planned)
            self._start(planned)

    def _start(self, planned: PlannedRun) -> None:
        folder = RunFolder.of(self.runner.runs_dir, planned.identity)
        folder.path.mkdir(parents=True, exist_ok=True)
        threads = self.runner.threads or max(1, (os.cpu_count() or 1) // self.jobs)
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        with (folder.path / "output.log").open("ab") as log:
            child = _spawn(self.command(self.queue, planned), environment, log)
        self.working[planned.identity] = (planned, child)
        self.runner.say(f"{planned}: started, output in {folder.path / 'output.log'}")

    def _collect(self) -> None:
        for identity, (planned, child) in list(self.working.items()):
            code = child.poll()
            if code is None:
                continue
            del self.working[identity]
            outcome = _outcome(code)
            self.outcomes[identity] = outcome
            self.runner.say(f"{planned}: {outcome}")
            if self.track and outcome in ("done", "stopped", *BROKEN):
                show_in_mlflow(self.runner.runs_dir, identity, self.runner.say)


def _spawn(command: list[str], env: dict[str, str], log: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )


def _outcome(code: int) -> Outcome:
    """What a child's exit code means; any unknown one, such as a kill, is a failure."""
    outcomes = {number: outcome for outcome, number in EXIT_CODES.items() if number}
    return outcomes.get(code, "failed") if code else "done"


def _save_queue(plan: Plan, runs_dir: Path) -> Path:
    """The whole plan as a file for the children, named after its content."""
    text = plan.model_dump_json()
    path = Path(runs_dir) / "plans" / f"queue-{short(sha256_of(text))}-{os.getpid()}"
    write_atomic(path, text)
    return path
