"""Reads sound files with libsndfile; their length is what can be read, not what a header says."""

import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

from tisdiss.sound.mpeg import frames_of

BLOCK = 2**16
"""Samples per channel that are read at a time."""

_SIZES = re.compile(r"^ *(?:data|SSND|Data Size|riff) *: (\d+) \(should be (\d+)", re.MULTILINE)
_FRAMES = re.compile(
    r"Calculated frame count (\d+) does not match value from 'ds64' chunk of (\d+)"
)
_NIST_SAMPLES = re.compile(rb"^sample_count -i (\d+)", re.MULTILINE)
_OGG_PAGE, _OGG_END = b"OggS", 4
_OGG_SEARCH = 2**17
"""Bytes at the end of a file that contain the start of the last Ogg page, of at most 65,307."""
_HEADER_BYTES = 1024
"""A longer file holds more than a header."""
_RATES = (1000, 1_000_000)
"""Hz. Outside, the header is damaged, and resampling would exhaust memory."""
_STREAMED = 2**30
"""Sizes from here on are placeholders: a writer that streams puts about 2**32 bytes."""
UNKNOWN = 2**63 - 1
"""The length that means unknown to libsndfile, which then counts or reads to the end."""


_CUT_SHORT = "corrupt or no audio: ends earlier than its header says"


class Refused(ValueError):
    """A file is rejected; the message is the rule that it breaks, without the file's name."""


class Undecodable(Refused):
    """A file is not sound, or of a kind that cannot be decoded."""


@dataclass(frozen=True)
class Recording:
    """A sound file that is being read."""

    rate: int
    """Hz."""
    channels: int
    blocks: Iterator[np.ndarray]
    """All samples, once, as float32 (samples, channels); raises `Refused` for a damaged file."""


@contextmanager
def opened(path: Path) -> Iterator[soundfile.SoundFile]:
    """Open a sound file for reading; raises `Refused` if it is none or ends early.

    The file's `frames` may be wrong; read it with `blocks`.
    """
    try:
        if path.stat().st_size == 0:
            raise Refused("empty")
        frames = frames_of(path)
        if frames and frames.cut_short:
            raise Refused(_CUT_SHORT)
        with path.open("rb") as raw:
            counted = frames and (frames.promised is None or frames.outgrown)
            start = frames.after_header if frames and frames.outgrown else 0
            with _Forwards(_Endless(raw, start) if counted else os.fsencode(path)) as file:
                _check_whole(file, path)
                yield file
    except OSError as error:
        raise Refused(f"cannot be read: {error.strerror or error}") from error
    except (soundfile.SoundFileError, RuntimeError, TypeError) as error:
        # TypeError: raw samples without a header
        raise Undecodable("corrupt or no audio: cannot be decoded") from error


def blocks(file: soundfile.SoundFile, dtype: str, size: int = BLOCK) -> Iterator[np.ndarray]:
    """All samples of a file as arrays (up to `size`, channels), up to their actual end.

    Raises `Refused` for no samples, samples that are not finite, or fewer than a known length.
    """
    promised, read = file.frames, 0
    while len(block := file.read(size, dtype=dtype, always_2d=True)):
        read += len(block)
        yield finite(block)
    if not read:
        raise Refused("empty")
    if read < promised < UNKNOWN and file.format != "MP3":
        raise Refused(_CUT_SHORT)


def finite(block: np.ndarray) -> np.ndarray:
    """The block; raises `Refused` if it has samples that are NaN or infinite."""
    if not np.isfinite(block).all():
        raise Refused("NaN or infinite samples")
    return block


def read_sound(path: Path, dtype: str = "float64") -> tuple[np.ndarray, int]:
    """All channels (samples, channels) of a file, and its rate in Hz; raises `Refused`."""
    with opened(path) as file:
        return np.concatenate(list(blocks(file, dtype))), file.samplerate


def _check_whole(file: soundfile.SoundFile, path: Path) -> None:
    """Raise `Refused` for a file shorter than its header says, which libsndfile at most logs."""
    if not _RATES[0] <= file.samplerate <= _RATES[1]:
        raise Refused(
            f"its header has a rate of {file.samplerate} Hz; {_RATES[0]} to {_RATES[1]} Hz are read"
        )
    log = file.extra_info
    sizes = [(int(promised), int(there)) for promised, there in _SIZES.findall(log)]
    sizes += [(int(promised), int(there)) for there, promised in _FRAMES.findall(log)]
    if file.format == "NIST":
        with path.open("rb") as raw:
            sizes += [(int(n), file.frames) for n in _NIST_SAMPLES.findall(raw.read(1024))]
    if any(there < promised < _STREAMED for promised, there in sizes):
        raise Refused(_CUT_SHORT)
    if file.format == "OGG" and not _has_last_page(path):
        raise Refused("corrupt or no audio: an Ogg file without its last page")
    if not file.frames and path.stat().st_size > _HEADER_BYTES:
        raise Refused("its header was never finished: it states no samples, but the file has some")


def _has_last_page(path: Path) -> bool:
    """Whether the last page of an Ogg file is complete and marked as the last."""
    with path.open("rb") as raw:
        raw.seek(max(0, path.stat().st_size - _OGG_SEARCH))
        tail = raw.read()
    start = tail.rfind(_OGG_PAGE)
    page = tail[start:] if start >= 0 else b""
    if len(page) < 27:
        return False
    segments = page[27 : 27 + page[26]]
    return bool(page[5] & _OGG_END) and len(page) >= 27 + page[26] + sum(segments)


class _Forwards(soundfile.SoundFile):
    """A file that is read once, from start to end.

    A seekable SoundFile seeks to its own position after each read. At the end of a FLAC of unknown
    length that fails, and the last samples are lost.
    """

    def seekable(self) -> bool:
        return False


class _Endless(io.RawIOBase):
    """A file from byte `start` on that reports an unknown length."""

    def __init__(self, file: BinaryIO, start: int) -> None:
        self.file, self.start, self.at_end = file, start, False
        file.seek(start)

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        return self.file.readinto(buffer)  # type: ignore[attr-defined]

    def read(self, size: int = -1) -> bytes:
        return self.file.read(size)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self.at_end = whence == io.SEEK_END and offset == 0
        if self.at_end:
            return UNKNOWN
        return self.file.seek(offset + (self.start if whence == io.SEEK_SET else 0), whence) - (
            self.start
        )

    def tell(self) -> int:
        return UNKNOWN if self.at_end else self.file.tell() - self.start
