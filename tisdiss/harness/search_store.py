"""Where a search remembers its trials: a journal beside the runs, or a database for many machines.

Whatever ends a search, the next call goes on: the journal's lock is the kernel's, a line that was
torn is cut off before the next is written, and trials whose process is gone are tried again.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import psutil

from tisdiss.harness.address import answering, check_answer, database
from tisdiss.limits import MAX_SEED
from tisdiss.machine.alone import alone
from tisdiss.machine.lease import is_held
from tisdiss.records.run_folder import RunFolder, cut_torn_line, numbered_lines
from tisdiss.study.search_file import OBJECTIVES, Search

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.storages import BaseStorage
    from optuna.storages.journal import JournalFileBackend
    from optuna.trial import FrozenTrial

Say = Callable[[str], None]
ABANDONED_SECONDS = 600.0
"""A trial of another machine that nobody works on for so long was abandoned."""
STALE_SECONDS = 30.0
"""A lock of Optuna's own that is older was left by a process that was killed."""


@contextmanager
def open_store(
    spec: Search, profile: str, runs_dir: Path, storage: str | None, say: Say
) -> Iterator[Study]:
    """The study of a search, with its first trials waiting and abandoned ones given up.

    ConnectionError, with the way out, where the storage gives up, now or while the block runs.
    """
    searches = Path(runs_dir) / "searches"
    named = storage or str(searches / f"{spec.search}.journal")
    way_out = "or name one with --storage that MLflow does not use; finished runs keep their scores"
    with _quiet(), answering("search storage", named, way_out):
        study = _study(spec, profile, _storage(named, say))
        with alone(searches / f".{spec.search}.lock", f"the start of {spec.search}", say):
            _reclaim(study, runs_dir, say)
            for params in spec.first:
                study.enqueue_trial(params, skip_if_exists=True)
        yield study


def sign(trial: Trial) -> None:
    """Tell in a trial which process works on it."""
    process = psutil.Process()
    who = {"host": socket.gethostname(), "pid": process.pid, "born": process.create_time()}
    for key, value in who.items():
        trial.set_user_attr(key, value)


@contextmanager
def _quiet() -> Iterator[None]:
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def _study(spec: Search, profile: str, kept: BaseStorage) -> Study:
    import optuna

    name = f"{spec.search}.{profile}"
    there = [s.study_name for s in optuna.get_all_study_summaries(kept)]
    done = len(optuna.load_study(study_name=name, storage=kept).trials) if name in there else 0
    return optuna.create_study(
        storage=kept,
        study_name=name,
        directions=[OBJECTIVES[objective] for objective in spec.objectives],
        sampler=optuna.samplers.TPESampler(
            seed=(spec.seed + done) % (MAX_SEED + 1), n_startup_trials=8
        ),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=1),
        load_if_exists=True,
    )


def _storage(named: str, say: Say) -> BaseStorage:
    from optuna.storages import JournalStorage, RDBStorage

    if "://" in named:
        address = database(named)
        check_answer(address)
        return RDBStorage(address)
    return JournalStorage(_journal(Path(named), say))


# --- the journal --------------------------------------------------------------------------------


class JournalLock:
    """Optuna's interface. Held while lines are appended: an unfinished one has a dead writer."""

    def __init__(self, journal: Path, say: Say):
        self.journal, self.say = journal, say
        self.held = ExitStack()

    def acquire(self) -> bool:
        path = self.journal.with_name(f".{self.journal.name}.lock")
        self.held.enter_context(alone(path, f"the journal {self.journal}", self.say))
        if self.journal.is_file():
            cut_torn_line(self.journal)
        return True

    def release(self) -> None:
        self.held.close()


def _journal(path: Path, say: Say) -> JournalFileBackend:
    """Optuna's journal of trials; DamagedError for one that was damaged."""
    from optuna.storages.journal import JournalFileBackend

    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(path)
    numbered_lines(path, way_out="restore it, or move it away: the trials' runs keep their scores")
    return JournalFileBackend(str(path), lock_obj=cast(Any, JournalLock(path, say)))


def _remove_leftovers(journal: Path) -> None:
    """Locks of Optuna's own, which this project does not use, outlive a process that is killed."""
    for path in journal.parent.glob(f"{escape(journal.name)}.lock*"):
        if time.time() - os.lstat(path).st_mtime > STALE_SECONDS:
            path.unlink(missing_ok=True)


# --- trials of processes that are gone ----------------------------------------------------------


def _reclaim(study: Study, runs_dir: Path, say: Say) -> None:
    """Give up trials whose process is gone, and try their settings again: the runs resume."""
    from optuna.trial import TrialState

    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        if _alive(trial, runs_dir):
            continue
        study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
        # One that was killed before it took all its values has them still among those it was given.
        if params := {**trial.system_attrs.get("fixed_params", {}), **trial.params}:
            study.enqueue_trial(params)
        say(f"trial {trial.number}: its process is gone; it is tried again")


def _alive(trial: FrozenTrial, runs_dir: Path) -> bool:
    attributes = trial.user_attrs
    if attributes.get("host") == socket.gethostname():
        return _is_there(attributes.get("pid", 0), attributes.get("born"))
    identity = attributes.get("identity")
    if identity and is_held(RunFolder.of(runs_dir, identity).lock_file):
        return True
    began = trial.datetime_start or datetime.fromtimestamp(0)
    return time.time() - began.timestamp() < ABANDONED_SECONDS


def _is_there(pid: int, born: float | None) -> bool:
    """Whether a process lives; `born` guards against a recycled process id."""
    try:
        now = psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return False
    return born is None or abs(now - born) < 5
