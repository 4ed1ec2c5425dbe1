"""Processes without a name, a home or a terminal, as containers and batch systems start them."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tisdiss.machine.surroundings import Enduring, give_home, name_user

NAMES = ("LOGNAME", "USER", "LNAME", "USERNAME")


def test_a_user_id_without_a_name_gets_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 987654)
    monkeypatch.setenv("LOGNAME", "")
    name_user()
    assert os.environ["LOGNAME"] == "uid987654"


def test_a_user_with_a_name_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "ada")
    name_user()
    assert os.environ["LOGNAME"] == "ada"


def test_libraries_get_a_place_where_the_home_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", "/proc/1")
    monkeypatch.setenv("MPLCONFIGDIR", "mine")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for name in ("IPYTHONDIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.access", lambda *_: False)
    give_home()
    place = tmp_path / f"tisdiss-home-{os.getuid()}"
    assert place.stat().st_mode & 0o777 == 0o700
    assert os.environ["IPYTHONDIR"] == str(place / "ipython")
    assert os.environ["MPLCONFIGDIR"] == "mine"


class Closed(io.StringIO):
    """A terminal that was closed."""

    def write(self, text: str) -> int:
        raise OSError(5, "Input/output error")

    def flush(self) -> None:
        raise OSError(5, "Input/output error")


def test_work_goes_on_when_nobody_reads_any_more() -> None:
    for stream in (Enduring(Closed()), Enduring(None)):
        assert stream.write("step 1") == 6
        stream.flush()


def test_a_lost_terminal_costs_no_descriptor_for_each_line(tmp_path: Path) -> None:
    script = (
        "import os, sys; from tisdiss.machine.surroundings import Enduring; "
        "out = Enduring(sys.stdout); before = len(os.listdir('/dev/fd'))\n"
        "for _ in range(9): print('x' * 10000, file=out, flush=True)\n"
        "print(len(os.listdir('/dev/fd')) - before, file=sys.stderr)"
    )
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-c", script], stdout=write, stderr=subprocess.PIPE, check=False
    )
    os.close(write)
    assert (done.returncode, done.stderr.decode().split()) == (0, ["0"])
