"""The device that a model runs on."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from tisdiss.machine.memory import machine_memory, memory_limits

_NAME = re.compile(r"cpu|cuda(:[0-9]{1,3})?")


def check_device_name(device: str) -> str:
    """The device name if it has a known form; ValueError otherwise."""
    if not _NAME.fullmatch(device):
        raise ValueError(f"device={device!r} cannot be used here; use cpu, cuda or cuda:N")
    return device


def check_device(device: str) -> None:
    """Raise ValueError unless torch can compute on the device."""
    if check_device_name(device) == "cpu":
        return
    import torch

    try:
        torch.ones(1, device=device).item()
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device={device!r} cannot be used here ({reason}); use cpu") from error


def set_precision(precision: str) -> None:
    """Allow or forbid TF32 products on a GPU, for the whole process."""
    import torch

    allow = precision != "float32"
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allow


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one thread inside the block.

    MKL's solver of several systems at once fails on some processors (seen on an AMD EPYC) if a
    program has set a number of threads above 1: "Parameter 6 was incorrect on entry to DLASWP".
    """
    import torch

    before = torch.get_num_threads()
    if before > 1:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        if before > 1:
            torch.set_num_threads(before)


def cpus() -> int:
    """Processors that this process may use: the machine's, or those of its Slurm job."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory_of(device: str) -> int:
    """Bytes of memory of a device; for a CPU, what this process may use of the machine's."""
    if device == "cpu":
        return min([machine_memory(), *memory_limits()])
    import torch

    return torch.cuda.get_device_properties(device).total_memory
