"""The files below a folder, links included, in the same order on every machine.

A link that stays inside the folder is followed; one that leaves it is refused and counted, so that
all listed files are in the folder. A folder is read once, however many links lead to it, and under
its own name if it has one there.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from tisdiss.data.audio import SUFFIXES
from tisdiss.data.source import Tally

LEAVES = "a symbolic link that leaves the folder"
LOOPS = "a symbolic link to a folder that holds it"
AGAIN = "a symbolic link to a folder that is read already"


def recordings(root: Path, refused: Tally, below: Path | None = None) -> list[str]:
    """Sound files as sorted posix paths below `root`; only those in its folder `below`, if given.

    Refused files are counted by rule.
    """
    root = Path(root)
    top = below or root
    inside, own = (Path(os.path.realpath(folder)) for folder in (root, top))
    return sorted(_walk(root, top, inside, own, refused, {own}))


def _walk(
    root: Path, folder: Path, inside: Path, own: Path, refused: Tally, seen: set[Path]
) -> Iterator[str]:
    """`inside` is the real path of `root`, `own` that of the folder below it that is read."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        refused.add(f"a folder that cannot be read: {error.strerror}", f"{folder}")
        return
    for entry in entries:
        path = Path(entry.path)
        relative = path.relative_to(root).as_posix()
        linked, sound = entry.is_symlink(), path.suffix.lower() in SUFFIXES
        real = Path(os.path.realpath(path)) if linked or entry.is_dir() else path
        if linked and not real.is_relative_to(inside):
            if entry.is_dir() or sound:
                refused.add(LEAVES, relative)
        elif entry.is_dir():
            if linked and (real.is_relative_to(own) or real in seen):
                holds = Path(os.path.realpath(folder)).is_relative_to(real)
                refused.add(LOOPS if holds else AGAIN, relative)
            elif real not in seen:
                seen.add(real)
                yield from _walk(root, path, inside, own, refused, seen)
        elif sound:
            if rule := _rule(entry, relative):
                refused.add(rule, relative if relative.isprintable() else ascii(relative))
            else:
                yield relative


def _rule(entry: os.DirEntry[str], relative: str) -> str:
    if not relative.isprintable():
        return "a name with unprintable characters"
    return "" if entry.is_file() else "no regular file"


def none_left(refused: Tally) -> str:
    """Why no file is left: each rule with its count and an example, and the remedy for links."""
    rules = [
        f"{row['count']} refused: {rule} (such as {row['example']})"
        for rule, row in refused.rows.items()
    ]
    if LEAVES in refused.rows:
        rules.append("name the folder that the links lead to, or copy what they lead to (cp -rL)")
    return "; ".join(rules)


def files_below(root: Path) -> Iterator[Path]:
    """Every file below a folder, following all links; each real folder once, even with loops."""
    inside, seen = os.path.realpath(root), set[str]()
    for place, folders, files in os.walk(root, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in sorted(folders) if _is_new(Path(place, name), inside)]
        yield from (Path(place, name) for name in sorted(files))


def _is_new(folder: Path, inside: str) -> bool:
    """False for a link to a folder inside, which is read under its own name, or to a parent."""
    real = Path(os.path.realpath(folder))
    return not folder.is_symlink() or not (
        real.is_relative_to(inside) or Path(inside).is_relative_to(real)
    )
