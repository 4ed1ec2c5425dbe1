"""Interleaved timings and peak memory of alternatives, on a CPU or a GPU."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch


@dataclass(frozen=True)
class Timing:
    """Seconds of each repeat: processor time on a CPU, device time on a GPU."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return median(self.seconds)

    @property
    def spread(self) -> float:
        """Largest less smallest, over the median."""
        return (max(self.seconds) - min(self.seconds)) / self.median


def once(work: Callable[[], object], device: str) -> float:
    """Seconds that `work` takes."""
    if device == "cpu":
        began = time.process_time()
        work()
        return time.process_time() - began
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    work()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / 1e3


def interleaved(
    works: Mapping[str, Callable[[], object]], *, device: str, repeats: int, budget: float = 20.0
) -> dict[str, Timing]:
    """Each work once per round, so that a machine's moods meet all alike; the first is warm-up.

    Stops when `budget` seconds are spent, after one measured round at least.
    """
    for work in works.values():
        once(work, device)
    times: dict[str, list[float]] = {name: [] for name in works}
    began = time.monotonic()
    for _ in range(repeats):
        for name, work in works.items():
            times[name].append(once(work, device))
        if time.monotonic() - began > budget:
            break
    return {name: Timing(tuple(each)) for name, each in times.items()}


def matmul_rate(device: str, size: int = 1024) -> float:
    """FLOP/s of a float32 convolution that the library does best: the floor's measure."""
    x = torch.randn(16, size // 4, 1, 256, device=device).contiguous(
        memory_format=torch.channels_last
    )
    weight = torch.randn(size, size // 4, 1, 1, device=device)
    flops = 2 * 16 * 256 * (size // 4) * size
    with torch.no_grad():
        best = min(once(lambda: torch.nn.functional.conv2d(x, weight), device) for _ in range(12))
    return flops / best


def peak_memory(case: str, variant: str, threads: int) -> int:
    """Bytes by which the peak of a fresh process grows over a case (see `memory.py`)."""
    script = Path(__file__).parent / "memory.py"
    command = [sys.executable, str(script), case, variant, str(threads)]
    return int(json.loads(subprocess.check_output(command, text=True)))
