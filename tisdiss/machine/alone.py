"""A short critical section across processes; the kernel frees its lock if the process is killed."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tisdiss.machine.mounts import wait_lock

PATIENCE_SECONDS = 5.0
"""A wait that lasts longer is reported."""


@contextmanager
def alone(
    path: Path, what: str, say: Callable[[str], None] = print, patience: float = PATIENCE_SECONDS
) -> Iterator[None]:
    """Hold a lock file while the block runs; a wait of more than `patience` seconds is reported."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        if wait_lock(file.fileno(), patience) is False:
            file.seek(0)
            who = file.read().strip() or "another process"
            say(f"waiting for {what}, held by {who}; end that process if it hangs")
            wait_lock(file.fileno())
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        yield
