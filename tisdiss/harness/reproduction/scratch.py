"""The scratch folder of a reproduction: whose it is, its complete parts, and its removal.

A note in it names the run and the options, so that the same command goes on after a kill, and no
other folder is ever deleted.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tisdiss.machine.lease import RunHeldError, held
from tisdiss.records.files import DamagedError, JsonObject, read_object, write_atomic
from tisdiss.records.run_folder import json_text

NOTE = "reproduce.json"
LEAST_FREE = 64 << 20
"""Bytes of free disk space, beside those of the weights, below which nothing is started."""
_STATES = 20
"""Room for training states, in sizes of the weights."""


@contextmanager
def claimed(scratch: Path, note: JsonObject) -> Iterator[None]:
    """Hold the folder while the block runs; ValueError if it is not of this reproduction."""
    if os.path.lexists(scratch) and not scratch.is_dir():
        raise ValueError(f"{scratch}: is not a folder; give another with --scratch")
    try:
        found = read_object(scratch / NOTE, way_out="delete the folder, or name another")
    except FileNotFoundError:
        if scratch.is_dir() and any(scratch.iterdir()):
            raise ValueError(
                f"{scratch}: has files of yours; give an empty or a new folder with --scratch"
            ) from None
        write_atomic(scratch / NOTE, json_text(note))
    else:
        if found != note:
            raise ValueError(
                f"{scratch}: holds a reproduction with other options ({_other(found, note)}); "
                "delete it, or name another with --scratch"
            )
    try:
        with held(scratch / "lock", f"the reproduction in {scratch}"):
            yield
    except RunHeldError as error:
        raise ValueError(str(error)) from None


def _other(found: Mapping[str, object], note: Mapping[str, object]) -> str:
    keys = [key for key in note if found.get(key) != note[key]]
    return ", ".join(f"{key}: {found.get(key)}, now {note[key]}" for key in keys) or "of a version"


def remove(scratch: Path) -> None:
    """Delete a scratch folder; only one with our note."""
    if not (scratch / NOTE).is_file():
        raise DamagedError(f"{scratch}: has no {NOTE}, so it is left alone")
    shutil.rmtree(scratch)


def check_room(scratch: Path, weights: int) -> None:
    """Raise OSError if the disk is too full to train a model of this many bytes of weights."""
    there = next(path for path in (scratch, *scratch.absolute().parents) if path.is_dir())
    free, needed = shutil.disk_usage(there).free, LEAST_FREE + _STATES * weights
    if free < needed:
        raise OSError(
            errno.ENOSPC,
            f"{free / 1e6:.0f} MB are free, {needed / 1e6:.0f} MB are needed: free some, or name "
            "another place with --scratch",
            str(there),
        )


def is_ready(part: Path) -> bool:
    """Whether a part of the folder was completed."""
    return part.is_dir() and _marker(part).is_file()


def set_ready(part: Path) -> None:
    """Mark a part of the folder as complete."""
    write_atomic(_marker(part), "")


def _marker(part: Path) -> Path:
    return part.with_name(f"{part.name}.ready")


def called(
    command: list[str | Path], what: str, *, env: dict[str, str], cwd: Path | None = None
) -> str:
    """The output of a command; ValueError with `what` and its message if it fails.

    OSError if the disk is full.
    """
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
    )
    if not done.returncode:
        return done.stdout
    told = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
    text = f"{what}: {told if len(told) <= 400 else told[:397] + '...'}"
    if os.strerror(errno.ENOSPC) in done.stderr:
        raise OSError(errno.ENOSPC, f"{text}: free some space, or name a place with --scratch")
    raise ValueError(text)
