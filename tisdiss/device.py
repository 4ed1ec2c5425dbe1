"""The device that a model runs on."""

import os

from tisdiss.memory import memory_limits


def check_device(device: str) -> None:
    """ValueError unless torch can compute there."""
    if device == "cpu":
        return
    import torch

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device={device!r} cannot be used here ({reason}); use cpu") from error


def memory_of(device: str) -> int:
    """Bytes of memory of a device; a CPU's is what this process may use of the machine's."""
    if device == "cpu":
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return min([machine, *memory_limits()])
    import torch

    return torch.cuda.get_device_properties(device).total_memory
