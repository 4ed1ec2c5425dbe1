"""Executes the runs of a plan on a Slurm cluster, through submitit.

The outcome of a run is read from its folder and from the file with its worker's exit code, never
from submitit's pickles. Jobs are found by name, never by number, because Slurm may reuse numbers
after a crash of its controller. Children are submitted when their parents are finished.

Each submission has its own folder, `runs/slurm/<name>/`, on storage that all machines share. The
name is also the job's, so that a later call of the same command finds its jobs.
"""

from __future__ import annotations

import re
import shutil
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from tisdiss.harness.launch import TRIES, ending
from tisdiss.harness.plan import Plan, PlannedRun
from tisdiss.harness.plan_file import save_plan
from tisdiss.harness.runner import Outcome, Runner
from tisdiss.harness.slurm_jobs import (
    ENDED,
    HELD,
    NOWHERE,
    Job,
    SlurmSettings,
    Submission,
    Task,
    cancel,
    executor_of,
    tasks_of,
)
from tisdiss.harness.tracking.live import Live
from tisdiss.harness.worker import EXIT_CODES, command_line, give_up, outcome_of
from tisdiss.machine.device import check_device_name
from tisdiss.machine.lease import silent_seconds
from tisdiss.records.files import write_atomic
from tisdiss.records.identity import sha256_of, short
from tisdiss.records.run_folder import RunFolder
from tisdiss.records.runs_layout import submissions_folder

BARREN = ("failed", "diverged", "blocked", "held")
"""Outcomes without weights for a child to start from."""
CRASHED = -1
UNKNOWN = Task("UNKNOWN", "")
SETTLE_SECONDS = 3.0
"""Time for a job's file to appear on this machine after the job has ended."""
LINGER_SECONDS = 20.0
"""A job that Slurm does not know for this long may count as lost."""


def launch_on_slurm(
    plan: Plan,
    *,
    runner: Runner,
    settings: SlurmSettings,
    processes: int = 1,
    tries: int = TRIES,
    track: bool = True,
    poll_seconds: float = 5.0,
    deadline_seconds: float | None = None,
) -> dict[str, Outcome]:
    """Bring every run of a plan up to date as Slurm jobs; returns outcomes by identity.

    If interrupted, it leaves the jobs in Slurm, and the same command finds them again. So it does
    after `deadline_seconds`.
    """
    check_device_name(runner.device)  # only the nodes know whether it exists
    if processes > 1 and settings.gpus not in (0, processes):
        raise ValueError(
            f"processes={processes} with gpus: {settings.gpus}: each process needs its own; make "
            "them equal"
        )
    if runner.device == "cpu":  # the processes of a job share its memory
        runner = replace(runner, sharing=processes)
    plan.check_known()
    campaign = _Campaign(plan, runner, settings, processes, tries, track)
    with campaign.live:
        return campaign.work(poll_seconds, deadline_seconds)


class _Campaign:
    """The runs to submit, and those that were submitted."""

    def __init__(
        self,
        plan: Plan,
        runner: Runner,
        settings: SlurmSettings,
        processes: int,
        tries: int,
        track: bool,
    ):
        self.plan, self.runner, self.settings = plan, runner, settings
        self.processes, self.tries = processes, tries
        self.live = Live(runner.runs_dir, runner.say, track=track)
        self.waiting = list(plan.todo)
        self.submitted: dict[str, Submission] = {}
        self.starts: dict[str, int] = {}
        done = [run for run in plan.runs if run not in self.waiting]
        self.outcomes: dict[str, Outcome] = {run.identity: "skipped" for run in done}
        place = short(sha256_of(str(runner.runs_dir.resolve())))
        self.prefix = f"tisdiss-{place}-"
        self.submissions = submissions_folder(runner.runs_dir.resolve())
        self.ended_since: dict[str, float] = {}

    def work(self, poll_seconds: float, deadline_seconds: float | None) -> dict[str, Outcome]:
        end = time.monotonic() + (deadline_seconds or float("inf"))
        self._adopt()
        try:
            self._submit_ready()  # before the plan is saved: a refusal changes nothing
            save_plan(self.plan, self.runner.runs_dir)
            while self.waiting or self.submitted:
                self._submit_ready()
                self._collect()
                if time.monotonic() > end:
                    return self._leave("the deadline has come")
                if self.waiting or self.submitted:
                    time.sleep(poll_seconds)
        except KeyboardInterrupt:
            self._leave("interrupted")
            raise
        return self.outcomes

    def _leave(self, why: str) -> dict[str, Outcome]:
        left = len(self.submitted)
        self.runner.say(f"{why}; {left} jobs stay in Slurm, and the same command finds them again")
        open_runs = [*self.submitted, *(planned.identity for planned in self.waiting)]
        return self.outcomes | {identity: "stopped" for identity in open_runs}

    def _adopt(self) -> None:
        """Take over jobs of an earlier call that still wait or run."""
        tasks = tasks_of(self.prefix) or {}
        for name in tasks:
            with suppress(FileNotFoundError):
                submission = Submission.read(self.submissions / name)
                for planned in list(self.waiting):
                    if planned.identity not in submission.identities:
                        continue
                    task = submission.task(planned.identity, tasks)
                    if task is not NOWHERE and task.state not in ENDED:
                        self.waiting.remove(planned)
                        self.submitted[planned.identity] = submission
                        self.runner.say(f"{planned}: is in Slurm already, as {name}")

    # --- submitting -----------------------------------------------------------------------------

    def _submit_ready(self) -> None:
        open_runs = {run.identity for run in self.waiting} | set(self.submitted)
        ready = [planned for planned in self.waiting if planned.parent not in open_runs]
        for planned in [run for run in ready if self.outcomes.get(run.parent or "") in BARREN]:
            ready.remove(planned)
            self.waiting.remove(planned)
            self.outcomes[planned.identity] = "blocked"
            self.runner.say(f"{planned}: its parent has no weights; skipped")
        if ready and self._submit(ready):
            self.waiting = [planned for planned in self.waiting if planned not in ready]

    def _submit(self, ready: Sequence[PlannedRun]) -> bool:
        """Submit runs as one array; False if Slurm cannot be reached at the moment."""
        folder = self.submissions / f"{self.prefix}{uuid.uuid4().hex[:12]}"
        folder.mkdir(parents=True, mode=0o700)
        plan_file = folder / "plan.json"
        write_atomic(plan_file, self.plan.model_dump_json())
        submission = Submission(folder, tuple(planned.identity for planned in ready))
        submission.write()
        code_files = [submission.code_file(planned.identity) for planned in ready]
        jobs = [
            Job(command_line(plan_file, planned, self.runner, code_file, self.processes))
            for planned, code_file in zip(ready, code_files, strict=True)
        ]
        try:
            executor_of(submission, self.settings).submit_array(jobs)
        except Exception as error:
            shutil.rmtree(folder, ignore_errors=True)
            return _check_refusal(error, self.runner)
        for planned in ready:
            self.submitted[planned.identity] = submission
            self.starts[planned.identity] = self.starts.get(planned.identity, 0) + 1
            self.runner.say(f"{planned}: submitted as {submission.name}")
        return True

    # --- collecting -----------------------------------------------------------------------------

    def _collect(self) -> None:
        tasks = tasks_of(self.prefix)
        for identity, submission in list(self.submitted.items()):
            task = UNKNOWN if tasks is None else submission.task(identity, tasks)
            code = submission.code(identity)
            if task.state in ENDED or task is NOWHERE:
                code = self._code_of_ended(identity, submission, task)
            elif task.state == HELD:
                cancel(task)
                code = CRASHED
            elif code == EXIT_CODES["stopped"]:
                code = None  # it was warned, and is requeued
            if code is not None:
                del self.submitted[identity]
                self._ended(self.plan.run(identity), code, task)

    def _code_of_ended(self, identity: str, submission: Submission, task: Task) -> int | None:
        """The exit code of a task that has ended, CRASHED if it left none, None if undecided.

        A job that Slurm does not know any more may still work; without a heartbeat it has crashed.
        """
        since = self.ended_since.setdefault(identity, time.monotonic())
        code = submission.code(identity)
        if code is None and task is NOWHERE:
            folder = RunFolder.of(self.runner.runs_dir, identity)
            silent = silent_seconds(folder.lock_file) > self.runner.lease_seconds
            code = CRASHED if silent and time.monotonic() - since > LINGER_SECONDS else None
        elif code is None and time.monotonic() > since + SETTLE_SECONDS:
            code = CRASHED
        if code is not None:
            del self.ended_since[identity]
        return code

    def _ended(self, planned: PlannedRun, code: int, task: Task) -> None:
        outcome, folder = outcome_of(code), RunFolder.of(self.runner.runs_dir, planned.identity)
        if outcome is None:
            how = f"its job ended ({task.state}) without a result"
            if self.starts.get(planned.identity, 1) < self.tries:
                self.runner.say(f"{planned}: {how}; it is submitted again and resumes")
                self.waiting.append(planned)
                return
            outcome = give_up(folder, f"{how}, {self.tries} times")
        evaluations = tuple(evaluation.identity for evaluation in planned.evaluations)
        if outcome == "done" and folder.state(evaluations) != "done":
            outcome = give_up(folder, "its job ended as done, but its run folder is not complete")
        self.outcomes[planned.identity] = outcome
        self.runner.say(f"{planned}: {ending(folder, outcome)}")
        self.live.ended(planned.identity, outcome)


def _check_refusal(error: Exception, runner: Runner) -> bool:
    """Return False if Slurm is temporarily unreachable; raise ValueError if it rejects the jobs."""
    text = " ".join(str(error).split())
    if re.search(r"contact slurm controller|Socket timed out|temporarily", text, re.IGNORECASE):
        runner.say("Slurm's controller does not answer; trying again")
        return False
    if re.search(r"configuration source|Could not detect", text, re.IGNORECASE):
        raise ValueError(
            f"there is no Slurm here ({text[-200:]}): run this on a login node, or without --slurm "
            "and --engine slurm"
        ) from error
    raise ValueError(
        f"Slurm refused the jobs: {text[-300:]}; change the settings given with --slurm"
    ) from error
