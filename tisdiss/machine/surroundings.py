"""What a process needs of its surroundings, where batch systems and containers lack it."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Any, TextIO

from tisdiss.machine.memory import keep_freed_memory


def settle() -> None:
    """Make a process at home: called once, first, by every command and worker."""
    # Threads that wait must not spin: where a core is busy that makes all work many times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    keep_freed_memory()
    name_user()
    give_home()
    sys.stdout, sys.stderr = Enduring(sys.stdout), Enduring(sys.stderr)


def name_user() -> None:
    """Name a user id that has no entry (`docker run --user 12345`): libraries ask for it."""
    if any(os.environ.get(name) for name in ("LOGNAME", "USER", "LNAME", "USERNAME")):
        return
    import pwd

    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        os.environ["LOGNAME"] = f"uid{os.getuid()}"


def give_home() -> None:
    """A home for the caches of libraries, where there is none that can be written.

    Matplotlib, Jupyter, IPython and PyTorch keep files there, and fail or complain without.
    """
    try:
        home = Path.home()
    except RuntimeError:
        home = Path("/")
        os.environ["HOME"] = str(home)
    if os.access(home, os.W_OK | os.X_OK):
        return
    import tempfile

    own = f"tisdiss-home-{os.getuid()}"
    place = Path(tempfile.gettempdir(), own)
    try:
        place.mkdir(mode=0o700, exist_ok=True)
        if place.is_symlink() or place.stat().st_uid != os.getuid():
            place = Path(tempfile.mkdtemp(prefix=own))
    except OSError:
        return  # libraries say what they miss
    for name, below in _PLACES.items():
        os.environ.setdefault(name, str(place / below))


_PLACES = {
    "MPLCONFIGDIR": "matplotlib",
    "IPYTHONDIR": "ipython",
    "JUPYTER_CONFIG_DIR": "jupyter",
    "JUPYTER_DATA_DIR": "jupyter/data",
    "JUPYTER_RUNTIME_DIR": "jupyter/runtime",
    "XDG_CACHE_HOME": "cache",
    "XDG_CONFIG_HOME": "config",
}


class Enduring(io.TextIOBase):
    """Output that outlives its terminal: what nobody can read any more is dropped, work goes on."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream: Any = stream
        self._gone = stream is None  # a process without output, as some services start it

    def write(self, text: str) -> int:
        if not self._gone:
            try:
                self._stream.write(text)
            except (OSError, ValueError):
                self._lose()
        return len(text)

    def flush(self) -> None:
        if not self._gone:
            try:
                self._stream.flush()
            except (OSError, ValueError):
                self._lose()

    def _lose(self) -> None:
        self._gone = True
        try:
            nothing = os.open(os.devnull, os.O_WRONLY)
            try:
                os.dup2(nothing, self._stream.fileno())  # what libraries and the exit still write
            finally:
                os.close(nothing)
        except (OSError, ValueError):
            return

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)
