"""Whose files are whose: in a folder that we write into, only our own are replaced or removed.

A list beside them, `files.sha256`, has a line a file, as `sha256sum -c` reads it. A file is ours
while it holds what the list says. One that is not listed, or was edited since, is the user's.
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
"""The name of a file of ours and the SHA-256 of what it holds."""


class ForeignFileError(ValueError):
    """Files of the user are where ours would be written."""


def write_own(
    folder: Path,
    files: Mapping[str, bytes | str],
    *,
    clears: Collection[str] = (),
    adopts: Collection[str] = (),
    force: bool = False,
) -> list[Path]:
    """Write files by name and return their paths; the folder is made where there is none.

    A file of ours goes where its name is in `clears` and it is not made again. Where there is no
    list, the files in `adopts` count as ours. ForeignFileError names every file of the user that is
    in the way, before anything is written; with `force` it is replaced.
    """
    folder = Path(folder)
    made = {name: data.encode() if isinstance(data, str) else data for name, data in files.items()}
    _make(folder)
    with _alone(folder):
        ours = _read(folder) or {e for name in adopts if (e := (name, _digest(folder / name)))[1]}
        _refuse(folder, {**made, LIST: b""}, ours, force=force)
        gone = {e for e in ours if e[0] in {*clears} - {*made} and _is_ours(folder, e)}
        coming = {(name, hashlib.sha256(data).hexdigest()) for name, data in made.items()}
        _write(folder, ours | coming)  # first, so that a kill leaves nothing of ours unlisted
        for name, data in made.items():
            write_atomic(folder / name, data)
        for name, _ in gone:
            (folder / name).unlink()
        _write(folder, {e for e in ours | coming if _is_ours(folder, e)})
    return [folder / name for name in made]


def _make(folder: Path) -> None:
    for place in (folder, *folder.parents):
        if place.exists() and not place.is_dir():
            raise ForeignFileError(f"{place} is a file, where a folder is needed: choose another")
    folder.mkdir(parents=True, exist_ok=True)


def _refuse(folder: Path, made: Mapping[str, bytes], ours: set[Entry], *, force: bool) -> None:
    problems = [f"{folder / name} is a folder" for name in made if (folder / name).is_dir()]
    if not force:
        names = {name for name, _ in ours}
        for name, data in made.items():
            path = folder / name
            if os.path.lexists(path) and not path.is_dir() and not _may_go(path, data, ours):
                problems.append(
                    f"{path} was edited since" if name in names else f"{path} is not ours"
                )
    if problems:
        raise ForeignFileError(
            f"{'; '.join(problems)}: nothing was written. Move away what is yours, choose another "
            "folder, or have it replaced: --force"
        )


def _may_go(path: Path, data: bytes, ours: set[Entry]) -> bool:
    digest = _digest(path)
    return digest == hashlib.sha256(data).hexdigest() or (path.name, digest) in ours


def _is_ours(folder: Path, entry: Entry) -> bool:
    name, digest = entry
    return _digest(folder / name) == digest


def _digest(path: Path) -> str:
    """SHA-256 of a plain file, empty for all else."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _read(folder: Path) -> set[Entry]:
    """What the list says, itself included; nothing where it is absent or somebody else's."""
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
def _alone(folder: Path) -> Iterator[None]:
    """One writer at a time, where the file system can lock a folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        wait_lock(descriptor)
        yield
    finally:
        os.close(descriptor)
