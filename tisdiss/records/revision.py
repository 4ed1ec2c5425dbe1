"""Which code a run was made with: a commit, whether files differ from it, and a hash of the code.

The hash covers what training and evaluation import, and nothing else: words of the commands, the
harness and the analysis change no weights and no scores.
"""

from __future__ import annotations

import ast
import hashlib
import os
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tisdiss.records.run_record import Revision

PACKAGE = Path(__file__).resolve().parents[1]
ROOTS = ("train", "evaluate")
"""Modules that make weights and scores; what they import, makes them with them."""
ROUTINES = "kernels/native/*.[ch]"
"""What `kernels.compiled` compiles."""
CODE_SCOPE = 2
"""What a code hash covers: 1, all outside the harness and `cli.py`; 2, what `ROOTS` import. Hashes
of different scopes cannot be compared."""


_BUILDER = re.compile(r"[\w.]+:\w+")
"""How a table names a function that is imported when it is needed: module:function."""


def git_revision(folder: Path = PACKAGE) -> Revision:
    """The commit and whether files differ from it; None is what is not known.

    A folder that only lies in somebody's repository, such as an installed package, has no commit.
    """
    if not _git(folder, "ls-files", "--", "."):
        return Revision(commit=None, dirty=None)
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    added = _git(folder, "ls-files", "--others", "--exclude-standard", "--", "*.py")
    is_clear = changed is not None and added is not None
    return Revision(
        commit=_git(folder, "rev-parse", "HEAD"),
        dirty=bool(changed or added) if is_clear else None,
    )


@cache
def in_history(commit: str, folder: Path = PACKAGE) -> bool | None:
    """Whether a commit led to the code at hand; None where there is no history to ask."""
    if not _git(folder, "ls-files", "--", "."):
        return None
    if _git(folder, "merge-base", "--is-ancestor", commit, "HEAD") is not None:
        return True
    return None if _git(folder, "rev-parse", "--is-shallow-repository") != "false" else False


@cache
def code_hash(package: Path = PACKAGE) -> str:
    """SHA-256 over the files that training and evaluation import, and the C routines they call."""
    digest = hashlib.sha256()
    routines = (path.relative_to(package).as_posix() for path in package.glob(ROUTINES))
    for name in (*code_files(package), *sorted(routines)):
        digest.update(f"{name}\0".encode() + (package / name).read_bytes() + b"\0")
    return digest.hexdigest()


def code_files(package: Path = PACKAGE) -> list[str]:
    """The files that `ROOTS` import, themselves too, also inside functions; in order."""
    found: set[str] = set()
    waiting = [f"{root}.py" for root in ROOTS]
    while waiting:
        name = waiting.pop()
        if name not in found and (package / name).is_file():
            found.add(name)
            waiting += _imported(package, package / name)
    return sorted(found)


def _imported(package: Path, source: Path) -> Iterator[str]:
    """Files of the package that may be what a file imports, or names as what builds a part."""
    for node in ast.walk(ast.parse(source.read_bytes())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _files_of(package.name, alias.name)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from _files_of(package.name, node.module)
            for alias in node.names:
                yield from _files_of(package.name, f"{node.module}.{alias.name}")
        elif isinstance(node, ast.Constant) and _BUILDER.fullmatch(str(node.value)):
            yield from _files_of(package.name, str(node.value).partition(":")[0])


def _files_of(package: str, module: str) -> Iterator[str]:
    """The file of a module and those of the packages around it."""
    top, *parts = module.split(".")
    if top == package:
        yield from ("/".join([*parts[:k], "__init__.py"]) for k in range(len(parts) + 1))
        if parts:
            yield "/".join(parts) + ".py"


def _git(folder: Path, *arguments: str) -> str | None:
    """What git says of a folder's own repository; None if it fails."""
    # A hook of another repository, or a user's words, may say where git is to look.
    environment = {key: word for key, word in os.environ.items() if not key.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
