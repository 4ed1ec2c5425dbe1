"""Files that are either whole or absent, and what to say of one that was damaged after all."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any


class DamagedError(ValueError):
    """A file that we wrote does not hold what was written."""


def brief(error: Exception, most: int = 200) -> str:
    """What an error says, on one line that is not too long."""
    text = " ".join(str(error).split())
    return text if len(text) <= most else f"{text[: most - 3]}..."


def read_json(path: Path, *, way_out: str) -> Any:
    """What a JSON file holds; DamagedError tells the way out."""
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise DamagedError(f"{path}: not JSON ({error}); {way_out}") from error


def read_object(path: Path, *, way_out: str, needs: tuple[str, ...] = ()) -> dict[str, Any]:
    """A JSON object with at least the keys that it `needs`; DamagedError tells the way out."""
    found = read_json(path, way_out=way_out)
    if not isinstance(found, dict):
        raise DamagedError(f"{path}: holds a {type(found).__name__}, not an object; {way_out}")
    for key in needs:
        if key not in found:
            raise DamagedError(f"{path}: holds no '{key}'; {way_out}")
    return found


def write_atomic(path: Path, data: bytes | str) -> None:
    """Write a file so that a reader, or a kill at any moment, sees the old one or the new one.

    The bytes go to a temporary file in the same folder, are flushed to the device, and take the
    final name in one step. Text is written as UTF-8.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    payload = data.encode() if isinstance(data, str) else data
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
