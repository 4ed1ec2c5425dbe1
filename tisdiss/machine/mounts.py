"""What file systems refuse: network mounts, object stores and memory cards lack some calls.

Where a call is refused, work goes on without it, and one line says what is then not promised.
"""

import errno
import fcntl
import math
import os
import sys
import time
from pathlib import Path

_LACKING = {
    errno.ENOSYS,
    errno.EOPNOTSUPP,
    errno.ENOTSUP,
    errno.EINVAL,
    errno.ENOLCK,
    errno.ENOTTY,
    errno.EPERM,
    errno.EBADF,
}
_TOLD: set[str] = set()


def lacks(error: OSError) -> bool:
    """Whether a call failed because the file system does not have it."""
    return error.errno in _LACKING


def tell_once(text: str) -> None:
    """A line on stderr, once in a process."""
    if text not in _TOLD:
        _TOLD.add(text)
        print(f"warning: {text}", file=sys.stderr)


def try_lock(descriptor: int, how: int = fcntl.LOCK_EX) -> bool | None:
    """Take the kernel's lock if it is free; None where the file system has no locks."""
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if not lacks(error):
            raise
        tell_once(
            f"this file system has no locks ({error.strerror}): two processes that start within "
            "the same seconds may work on the same run; start one command at a time"
        )
        return None
    return True


def wait_lock(descriptor: int, patience: float = math.inf) -> bool | None:
    """Take the lock as soon as it is free; False after `patience` seconds, None without locks."""
    end = time.monotonic() + patience
    while (taken := try_lock(descriptor)) is False and time.monotonic() < end:
        time.sleep(0.05)
    return taken


def flush(descriptor: int) -> None:
    """Bring a file or folder to the device, where the file system can be asked to."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not lacks(error):
            raise
        tell_once(
            f"this file system cannot be told to flush ({error.strerror}): a power cut may cost "
            "the newest files"
        )


def flush_folder(folder: Path) -> None:
    """Bring the names in a folder to the device."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return  # a folder that may be written, but not read
    try:
        flush(descriptor)
    finally:
        os.close(descriptor)


def replace(temporary: Path, path: Path) -> None:
    """Give a finished file its name; where names cannot be changed, its content."""
    try:
        os.replace(temporary, path)
    except OSError as error:
        if path.is_dir() or not lacks(error):
            raise
        tell_once(
            f"this file system cannot rename ({error.strerror}): a kill may leave half a file"
        )
        path.write_bytes(temporary.read_bytes())
        temporary.unlink()
