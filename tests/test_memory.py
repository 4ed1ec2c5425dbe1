"""Peak memory, and the allocator's setting."""

import subprocess
import sys

import pytest
import torch

from tisdiss.memory import peak_growth

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads Linux's /proc")


def test_peak_growth_is_what_the_work_held_at_its_highest() -> None:
    def work() -> None:
        torch.ones(10_000_000)  # 40 MB, freed on return

    assert 35e6 < peak_growth(work) < 60e6


def test_glibc_takes_the_setting() -> None:
    script = "from tisdiss.memory import keep_freed_memory as k; print(k())"
    assert subprocess.check_output([sys.executable, "-c", script], text=True) == "True\n"
