"""Memory of this process: an allocator that keeps freed memory, limits, and peak use."""

import ctypes
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

SAMPLE_SECONDS = 1e-3
"""Interval at which resident memory is sampled."""

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # glibc, malloc.h
_NEVER, _PAD = 2**31 - 1, 64 << 20


def keep_freed_memory() -> bool:
    """Make glibc keep freed memory for this process; False without glibc.

    By default every large tensor gets new pages, which the system clears; that takes a tenth to a
    fifth of a small model's training step. The process never shrinks after this call.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    settings = ((_TRIM_THRESHOLD, _NEVER), (_TOP_PAD, _PAD), (_MMAP_MAX, 0))
    return mallopt is not None and all(mallopt(name, value) for name, value in settings)


def machine_memory() -> int:
    """Bytes of memory of this machine."""
    import psutil

    try:
        return psutil.virtual_memory().total
    except OSError:  # on Linux psutil needs /proc, which a container may hide
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def memory_limits(system: Path = Path("/")) -> Iterator[int]:
    """Memory limits in bytes from the control groups of this process (container, Slurm job).

    Linux keeps them in files under `system`; without such files there are no limits.
    """
    try:
        groups = (system / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in groups:
        _, controllers, group = line.split(":", 2)
        if controllers == "":  # version 2
            yield from _limits(system / "sys/fs/cgroup", group, "memory.max")
        elif "memory" in controllers.split(","):
            yield from _limits(system / "sys/fs/cgroup/memory", group, "memory.limit_in_bytes")


def _limits(root: Path, group: str, name: str) -> Iterator[int]:
    """The limits of a group and of its parents; "max" means no limit."""
    inner = root / group.strip("/")
    for folder in (inner, *inner.parents):
        if not folder.is_relative_to(root):
            return
        try:
            yield int((folder / name).read_text())
        except (OSError, ValueError):
            continue


def peak_growth(work: Callable[[], object]) -> int:
    """Largest growth of resident memory in bytes while `work` runs.

    Memory that the allocator kept from before is not counted again.
    """
    import psutil

    process = psutil.Process()
    before = highest = process.memory_info().rss
    end = threading.Event()

    def watch() -> None:
        nonlocal highest
        while not end.wait(SAMPLE_SECONDS):
            highest = max(highest, process.memory_info().rss)

    watcher = threading.Thread(target=watch, name="memory", daemon=True)
    watcher.start()
    try:
        work()
        highest = max(highest, process.memory_info().rss)
    finally:
        end.set()
        watcher.join()
    return highest - before
