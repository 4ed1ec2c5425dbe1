"""Peak memory, and the allocator's setting."""

import subprocess
import sys
from pathlib import Path

import pytest

from tisdiss.machine.device import memory_of
from tisdiss.machine.memory import memory_limits

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads Linux's /proc")


def test_peak_growth_is_what_the_work_held_at_its_highest() -> None:
    # In a process of its own: one that has trained keeps its freed memory and does not grow.
    script = (
        "import torch; from tisdiss.machine.memory import peak_growth;"
        "print(peak_growth(lambda: torch.ones(10_000_000)))"  # 40 MB
    )
    grown = int(subprocess.check_output([sys.executable, "-c", script], text=True))
    assert 35e6 < grown < 60e6


def test_glibc_takes_the_setting() -> None:
    script = "from tisdiss.machine.memory import keep_freed_memory as k; print(k())"
    assert subprocess.check_output([sys.executable, "-c", script], text=True) == "True\n"


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        (  # a Slurm job, whose limit lies above the task's group
            "0::/slurm/job_7/step_0/task_0",
            {"sys/fs/cgroup/slurm/job_7/memory.max": "4096\n", "sys/fs/cgroup/memory.max": "max\n"},
            [4096],
        ),
        ("0::/", {"sys/fs/cgroup/memory.max": "8192\n"}, [8192]),
        (  # version 1, where each controller has a tree of its own
            "9:cpu,cpuacct:/job\n4:memory:/job",
            {
                "sys/fs/cgroup/memory/job/memory.limit_in_bytes": "512",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
                "sys/fs/cgroup/cpu,cpuacct/job/memory.max": "1",
            },
            [512, 9223372036854771712],
        ),
        ("0::/job", {}, []),
        (None, {}, []),
    ],
)
def test_memory_limits_are_those_of_every_group_on_the_way_up(
    tmp_path: Path, groups: str | None, files: dict[str, str], expected: list[int]
) -> None:
    if groups is not None:
        files = {**files, "proc/self/cgroup": groups}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert list(memory_limits(tmp_path)) == expected


def test_a_cpu_has_no_more_memory_than_the_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tisdiss.machine.device.memory_limits", lambda: [10**15, 12345])
    assert memory_of("cpu") == 12345
    monkeypatch.setattr("tisdiss.machine.device.memory_limits", lambda: [])
    assert 12345 < memory_of("cpu") < 10**15
