"""Brings the changes of a runs folder into MLflow every few seconds, while runs go on.

Trainings do not wait for MLflow: they write run folders, which another process reads. `tisdiss ui`
is such a process, and `tisdiss run` starts one (`live.py`). As a program, this module writes one
line for people to its standard output for each thing that it has to tell, and ends after a last
look when its standard input ends.
"""

from __future__ import annotations

import argparse
import io
import os
import selectors
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from tisdiss.harness.address import hidden
from tisdiss.harness.tracking.reports import noted_identity
from tisdiss.harness.tracking.sync import PartlySyncedError, sync
from tisdiss.machine.lease import is_held
from tisdiss.machine.surroundings import settle
from tisdiss.records.identity import short
from tisdiss.records.run_folder import run_folders
from tisdiss.records.runs_layout import report_notes

REFRESH_SECONDS = 10.0
LOWER_PRIORITY = 5
"""The step of niceness: a quarter of a busy processor while it works, which is 3 % of the time."""
NOT_UP_TO_DATE = "MLflow is not up to date"
UP_TO_DATE_AGAIN = "MLflow is up to date again"


def not_up_to_date(error: Exception) -> str:
    """An outage in one line, without a password."""
    first = str(error).strip().splitlines() or [type(error).__name__]
    return f"{NOT_UP_TO_DATE} ({hidden(first[0])}); `tisdiss sync` brings it up to date"


class News:
    """Brings the changes of a runs folder into MLflow.

    An outage is told once, and its end once; so is any other problem, such as a damaged run.
    """

    def __init__(self, runs_dir: Path, say: Callable[[str], None], since: float | None = None):
        self.runs_dir, self.say = Path(runs_dir), say
        self.since = time.time() if since is None else since
        self.running: set[str] = set()
        self.told: set[str] = set()
        self.is_down = False

    def send(self) -> None:
        """Send the changes since the last call that succeeded."""
        now, before = time.time(), self.running
        self.running = {p.name for p in run_folders(self.runs_dir) if is_held(p / "lock")}
        names = self._changed() | before | self.running
        if not names:
            self.since = now
            return
        try:
            notes = sync(self.runs_dir, only=names).notes
        except ConnectionError as error:
            self._out_of_reach(error)
        except PartlySyncedError as error:
            self._in_reach()
            for problem in error.problems:
                self._tell_once(f"not up to date: {problem}")
        except (OSError, ValueError) as error:
            self._tell_once(f"not up to date: {error}")
        else:
            self.since = now
            self._in_reach()
            for note in notes:
                self._tell_once(note)

    def _changed(self) -> set[str]:
        """The short identities of runs and reports that changed since the last success."""
        runs = {p.name for p in run_folders(self.runs_dir) if _changed(p) >= self.since}
        notes = [p for p in report_notes(self.runs_dir) if p.stat().st_mtime >= self.since]
        return runs | {short(noted_identity(note)) for note in notes}

    def _out_of_reach(self, error: Exception) -> None:
        if not self.is_down:
            self.say(not_up_to_date(error))
        self.is_down = True

    def _in_reach(self) -> None:
        if self.is_down:
            self.say(UP_TO_DATE_AGAIN)
        self.is_down = False

    def _tell_once(self, line: str) -> None:
        if line not in self.told:
            self.told.add(line)
            self.say(line)


def _changed(folder: Path) -> float:
    """The time of the last change of a run's settings, journal or result."""
    files = [folder / name for name in ("config.json", "events.jsonl", "result.json")]
    return max((file.stat().st_mtime for file in files if file.is_file()), default=0.0)


def main(arguments: list[str] | None = None) -> int:
    """Send the changes of a runs folder until standard input ends, and then once more."""
    settle()
    os.nice(LOWER_PRIORITY)
    options = _parser().parse_args(arguments)
    output = sys.stdout

    def say(line: str) -> None:
        print(line, file=output, flush=True)

    news = News(options.runs_dir, say, since=options.since)
    # What libraries print is not news.
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        try:
            goes_on = True
            while goes_on:
                news.send()
                goes_on = not _has_ended(sys.stdin.fileno(), options.seconds)
            news.send()
        except Exception as error:  # a bug, or a library that raises something of its own
            say(not_up_to_date(error))
            return 1
    return 0


def _has_ended(descriptor: int, seconds: float) -> bool:
    """Whether a pipe ends within some seconds; its writer writes nothing."""
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        return bool(selector.select(seconds))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tisdiss.harness.tracking.news", description=__doc__
    )
    parser.add_argument("runs_dir", type=Path)
    parser.add_argument("--since", type=float, help="send what changed after this time")
    parser.add_argument("--seconds", type=float, default=REFRESH_SECONDS)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
