"""What may be deleted from a folder of runs: files that nothing will ever read again.

Results are never among them: settings, journals, weights and scores stay, whoever asked for them.
A run that somebody is working on is left alone.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from tisdiss.harness.plan_file import saved_plans
from tisdiss.harness.slurm_jobs import Submission
from tisdiss.harness.worker import EXIT_CODES
from tisdiss.machine.lease import RunHeldError, is_held
from tisdiss.records.files import DamagedError, read_whole
from tisdiss.records.identity import short
from tisdiss.records.reading import read_if_there
from tisdiss.records.run_folder import RunFolder, run_folders
from tisdiss.records.run_record import FINAL, RUN_WAY_OUT, Evaluation

STALE_SECONDS = 3600.0
"""Temporary files of a writer that was killed are older than this."""

_TEMPORARY = re.compile(r"\..+\.(\d+-)?[a-z0-9_]{8}\.tmp")
_OURS = ("plans", "timings", "searches", "slurm")


@dataclass(frozen=True)
class Rubbish:
    """A file or folder that may go, and why."""

    path: Path
    reason: str
    bytes: int

    def __str__(self) -> str:
        return f"{self.bytes / 1e6:9.1f} MB  {self.path}  ({self.reason})"


@dataclass(frozen=True)
class Collected:
    """What went, or would go, and the files that could not be read: what they tell of stays."""

    rubbish: list[Rubbish]
    problems: list[str]


def gc(runs_dir: Path, *, dry_run: bool = False) -> Collected:
    """Delete what is unreachable, or only list it."""
    runs_dir, problems = Path(runs_dir), list[str]()
    rubbish = list(_unreachable(runs_dir, problems))
    if not dry_run:
        rubbish = [each for each in rubbish if _delete(runs_dir, each, problems)]
    return Collected(rubbish, problems)


def _unreachable(runs_dir: Path, problems: list[str]) -> Iterator[Rubbish]:
    """Everything that may be deleted; appends what cannot be read to the problems."""
    planned = _planned(runs_dir, problems)
    for path in run_folders(runs_dir):
        with _told(problems):
            folder = RunFolder.at(path)
            if path.name == short(folder.identity):  # another is no folder of ours
                yield from _of_run(folder, planned)
    for runs in sorted(runs_dir.glob("slurm/*/runs.json")):
        with _told(problems):
            yield from _of_submission(runs.parent)
    yield from _of_queues(runs_dir)
    for path in _temporary(runs_dir):
        if time.time() - path.stat().st_mtime > STALE_SECONDS and not _in_held(runs_dir, path):
            yield _rubbish(path, "left by a writer that was killed")


def _temporary(runs_dir: Path) -> list[Path]:
    """What `write_atomic` has begun in the places that are ours; others may hold a user's files."""
    ours = [*run_folders(runs_dir), *(runs_dir / name for name in _OURS)]
    leftovers = [path for place in ours for path in place.rglob(".*.tmp")]
    return sorted(p for p in [*runs_dir.glob(".*.tmp"), *leftovers] if _TEMPORARY.fullmatch(p.name))


@contextmanager
def _told(problems: list[str]) -> Iterator[None]:
    """A file that cannot be read costs what it tells of, and nothing else."""
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
    """Identities that some plan names, with all their ancestors; None if that cannot be known."""
    before, named = len(problems), set[str]()
    for plan in saved_plans(runs_dir, damaged=lambda error: problems.append(str(error))):
        named |= {run.identity for row in plan.rows for run in row.runs}
    ancestors = list(named)
    for identity in ancestors:
        with _told(problems):
            config = RunFolder.of(runs_dir, identity).config()
            if config and config.parent and config.parent not in named:
                named.add(config.parent)
                ancestors.append(config.parent)
    return named if len(problems) == before else None


def _of_submission(folder: Path) -> Iterator[Rubbish]:
    """The folder of a Slurm submission whose tasks have all left their exit code."""
    going_on = (b"", str(EXIT_CODES["stopped"]).encode())  # a stopped one is requeued
    tasks = len(Submission.read(folder).identities)
    codes = [read_whole(path, way_out="delete it").strip() for path in folder.glob("*.code")]
    if sum(code not in going_on for code in codes) == tasks:
        yield _rubbish(folder, "a submission whose jobs have ended")


def _of_queues(runs_dir: Path) -> Iterator[Rubbish]:
    for path in sorted(runs_dir.glob("plans/queue-*")):
        pid = path.name.rpartition("-")[2]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            yield _rubbish(path, "the queue of a command that has ended")


def _in_held(runs_dir: Path, path: Path) -> bool:
    return is_held(runs_dir / path.relative_to(runs_dir).parts[0] / "lock")


def _rubbish(path: Path, reason: str) -> Rubbish:
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return Rubbish(path, reason, sum(os.lstat(file).st_size for file in files))


def _delete(runs_dir: Path, rubbish: Rubbish, problems: list[str]) -> bool:
    """Remove it while holding its run, if it is one's; False if it stays."""
    run = runs_dir / rubbish.path.relative_to(runs_dir).parts[0]
    try:
        if (run / "config.json").is_file():
            with RunFolder(run, run.name).lease():
                _remove(rubbish.path)
        else:
            _remove(rubbish.path)
    except RunHeldError:  # somebody has begun to use it
        return False
    except OSError as error:
        problems.append(f"{rubbish.path}: cannot be deleted ({error.strerror}); check its rights")
        return False
    return True


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        with suppress(FileNotFoundError):
            path.unlink()
