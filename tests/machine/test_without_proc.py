"""Nothing of ours needs Linux's /proc: other systems have none."""

import subprocess
import sys
from pathlib import Path

import pytest

HIDING = """
import sys

def hide(event, arguments):
    place = str(arguments[0]) if event == "open" else ""
    if place.startswith("/proc") and "psutil" not in sys._getframe(1).f_code.co_filename:
        raise FileNotFoundError(2, "hidden", place)

sys.addaudithook(hide)
"""
"""Hides /proc from all but psutil, which has other sources elsewhere."""


def without_proc(code: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", HIDING + code], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_machine_is_described_without_it(tmp_path: Path) -> None:
    code = """
from pathlib import Path
try:
    Path("/proc/cpuinfo").read_text()
except FileNotFoundError:
    print("hidden")
import platform, psutil
from tisdiss.harness.environment import describe_environment
from tisdiss.kernels.compiled import _key, library
from tisdiss.machine.device import memory_of
from tisdiss.machine.memory import memory_limits
about = describe_environment(device="cpu", threads=1)
assert about.cpu in (platform.processor(), platform.machine()), about.cpu
assert list(memory_limits()) == [] and memory_of("cpu") == psutil.virtual_memory().total
assert len(_key()) == 16
print("described")
"""
    assert without_proc(code, tmp_path) == "hidden\ndescribed\n"


def test_locks_hold_without_it(tmp_path: Path) -> None:
    code = """
from pathlib import Path
from tisdiss.machine.alone import alone
from tisdiss.machine.lease import RunHeldError, held, holder
import os
with alone(Path("short"), "a file"), held(Path("lock"), "the run"):
    assert holder(Path("lock"))["pid"] == os.getpid()
    try:
        with held(Path("lock"), "the run"):
            pass
    except RunHeldError as error:
        print(error)
"""
    assert "the run is held by process" in without_proc(code, tmp_path)


@pytest.mark.slow
def test_a_run_is_trained_and_scored_without_it(tmp_path: Path) -> None:
    code = """
from tisdiss.cli import main
sys.argv = "tisdiss run fig2a --profile smoke --row l1 --no-track".split()
try:
    main()
except SystemExit as ended:
    assert not ended.code, ended.code
"""
    assert "1 done" in without_proc(code, tmp_path)
