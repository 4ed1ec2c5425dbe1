"""The code that a run was made with: its commit, whether files differ from it, and its hash.

The hash covers only what training and evaluation import, because commands, harness and analysis
affect neither weights nor scores.
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
"""Modules that compute weights and scores, with what they import."""
ROUTINES = "kernels/native/*.[ch]"
"""What `kernels.compiled` compiles."""
CODE_SCOPE = 2
"""What a code hash covers: 1, all outside the harness and `cli.py`; 2, what `ROOTS` import. Hashes
of different scopes cannot be compared."""


_SHORT = 12
"""Digits that tell versions of one file apart."""

_BUILDER = re.compile(r"[\w.]+:\w+")
"""A function in a table that is imported on demand: module:function."""


def git_revision(folder: Path = PACKAGE) -> Revision:
    """The commit and whether files differ from it; None if unknown.

    A folder that its repository does not track, such as an installed package, has no commit.
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
    """Whether a commit is an ancestor of the present one; None if history is missing or cut."""
    if not _git(folder, "ls-files", "--", "."):
        return None
    if _git(folder, "merge-base", "--is-ancestor", commit, "HEAD") is not None:
        return True
    return None if _git(folder, "rev-parse", "--is-shallow-repository") != "false" else False


@cache
def code_hash(package: Path = PACKAGE) -> str:
    """SHA-256 over the files that training and evaluation import, and the C routines they call."""
    digest = hashlib.sha256()
    for name in hashed_files(package):
        digest.update(f"{name}\0".encode() + (package / name).read_bytes() + b"\0")
    return digest.hexdigest()


def file_hashes(package: Path = PACKAGE) -> dict[str, str]:
    """The beginning of the SHA-256 of each file that the hash of the code covers."""
    return {
        name: hashlib.sha256((package / name).read_bytes()).hexdigest()[:_SHORT]
        for name in hashed_files(package)
    }


def hashed_files(package: Path = PACKAGE) -> list[str]:
    """The files that the hash of the code covers: `code_files` and the compiled routines."""
    routines = (path.relative_to(package).as_posix() for path in package.glob(ROUTINES))
    return [*code_files(package), *sorted(routines)]


def code_files(package: Path = PACKAGE) -> list[str]:
    """The files of `ROOTS` and of everything they import, also inside functions; sorted."""
    files: set[str] = set()
    queue = [f"{root}.py" for root in ROOTS]
    while queue:
        name = queue.pop()
        if name not in files and (package / name).is_file():
            files.add(name)
            queue += _imports(package, package / name)
    return sorted(files)


def _imports(package: Path, source: Path) -> Iterator[str]:
    """Candidate files of the package that a file imports or names as module:function."""
    for node in _executed(ast.parse(source.read_bytes())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _files_of(package.name, alias.name)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from _files_of(package.name, node.module)
            for alias in node.names:
                yield from _files_of(package.name, f"{node.module}.{alias.name}")
        elif isinstance(node, ast.Constant) and _BUILDER.fullmatch(str(node.value)):
            yield from _files_of(package.name, str(node.value).partition(":")[0])


def _executed(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes of a module but those that only type checkers read."""
    yield tree
    for node in ast.iter_child_nodes(tree):
        if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            yield from _executed(node)


def _files_of(package: str, module: str) -> Iterator[str]:
    """The file of a module and those of the packages around it."""
    top, *parts = module.split(".")
    if top == package:
        yield from ("/".join([*parts[:k], "__init__.py"]) for k in range(len(parts) + 1))
        if parts:
            yield "/".join(parts) + ".py"


def _git(folder: Path, *arguments: str) -> str | None:
    """The output of git in a folder as text; None if git fails."""
    output = git_output(folder, *arguments)
    return None if output is None else output.decode(errors="replace").strip()


def git_output(folder: Path, *arguments: str, codes: tuple[int, ...] = (0,)) -> bytes | None:
    """The output of git in a folder; None if git fails or ends with another code."""
    try:
        result = subprocess.run(
            ["git", *arguments],
            cwd=folder,
            env=git_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=20,
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return result.stdout if result.returncode in codes else None


def git_environment() -> dict[str, str]:
    """The environment for git, without variables that could point it to another repository."""
    return {key: word for key, word in os.environ.items() if not key.startswith("GIT_")}
