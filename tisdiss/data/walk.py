"""The recordings below a folder, links included, in one order on every machine.

A link is followed where it leads inside the folder that the user named; one that leads outside is
refused and counted, so that a list never names a file which the folder does not hold.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from tisdiss.data.audio import SUFFIXES
from tisdiss.data.source import Tally

LEAVES = "a symbolic link that leaves the folder"
LOOPS = "a symbolic link to a folder that holds it"


def recordings(root: Path, refused: Tally, below: Path | None = None) -> list[str]:
    """Sound files as sorted posix paths below `root`; only those in its folder `below`, if given.

    What is refused is counted by its rule.
    """
    root = Path(root)
    inside = Path(os.path.realpath(root))
    return sorted(_walk(root, below or root, inside, refused, (inside,)))


def _walk(
    root: Path, folder: Path, inside: Path, refused: Tally, trail: tuple[Path, ...]
) -> Iterator[str]:
    """`trail` are the real folders on the way here: a link to one of them would never end."""
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        path = Path(entry.path)
        relative = path.relative_to(root).as_posix()
        real = Path(os.path.realpath(path)) if entry.is_symlink() else path
        if entry.is_symlink() and not real.is_relative_to(inside):
            if entry.is_dir() or path.suffix.lower() in SUFFIXES:
                refused.add(LEAVES, relative)
        elif entry.is_dir():
            real = Path(os.path.realpath(path))
            if real in trail:
                refused.add(LOOPS, relative)
            else:
                yield from _walk(root, path, inside, refused, (*trail, real))
        elif path.suffix.lower() in SUFFIXES:
            if rule := _rule(entry, relative):
                refused.add(rule, relative if relative.isprintable() else ascii(relative))
            else:
                yield relative


def _rule(entry: os.DirEntry[str], relative: str) -> str:
    if not relative.isprintable():
        return "a name with unprintable characters"
    return "" if entry.is_file() else "no regular file"


def none_left(refused: Tally) -> str:
    """Why nothing was left: each rule with its count and an example, and the way out of links."""
    rules = [
        f"{row['count']} refused: {rule} (such as {row['example']})"
        for rule, row in refused.rows.items()
    ]
    if LEAVES in refused.rows:
        rules.append("name the folder that the links lead to, or copy what they lead to (cp -rL)")
    return "; ".join(rules)
