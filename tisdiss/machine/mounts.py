"""Calls that some file systems lack, such as network mounts, object stores and memory cards.

If a call is refused, work continues without it, and one warning names the guarantee that is lost.
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
    """Print a warning on stderr, once per process."""
    if text not in _TOLD:
        _TOLD.add(text)
        print(f"warning: {text}", file=sys.stderr)


def try_lock(descriptor: int, how: int = fcntl.LOCK_EX) -> bool | None:
    """Take the kernel's lock if it is free; None if the file system has no locks."""
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
    """Write a file or folder through to the device, if the file system can."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not lacks(error):
            raise
        tell_once(
            f"this file system cannot flush ({error.strerror}): the newest files may be lost in a "
            "power cut"
        )


def flush_folder(folder: Path) -> None:
    """Write the names in a folder through to the device."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return  # the folder may be written, but not read
    try:
        flush(descriptor)
    finally:
        os.close(descriptor)


def replace(temporary: Path, path: Path) -> None:
    """Rename a finished file to `path`; copy its content if the file system cannot rename."""
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
