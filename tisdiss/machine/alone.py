"""One process at a time, for a moment: the kernel's lock, which no killed process leaves behind."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tisdiss.machine.mounts import wait_lock

PATIENCE_SECONDS = 5.0
"""A wait that lasts longer is said."""


@contextmanager
def alone(
    path: Path, what: str, say: Callable[[str], None] = print, patience: float = PATIENCE_SECONDS
) -> Iterator[None]:
    """Hold a lock file while the block runs; `what` is told to people who wait long for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        if wait_lock(file.fileno(), patience) is False:
            file.seek(0)
            who = file.read().strip() or "another process"
            say(f"waits for {what}, which {who} holds; end that process if it hangs")
            wait_lock(file.fileno())
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        yield
