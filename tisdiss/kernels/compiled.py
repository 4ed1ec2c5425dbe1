"""The C routines of `native/`, compiled for this processor on first use and kept on disk.

They read and write memory once where the operations of torch go over it several times. Without a
C compiler, and on the first failure, there are none: the operations of torch serve instead.
"""

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

SOURCES = sorted((Path(__file__).parent / "native").glob("*.[ch]"))
FLAGS = ("-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-fopenmp", "-fPIC")
WIDEST = 4096
"""Numbers of a row that the routines have room for."""
SWITCH = "TISDISS_COMPILE"
"""Set to 0 in the environment, nothing is compiled."""
_KINDS = {torch.float32: 0, torch.bfloat16: 1}


def serves(x: Tensor, *widths: int) -> bool:
    """Whether the routines take x, in rows of these widths, where a gradient is asked for."""
    return torch.is_grad_enabled() and takes(x, *widths)


def takes(x: Tensor, *widths: int) -> bool:
    """Whether there are routines for numbers such as those of x, in rows of these widths."""
    return (
        x.device.type == "cpu"
        and x.dtype in _KINDS
        and max(widths) <= WIDEST
        and library() is not None
    )


def call(routine: str, *arguments: Tensor | float) -> None:
    """Run a routine: tensors are contiguous, numbers are long or float as in its C signature.

    The last argument is the tensor whose type is that of the routine's `Kind`.
    """
    *given, like = arguments
    assert isinstance(like, Tensor)
    getattr(library(), routine)(*map(_argument, given), _KINDS[like.dtype])


def _argument(value: Tensor | float) -> object:
    if isinstance(value, Tensor):
        assert value.is_contiguous()
        return ctypes.c_void_p(value.data_ptr())
    return ctypes.c_float(value) if isinstance(value, float) else ctypes.c_long(value)


@cache
def library() -> ctypes.CDLL | None:
    """The compiled routines; None, after a line that says why, where there are none."""
    if os.environ.get(SWITCH) == "0":
        return None
    try:
        path = _folder() / f"kernels-{_key()}.so"
        if not path.is_file():
            _compile(path)
        return ctypes.CDLL(str(path))
    except (OSError, subprocess.SubprocessError) as error:
        print(f"note: training runs without compiled routines: {_reason(error)}", file=sys.stderr)
        return None


def _compile(path: Path) -> None:
    """Into a folder of its own first: another process may do the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        made = Path(folder) / path.name
        sources = [str(source) for source in SOURCES if source.suffix == ".c"]
        command = [_compiler(), *FLAGS, "-shared", *sources, "-lm", "-o", str(made)]
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
        made.replace(path)


def _compiler() -> str:
    names = [os.environ.get("CC", "cc"), "gcc", "clang"]
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        raise FileNotFoundError("no C compiler is installed (cc)")
    return found


def compiler() -> str | None:
    """The C compiler with its version; None if nothing is compiled here."""
    if library() is None:
        return None
    try:
        about = subprocess.run(
            [_compiler(), "--version"], check=True, capture_output=True, text=True, timeout=20
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return about.stdout.partition("\n")[0].strip() or None


def _key() -> str:
    """Sources, flags, compiler and processor: a home may be shared by different machines."""
    digest = hashlib.sha256(repr((FLAGS, _compiler(), platform.processor())).encode())
    for source in SOURCES:
        digest.update(source.read_bytes())
    with suppress(OSError):  # only Linux has this file
        info = Path("/proc/cpuinfo").read_text()
        about = {line for line in info.splitlines() if line.startswith("flags")}
        digest.update(repr(sorted(about)).encode())
    return digest.hexdigest()[:16]


def _folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "tisdiss"


def _reason(error: Exception) -> str:
    said = error.stderr if isinstance(error, subprocess.CalledProcessError) else str(error)
    return (said or type(error).__name__).strip().splitlines()[0]
