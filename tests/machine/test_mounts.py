"""File systems that lack calls: work continues, and one line says what is not guaranteed."""

import errno
import fcntl
import json
import multiprocessing
import os
import socket
import time
from pathlib import Path

import pytest

from tisdiss.machine import mounts
from tisdiss.machine.alone import alone
from tisdiss.machine.lease import RunHeldError, held, is_held
from tisdiss.records.files import write_atomic


def refuse(code: int):
    def call(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    return call


@pytest.fixture
def without_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "flock", refuse(errno.ENOSYS))
    monkeypatch.setattr(mounts, "_TOLD", set())


@pytest.fixture
def living(tmp_path: Path) -> Path:
    """The lock file of a run that a living process of another machine holds."""
    path = tmp_path / "lock"
    holder = {"pid": 7, "host": "elsewhere", "since": "2026-01-01 00:00:00", "lease": 60.0}
    path.write_text(json.dumps(holder))
    return path


@pytest.mark.usefixtures("without_locks")
def test_without_locks_signs_of_life_say_who_holds_a_run(tmp_path: Path, capsys) -> None:
    path = tmp_path / "lock"
    with held(path, "run a"):
        assert json.loads(path.read_text())["host"] == socket.gethostname()
        assert is_held(path)
    assert not is_held(path)
    assert capsys.readouterr().err.count("this file system has no locks") == 1


@pytest.mark.usefixtures("without_locks")
def test_without_locks_a_refused_process_leaves_the_holder_its_lock(living: Path) -> None:
    for _ in range(2):
        with pytest.raises(RunHeldError, match="held by process 7 on elsewhere"), held(living, "x"):
            pass
    assert is_held(living)


@pytest.mark.usefixtures("without_locks")
def test_without_locks_a_silent_holder_has_lost_its_run(living: Path) -> None:
    long_ago = time.time() - 61
    os.utime(living, (long_ago, long_ago))
    with held(living, "run a"):
        assert json.loads(living.read_text())["pid"] == os.getpid()


@pytest.mark.usefixtures("without_locks")
def test_without_locks_nobody_waits(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w") as file:
        assert mounts.wait_lock(file.fileno()) is None
    with alone(tmp_path / "other", "a store", patience=0):
        pass


def _hold(path: Path, taken: multiprocessing.Event, seconds: float) -> None:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        taken.set()
        time.sleep(seconds)


def test_a_lock_is_waited_for_as_long_as_patience_lasts(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.touch()
    context = multiprocessing.get_context("fork")
    taken = context.Event()
    process = context.Process(target=_hold, args=(path, taken, 0.5))
    process.start()
    taken.wait()
    with path.open() as file:
        assert mounts.wait_lock(file.fileno(), patience=0.1) is False
        assert mounts.wait_lock(file.fileno()) is True
    process.join()


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM])
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_file_is_written_where_a_call_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys, call: str, code: int
) -> None:
    monkeypatch.setattr(mounts, "_TOLD", set())
    monkeypatch.setattr(os, call, refuse(code))
    write_atomic(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "new"
    assert os.listdir(tmp_path) == ["file"]
    told = {"fsync": "cannot flush", "replace": "cannot rename"}[call]
    assert capsys.readouterr().err.count(told) == 1


def test_other_errors_are_not_taken_for_a_missing_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fcntl, "flock", refuse(errno.EIO))
    with (
        (tmp_path / "lock").open("w") as file,
        pytest.raises(OSError, match=os.strerror(errno.EIO)),
    ):
        mounts.try_lock(file.fileno())
