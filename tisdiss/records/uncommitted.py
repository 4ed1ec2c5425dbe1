"""What the sources have beyond their commit, as a patch that `git apply` takes.

It covers the sources of the package and nothing else: settings of a machine, notes or data never
get into it. Files that git ignores are left out.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

from tisdiss.records.identity import SHORT
from tisdiss.records.revision import PACKAGE, git_output
from tisdiss.records.run_record import Changes

SUFFIXES = (".py", ".c", ".h", ".yaml")
"""The files of the package that are sources."""
MOST_BYTES = 1 << 20
"""Limit on the length of a patch; files beyond it are named."""

_PLAIN = (
    *("--no-color", "--no-ext-diff", "--no-textconv", "--no-renames", "--no-relative"),
    *("--binary", "--full-index", "--unified=3", "--src-prefix=a/", "--dst-prefix=b/"),
)
"""Whatever the settings of a user, every patch has the same form."""


@dataclass(frozen=True)
class Uncommitted:
    """A patch, and the files that it leaves out."""

    patch: bytes = b""
    left_out: tuple[str, ...] = ()

    @property
    def record(self) -> Changes:
        """What environment.json says; the name of the file tells its content."""
        digest = hashlib.sha256(self.patch).hexdigest()[:SHORT]
        name = f"uncommitted-{digest}.patch" if self.patch else None
        if not self.left_out:
            return Changes(file=name)
        return Changes(file=name, left_out=list(self.left_out))


@cache
def uncommitted(package: Path = PACKAGE, most: int = MOST_BYTES) -> Uncommitted | None:
    """The changes of a package's sources since its commit; None if git does not track it.

    Cached, because a process goes on with the sources that it has loaded.
    """
    top = git_output(package, "rev-parse", "--show-toplevel")
    if not top or not git_output(package, "ls-files", "--", "."):
        return None
    root = Path(top.decode().rstrip("\n"))
    changed = _names(package, "diff", "--name-only", "--no-renames", "--no-relative", "HEAD")
    added = _names(package, "ls-files", "--others", "--exclude-standard", "--full-name")
    patch, left_out = b"", list[str]()
    for name in sorted({*changed, *added}):
        part = None if (root / name).is_symlink() else _patch_of(root, name, new=name in added)
        if part is None or len(patch) + len(part) > most:
            left_out.append(name)
        else:
            patch += part
    return Uncommitted(patch, tuple(left_out))


def _names(package: Path, *command: str) -> list[str]:
    """The source files that a command of git names, from the top of the repository."""
    globs = [f":(glob)**/*{suffix}" for suffix in SUFFIXES]
    names = (git_output(package, *command, "-z", "--", *globs) or b"").decode(errors="replace")
    return [name for name in names.split("\0") if name and not _is_hidden(name)]


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in PurePosixPath(name).parts)


def _patch_of(root: Path, name: str, *, new: bool) -> bytes | None:
    """The patch of one file; None if git cannot make it."""
    if new:
        command = ("diff", "--no-index", *_PLAIN, "--", "/dev/null", name)
        return git_output(root, *command, codes=(0, 1))
    return git_output(root, "diff", *_PLAIN, "HEAD", "--", f":(literal){name}")
