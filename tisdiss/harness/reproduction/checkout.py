"""Rebuilds the code of a run: a clone of this checkout at its commit, with its later changes."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tisdiss.harness.reproduction.scratch import called, is_ready, set_ready
from tisdiss.records.identity import sha256_of, short
from tisdiss.records.revision import (
    CODE_SCOPE,
    PACKAGE,
    code_hash,
    file_hashes,
    git_environment,
    git_output,
    git_revision,
)
from tisdiss.records.run_folder import RunFolder
from tisdiss.records.run_record import Environment

Say = Callable[[str], None]

PRESENT = "--this-code takes the present code"
_LINK = re.compile(rb"^(?:new|old|new file|deleted file) mode 120000$|^index .* 120000$", re.M)


@dataclass(frozen=True)
class Rebuilt:
    """A part of a run that was made again, and how, in a few words."""

    path: Path
    about: str


def rebuilt_code(
    folder: RunFolder, scratch: Path, *, present: bool, say: Say, note: Say, package: Path = PACKAGE
) -> Rebuilt:
    """A folder that has the package as the run had it; with `present`, as it is now.

    The present code also serves if the commit is unknown here and both codes have the same hash.
    `note` gets what the record lacks and what is used instead. `package` is the present one.
    ValueError if the code cannot be rebuilt.
    """
    environment, now = folder.environment() or Environment(), code_hash(package)
    if present:
        return _present(package, scratch, f"the present code, {short(now)}")
    lacking = _lacking(environment.git.commit, package)
    if lacking is None:
        return _cloned(folder, environment, package, scratch, say, note)
    if (environment.code_hash, environment.code_scope) != (now, CODE_SCOPE):
        raise ValueError(
            f"run {short(folder.identity)}: {lacking}, and the present code differs from the "
            f"run's (hash {short(now)}, then {short(environment.code_hash or 'unknown')}): "
            f"call this in a checkout that has it, or {PRESENT}"
        )
    note(f"{lacking}; the present code has the run's hash {short(now)} and takes its place")
    return _present(package, scratch, f"the present code, equal by its hash {short(now)}")


def _lacking(commit: str | None, package: Path) -> str | None:
    """Why a commit cannot be checked out here; None if it can."""
    if commit is None:
        return "its commit was not recorded, as in a package without a checkout"
    if git_revision(package).commit is None:
        return f"this package is not a checkout, so commit {short(commit)} is not at hand"
    if git_output(package, "cat-file", "-e", f"{commit}^{{commit}}") is None:
        return f"commit {short(commit)} is not in this repository (git fetch may bring it)"
    return None


def _present(package: Path, scratch: Path, about: str) -> Rebuilt:
    """This package; a copy of an installed one, so that nothing beside it is imported."""
    if git_revision(package).commit is not None:
        return Rebuilt(package.parent, about)
    place = scratch / "code-present"
    if not is_ready(place):
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(package, place / package.name)
        set_ready(place)
    return Rebuilt(place, about)


def _cloned(
    folder: RunFolder, environment: Environment, package: Path, scratch: Path, say: Say, note: Say
) -> Rebuilt:
    git = environment.git
    assert git.commit is not None
    patch = git.changes and git.changes.file
    place = scratch / f"code-{short(sha256_of([git.commit, patch]))}"
    about = f"commit {short(git.commit)}" + (f" with {patch}" if patch else "")
    if git.dirty and git.changes is None:
        note(f"the run kept no uncommitted changes, and had some: {about} alone is used")
    if git.changes and git.changes.left_out:
        lost = ", ".join(git.changes.left_out)
        note(
            f"the run did not keep the uncommitted changes of {lost}: {about} is used without them"
        )
    top, prefix = _top(package)
    if not is_ready(place):
        say(f"checks out {about}")
        shutil.rmtree(place, ignore_errors=True)
        _git(scratch, "clone", "--quiet", "--shared", "--no-checkout", "--template=", top, place)
        _git(place, "checkout", "--quiet", "--detach", git.commit)
        if patch:
            _apply(folder.path / _file_name(patch), place, PurePosixPath(prefix, package.name))
        set_ready(place)
    root = place / prefix
    _tell_other_code(root / package.name, environment, note)
    return Rebuilt(root, about)


def _top(package: Path) -> tuple[Path, str]:
    """The top of the repository, and the way from there to the folder of the package."""
    top = git_output(package.parent, "rev-parse", "--show-toplevel") or b""
    prefix = git_output(package.parent, "rev-parse", "--show-prefix") or b""
    return Path(top.decode().strip()), prefix.decode().strip()


def _file_name(patch: str) -> str:
    """The name of a patch; ValueError if it leads out of the run folder."""
    if Path(patch).name != patch:
        raise ValueError(f"environment.json: the patch {patch!r} is not a file of the run folder")
    return patch


def _apply(patch: Path, clone: Path, inside: PurePosixPath) -> None:
    """Apply a patch; ValueError if it does not apply or touches more than the package's files."""
    if not patch.is_file():
        raise ValueError(f"{patch}: the run's uncommitted changes are missing; {PRESENT}")
    patch = patch.resolve()
    listed = _git(clone, "apply", "--numstat", "-z", patch).split("\0")
    for name in (line.split("\t")[-1] for line in listed if line):
        path = PurePosixPath(name)
        if ".." in path.parts or not path.is_relative_to(inside):
            raise ValueError(f"{patch}: {name!r} is not a file of {inside}/; nothing was applied")
    if _LINK.search(patch.read_bytes()):
        raise ValueError(f"{patch}: it makes a symbolic link; nothing was applied")
    _git(clone, "apply", "--whitespace=nowarn", patch)


def _tell_other_code(package: Path, environment: Environment, note: Say) -> None:
    """Name the files in which rebuilt code differs from the run's, if some do."""
    then = environment.code_files or {}
    if environment.code_scope != CODE_SCOPE or not then:
        return
    now = file_hashes(package)
    other = sorted(name for name in then.keys() | now.keys() if then.get(name) != now.get(name))
    if other:
        note(f"the rebuilt code differs from the run's in {', '.join(other)}")


def _git(folder: Path, *arguments: str | Path) -> str:
    """The output of git; ValueError with its message if it fails."""
    command = ["git", "-c", f"core.hooksPath={os.devnull}", *arguments]
    what = next(str(word) for word in arguments if not str(word).startswith("-"))
    environment = git_environment() | {"GIT_TERMINAL_PROMPT": "0"}
    return called(command, f"git {what} failed ({PRESENT})", cwd=folder, env=environment)
