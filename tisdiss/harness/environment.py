"""Where and with which code a run was made: provenance, no part of any identity."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

from tisdiss.device import check_device, cpus

PACKAGE = Path(__file__).resolve().parents[1]


def describe_environment(*, device: str, threads: int | None) -> dict[str, Any]:
    """Versions, machine, revision and a hash of the model's and the training's code."""
    import torch

    check_device(device)
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "device": device,
        "accelerator": torch.cuda.get_device_name(device) if device.startswith("cuda") else None,
        "threads": threads if threads is not None else torch.get_num_threads(),
        "platform": platform.platform(),
        "cpu": _cpu_name(),
        "cpus": cpus(),
        "git": git_revision(),
        "code_hash": code_hash(),
    }


def code_hash(package: Path = PACKAGE) -> str:
    """SHA-256 over the core's source files; the harness and the commands do not count."""
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package).as_posix()
        if name.startswith("harness/") or name in ("cli.py", "__main__.py"):
            continue
        digest.update(f"{name}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def git_revision(folder: Path = PACKAGE) -> dict[str, Any]:
    """The commit and whether tracked files differ from it; both None outside a repository."""
    commit = _git(folder, "rev-parse", "HEAD")
    status = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "dirty": bool(status) if commit else None}


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _cpu_name() -> str:
    with suppress(OSError):  # Linux has its name here, others in what `platform` says
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
