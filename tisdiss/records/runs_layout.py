"""The files of a runs folder that belong to no run.

    plans/<study>.<profile>.json            the runs of each row
    plans/queue-<hash>-<pid>@<host>         the plan of a command for its workers, while it runs
    plans/<queue>@<run>                     the exit code of a worker
    timings/<study>.<profile>.json          real-time factors and memory of each row
    until_decided/<study>.<profile>.json    the looks at each claim over seeds
    searches/<search>.<profile>.json        the trials of a search, beside its journal
    reports/<study>.<profile>.json          where the files of a report are
    slurm/<submission>/                     jobs that were submitted together
    origin.txt                              the name of the folder in MLflow

`run_folder.py` has the files of a run. This module imports nothing slow.
"""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, unquote

_PLANS, _TIMINGS, _LOOKS = "plans", "timings", "until_decided"
_SEARCHES, _REPORTS, _SUBMISSIONS = "searches", "reports", "slurm"

FOLDERS = (_PLANS, _TIMINGS, _LOOKS, _SEARCHES, _REPORTS, _SUBMISSIONS)
"""The folders beside the run folders; other ones may be a user's."""

_QUEUE = re.compile(r"queue-\w+-(?P<pid>\d{1,9})(-\w+|@(?P<host>[^@]*)(@\w+)?)?")
"""Earlier versions wrote queue-<hash>-<pid> and queue-<hash>-<pid>-<run>."""


def plan_file(runs_dir: Path, study: str, profile: str) -> Path:
    """The plan of a study at a profile, which `tisdiss run` writes."""
    return _of_study(runs_dir, _PLANS, study, profile)


def plan_files(runs_dir: Path, profile: str = "*") -> list[Path]:
    """The files of all saved plans, or of those at one profile."""
    return sorted((Path(runs_dir) / _PLANS).glob(f"*.{profile}.json"))


def timing_file(runs_dir: Path, study: str, profile: str) -> Path:
    """The factors of a study at a profile, which `tisdiss time` writes."""
    return _of_study(runs_dir, _TIMINGS, study, profile)


def seed_path_file(runs_dir: Path, study: str, profile: str) -> Path:
    """The looks at the claims of a study, which `tisdiss run --until-decided` writes."""
    return _of_study(runs_dir, _LOOKS, study, profile)


def report_note(runs_dir: Path, study: str, profile: str) -> Path:
    """The note of a report, which `tisdiss report` writes."""
    return _of_study(runs_dir, _REPORTS, study, profile)


def report_notes(runs_dir: Path) -> list[Path]:
    """The notes of all reports."""
    return sorted((Path(runs_dir) / _REPORTS).glob("*.json"))


def search_file(runs_dir: Path, search: str, profile: str) -> Path:
    """The trials of a search at a profile, which `tisdiss search` writes."""
    return _of_study(runs_dir, _SEARCHES, search, profile)


def search_journal(runs_dir: Path, search: str) -> Path:
    """Optuna's storage of a search, unless a command names another one."""
    return Path(runs_dir) / _SEARCHES / f"{search}.journal"


def search_lock(runs_dir: Path, search: str) -> Path:
    """The lock of the start of a search."""
    return Path(runs_dir) / _SEARCHES / f".{search}.lock"


def submissions_folder(runs_dir: Path) -> Path:
    """The folder of all Slurm submissions."""
    return Path(runs_dir) / _SUBMISSIONS


def origin_file(runs_dir: Path) -> Path:
    """The name of the runs folder in MLflow."""
    return Path(runs_dir) / "origin.txt"


class QueueOwner(NamedTuple):
    """The command that wrote a queue; earlier versions did not name its machine."""

    pid: int
    host: str | None


def queue_file(runs_dir: Path, plan: str) -> Path:
    """The queue of this process for the plan with this short hash."""
    host = quote(socket.gethostname(), safe="")  # has no @
    return Path(runs_dir) / _PLANS / f"queue-{plan}-{os.getpid()}@{host}"


def code_file(queue: Path, run: str) -> Path:
    """The file for the exit code of a worker of a queue, by its run's short identity."""
    return queue.with_name(f"{queue.name}@{run}")


def queue_owner(path: Path) -> QueueOwner | None:
    """Whose queue or code file a path is; None for any other file."""
    match = _QUEUE.fullmatch(path.name)
    if match is None:
        return None
    host = match["host"]
    return QueueOwner(int(match["pid"]), None if host is None else unquote(host))


def queues(runs_dir: Path) -> dict[Path, QueueOwner]:
    """All queues and code files, also those of commands that have ended."""
    paths = sorted((Path(runs_dir) / _PLANS).glob("queue-*"))
    return {path: owner for path in paths if (owner := queue_owner(path))}


def study_and_profile(path: Path) -> tuple[str, str]:
    """What a file of a study is named after; a study's name has no dot."""
    study, _, profile = path.stem.partition(".")
    return study, profile


def _of_study(runs_dir: Path, folder: str, study: str, profile: str) -> Path:
    return Path(runs_dir) / folder / f"{study}.{profile}.json"
