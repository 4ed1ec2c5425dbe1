"""Opens a recording of any kind: with libsndfile, else with ffmpeg if it is installed."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from tisdiss.sound import ffmpeg
from tisdiss.sound.decode import Recording, Refused, Undecodable, blocks, opened
from tisdiss.sound.outputs import check_file, shown


@contextmanager
def recording(path: Path) -> Iterator[Recording]:
    """A file, open for reading once; raises ValueError, which names it, for one that is damaged."""
    path = Path(path)
    check_file(path)
    try:
        with ExitStack() as stack:
            yield _opened(path, stack)
    except Undecodable as refusal:
        way_out = "convert it to WAV" if ffmpeg.program() else _WITHOUT_FFMPEG
        raise ValueError(f"{shown(path)}: {refusal}; {way_out}") from refusal
    except Refused as refusal:
        raise ValueError(f"{shown(path)}: {refusal}") from refusal


_WITHOUT_FFMPEG = "use WAV, FLAC, OGG or MP3, or install ffmpeg, which reads m4a, video and more"


def _opened(path: Path, stack: ExitStack) -> Recording:
    try:
        file = stack.enter_context(opened(path))
    except Undecodable:
        if not ffmpeg.program():
            raise
        return stack.enter_context(ffmpeg.decoded(path))
    return Recording(file.samplerate, file.channels, blocks(file, "float32"))


@contextmanager
def received(stream: BinaryIO, folder: Path | None) -> Iterator[Path]:
    """A temporary file of `folder` (the system's if None) with all bytes of a stream.

    Removed at the end, with the folder if that is new and still empty.
    """
    new = folder is not None and not folder.exists()
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".receiving-") as temporary:
            path = Path(temporary, "stdin")
            with path.open("wb") as file:
                shutil.copyfileobj(stream, file, 2**20)
            yield path
    finally:
        if folder is not None and new and not os.listdir(folder):
            folder.rmdir()
