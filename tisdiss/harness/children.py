"""Child processes that do not outlive the command that started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def termination_as_exit() -> Iterator[None]:
    """Let SIGTERM unwind like Ctrl-C does, so that `finally` blocks can stop what was started."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def stop_group(child: subprocess.Popen[bytes], *, seconds: float = 20) -> None:
    """End a child that leads its own session, and its children: first politely."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if child.poll() is not None:
            return
        os.killpg(child.pid, number)
        try:
            child.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            continue
