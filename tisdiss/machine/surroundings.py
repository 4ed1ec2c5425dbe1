"""Sets up a process where a user name, a home or a terminal may be missing, as in containers."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Any, TextIO

from tisdiss.machine.memory import keep_freed_memory


def settle() -> None:
    """Set up this process; every command and worker calls it once, first."""
    # Threads that wait must not spin: on a busy core that makes all work many times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    keep_freed_memory()
    name_user()
    give_home()
    sys.stdout, sys.stderr = Enduring(sys.stdout), Enduring(sys.stderr)


def name_user() -> None:
    """Name a user id without an entry (`docker run --user 12345`), as libraries need a name."""
    if any(os.environ.get(name) for name in ("LOGNAME", "USER", "LNAME", "USERNAME")):
        return
    import pwd

    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        os.environ["LOGNAME"] = f"uid{os.getuid()}"


def give_home() -> None:
    """Provide a folder for the caches of libraries if the home folder cannot be written.

    Matplotlib, Jupyter, IPython and PyTorch fail or warn without one.
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
        return  # libraries report the missing folder
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
    """An output stream that survives its terminal: text is then dropped, and work continues."""

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
                os.dup2(nothing, self._stream.fileno())  # for later output of libraries
            finally:
                os.close(nothing)
        except (OSError, ValueError):
            return

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)
