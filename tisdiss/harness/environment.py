"""The machine and the code of a run: provenance that is not part of any identity."""

from __future__ import annotations

import platform
from contextlib import suppress
from functools import cache
from pathlib import Path

from tisdiss.harness.reproduction.packages import installed, local
from tisdiss.machine.device import check_device, cpus
from tisdiss.records.files import sha256_of_file, write_atomic
from tisdiss.records.revision import CODE_SCOPE, code_hash, file_hashes, git_revision
from tisdiss.records.run_folder import RunFolder
from tisdiss.records.run_record import Environment
from tisdiss.records.uncommitted import uncommitted


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
        code_files=_code_files(),
    )


def describe_run(
    folder: RunFolder, *, device: str, threads: int | None, parent: Path | None
) -> Environment:
    """The environment of a run with all that `reproduce` needs.

    Writes what the sources have beyond their commit into the run folder. `parent` is the file of
    weights that the run starts from.
    """
    import torch

    from tisdiss.kernels.compiled import compiler
    from tisdiss.machine.ranks import ranks

    environment = describe_environment(device=device, threads=threads)
    git, changes = environment.git, uncommitted()
    if changes:
        git = git.updated(changes=changes.record.plain())
        if changes.patch and changes.record.file:
            write_atomic(folder.path / changes.record.file, changes.patch)
    return environment.updated(
        git=git.plain(),
        capability=torch.backends.cpu.get_cpu_capability(),
        compiler=compiler(),
        processes=ranks().world,
        packages=installed(),
        **({"local_packages": list(local())} if local() else {}),
        **({"parent_weights": sha256_of_file(parent)} if parent else {}),
    )


@cache
def _code_files() -> dict[str, str]:
    """The hashes of the code that this process has loaded."""
    return file_hashes()


def _cpu_name() -> str:
    with suppress(OSError):  # only Linux has this file
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
