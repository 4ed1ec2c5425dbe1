"""Slurm jobs: their settings, what they execute, and their states in Slurm.

A job only starts a worker (`worker.py`) with the same arguments as on a laptop, so it may be
started, requeued or lost at any moment. When Slurm warns it (preemption, time limit), the worker
saves, and the job is requeued.
"""

from __future__ import annotations

import getpass
import os
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import Field, ValidationError

from tisdiss.limits import MAX_COUNT, MAX_JOBS
from tisdiss.records.files import write_atomic
from tisdiss.records.identity import short
from tisdiss.records.problems import DocumentError, Problem, problems_of
from tisdiss.records.reading import read_digits
from tisdiss.records.run_folder import json_text
from tisdiss.records.runs_layout import submissions_folder
from tisdiss.study.document import read_document
from tisdiss.study.overrides import validated
from tisdiss.study.profiles import FilePart

Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.,:&|-]{0,63}$")]
Count = Annotated[int, Field(ge=1, le=MAX_COUNT)]
_ENDED = "COMPLETED FAILED CANCELLED TIMEOUT NODE_FAIL OUT_OF_MEMORY BOOT_FAIL DEADLINE"
ENDED = frozenset(_ENDED.split())
"""States of jobs that have ended."""

_RUNS = "runs.json"
"""The file of a submission with the identities of its tasks."""

HELD = "HELD"
"""Our state for a job that Slurm could not launch and holds until a person releases it."""


class Task(NamedTuple):
    """The state and the job ID of an array's task in Slurm."""

    state: str
    job: str


Tasks = dict[str, dict[int, Task]]
"""Job name -> position in its array -> task."""
NOWHERE = Task("ABSENT", "")


class SlurmSettings(FilePart):
    """The resources of a job, from a small YAML file, `--slurm FILE`."""

    partition: Word | None = Field(default=None, description="None: the cluster's default")
    account: Word | None = None
    qos: Word | None = None
    constraint: Word | None = None
    minutes: Count = Field(default=240, description="time limit; a run that needs more is requeued")
    memory_gb: Count = 8
    cpus: Count = 2
    gpus: Annotated[int, Field(ge=0, le=MAX_JOBS)] = Field(default=0, description="per run")
    at_once: Count = Field(default=64, description="runs at a time")
    requeues: Count = Field(default=50, description="how often a run may hit the time limit")
    warn_seconds: Count = Field(default=90, description="warning before the time limit")


def load_settings(path: Path) -> SlurmSettings:
    """Read a settings file; DocumentError with every mistake and its place."""
    document = read_document(path)
    problems = list(document.problems)
    data = document.data if document.data is not None else {}
    if not isinstance(data, dict):
        problems.append(Problem((), data, "settings are lines such as `partition: gpu`"))
        raise DocumentError(document.lines(problems))
    settings = SlurmSettings()
    try:
        settings = validated(SlurmSettings, data)
    except ValidationError as error:
        problems += problems_of(error, SlurmSettings)
    if problems:
        raise DocumentError(document.lines(problems))
    return settings


class Job:
    """The pickled content of a job: the command line of a worker."""

    def __init__(self, command: list[str]):
        self.command = command
        self.worker: subprocess.Popen[bytes] | None = None

    def __call__(self) -> int:
        environment = {**os.environ, "TORCHELASTIC_SIGNALS_TO_HANDLE": "SIGTERM,SIGINT,SIGUSR2"}
        self.worker = subprocess.Popen(self.command, env=environment, start_new_session=True)
        while self.worker.poll() is None:  # not `wait`: its lock would block the signal handler
            time.sleep(0.1)
        return self.worker.returncode

    def checkpoint(self) -> Any:
        """Let the worker save, when Slurm warns; the job is then requeued."""
        from submitit.helpers import DelayedSubmission

        if self.worker is not None:
            _end(self.worker)
        return DelayedSubmission(Job(self.command))

    __submitit_checkpoint__ = checkpoint


def _end(worker: subprocess.Popen[bytes], patience: float = 20) -> None:
    for number, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, 5.0)):
        with suppress(ProcessLookupError):
            os.killpg(worker.pid, number)
        end = time.monotonic() + seconds
        while worker.poll() is None and time.monotonic() < end:
            time.sleep(0.1)


@dataclass
class Submission:
    """Runs that were submitted together, as the tasks of one array."""

    folder: Path
    identities: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.folder.name

    def code_file(self, identity: str) -> Path:
        return self.folder / f"{short(identity)}.code"

    def code(self, identity: str) -> int | None:
        """The exit code that the worker left, None if there is none yet."""
        path = self.code_file(identity)
        return int(path.read_text()) if path.is_file() else None

    def task(self, identity: str, tasks: Tasks) -> Task:
        """A run's task in Slurm; NOWHERE if Slurm does not know it (any more)."""
        return tasks.get(self.name, {}).get(self.identities.index(identity), NOWHERE)

    def write(self) -> None:
        write_atomic(self.folder / _RUNS, json_text(list(self.identities)))

    @classmethod
    def read(cls, folder: Path) -> Submission:
        way_out = "delete that folder and run again"
        return cls(folder, read_digits(folder / _RUNS, way_out=way_out))


def submissions(runs_dir: Path) -> list[Path]:
    """The folders of all submissions whose tasks are known."""
    return [path.parent for path in sorted(submissions_folder(runs_dir).glob(f"*/{_RUNS}"))]


def executor_of(submission: Submission, settings: SlurmSettings) -> Any:
    """An executor that submits to Slurm from the submission's folder."""
    import submitit

    executor = submitit.SlurmExecutor(submission.folder, max_num_timeout=settings.requeues)
    options = {
        "partition": settings.partition,
        "account": settings.account,
        "qos": settings.qos,
        "constraint": settings.constraint,
        "gpus_per_node": settings.gpus or None,
    }
    executor.update_parameters(
        job_name=submission.name,
        time=settings.minutes,
        mem=f"{settings.memory_gb}GB",
        cpus_per_task=settings.cpus,
        array_parallelism=settings.at_once,
        signal_delay_s=settings.warn_seconds,
        **{key: value for key, value in options.items() if value is not None},
    )
    return executor


def tasks_of(prefix: str) -> Tasks | None:
    """Our tasks that Slurm knows, also recently ended ones; None if it does not answer."""
    command = ["squeue", "-h", "-r", "-t", "all", "-u", getpass.getuser(), "-o", "%j|%K|%T|%i|%r"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    tasks: Tasks = {}
    for line in done.stdout.splitlines():
        name, position, state, job, reason = line.strip().split("|", 4)
        if name.startswith(prefix):
            held = state not in ENDED and "requeued held" in reason
            task = Task(HELD if held else state, job)
            tasks.setdefault(name, {})[int(position) if position.isdigit() else 0] = task
    return tasks


def cancel(task: Task) -> None:
    """Cancel a held task, which may be gone already."""
    subprocess.run(["scancel", task.job], capture_output=True, timeout=60, check=False)
