"""Decodes what libsndfile cannot, such as m4a and video, with the program `ffmpeg` if there is one.

ffmpeg gets a list of arguments and pipes the first audio stream as 32-bit floats in an AU file, a
header of six numbers that needs no length. It may open this one file: no address, and no kind of
file that names others, such as a playlist.
"""

import re
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from tisdiss.sound.decode import BLOCK, Recording, Refused, Undecodable, finite

KINDS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dts,eac3,flac,flv,matroska,mov,mp3,mpc,mpc8,mpeg,mpegts,"
    "ogg,tta,voc,w64,wav,wv,xwma"
)
"""The formats that may be opened, by ffmpeg's names."""
_AU_MAGIC, _AU_FLOAT32 = b".snd", 6
_HEADER = struct.Struct(">4s5I")
"""Magic, offset of the samples in bytes, size, encoding, rate in Hz, channels."""
MOST = 120
"""Characters of its message that are shown."""
_SOURCE = re.compile(r"^(\[[^]]*\] *)+")
"""The part of ffmpeg that speaks, at the start of a line."""


def program() -> str | None:
    """The path of ffmpeg; None if it is not installed."""
    return shutil.which("ffmpeg")


@contextmanager
def decoded(path: Path) -> Iterator[Recording]:
    """The first audio stream of a file, at its rate; raises `Undecodable` if ffmpeg finds none."""
    ffmpeg = program()
    if ffmpeg is None:
        raise Undecodable("corrupt or no audio: cannot be decoded")
    said: IO[bytes]
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(
            _arguments(ffmpeg, path), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said
        ) as process,
    ):
        assert process.stdout is not None
        try:
            head = process.stdout.read(_HEADER.size)
            if len(head) < _HEADER.size:
                process.wait()
                raise Undecodable(f"corrupt or no audio: ffmpeg: {_first_line(said)}")
            magic, offset, _, encoding, rate, channels = _HEADER.unpack(head)
            assert (magic, encoding) == (_AU_MAGIC, _AU_FLOAT32)
            process.stdout.read(offset - _HEADER.size)
            yield Recording(rate, channels, _blocks(process, said, channels))
        finally:
            process.kill()


def _arguments(ffmpeg: str, path: Path) -> list[str]:
    """`file:` keeps a name that starts with a dash, or looks like an address, a name."""
    quiet = [ffmpeg, "-nostdin", "-v", "error", "-xerror"]
    only = ["-protocol_whitelist", "file", "-format_whitelist", KINDS]
    source = ["-i", f"file:{path}", "-map", "0:a:0"]
    return [*quiet, *only, *source, "-c:a", "pcm_f32be", "-f", "au", "pipe:1"]


def _blocks(
    process: subprocess.Popen[bytes], said: IO[bytes], channels: int
) -> Iterator[np.ndarray]:
    """Arrays (up to BLOCK, channels); raises `Refused` if ffmpeg reports any error."""
    assert process.stdout is not None
    samples = 0
    while data := process.stdout.read(4 * channels * BLOCK):
        block = np.frombuffer(data[: len(data) // (4 * channels) * 4 * channels], ">f4")
        samples += len(block) // channels
        yield finite(block.astype(np.float32).reshape(-1, channels))
    code, message = process.wait(), _first_line(said)
    if code or message:
        raise Refused(f"corrupt or no audio: ffmpeg: {message or f'ended with code {code}'}")
    if not samples:
        raise Refused("empty")


def _first_line(said: IO[bytes]) -> str:
    said.seek(0)
    first = said.read(2000).decode(errors="replace").strip().splitlines()[:1]
    return _SOURCE.sub("", first[0])[:MOST].rstrip(".") if first else ""
