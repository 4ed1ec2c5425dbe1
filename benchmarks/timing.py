"""Interleaved timings and peak memory of alternative implementations, on a CPU or a GPU."""

import json
import multiprocessing
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import torch

from tisdiss.machine.memory import keep_freed_memory


@dataclass(frozen=True)
class Timing:
    """Seconds of each repeat: processor time on a CPU, device time on a GPU."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return median(self.seconds)

    @property
    def spread(self) -> float:
        """Largest minus smallest, over the median."""
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


@contextmanager
def apart(work: Callable[[], object], *, keep_memory: bool) -> Iterator[Callable[[], float]]:
    """A function that runs `work` in another process and returns its seconds.

    With `keep_memory` that process has the allocator setting of the `tisdiss` command. In one
    process, the setting would speed up the reference, too.
    """
    ours, theirs = multiprocessing.get_context("fork").Pipe()

    def serve() -> None:
        if keep_memory:
            keep_freed_memory()
        while ours.recv():
            ours.send(once(work, "cpu"))

    process = multiprocessing.get_context("fork").Process(target=serve, daemon=True)
    process.start()

    def run() -> float:
        theirs.send(True)
        return theirs.recv()

    yield run
    theirs.send(False)
    process.join()


def interleaved(
    works: Mapping[str, Callable[[], object]], *, device: str, repeats: int, budget: float = 20.0
) -> dict[str, Timing]:
    """Time each work once per round, so that slow phases of the machine affect all equally.

    The first round is a warm-up. Stops after `budget` seconds, but not before one measured round.
    """
    return rounds(
        {name: partial(once, work, device) for name, work in works.items()}, repeats, budget
    )


def interleaved_apart(
    works: Mapping[str, Callable[[], object]], *, repeats: int, budget: float = 20.0
) -> dict[str, Timing]:
    """The same on a CPU, each in its own process; "ours" has the setup of the `tisdiss` command."""
    with ExitStack() as stack:
        timers = {
            name: stack.enter_context(apart(work, keep_memory=name == "ours"))
            for name, work in works.items()
        }
        return rounds(timers, repeats, budget)


def rounds(
    timers: Mapping[str, Callable[[], float]], repeats: int, budget: float
) -> dict[str, Timing]:
    """The seconds of each timer in each round, without the first round.

    A first run that is longer than the budget counts, because such a long run needs no warm-up.
    """
    first = {name: timer() for name, timer in timers.items()}
    times = {name: [seconds] if seconds > budget else [] for name, seconds in first.items()}
    again = [name for name, seconds in times.items() if not seconds]
    began = time.monotonic()
    for i in range(repeats):
        if i and time.monotonic() - began > budget:
            break
        for name in again:
            times[name].append(timers[name]())
    return {name: Timing(tuple(each)) for name, each in times.items()}


def matmul_rate(device: str, size: int = 1024) -> float:
    """FLOP/s of a float32 convolution at which the library is fastest, for `bench.floor`."""
    x = torch.randn(16, size // 4, 1, 256, device=device).contiguous(
        memory_format=torch.channels_last
    )
    weight = torch.randn(size, size // 4, 1, 1, device=device)
    flops = 2 * 16 * 256 * (size // 4) * size
    with torch.no_grad():
        best = min(once(lambda: torch.nn.functional.conv2d(x, weight), device) for _ in range(12))
    return flops / best


def peak_memory(case: str, variant: str, threads: int) -> int:
    """Growth of peak memory in a new process over a case, in bytes (see `memory.py`)."""
    script = Path(__file__).parent / "memory.py"
    command = [sys.executable, str(script), case, variant, str(threads)]
    return int(json.loads(subprocess.check_output(command, text=True)))
