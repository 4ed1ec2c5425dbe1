"""Who works on a run folder: one process, which shows signs of life.

The lock is the kernel's: it is free again when its process ends, however it ends. Its holder also
touches the lock file now and then. One on this machine that has not done so for the length of its
lease hangs (it was stopped, or its machine slept): it is killed and its run goes on elsewhere.
Where the file system has no locks, these signs of life are all there is.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypedDict, cast

import psutil

from tisdiss.machine.mounts import try_lock, wait_lock

LEASE_SECONDS = 60.0
"""Without a sign of life for so long, a holder counts as hung; there are six beats in it."""


class RunHeldError(RuntimeError):
    """Another process is working on the run."""


@contextmanager
def held(path: Path, what: str, seconds: float = LEASE_SECONDS) -> Iterator[None]:
    """Hold the lock file of `what` while the block runs; RunHeldError names who holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = _open(path)
    try:
        # Patience, for `is_held` takes the lock for a moment.
        free = _free(path, descriptor, patience=0.2)
        if not free and not (_end_hung(path) and _free(path, descriptor, patience=10)):
            raise RunHeldError(f"{what} is held by {_holder(path)}; wait for it, or stop it")
        _sign(descriptor, _this_process(seconds))
        try:
            with _beating(path, seconds / 6):
                yield
        finally:
            if try_lock(descriptor) is None:  # no kernel gives it back
                os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


class Holder(TypedDict, total=False):
    """What a lock's file says of who holds it; empty while it is being written."""

    pid: int
    host: str
    since: str
    lease: float


def _sign(descriptor: int, holder: Holder) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(holder, indent=2).encode(), 0)


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)  # less what the umask takes away
    except PermissionError as error:
        raise PermissionError(
            error.errno,
            f"may not be written by you: it belongs to {_owner(path)}; let them set `umask 002` "
            "and `chmod -R g+w` on that folder",
            str(path),
        ) from error


def _owner(path: Path) -> str:
    with suppress(OSError, KeyError):
        return path.owner()
    return "another user"


def is_held(path: Path) -> bool:
    """Whether a living process of any machine that shares the file holds the lock."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except (FileNotFoundError, PermissionError):
        return False
    try:
        free = try_lock(descriptor, fcntl.LOCK_SH)
        return _alive(path) if free is None else not free
    finally:
        os.close(descriptor)


def holder(path: Path) -> Holder:
    """Who holds the lock ("pid", "host", "since"), {} if nobody does."""
    return _read(path) if is_held(path) else {}


def silent_seconds(path: Path) -> float:
    """Time since the last sign of life; infinite before the first."""
    try:
        return max(0.0, time.time() - path.stat().st_mtime)
    except FileNotFoundError:
        return float("inf")


def _free(path: Path, descriptor: int, *, patience: float) -> bool:
    """Take the lock, or where there are none see that nobody lives who holds it."""
    taken = wait_lock(descriptor, patience)
    return not _alive(path) if taken is None else taken


def _alive(path: Path) -> bool:
    """Whether the holder that the file names showed a sign of life within its lease."""
    signed = _read(path)
    if not {"pid", "host", "lease"} <= signed.keys():
        return False
    if signed["host"] == socket.gethostname() and not psutil.pid_exists(signed["pid"]):
        return False
    return silent_seconds(path) <= signed["lease"]


def _this_process(seconds: float) -> Holder:
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    return {"pid": os.getpid(), "host": socket.gethostname(), "since": since, "lease": seconds}


def _read(path: Path) -> Holder:
    with suppress(OSError, ValueError):  # it is being written
        signed = json.loads(path.read_text())
        return cast(Holder, signed) if isinstance(signed, dict) else {}
    return {}


def _holder(path: Path) -> str:
    signed = _read(path)
    if not {"pid", "host", "since"} <= signed.keys():
        return "another process"
    who = f"process {signed['pid']} on {signed['host']} since {signed['since']}"
    silent = silent_seconds(path)
    if "lease" in signed and silent > signed["lease"]:
        return f"{who}, without a sign of life for {silent:.0f} s (kill it there)"
    return who


def _end_hung(path: Path) -> bool:
    """Kill the holder if it is of this machine, really has the file open, and is silent."""
    signed = _read(path)
    if signed.get("host") != socket.gethostname() or "lease" not in signed:
        return False
    pid = signed["pid"]
    if silent_seconds(path) <= signed["lease"] or not _has_open(pid, path):
        return False
    with suppress(ProcessLookupError):
        leads = os.getpgid(pid) == pid and os.getpgrp() != pid
        (os.killpg if leads else os.kill)(pid, signal.SIGKILL)
    return True


def _has_open(pid: int, path: Path) -> bool:
    """Whether a process has a file open: guards against a recycled process id."""
    with suppress(psutil.Error, OSError):
        return any(os.path.samefile(file.path, path) for file in psutil.Process(pid).open_files())
    return False


@contextmanager
def _beating(path: Path, interval: float) -> Iterator[None]:
    """Touch the file every so often, from a thread that stops when the process is stopped."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(interval):
            with suppress(OSError):
                now = time.time()
                os.utime(path, (now, now))

    thread = threading.Thread(target=beat, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
