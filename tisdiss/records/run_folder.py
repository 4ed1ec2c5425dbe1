"""A run folder, `runs/<first digits of the identity>/`, which holds everything about a run.

    config.json environment.json result.json   the settings, where it ran, how it ended
    data.json                                  the mixtures that it is trained and selected on
    events.jsonl                               the journal, append-only
    model.safetensors evaluations/             weights, and one folder per evaluation identity
    uncommitted-*.patch                        what its sources have beyond their commit
    lock                                       the process that works on it

Every file but the journal is replaced whole. `harness/runner.py` shows who writes what and when.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tisdiss.config import TrainConfig
from tisdiss.machine.lease import LEASE_SECONDS, held
from tisdiss.machine.mounts import flush
from tisdiss.records.files import DamagedError, read_whole, write_atomic
from tisdiss.records.identity import SHORT, short
from tisdiss.records.reading import Shape, checked, read_if_there
from tisdiss.records.record import Record
from tisdiss.records.run_record import (
    BROKEN,
    FINAL,
    RUN_WAY_OUT,
    Environment,
    Evaluation,
    Event,
    Logged,
    NamedConfig,
    RunConfig,
    RunResult,
    TrainedConfig,
    TrainedData,
)

State = Literal["new", "partial", "done", "failed", "damaged"]
"""`partial`: the run was started and is not finished, or lacks a requested evaluation. `damaged`: a
file of it cannot be read."""

_JOURNAL_WAY_OUT = "restore it, or delete the run folder and run again"


@dataclass(frozen=True)
class RunFolder:
    """The files of one run."""

    path: Path
    identity: str

    @classmethod
    def of(cls, runs_dir: Path, identity: str) -> RunFolder:
        return cls(Path(runs_dir) / short(identity), identity)

    @classmethod
    def at(cls, path: Path) -> RunFolder:
        """An existing folder, with the identity in its config.json."""
        return cls(path, cls(path, "")._required("config.json", RunConfig).identity)

    @property
    def model_file(self) -> Path:
        return self.path / "model.safetensors"

    @property
    def journal(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def lock_file(self) -> Path:
        return self.path / "lock"

    def evaluation(self, identity: str) -> Path:
        """The folder of an evaluation; it exists only when the evaluation is complete."""
        return self.path / "evaluations" / short(identity)

    def config(self) -> RunConfig | None:
        """The settings of the run; None before it starts. DamagedError if it cannot be read."""
        return self._read("config.json", RunConfig)

    def trained_config(self) -> TrainedConfig:
        """The settings of the run with all required keys; DamagedError otherwise."""
        return self._required("config.json", TrainedConfig)

    def model_name(self) -> str:
        """The name of the model; DamagedError if config.json does not have it."""
        return self._required("config.json", NamedConfig).name

    def environment(self) -> Environment | None:
        return self._read("environment.json", Environment)

    def data(self) -> TrainedData | None:
        """The mixtures of the training; None for runs that were not trained or are of before."""
        return self._read("data.json", TrainedData)

    def result(self) -> RunResult:
        """How the run ended; "running" if there is no result.json."""
        return self._read("result.json", RunResult) or RunResult()

    def scored(self, evaluation: str) -> Evaluation | None:
        """The record of an evaluation; None if it is not complete."""
        folder = self.evaluation(evaluation).relative_to(self.path)
        return self._read(str(folder / "evaluation.json"), Evaluation)

    def _read(self, name: str, shape: type[Shape]) -> Shape | None:
        """A record of the folder, None if it is absent; DamagedError if it cannot be read."""
        return read_if_there(self.path / name, shape, way_out=RUN_WAY_OUT)

    def _required(self, name: str, shape: type[Shape]) -> Shape:
        """A record of the folder; DamagedError if it is absent or cannot be read."""
        record = self._read(name, shape)
        if record is None:
            raise DamagedError(f"{self.path / name}: is missing; {RUN_WAY_OUT}")
        return record

    def settings(self) -> TrainConfig:
        """The settings of the training, with defaults for settings that were added later."""
        path = self.path / "config.json"
        train = self._required("config.json", RunConfig).train
        if train is None:
            raise DamagedError(f"{path}: the key 'train' is missing; {RUN_WAY_OUT}")
        return checked(train.plain(), TrainConfig, where=f"{path}: train", way_out=RUN_WAY_OUT)

    def write(self, name: str, data: Record | Mapping[str, object]) -> None:
        """Replace a JSON file of the folder."""
        whole = data.plain() if isinstance(data, Record) else data
        write_atomic(self.path / name, json_text(whole))

    def check(self) -> None:
        """Raise DamagedError if the folder belongs to another run with the same first digits."""
        config = self.config()
        if config and config.identity != self.identity:
            raise DamagedError(
                f"{self.path} holds run {config.identity}, not {self.identity}: move that folder "
                "away"
            )

    def state(self, evaluations: tuple[str, ...] = ()) -> State:
        """How far the run is, with the requested evaluations.

        Raises DamagedError, with the way out, instead of returning `damaged`.
        """
        if not self.config():
            return "new"
        self.check()
        status = self.result().status
        if status in BROKEN:
            return "failed"
        complete = status in FINAL and all(self.has_evaluation(e) for e in evaluations)
        return "done" if complete else "partial"

    def has_evaluation(self, identity: str) -> bool:
        record = self.scored(identity)
        return record is not None and record.identity == identity

    def lease(self, seconds: float = LEASE_SECONDS) -> AbstractContextManager[None]:
        """Hold the run's lock while a block runs; RunHeldError names another holder."""
        return held(self.lock_file, f"run {short(self.identity)}", seconds)


def run_folders(runs_dir: Path) -> list[Path]:
    """The paths of all run folders, also of folders that cannot be read and may be one."""
    return [path for path in sorted(Path(runs_dir).glob("?" * SHORT)) if _may_be_run(path)]


def matching_runs(runs_dir: Path, digits: str) -> list[Path]:
    """The folders of the runs whose identity starts with these digits.

    More digits than a folder's name has are compared with the identity in its config.json.
    """
    named = [path for path in run_folders(runs_dir) if path.name.startswith(digits[:SHORT])]
    if len(digits) <= SHORT:
        return named
    return [path for path in named if RunFolder.at(path).identity.startswith(digits)]


def _may_be_run(path: Path) -> bool:
    try:
        (path / "config.json").lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:  # the folder cannot be read
        return True
    return True


def json_text(data: Any) -> str:
    """JSON as we store it: indented, in the order of the data, with a final newline."""
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


class Journal:
    """Appends events; a line is on the disk when `append` returns.

    A kill can leave an incomplete last line, which is cut off before the next is written.
    """

    def __init__(self, path: Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file():
            cut_torn_line(path)
        self._file = path.open("a", encoding="utf-8")

    def append(self, event: Logged) -> Event:
        """Write {"ts_ms", "kind", "step", "epoch", "metrics", ...}; returns it with its time."""
        record = {"ts_ms": time.time_ns() // 1_000_000, **event}
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()
        flush(self._file.fileno())
        return Event.model_validate(record)

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Follower:
    """Reads what another process appends to a journal from now on."""

    def __init__(self, path: Path):
        self.path = path
        self.offset = path.stat().st_size if path.is_file() else 0

    def news(self) -> list[Event]:
        """The complete events since the last call; damaged ones are skipped."""
        if not self.path.is_file() or self.path.stat().st_size <= self.offset:
            return []
        with self.path.open("rb") as file:
            file.seek(self.offset)
            *lines, rest = file.read().split(b"\n")
            self.offset = file.tell() - len(rest)
        events = []
        for line in lines:
            with suppress(DamagedError):
                value = _parsed(line, str(self.path), _JOURNAL_WAY_OUT)
                events.append(_event(value, str(self.path)))
        return events


def cut_torn_line(path: Path) -> None:
    """Cut off an incomplete last line of a file, whose writer was killed."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        if file.read() in (b"", b"\n"):
            return
        file.seek(0)
        whole = file.read().rfind(b"\n") + 1
    os.truncate(path, whole)


def read_journal(path: Path) -> list[Event]:
    """All events but an incomplete last line; DamagedError gives the number of another bad line."""
    lines = numbered_lines(path, way_out=_JOURNAL_WAY_OUT)
    return [_event(line, where) for where, line in lines]


def numbered_lines(path: Path, *, way_out: str) -> list[tuple[str, Any]]:
    """("file:line", value) of each complete line of JSON."""
    damage = f"the journal was damaged: {way_out}"
    try:
        *lines, _ = read_whole(path, way_out=damage).split(b"\n")
    except FileNotFoundError:
        return []
    # What follows the last newline is incomplete, or being written now.
    places = [f"{path}:{number}" for number in range(1, len(lines) + 1)]
    return [(at, _parsed(line, at, damage)) for at, line in zip(places, lines, strict=True)]


def _parsed(line: bytes, where: str, way_out: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"{where}: not a JSON event ({error}); {way_out}") from error


def _event(value: Any, where: str) -> Event:
    way_out = f"the journal was damaged: {_JOURNAL_WAY_OUT}"
    return checked(value, Event, where=where, way_out=way_out)
