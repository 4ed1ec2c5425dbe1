"""Counts the frames of an MP3 file, because its header may be missing or state another length.

An MP3 file is a sequence of frames of 1152 or 576 samples. The first frame may be a header without
sound that states how many follow ("Xing" or "Info"). In files that were joined, cut or recorded
from a stream it is wrong or missing, and decoders trust it or guess from the first frame.
"""

import mmap
from dataclasses import dataclass
from pathlib import Path

_BIT_RATES = {  # kbit/s by index, of MPEG 1 and of MPEG 2 and 2.5
    1: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_SAMPLE_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_LAYER_III = 1
_HEADER_SPAN = 200
"""Bytes of the first frame that may contain "Xing" or "Info"."""
_SEARCH = 2**20
"""Bytes to search for the next frame after data that is not a frame."""


@dataclass(frozen=True)
class Frames:
    """The frames of an MP3 file."""

    count: int
    """Frames of sound."""
    promised: int | None
    """Frames of sound by its header; None without a header."""
    after_header: int
    """Offset of the first frame of sound, in bytes."""

    @property
    def cut_short(self) -> bool:
        return self.promised is not None and self.count < self.promised - _slack(self.promised)

    @property
    def outgrown(self) -> bool:
        """Whether there are more frames than the header says, as in joined files."""
        return self.promised is not None and self.count > self.promised + _slack(self.promised)


def frames_of(path: Path) -> Frames | None:
    """The frames of a file; None if it is not an MP3."""
    if path.stat().st_size < 4:
        return None
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        first = _skip_tags(data, 0)
        size = _size(data, first)
        if not size or not (_size(data, first + size) or first + size >= len(data)):
            return None
        promised = _promised(data, first)
        start = first if promised is None else first + size
        return Frames(_count(data, start), promised, start)


def _slack(promised: int) -> int:
    """Tolerance in frames, because encoders count differently: one, or one in two hundred."""
    return max(1, promised // 200)


def _skip_tags(data: mmap.mmap, at: int) -> int:
    """The offset after ID3 tags, whose size field is four times seven bits."""
    while data[at : at + 3] == b"ID3" and at + 10 <= len(data):
        a, b, c, d = data[at + 6 : at + 10]
        at += 10 + (a << 21 | b << 14 | c << 7 | d)
    return at


def _size(data: mmap.mmap, at: int) -> int:
    """Bytes of the layer III frame that starts here; 0 if none does."""
    if at + 4 > len(data) or data[at] != 0xFF or data[at + 1] & 0xE0 != 0xE0:
        return 0
    version, layer = data[at + 1] >> 3 & 3, data[at + 1] >> 1 & 3
    rate, speed, padding = data[at + 2] >> 4, data[at + 2] >> 2 & 3, data[at + 2] >> 1 & 1
    if version == 1 or layer != _LAYER_III or rate in (0, 15) or speed == 3:
        return 0
    kilobits = _BIT_RATES[1 if version == 3 else 2][rate]
    slots = 144_000 if version == 3 else 72_000
    return slots * kilobits // _SAMPLE_RATES[version][speed] + padding


def _promised(data: mmap.mmap, first: int) -> int | None:
    head = data[first : first + _HEADER_SPAN]
    for mark in (b"Xing", b"Info"):
        at = head.find(mark)
        if at >= 0 and head[at + 7] & 1:  # flag: the number of frames follows
            return int.from_bytes(head[at + 8 : at + 12], "big")
    return None


def _count(data: mmap.mmap, at: int) -> int:
    count = 0
    while at < len(data):
        size = _size(data, at)
        if size:
            count += at + size <= len(data)
            at += size
            continue
        at = _next_frame(data, _skip_tags(data, at))
    return count


def _next_frame(data: mmap.mmap, at: int) -> int:
    """The offset of the next two consecutive frames within `_SEARCH` bytes; else the end."""
    end = min(len(data), at + _SEARCH)
    while (at := data.find(b"\xff", at, end)) >= 0:
        size = _size(data, at)
        if size and (_size(data, at + size) or at + size == len(data)):
            return at
        at += 1
    return len(data)
