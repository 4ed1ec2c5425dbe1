"""The machine and the code of a run: provenance that is not part of any identity."""

from __future__ import annotations

import platform
from contextlib import suppress
from pathlib import Path

from tisdiss.machine.device import check_device, cpus
from tisdiss.records.revision import CODE_SCOPE, code_hash, file_hashes, git_revision
from tisdiss.records.run_record import Environment


def describe_environment(*, device: str, threads: int | None) -> Environment:
    """Versions, machine, revision and a hash of the model's and the training's code."""
    import torch

    check_device(device)
    return Environment(
        python=platform.python_version(),
        torch=torch.__version__,
        device=device,
        accelerator=torch.cuda.get_device_name(device) if device.startswith("cuda") else None,
        threads=threads if threads is not None else torch.get_num_threads(),
        platform=platform.platform(),
        cpu=_cpu_name(),
        cpus=cpus(),
        git=git_revision(),
        code_hash=code_hash(),
        code_scope=CODE_SCOPE,
        code_files=file_hashes(),
    )


def _cpu_name() -> str:
    with suppress(OSError):  # only Linux has this file
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
