"""Deletes files of a runs folder that nothing will read again.

Results always stay: settings, journals, weights and scores. A run that a process works on is left
alone.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from tisdiss.harness.plan_file import saved_plans
from tisdiss.harness.slurm_jobs import Submission, submissions
from tisdiss.harness.worker import EXIT_CODES
from tisdiss.machine.lease import RunHeldError, is_held
from tisdiss.records.files import DamagedError, read_whole
from tisdiss.records.identity import short
from tisdiss.records.reading import read_if_there
from tisdiss.records.run_folder import RunFolder, run_folders
from tisdiss.records.run_record import FINAL, RUN_WAY_OUT, Evaluation
from tisdiss.records.runs_layout import FOLDERS, QueueOwner, queues

STALE_SECONDS = 3600.0
"""Age from which a temporary file counts as left by a killed writer."""
ELSEWHERE_SECONDS = 30 * 86400.0
"""Age from which a queue of another machine counts as left; whether its command runs is unknown."""

_TEMPORARY = re.compile(r"\..+\.(\d+-)?[a-z0-9_]{8}\.tmp")


@dataclass(frozen=True)
class Rubbish:
    """A file or folder to delete, with the reason."""

    path: Path
    reason: str
    bytes: int

    def __str__(self) -> str:
        return f"{self.bytes / 1e6:9.1f} MB  {self.path}  ({self.reason})"


@dataclass(frozen=True)
class Collected:
    """What was or would be deleted, and files that cannot be read; what these refer to stays."""

    rubbish: list[Rubbish]
    problems: list[str]


def gc(runs_dir: Path, *, dry_run: bool = False) -> Collected:
    """Delete what is unreachable, or only list it with `dry_run`."""
    runs_dir, problems = Path(runs_dir), list[str]()
    rubbish = list(_unreachable(runs_dir, problems))
    if not dry_run:
        rubbish = [each for each in rubbish if _delete(runs_dir, each, problems)]
    return Collected(rubbish, problems)


def _unreachable(runs_dir: Path, problems: list[str]) -> Iterator[Rubbish]:
    """Everything that may be deleted; appends files that cannot be read to the problems."""
    planned = _planned(runs_dir, problems)
    for path in run_folders(runs_dir):
        with _collecting(problems):
            folder = RunFolder.at(path)
            if path.name == short(folder.identity):  # else it is not a folder of ours
                yield from _of_run(folder, planned)
    for submission in submissions(runs_dir):
        with _collecting(problems):
            yield from _of_submission(submission)
    yield from _of_queues(runs_dir)
    for path in _temporary(runs_dir):
        if _age(path) > STALE_SECONDS and not _in_held(runs_dir, path):
            yield _rubbish(path, "left by a writer that was killed")


def _temporary(runs_dir: Path) -> list[Path]:
    """Unfinished files of `write_atomic` in our own folders; others may hold a user's files."""
    ours = [*run_folders(runs_dir), *(runs_dir / name for name in FOLDERS)]
    leftovers = [path for place in ours for path in place.rglob(".*.tmp")]
    return sorted(p for p in [*runs_dir.glob(".*.tmp"), *leftovers] if _TEMPORARY.fullmatch(p.name))


@contextmanager
def _collecting(problems: list[str]) -> Iterator[None]:
    """Append a DamagedError of the block to the problems, once, instead of raising it."""
    try:
        yield
    except DamagedError as error:
        if str(error) not in problems:
            problems.append(str(error))


def _of_run(folder: RunFolder, planned: set[str] | None) -> Iterator[Rubbish]:
    if is_held(folder.lock_file):
        return
    states = folder.path / "checkpoints"
    done = folder.result().status in FINAL and folder.model_file.is_file()
    if states.is_dir() and done:
        yield _rubbish(states, "training states of a finished run")
    elif states.is_dir() and planned is not None and folder.identity not in planned:
        yield _rubbish(states, "training states of a run that no plan names")
    for partial in sorted(folder.path.glob("evaluations/.*.partial")):
        if _is_complete(partial.with_name(partial.name[1:].removesuffix(".partial"))):
            yield _rubbish(partial, "part of an evaluation that is complete")


def _is_complete(evaluation: Path) -> bool:
    record = read_if_there(evaluation / "evaluation.json", Evaluation, way_out=RUN_WAY_OUT)
    return record is not None and short(record.identity or "") == evaluation.name


def _planned(runs_dir: Path, problems: list[str]) -> set[str] | None:
    """Identities of all plans, with their ancestors; None if some file cannot be read."""
    before, planned = len(problems), set[str]()
    for plan in saved_plans(runs_dir, damaged=lambda error: problems.append(str(error))):
        planned |= {run.identity for row in plan.rows for run in row.runs}
    ancestors = list(planned)
    for identity in ancestors:
        with _collecting(problems):
            config = RunFolder.of(runs_dir, identity).config()
            if config and config.parent and config.parent not in planned:
                planned.add(config.parent)
                ancestors.append(config.parent)
    return planned if len(problems) == before else None


def _of_submission(folder: Path) -> Iterator[Rubbish]:
    """The folder of a Slurm submission whose tasks have all left their exit code."""
    unfinished = (b"", str(EXIT_CODES["stopped"]).encode())  # a stopped task is requeued
    tasks = len(Submission.read(folder).identities)
    codes = [read_whole(path, way_out="delete it").strip() for path in folder.glob("*.code")]
    if sum(code not in unfinished for code in codes) == tasks:
        yield _rubbish(folder, "a submission whose jobs have ended")


def _of_queues(runs_dir: Path) -> Iterator[Rubbish]:
    for path, owner in queues(runs_dir).items():
        if _has_ended(path, owner):
            yield _rubbish(path, "the queue of a command that has ended")


def _has_ended(queue: Path, owner: QueueOwner) -> bool:
    """Whether the command of a queue is gone; on another machine only its age tells."""
    if owner.host == socket.gethostname():
        return not psutil.pid_exists(owner.pid)
    return _age(queue) > ELSEWHERE_SECONDS


def _age(path: Path) -> float:
    """Seconds since the last change; 0 for a file that is gone meanwhile."""
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _run_of(runs_dir: Path, path: Path) -> RunFolder | None:
    """The run folder that a path lies in; None beside the runs."""
    place = runs_dir / path.relative_to(runs_dir).parts[0]
    return RunFolder(place, place.name) if (place / "config.json").is_file() else None


def _in_held(runs_dir: Path, path: Path) -> bool:
    run = _run_of(runs_dir, path)
    return run is not None and is_held(run.lock_file)


def _rubbish(path: Path, reason: str) -> Rubbish:
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return Rubbish(path, reason, sum(os.lstat(file).st_size for file in files))


def _delete(runs_dir: Path, rubbish: Rubbish, problems: list[str]) -> bool:
    """Delete it, holding its run if it belongs to one; False if it stays."""
    run = _run_of(runs_dir, rubbish.path)
    try:
        with run.lease() if run else nullcontext():
            _remove(rubbish.path)
    except RunHeldError:  # a process has started to use it
        return False
    except OSError as error:
        problems.append(f"{rubbish.path}: cannot be deleted ({error.strerror}); check permissions")
        return False
    return True


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        with suppress(FileNotFoundError):
            path.unlink()
