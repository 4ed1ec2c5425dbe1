"""One process at a time, for a moment: the kernel's lock, which no killed process leaves behind."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tisdiss.mounts import try_lock

PATIENCE_SECONDS = 5.0
"""A wait that lasts longer is said."""


@contextmanager
def alone(
    path: Path, what: str, say: Callable[[str], None] = print, patience: float = PATIENCE_SECONDS
) -> Iterator[None]:
    """Hold a lock file while the block runs; `what` is told to people who wait long for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        if not _try(file, patience):
            file.seek(0)
            who = file.read().strip() or "another process"
            say(f"waits for {what}, which {who} holds; end that process if it hangs")
            fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        yield


def _try(file: IO[str], patience: float) -> bool:
    """Take the lock; where the file system has none, go on without."""
    end = time.monotonic() + patience
    while try_lock(file.fileno()) is False:
        if time.monotonic() >= end:
            return False
        time.sleep(0.05)
    return True
