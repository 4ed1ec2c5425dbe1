"""Shows runs in MLflow while they go on, and when they have ended.

A process of low priority (`news.py`) sends what run folders gained, so that a training never
waits for MLflow and shares nothing with it but the machine. It starts after some seconds, because
shorter runs are sent at the end anyway. An outage costs one line.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType

from tisdiss.harness.children import stop_group
from tisdiss.harness.runner import Outcome, Say
from tisdiss.harness.tracking.experiment import has_store
from tisdiss.harness.tracking.news import (
    NOT_UP_TO_DATE,
    REFRESH_SECONDS,
    UP_TO_DATE_AGAIN,
    not_up_to_date,
)
from tisdiss.harness.tracking.reports import note_report, report_identity

LAST_LOOK_SECONDS = 10.0
"""How long the process may take for its last look before it is stopped."""
_ELSEWHERE: tuple[Outcome, ...] = ("held", "blocked")
"""Outcomes of a run that was not touched here."""


class Live:
    """A context in which the runs of a folder are shown; `track` false: none are.

    Runs that `ended` are in MLflow when the block has ended, or one line says why not.
    """

    def __init__(
        self, runs_dir: Path, say: Say, *, track: bool = True, seconds: float = REFRESH_SECONDS
    ):
        self.runs_dir, self.say = Path(runs_dir), say
        self.track, self.seconds = track, seconds
        self.identities: list[str] = []
        self.told: set[str] = set()
        self.is_down = False
        self.over, self.starting = threading.Event(), threading.Lock()
        self.child: subprocess.Popen[bytes] | None = None
        self.thread = threading.Thread(target=self._show, name="live", daemon=True)

    def ended(self, identity: str, outcome: Outcome) -> None:
        """Note that a run has ended, to send it at the latest when the block ends."""
        if outcome not in _ELSEWHERE:
            self.identities.append(identity)

    def __enter__(self) -> Live:
        if self.track:
            self.began = time.time()
            self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if not self.track:
            return
        with self.starting:
            self.over.set()
        self._end_child()
        self.thread.join()
        if kind is None and self.identities:
            show_in_mlflow(self.runs_dir, self.identities, self._say)

    def _show(self) -> None:
        """Start the process after a while, and pass on what it tells."""
        if self.over.wait(self.seconds):
            return
        with self.starting:
            if self.over.is_set():
                return
            self.child = self._start()
        assert self.child.stdout is not None
        with self.child.stdout as lines:
            for line in lines:
                self._say(line.decode(errors="replace").rstrip("\n"))

    def _start(self) -> subprocess.Popen[bytes]:
        # -P: a module in the user's folder, such as a types.py, is not ours.
        command = [sys.executable, "-P", "-m", "tisdiss.harness.tracking.news"]
        command += [os.path.abspath(self.runs_dir), "--since", str(self.began)]
        command += ["--seconds", str(self.seconds)]
        return subprocess.Popen(
            command,
            env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _end_child(self) -> None:
        if self.child is None:
            return
        assert self.child.stdin is not None
        self.child.stdin.close()  # it looks once more, and ends
        try:
            self.child.wait(timeout=LAST_LOOK_SECONDS)
        except subprocess.TimeoutExpired:
            stop_group(self.child)

    def _say(self, line: str) -> None:
        """Say a line, but each only once, and an outage only until it is over."""
        starts, ends = line.startswith(NOT_UP_TO_DATE), line == UP_TO_DATE_AGAIN
        if line in self.told or (starts and self.is_down):
            return
        self.is_down = starts or (self.is_down and not ends)
        if not (starts or ends):
            self.told.add(line)
        self.say(line)


def show_in_mlflow(runs_dir: Path, identities: Iterable[str], say: Say) -> None:
    """Sync some runs to MLflow; a failure costs one line of output, never a run."""
    try:
        from tisdiss.harness.tracking.sync import sync

        for note in sync(runs_dir, only=identities).notes:
            say(note)
    except Exception as error:
        say(not_up_to_date(error))


def show_report(
    runs_dir: Path, study: str, profile: str, written: Sequence[Path], say: Say
) -> None:
    """Note a report for every later sync, and sync it now if there is a store already."""
    note_report(runs_dir, study, profile, written)
    try:
        is_used = has_store(runs_dir)
    except ValueError as error:
        say(not_up_to_date(error))
        return
    if is_used:
        show_in_mlflow(runs_dir, [report_identity(study, profile)], say)
