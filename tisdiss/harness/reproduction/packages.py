"""The installed packages of a run: their versions, and how uv installs the same ones again."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from importlib.metadata import Distribution, distributions
from pathlib import Path

from tisdiss.harness.reproduction.checkout import Rebuilt, Say
from tisdiss.harness.reproduction.scratch import called, is_ready, set_ready
from tisdiss.records.files import write_atomic
from tisdiss.records.identity import sha256_of, short
from tisdiss.records.run_folder import RunFolder
from tisdiss.records.run_record import Environment

OURS = "tisdiss"
LOCK = "requirements.lock"
HERE = "or --here takes the present packages"
_GPU = re.compile(r"(cuda-|nvidia-|triton=)")
"""Lines of requirements.lock that a machine without GPU does not need, as in the Makefile."""


@cache
def installed() -> dict[str, str]:
    """The version of every installed distribution by its normalized name, without this package."""
    return {name: found.version for name, found in sorted(_found().items())}


@cache
def local() -> tuple[str, ...]:
    """The distributions that were installed from a folder, a file or a repository."""
    found = sorted(_found().items())
    return tuple(name for name, each in found if each.read_text("direct_url.json"))


def _found() -> dict[str, Distribution]:
    """The distributions that are imported: of two with one name, the first on the path."""
    found: dict[str, Distribution] = {}
    for each in distributions():
        name = each.metadata["Name"]
        if name and normalized(name) != OURS:
            found.setdefault(normalized(name), each)
    return found


def normalized(name: str) -> str:
    """The name of a distribution as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def requirements(packages: Mapping[str, str]) -> str:
    """The lines of a requirements file that ask for exactly these versions."""
    return "".join(f"{name}=={version}\n" for name, version in packages.items())


def locked(text: str, *, backend: str | None) -> str:
    """The lines of requirements.lock for a build of torch, without what only GPUs need on a CPU."""
    lines: Iterator[str] = iter(text.splitlines(keepends=True))
    return "".join(line for line in lines if backend != "cpu" or not _GPU.match(line))


def torch_backend(version: str | None) -> str | None:
    """The build of torch that a version names, such as cpu of 2.11.0+cpu, for uv; None if none."""
    return (version or "").partition("+")[2] or None


def rebuilt_python(
    folder: RunFolder, code_folder: Path, scratch: Path, *, here: bool, say: Say, note: Say
) -> Rebuilt:
    """The interpreter that has the run's packages; with `here`, the one of this process.

    A run without a list of packages gets those of requirements.lock. ValueError if uv cannot
    install them.
    """
    environment = folder.environment() or Environment()
    if here:
        return Rebuilt(Path(sys.executable), "the present packages")
    if environment.local_packages:
        names = ", ".join(environment.local_packages)
        raise ValueError(
            f"run {short(folder.identity)} used {names}, installed from a folder or a repository, "
            "which no index has: install the same one here, and add --here"
        )
    backend = torch_backend((environment.packages or {}).get("torch") or environment.torch)
    if environment.packages:
        asked, about = requirements(environment.packages), f"{len(environment.packages)} packages"
        backend = torch_backend(environment.packages.get("torch"))
    else:
        asked, about = _of_lock(folder, code_folder, backend), f"the packages of {LOCK}"
        note(f"the run kept no list of packages: those of {LOCK} at its commit are installed")
        backend = backend if backend == "cpu" else None
    place = scratch / f"env-{short(sha256_of([environment.python, asked, backend]))}"
    if not is_ready(place):
        _install(asked, backend, environment.python, place, say, note)
    return Rebuilt(place / "bin" / "python", f"{about} by uv")


def _of_lock(folder: RunFolder, code_folder: Path, backend: str | None) -> str:
    path = code_folder / LOCK
    if not path.is_file():
        raise ValueError(
            f"run {short(folder.identity)} kept no list of packages, and its code has no {LOCK}: "
            "add --here, which takes the present packages"
        )
    return locked(path.read_text(encoding="utf-8"), backend=backend)


def _install(
    asked: str, backend: str | None, version: str | None, place: Path, say: Say, note: Say
) -> None:
    """Make an environment of exactly the packages that are asked for."""
    uv = _uv()
    listed = place.with_name(f"{place.name}.txt")
    write_atomic(listed, asked)
    _make_venv(uv, version, place, note)
    count = len(asked.splitlines())
    say(f"installs {count} packages with uv: seconds if they are in its cache, else minutes")
    command: list[str | Path] = [
        uv,
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--python",
        place / "bin" / "python",
    ]
    command += ["--torch-backend", backend] if backend else []
    _with_uv([*command, "-r", listed], "install the packages")
    set_ready(place)


def _make_venv(uv: str, version: str | None, place: Path, note: Say) -> None:
    """An empty environment of the run's Python, or of another patch release if there is none."""
    command = [uv, "venv", "--quiet", "--clear", "--no-project"]
    wanted = version or ".".join(map(str, sys.version_info[:2]))
    release = ".".join(wanted.split(".")[:2])
    try:
        _with_uv([*command, "--python", wanted, place], f"provide Python {wanted}")
    except ValueError as error:
        if release == wanted:
            raise
        with suppress(ValueError):
            _with_uv([*command, "--python", release, place], f"provide Python {release}")
            note(f"Python {wanted} is not at hand: another {release} is used")
            return
        raise error


def _uv() -> str:
    beside = Path(sys.executable).with_name("uv")
    found = shutil.which("uv") or (str(beside) if beside.is_file() else None)
    if found is None:
        raise ValueError(f"uv, which installs the packages, is not found: pip install uv, {HERE}")
    return found


def _with_uv(command: list[str | Path], what: str) -> None:
    """Run uv with the user's settings; ValueError says what it could not do."""
    environment = {k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "CONDA_PREFIX")}
    called(command, f"uv could not {what} (check the network, {HERE})", env=environment)
