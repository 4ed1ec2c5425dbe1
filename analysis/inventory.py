"""Protects the user's files in a folder that we write to: only our own are replaced or removed.

The list `files.sha256` in the folder has one line per file, in the format of `sha256sum`. A file is
ours while its content has the listed hash. A file that is not listed, or was edited, is the user's.
"""

import hashlib
import os
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tisdiss.machine.mounts import wait_lock
from tisdiss.records.files import write_atomic

LIST = "files.sha256"
_HEAD = "# Written by tisdiss: it replaces these files while they are as listed, and no others.\n"
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")

Entry = tuple[str, str]
"""The name of one of our files and the SHA-256 of its content."""


class ForeignFileError(ValueError):
    """Files of the user are in the way of ours."""


def write_own(
    folder: Path,
    files: Mapping[str, bytes | str],
    *,
    clears: Collection[str] = (),
    adopts: Collection[str] = (),
    force: bool = False,
) -> list[Path]:
    """Write files by name and return their paths; creates the folder if necessary.

    One of our files that is named in `clears`, but not in `files`, is deleted. Without a list, the
    files in `adopts` count as ours. ForeignFileError names every file of the user that is in the
    way, before anything is written; with `force` these files are replaced.
    """
    folder = Path(folder)
    contents = {name: d.encode() if isinstance(d, str) else d for name, d in files.items()}
    _make(folder)
    with _lock(folder):
        ours = _read(folder) or {e for name in adopts if (e := (name, _digest(folder / name)))[1]}
        _refuse(folder, {**contents, LIST: b""}, ours, force=force)
        obsolete = {e for e in ours if e[0] in {*clears} - {*contents} and _is_ours(folder, e)}
        entries = {(name, hashlib.sha256(data).hexdigest()) for name, data in contents.items()}
        _write(folder, ours | entries)  # first, so that after a kill all our files are listed
        for name, data in contents.items():
            write_atomic(folder / name, data)
        for name, _ in obsolete:
            (folder / name).unlink()
        _write(folder, {e for e in ours | entries if _is_ours(folder, e)})
    return [folder / name for name in contents]


def _make(folder: Path) -> None:
    for place in (folder, *folder.parents):
        if place.exists() and not place.is_dir():
            raise ForeignFileError(f"{place} is a file, not a folder: choose another")
    folder.mkdir(parents=True, exist_ok=True)


def _refuse(folder: Path, files: Mapping[str, bytes], ours: set[Entry], *, force: bool) -> None:
    problems = [f"{folder / name} is a folder" for name in files if (folder / name).is_dir()]
    if not force:
        names = {name for name, _ in ours}
        for name, data in files.items():
            path = folder / name
            if os.path.lexists(path) and not path.is_dir() and not _may_replace(path, data, ours):
                problems.append(
                    f"{path} was edited since" if name in names else f"{path} is not ours"
                )
    if problems:
        raise ForeignFileError(
            f"{'; '.join(problems)}: nothing was written. Move your files away, choose another "
            "folder, or replace them: --force"
        )


def _may_replace(path: Path, data: bytes, ours: set[Entry]) -> bool:
    digest = _digest(path)
    return digest == hashlib.sha256(data).hexdigest() or (path.name, digest) in ours


def _is_ours(folder: Path, entry: Entry) -> bool:
    name, digest = entry
    return _digest(folder / name) == digest


def _digest(path: Path) -> str:
    """SHA-256 of a regular file; empty for anything else."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _read(folder: Path) -> set[Entry]:
    """The entries of the list, including its own; none without a list of ours."""
    path = folder / LIST
    text = path.read_text("utf-8", errors="replace") if path.is_file() else ""
    if not text.startswith(_HEAD):
        return set()
    lines = map(_LINE.fullmatch, text.splitlines())
    return {(LIST, _digest(path))} | {(line[2], line[1]) for line in lines if line}


def _write(folder: Path, entries: set[Entry]) -> None:
    lines = [f"{digest}  {name}\n" for name, digest in sorted(entries) if name != LIST]
    write_atomic(folder / LIST, _HEAD + "".join(lines))


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Allow one writer at a time, if the file system can lock a folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        wait_lock(descriptor)
        yield
    finally:
        os.close(descriptor)
