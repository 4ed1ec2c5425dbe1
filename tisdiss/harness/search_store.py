"""Storage of a search's trials: a journal beside the runs, or a database for several machines.

However a search ends, the next call continues it: the kernel locks the journal, an incomplete line
is cut off before the next is written, and trials whose process is gone are repeated.
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
from tisdiss.records.runs_layout import search_journal, search_lock
from tisdiss.study.search_file import OBJECTIVES, Search

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.storages import BaseStorage
    from optuna.storages.journal import JournalFileBackend
    from optuna.trial import FrozenTrial

Say = Callable[[str], None]
ABANDONED_SECONDS = 600.0
"""Age from which a trial of another machine counts as abandoned if its run is not held."""
STALE_SECONDS = 30.0
"""Age from which a lock file of Optuna's own counts as left by a killed process."""


@contextmanager
def open_store(
    spec: Search, profile: str, runs_dir: Path, storage: str | None, say: Say
) -> Iterator[Study]:
    """The study of a search, with its first trials enqueued and abandoned ones given up.

    Raises ConnectionError, with the way out, if the storage fails, also while the block runs.
    """
    address = storage or str(search_journal(runs_dir, spec.search))
    way_out = "or name one with --storage that MLflow does not use; finished runs keep their scores"
    with _quiet(), answering("search storage", address, way_out):
        study = _study(spec, profile, _storage(address, say))
        with alone(search_lock(runs_dir, spec.search), f"the start of {spec.search}", say):
            _reclaim(study, runs_dir, say)
            for params in spec.first:
                study.enqueue_trial(params, skip_if_exists=True)
        yield study


def sign(trial: Trial) -> None:
    """Record in a trial the process that works on it."""
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


def _study(spec: Search, profile: str, storage: BaseStorage) -> Study:
    import optuna

    name = f"{spec.search}.{profile}"
    names = [s.study_name for s in optuna.get_all_study_summaries(storage)]
    done = len(optuna.load_study(study_name=name, storage=storage).trials) if name in names else 0
    return optuna.create_study(
        storage=storage,
        study_name=name,
        directions=[OBJECTIVES[objective] for objective in spec.objectives],
        sampler=optuna.samplers.TPESampler(
            seed=(spec.seed + done) % (MAX_SEED + 1), n_startup_trials=8
        ),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=1),
        load_if_exists=True,
    )


def _storage(address: str, say: Say) -> BaseStorage:
    from optuna.storages import JournalStorage, RDBStorage

    if "://" in address:
        address = database(address)
        check_answer(address)
        return RDBStorage(address)
    return JournalStorage(_journal(Path(address), say))


# --- the journal --------------------------------------------------------------------------------


class JournalLock:
    """A lock with Optuna's interface, held while lines are appended.

    An incomplete line is therefore from a killed writer, and is cut off.
    """

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
    """Optuna's journal of trials; DamagedError if it was damaged."""
    from optuna.storages.journal import JournalFileBackend

    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(path)
    numbered_lines(path, way_out="restore it, or move it away: the trials' runs keep their scores")
    return JournalFileBackend(str(path), lock_obj=cast(Any, JournalLock(path, say)))


def _remove_leftovers(journal: Path) -> None:
    """Delete lock files of Optuna's own kind, which we do not use and which outlive a kill."""
    for path in journal.parent.glob(f"{escape(journal.name)}.lock*"):
        if time.time() - os.lstat(path).st_mtime > STALE_SECONDS:
            path.unlink(missing_ok=True)


# --- trials of processes that are gone ----------------------------------------------------------


def _reclaim(study: Study, runs_dir: Path, say: Say) -> None:
    """Fail trials whose process is gone, and enqueue their settings again; their runs resume."""
    from optuna.trial import TrialState

    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        if _alive(trial, runs_dir):
            continue
        study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
        # A trial that was killed before it took its values may still have them as fixed ones.
        if params := {**trial.system_attrs.get("fixed_params", {}), **trial.params}:
            study.enqueue_trial(params)
        say(f"trial {trial.number}: its process is gone; it is repeated")


def _alive(trial: FrozenTrial, runs_dir: Path) -> bool:
    attributes = trial.user_attrs
    if attributes.get("host") == socket.gethostname():
        return _is_running(attributes.get("pid", 0), attributes.get("born"))
    identity = attributes.get("identity")
    if identity and is_held(RunFolder.of(runs_dir, identity).lock_file):
        return True
    began = trial.datetime_start or datetime.fromtimestamp(0)
    return time.time() - began.timestamp() < ABANDONED_SECONDS


def _is_running(pid: int, born: float | None) -> bool:
    """Whether a process lives; `born` guards against a recycled process id."""
    try:
        now = psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return False
    return born is None or abs(now - born) < 5
