"""The use of the machine during a run: processors, memory, disk, and the run's GPU.

It is sampled when a run logs something, so that no thread disturbs the training and one writer
appends to the journal. The use of the processors is their mean since the sample before.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

from tisdiss.records import names
from tisdiss.records.run_record import Logged

SAMPLE_SECONDS = 10.0
"""Shortest time between two samples; MLflow's own, too."""
MEGABYTE = 1e6


class Usage:
    """Samples the use of the machine, at most every few seconds."""

    def __init__(self, folder: Path, device: str, seconds: float | None = None):
        self.folder, self.device = folder, device
        self.seconds = SAMPLE_SECONDS if seconds is None else seconds
        self.last = time.monotonic()
        with suppress(Exception):
            psutil.cpu_percent()  # the first mean begins here

    def event(self, before: Logged) -> Logged | None:
        """A sample for the journal, after another event; None if it is too early."""
        metrics = self.sample()
        if not metrics:
            return None
        step, epoch = before["step"], before["epoch"]
        return {"kind": names.EVENT_SYSTEM, "step": step, "epoch": epoch, "metrics": metrics}

    def sample(self) -> dict[str, float]:
        """The metrics, without those that cannot be read; empty if it is too early."""
        if time.monotonic() - self.last < self.seconds:
            return {}
        self.last = time.monotonic()
        found: dict[str, float] = {}
        for part in (_processors(), _memory(), _disk(self.folder), _gpu(self.device)):
            with suppress(Exception):  # a system may lack any of them; a run does not need them
                for name, value in part:
                    found[name] = round(value, 1)
        return found


def _processors() -> Iterator[tuple[str, float]]:
    yield names.CPU_USE, psutil.cpu_percent()


def _memory() -> Iterator[tuple[str, float]]:
    memory = psutil.virtual_memory()
    yield names.MEMORY_USE, memory.used / MEGABYTE
    yield names.MEMORY_SHARE, 100 * memory.used / memory.total


def _disk(folder: Path) -> Iterator[tuple[str, float]]:
    disk = psutil.disk_usage(str(folder))
    yield names.DISK_SHARE, disk.percent
    yield names.DISK_FREE, disk.free / MEGABYTE


def _gpu(device: str) -> Iterator[tuple[str, float]]:
    """Memory, and where nvidia-ml-py is installed, utilisation and power of a run's own GPU."""
    if not device.startswith("cuda"):
        return
    import torch

    index = torch.device(device).index
    gpu = torch.cuda.current_device() if index is None else index
    free, total = torch.cuda.mem_get_info(gpu)
    yield names.gpu_metric(gpu, names.GPU_MEMORY_USE), (total - free) / MEGABYTE
    yield names.gpu_metric(gpu, names.GPU_MEMORY_SHARE), 100 * (total - free) / total
    yield names.gpu_metric(gpu, names.GPU_USE), torch.cuda.utilization(gpu)
    yield names.gpu_metric(gpu, names.GPU_POWER), torch.cuda.power_draw(gpu) / 1000
