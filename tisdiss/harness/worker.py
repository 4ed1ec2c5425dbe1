"""A process that brings one run of a saved plan up to date; all engines start this worker.

It resumes the run, so it may be started again at any time. SIGTERM, SIGHUP (a terminal that closes)
and SIGUSR2 (a batch system's warning) make it save and end. The exit code has the outcome, and is
also written to a file for engines that cannot see exit codes. An error that would recur fails the
run, with its reason; a transient error asks for another start. Under torchrun several workers train
one run together.
"""

from __future__ import annotations

import argparse
import ctypes
import errno
import math
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from tisdiss.harness.corpora import Corpora
from tisdiss.harness.plan import Plan, PlannedRun
from tisdiss.harness.runner import Outcome, Runner, StopRun, core_train, reason_of
from tisdiss.machine.folders import CACHE, HOME, RUNS
from tisdiss.machine.lease import LEASE_SECONDS
from tisdiss.machine.surroundings import settle
from tisdiss.records import names
from tisdiss.records.files import DamagedError, write_atomic
from tisdiss.records.run_folder import RunFolder
from tisdiss.records.run_record import Event, RunResult

EXIT_CODES: dict[Outcome, int] = {
    "done": 0,
    "skipped": 0,
    "failed": 3,
    "diverged": 4,
    "held": 5,
    "blocked": 6,
    "stopped": 7,
}
TRY_AGAIN = 75
"""Exit code after a transient error, such as a stale file handle."""

_TRANSIENT = {errno.EIO, errno.ESTALE, errno.EAGAIN, errno.ETIMEDOUT, errno.ENETUNREACH}


def outcome_of(code: int) -> Outcome | None:
    """The outcome of an exit code; None if the process crashed, was killed or should restart."""
    meanings = {number: outcome for outcome, number in EXIT_CODES.items() if number}
    return meanings.get(code) if code else "done"


def command_line(
    plan_file: Path, planned: PlannedRun, runner: Runner, code_file: Path, processes: int = 1
) -> list[str]:
    """The command line of a worker, for any folder and machine that has the same files."""
    options: dict[str, object] = {
        "--runs-dir": runner.runs_dir.resolve(),
        "--root": runner.root.resolve(),
        "--cache": runner.corpora.cache.resolve(),
        "--speech": runner.corpora.speech and runner.corpora.speech.resolve(),
        "--device": runner.device,
        "--threads": runner.threads,
        "--max-seconds": runner.max_seconds if math.isfinite(runner.max_seconds) else None,
        "--lease-seconds": runner.lease_seconds,
        "--sharing": runner.sharing,
        "--recompute": None if runner.recompute is None else int(runner.recompute),
        "--code-file": code_file.resolve(),
        "--processes": processes,
    }
    line = [sys.executable, "-m"]
    if processes > 1:  # no restarts inside: one layer of retries, the outermost, is enough
        line += ["torch.distributed.run", "--standalone", "--max-restarts", "0"]
        # On this machine only, so that its host name need not resolve.
        line += ["--local-addr", "127.0.0.1", "--nproc-per-node", str(processes), "-m"]
    line += ["tisdiss.harness.worker", str(plan_file.resolve()), planned.identity]
    for name, value in options.items():
        line += [] if value is None else [name, str(value)]
    return [*line, "--again"] if runner.again else line


def main(arguments: list[str] | None = None) -> int:
    """Bring one run of a saved plan up to date."""
    settle()
    options = _parser().parse_args(arguments)
    if options.code_file:
        options.code_file.unlink(missing_ok=True)  # of an earlier start
    try:
        with StopSignal() as stop_signal:
            code = _bring_up_to_date(options, stop_signal)
    except Exception as error:
        traceback.print_exc()
        code = _code_of(error, options.processes)
        if code == EXIT_CODES["failed"]:
            give_up(RunFolder.of(options.runs_dir, options.identity), reason_of(error))
    if options.code_file and code is not None:
        write_atomic(options.code_file, f"{code}\n")
    return code or 0


def _bring_up_to_date(options: argparse.Namespace, stop_signal: StopSignal) -> int | None:
    """The exit code; None on all ranks but the first."""
    if options.parent:
        _end_with(options.parent)
    plan = Plan.model_validate_json(options.plan.read_text(encoding="utf-8"))
    errors: list[Exception] = []
    runner = Runner(
        runs_dir=options.runs_dir,
        root=options.root,
        corpora=Corpora(cache=options.cache, speech=options.speech),
        device=options.device,
        threads=options.threads,
        max_seconds=options.max_seconds,
        again=options.again,
        recompute=None if options.recompute is None else bool(options.recompute),
        sharing=options.sharing,
        lease_seconds=options.lease_seconds,
        on_error=errors.append,
    )
    planned = plan.run(options.identity)
    outcome = _run(stop_signal.heeded_by(runner), planned, options.processes)
    if outcome == "failed" and errors:
        return _code_of(errors[-1], options.processes)
    return None if outcome is None else EXIT_CODES[outcome]


def _code_of(error: Exception, processes: int) -> int:
    return TRY_AGAIN if _is_transient(error, processes) else EXIT_CODES["failed"]


def give_up(folder: RunFolder, reason: str) -> Outcome:
    """Fail a run that cannot continue, with its reason; a finished training stays finished."""
    with suppress(DamagedError):  # an unreadable result stays for inspection
        if folder.result().status == "running":
            folder.write("result.json", RunResult(status="failed", reason=reason))
    return "failed"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tisdiss.harness.worker", description=main.__doc__
    )
    parser.add_argument("plan", type=Path)
    parser.add_argument("identity")
    parser.add_argument("--runs-dir", type=Path, default=RUNS)
    parser.add_argument("--root", type=Path, default=HOME)
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--speech", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--max-seconds", type=float, default=math.inf)
    parser.add_argument("--lease-seconds", type=float, default=LEASE_SECONDS)
    parser.add_argument("--sharing", type=int, default=1)
    parser.add_argument("--recompute", type=int, choices=(0, 1))
    parser.add_argument("--processes", type=int, default=1, help="that torchrun started")
    parser.add_argument("--code-file", type=Path, help="where to leave the exit code")
    parser.add_argument("--parent", type=int, help="end when this process has ended")
    parser.add_argument("--again", action="store_true")
    return parser


class StopSignal:
    """Records these signals while the block runs instead of acting on them; main thread only."""

    NUMBERS = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR2)

    def __init__(self) -> None:
        self.received = False
        self.before: dict[int, Any] = {}

    def __enter__(self) -> StopSignal:
        if threading.current_thread() is threading.main_thread():
            for number in self.NUMBERS:
                if signal.getsignal(number) != signal.SIG_IGN:  # as nohup sets it
                    self.before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _note(self, *_: object) -> None:
        self.received = True

    def heeded_by(self, runner: Runner) -> Runner:
        """The runner, made to save and end once a signal was received.

        Training steps call `stop`; in other phases, the next logged event ends the run.
        """

        def watch(planned: PlannedRun, event: Event) -> None:
            if runner.watch:
                runner.watch(planned, event)
            if self.received and event.kind != names.EVENT_TRAIN:
                raise StopRun("stopped by a signal; the same command continues from here")

        return replace(runner, stop=lambda: self.received or runner.stop(), watch=watch)


def _end_with(parent: int) -> None:
    """Ask the kernel for SIGTERM when the parent has ended, however it ended; Linux only."""
    if sys.platform == "linux":
        PR_SET_PDEATHSIG = 1
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        raise SystemExit(EXIT_CODES["stopped"])


def _is_transient(error: Exception, processes: int) -> bool:
    if processes > 1 and isinstance(error, RuntimeError):
        return True  # such as a rank that was lost
    return isinstance(error, OSError) and error.errno in _TRANSIENT


# --- several processes, one run -----------------------------------------------------------------


def _run(runner: Runner, planned: PlannedRun, processes: int) -> Outcome | None:
    """The run's outcome; None on all ranks but the first."""
    if processes == 1:  # whatever launcher variables the environment has
        return runner.run(planned)
    from tisdiss.machine.ranks import joined, ranks

    with joined(runner.device) as device:
        runner = replace(runner, device=device)
        if ranks().first:
            return _lead(runner, planned)
        _help(runner, planned)
    return None


def _lead(runner: Runner, planned: PlannedRun) -> Outcome:
    """Do the work of a single process, and tell the other ranks when to train."""
    from tisdiss.machine.ranks import ranks

    called = False

    def train(*arguments: Any, **options: Any) -> Any:
        nonlocal called
        called = ranks().any(True)
        return core_train(runner.threads)(*arguments, **options)

    outcome = replace(runner, train=train).run(planned)
    if not called:
        ranks().any(False)
    return outcome


def _help(runner: Runner, planned: PlannedRun) -> None:
    """Train with the first rank, and write nothing."""
    from tisdiss.machine.ranks import ranks

    if not ranks().any(False):
        return
    folder = RunFolder.of(runner.runs_dir, planned.identity)
    parent = planned.parent and RunFolder.of(runner.runs_dir, planned.parent).model_file
    train: Callable[..., Any] = core_train(runner.threads)
    train(
        planned.config,
        runner.corpora.open(planned.config.data, planned.config.model.n_src),
        folder.path,
        parent=parent,
        device=runner.device,
        max_seconds=runner.max_seconds,
        stop=runner.stop,
        recompute=runner.recomputes(planned),
    )


if __name__ == "__main__":
    raise SystemExit(main())
