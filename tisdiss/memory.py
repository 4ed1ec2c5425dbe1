"""The C allocator, told to keep what a training step frees: the next step wants the same again."""

import ctypes
import sys

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # glibc, malloc.h
_NEVER, _PAD = 2**31 - 1, 64 << 20


def keep_freed_memory() -> bool:
    """Make glibc keep freed memory for this process; False where there is no glibc.

    By default every large tensor is new pages from the system, which clears them one by one: a
    tenth to a fifth of a small model's training step. The process never shrinks after this.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    settings = ((_TRIM_THRESHOLD, _NEVER), (_TOP_PAD, _PAD), (_MMAP_MAX, 0))
    return mallopt is not None and all(mallopt(name, value) for name, value in settings)
