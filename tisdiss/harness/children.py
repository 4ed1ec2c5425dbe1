"""Child processes that do not outlive the command that started them."""

from __future__ import annotations

import os
import signal
import subprocess


def stop_group(child: subprocess.Popen[bytes], *, seconds: float = 20) -> None:
    """End a child that leads its own session, with its children: by SIGTERM, then by SIGKILL."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if child.poll() is not None:
            return
        os.killpg(child.pid, number)
        try:
            child.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            continue
