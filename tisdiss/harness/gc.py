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
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tisdiss.harness.folder import FINAL, RunFolder, run_folders
from tisdiss.harness.identity import SHORT, short
from tisdiss.harness.lease import RunHeldError, is_held
from tisdiss.harness.plan import saved_plans
from tisdiss.harness.slurm_jobs import Submission
from tisdiss.harness.worker import EXIT_CODES

STALE_SECONDS = 3600.0
"""Temporary files of a writer that was killed are older than this."""

_TEMPORARY = re.compile(r"\..+\.[a-z0-9_]{8}\.tmp")
_OURS = ("plans", "timings", "searches", "slurm")


@dataclass(frozen=True)
class Rubbish:
    """A file or folder that may go, and why."""

    path: Path
    reason: str
    bytes: int

    def __str__(self) -> str:
        return f"{self.bytes / 1e6:9.1f} MB  {self.path}  ({self.reason})"


def gc(runs_dir: Path, *, dry_run: bool = False) -> list[Rubbish]:
    """Delete what is unreachable, or only list it."""
    runs_dir = Path(runs_dir)
    found = list(unreachable(runs_dir))
    return found if dry_run else [rubbish for rubbish in found if _delete(runs_dir, rubbish)]


def unreachable(runs_dir: Path) -> Iterator[Rubbish]:
    """Everything that may be deleted."""
    planned = _planned(runs_dir)
    for folder in map(RunFolder.at, run_folders(runs_dir)):
        if folder.path.name != short(folder.identity) or is_held(folder.lock_file):
            continue
        yield from _of_run(folder, folder.identity in planned)
    yield from _of_submissions(runs_dir)
    yield from _of_queues(runs_dir)
    for path in _temporary(runs_dir):
        if time.time() - path.stat().st_mtime > STALE_SECONDS and not _in_held(runs_dir, path):
            yield _rubbish(path, "left by a writer that was killed")


def _temporary(runs_dir: Path) -> list[Path]:
    """What `write_atomic` has begun in the places that are ours; others may hold a user's files."""
    ours = [*run_folders(runs_dir), *(runs_dir / name for name in _OURS)]
    found = [path for place in ours for path in place.rglob(".*.tmp")]
    return sorted(p for p in [*runs_dir.glob(".*.tmp"), *found] if _TEMPORARY.fullmatch(p.name))


def _of_run(folder: RunFolder, planned: bool) -> Iterator[Rubbish]:
    states = folder.path / "checkpoints"
    done = folder.read("result.json").get("status") in FINAL and folder.model_file.is_file()
    if states.is_dir() and done:
        yield _rubbish(states, "training states of a finished run")
    elif states.is_dir() and not planned:
        yield _rubbish(states, "training states of a run that no plan names")
    for partial in sorted(folder.path.glob("evaluations/.*.partial")):
        if folder.has_evaluation(partial.name[1 : 1 + SHORT]):
            yield _rubbish(partial, "part of an evaluation that is complete")


def _planned(runs_dir: Path) -> set[str]:
    """Identities that some plan names, with all their ancestors."""
    named: set[str] = set()
    for plan in saved_plans(runs_dir):
        named |= {run["identity"] for row in plan["rows"] for run in row["runs"]}
    ancestors = list(named)
    for identity in ancestors:
        parent = RunFolder.of(runs_dir, identity).read("config.json").get("parent")
        if parent and parent not in named:
            named.add(parent)
            ancestors.append(parent)
    return named


def _of_submissions(runs_dir: Path) -> Iterator[Rubbish]:
    """Folders of Slurm submissions whose tasks have all left their exit code."""
    going_on = ("", str(EXIT_CODES["stopped"]))  # a stopped one was warned, and is requeued
    for runs in sorted(runs_dir.glob("slurm/*/runs.json")):
        tasks = len(Submission.read(runs.parent).identities)
        codes = [path.read_text().strip() for path in runs.parent.glob("*.code")]
        if sum(code not in going_on for code in codes) == tasks:
            yield _rubbish(runs.parent, "a submission whose jobs have ended")


def _of_queues(runs_dir: Path) -> Iterator[Rubbish]:
    for path in sorted(runs_dir.glob("plans/queue-*")):
        pid = path.name.split("-")[2]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            yield _rubbish(path, "the queue of a command that has ended")


def _in_held(runs_dir: Path, path: Path) -> bool:
    return is_held(runs_dir / path.relative_to(runs_dir).parts[0] / "lock")


def _rubbish(path: Path, reason: str) -> Rubbish:
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return Rubbish(path, reason, sum(os.lstat(file).st_size for file in files))


def _delete(runs_dir: Path, rubbish: Rubbish) -> bool:
    """Remove it while holding its run, if it is one's; False if somebody has begun to use it."""
    run = runs_dir / rubbish.path.relative_to(runs_dir).parts[0]
    try:
        if (run / "config.json").is_file():
            with RunFolder(run, run.name).lease():
                _remove(rubbish.path)
        else:
            _remove(rubbish.path)
    except RunHeldError:
        return False
    return True


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        with suppress(FileNotFoundError):
            path.unlink()
