"""A lock with a heartbeat: one process at a time works on a run folder.

The kernel frees the lock when its process ends, however it ends. The holder also touches the lock
file regularly. A holder on this machine that misses this heartbeat for its lease hangs (it was
stopped, or the machine slept): it is killed, and another process takes over the run. On a file
system without locks, only the heartbeat tells whether a run is held.
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
"""A holder without a heartbeat for this long counts as hung; a lease has six beats."""


class RunHeldError(RuntimeError):
    """Another process is working on the run."""


@contextmanager
def held(path: Path, what: str, seconds: float = LEASE_SECONDS) -> Iterator[None]:
    """Hold the lock file of `what` while the block runs; RunHeldError names another holder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = _open(path)
    try:
        # Retry for a moment, because `is_held` takes the lock briefly.
        free = _free(path, descriptor, patience=0.2)
        if not free and not (_end_hung(path) and _free(path, descriptor, patience=10)):
            raise RunHeldError(f"{what} is held by {_holder(path)}; wait for it, or stop it")
        _sign(descriptor, _this_process(seconds))
        try:
            with _beating(path, seconds / 6):
                yield
        finally:
            if try_lock(descriptor) is None:  # without kernel locks, an empty file means free
                os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


class Holder(TypedDict, total=False):
    """The content of a lock file; empty while it is being written."""

    pid: int
    host: str
    since: str
    lease: float


def _sign(descriptor: int, holder: Holder) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(holder, indent=2).encode(), 0)


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)  # minus the umask
    except PermissionError as error:
        raise PermissionError(
            error.errno,
            f"you may not write it: it belongs to {_owner(path)}; ask them to set `umask 002` and "
            "to run `chmod -R g+w` on that folder",
            str(path),
        ) from error


def _owner(path: Path) -> str:
    with suppress(OSError, KeyError):
        return path.owner()
    return "another user"


def is_held(path: Path) -> bool:
    """Whether a living process holds the lock, on any machine that shares the file."""
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
    """The holder of the lock ("pid", "host", "since"), {} if there is none."""
    return _read(path) if is_held(path) else {}


def silent_seconds(path: Path) -> float:
    """Seconds since the last heartbeat; infinite before the first."""
    try:
        return max(0.0, time.time() - path.stat().st_mtime)
    except FileNotFoundError:
        return float("inf")


def _free(path: Path, descriptor: int, *, patience: float) -> bool:
    """Take the lock and return whether it was free; without kernel locks, ask the heartbeat."""
    taken = wait_lock(descriptor, patience)
    return not _alive(path) if taken is None else taken


def _alive(path: Path) -> bool:
    """Whether the holder named in the file had a heartbeat within its lease."""
    record = _read(path)
    if not {"pid", "host", "lease"} <= record.keys():
        return False
    if record["host"] == socket.gethostname() and not psutil.pid_exists(record["pid"]):
        return False
    return silent_seconds(path) <= record["lease"]


def _this_process(seconds: float) -> Holder:
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    return {"pid": os.getpid(), "host": socket.gethostname(), "since": since, "lease": seconds}


def _read(path: Path) -> Holder:
    with suppress(OSError, ValueError):  # it is being written
        record = json.loads(path.read_text())
        return cast(Holder, record) if isinstance(record, dict) else {}
    return {}


def _holder(path: Path) -> str:
    record = _read(path)
    if not {"pid", "host", "since"} <= record.keys():
        return "another process"
    who = f"process {record['pid']} on {record['host']} since {record['since']}"
    silent = silent_seconds(path)
    if "lease" in record and silent > record["lease"]:
        return f"{who}, without a heartbeat for {silent:.0f} s (kill it there)"
    return who


def _end_hung(path: Path) -> bool:
    """Kill the holder if it is on this machine, has the file open and missed its lease."""
    record = _read(path)
    if record.get("host") != socket.gethostname() or "lease" not in record:
        return False
    pid = record["pid"]
    if silent_seconds(path) <= record["lease"] or not _has_open(pid, path):
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
    """Touch the file every `interval` seconds, from a thread that stops with its process."""
    end = threading.Event()

    def beat() -> None:
        while not end.wait(interval):
            with suppress(OSError):
                now = time.time()
                os.utime(path, (now, now))

    thread = threading.Thread(target=beat, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()
