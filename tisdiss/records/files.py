"""Writes files whole or not at all, and reads them; errors say what to do about damaged files."""

import hashlib
import json
import os
import secrets
from importlib import resources
from pathlib import Path
from typing import Any

from tisdiss.machine.mounts import flush, flush_folder, replace

JsonObject = dict[str, object]
"""A JSON object or a YAML mapping, before its check or without one."""


class DamagedError(ValueError):
    """A file does not have the content that we wrote."""


def package_text(place: str) -> str:
    """The text of a file that comes with the package, such as "sound/player.css"."""
    return (resources.files("tisdiss") / place).read_text("utf-8")


def sha256_of_file(path: Path) -> str:
    """SHA-256 of a file's bytes as 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def brief(error: Exception, most: int = 200) -> str:
    """The message of an error on one line of at most `most` characters."""
    text = " ".join(str(error).split())
    return text if len(text) <= most else f"{text[: most - 3]}..."


def read_json(path: Path, *, way_out: str) -> Any:
    """The content of a JSON file; raises DamagedError or FileNotFoundError.

    `way_out` ends the message of a DamagedError: what the user can do.
    """
    content = read_whole(path, way_out=way_out)
    if not content.strip(b"\0 \t\r\n"):
        raise DamagedError(f"{path}: is empty; {way_out}")
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"{path}: not JSON ({error}); {way_out}") from error


def read_whole(path: Path, *, way_out: str) -> bytes:
    """The bytes of a file; DamagedError for a folder, an unreadable file or a broken link."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        if not path.is_symlink():
            raise
        raise DamagedError(f"{path}: is a broken link; {way_out}") from None
    except OSError as error:
        raise DamagedError(f"{path}: cannot be read ({error.strerror}); {way_out}") from error


def read_object(path: Path, *, way_out: str, needs: tuple[str, ...] = ()) -> JsonObject:
    """A JSON object with at least the keys in `needs`; DamagedError for anything else."""
    value = read_json(path, way_out=way_out)
    if not isinstance(value, dict):
        raise DamagedError(f"{path}: holds a {type(value).__name__}, not an object; {way_out}")
    for key in needs:
        if value.get(key) is None:
            raise DamagedError(f"{path}: the key '{key}' is missing; {way_out}")
    return value


def write_atomic(path: Path, data: bytes | str) -> None:
    """Write a file atomically: after a kill at any moment, the whole old or new file is there.

    The bytes go to a temporary file in the same folder, which is flushed to the device and then
    renamed. The umask sets the permissions, as for any new file. Text is written as UTF-8.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    payload = data.encode() if isinstance(data, str) else data
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(payload)
            file.flush()
            flush(file.fileno())
        replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    flush_folder(path.parent)
