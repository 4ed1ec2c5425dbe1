"""Peak memory, and the allocator's setting."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads Linux's /proc")


def test_peak_growth_is_what_the_work_held_at_its_highest() -> None:
    # In a process of its own: one that has trained keeps its freed memory and does not grow.
    script = (
        "import torch; from tisdiss.memory import peak_growth;"
        "print(peak_growth(lambda: torch.ones(10_000_000)))"  # 40 MB
    )
    grown = int(subprocess.check_output([sys.executable, "-c", script], text=True))
    assert 35e6 < grown < 60e6


def test_glibc_takes_the_setting() -> None:
    script = "from tisdiss.memory import keep_freed_memory as k; print(k())"
    assert subprocess.check_output([sys.executable, "-c", script], text=True) == "True\n"
