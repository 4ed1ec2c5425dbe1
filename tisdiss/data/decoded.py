"""The decoded files of a source, in one memory-mapped file: nothing is decoded twice.

A store is two files in the cache: `<key>.pcm` (16-bit samples, one file after the other) and
`<key>.json` (each file's offset and digest, or the rule it breaks). The key is a hash of names,
sizes and modification times, so a changed folder is decoded again and an unchanged one opens at
once. The index is written last, so an interrupted decoding leaves no store.
"""

import errno
import hashlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tisdiss.data.audio import MIN_SECONDS, Decoded, decode
from tisdiss.machine.mounts import flush, replace, wait_lock
from tisdiss.machine.progress import Progress, silent
from tisdiss.records.files import write_atomic
from tisdiss.sound.decode import Refused

FORMAT = 4  # version of these files and of the rules in audio.py and sound/decode.py
AHEAD = 64  # files decoded ahead of the writer
CHUNK = 2000  # files per store of a large corpus


@dataclass(frozen=True)
class Entry:
    """The place of one file's samples; a refused file has none, and the rule that it breaks."""

    offset: int = 0
    samples: int = 0
    exponent: int = 0
    digest: str = ""
    converted: tuple[str, ...] = ()
    refused: str = ""


class Store:
    """Decoded samples by file name. It pickles as a path, so each worker maps the file itself."""

    def __init__(self, pcm: Path | np.ndarray, entries: dict[str, Entry]) -> None:
        self.entries = entries
        self._pcm = pcm
        self._mapped: np.ndarray | None = None

    def __getstate__(self) -> dict:
        return {"entries": self.entries, "_pcm": self._pcm, "_mapped": None}

    def _samples(self) -> np.ndarray:
        if isinstance(self._pcm, np.ndarray):
            return self._pcm
        if self._mapped is None:
            self._mapped = np.asarray(np.memmap(self._pcm, "<i2", "r"))
        return self._mapped

    def read(self, name: str, start: int = 0, samples: int | None = None) -> np.ndarray:
        """Float32 samples `start` to `start + samples` of a file, both inside the file."""
        entry = self.entries[name]
        stop = entry.samples if samples is None else start + samples
        if not 0 <= start <= stop <= entry.samples:
            raise ValueError(
                f"samples {start} to {stop} of {name}: it has {entry.samples} samples; stay within"
            )
        raw = self._samples()[entry.offset + start : entry.offset + stop]
        return np.multiply(raw, np.float32(2.0 ** (entry.exponent - 15)), dtype=np.float32)


class JoinedStore(Store):
    """Several stores of different files that can be read as one."""

    def __init__(self, stores: Sequence[Store]) -> None:
        self.entries = {name: entry for store in stores for name, entry in store.entries.items()}
        self._stores = list(stores)
        self._of = {name: i for i, store in enumerate(stores) for name in store.entries}

    def __getstate__(self) -> dict:
        return self.__dict__

    def read(self, name: str, start: int = 0, samples: int | None = None) -> np.ndarray:
        return self._stores[self._of[name]].read(name, start, samples)


def digest(pcm: np.ndarray, exponent: int) -> str:
    """SHA-256 of the decoded samples: two files with equal sound have equal digests."""
    return hashlib.sha256(f"{exponent}:".encode() + pcm.astype("<i2").tobytes()).hexdigest()


def open_store(
    root: Path,
    names: Sequence[str],
    *,
    sample_rate: int,
    cache: Path,
    min_seconds: float = MIN_SECONDS,
    channel: int | None = None,
    on_progress: Progress = silent,
) -> Store:
    """The store of these files below `root`, decoded now unless the cache has it.

    `on_progress` gets the number of files that are ready, and of all. Raises ValueError if the disk
    is full.
    """
    names = sorted(names)
    rules = (sample_rate, min_seconds, *(() if channel is None else (channel,)))
    key = _key(root, names, rules)
    index, pcm = cache / f"{key}.json", cache / f"{key}.pcm"
    entries = _read_index(index, pcm)
    if entries is None:
        cache.mkdir(parents=True, exist_ok=True)
        with locked(cache / f"{key}.lock"):
            entries = _read_index(index, pcm)
            if entries is None:
                entries = _decode_into(cache, root, names, rules, pcm, on_progress)
                rows = {name: asdict(entry) for name, entry in entries.items()}
                write_atomic(index, json.dumps(rows))
    return Store(pcm, entries)


def _decode_into(
    cache: Path,
    root: Path,
    names: Sequence[str],
    rules: tuple[Any, ...],
    pcm: Path,
    on_progress: Progress,
) -> dict[str, Entry]:
    try:
        return _decode_all(root, names, rules, pcm, on_progress)
    except OSError as error:
        pcm.with_suffix(".part").unlink(missing_ok=True)
        if not is_full(error):
            raise
        raise ValueError(
            f"{cache}: no space for the decoded speech of {root} ({error.strerror}); free some"
            " space, or choose another folder for the cache"
        ) from error


def open_joined(
    root: Path,
    names: Sequence[str],
    *,
    sample_rate: int,
    cache: Path,
    channel: int | None = None,
    on_progress: Progress = silent,
) -> JoinedStore:
    """Like `open_store`, for many thousand files: in parts, so an interruption costs one part.

    Files may be of any length. `on_progress` gets the number of files that are ready, and of all.
    """
    names, stores = sorted(names), []
    for first in range(0, len(names), CHUNK):
        part = names[first : first + CHUNK]
        stores.append(
            open_store(
                root, part, sample_rate=sample_rate, cache=cache, min_seconds=0.0, channel=channel
            )
        )
        on_progress(first + len(part), len(names))
    return JoinedStore(stores)


def _read_index(index: Path, pcm: Path) -> dict[str, Entry] | None:
    """The entries; None if the index is missing or the samples are incomplete."""
    if not (index.exists() and pcm.exists()):
        return None
    rows = json.loads(index.read_bytes())
    entries = {k: Entry(**{**row, "converted": tuple(row["converted"])}) for k, row in rows.items()}
    whole = pcm.stat().st_size == 2 * sum(entry.samples for entry in entries.values())
    return entries if whole else None


def _key(root: Path, names: Sequence[str], rules: tuple[Any, ...]) -> str:
    files = [(name, *_size_and_time(root / name)) for name in names]
    text = json.dumps([FORMAT, *rules, files])
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def _size_and_time(path: Path) -> tuple[int, int]:
    """(-1, -1) for a missing file or a broken link, which decoding will report."""
    try:
        stat = path.stat()
    except OSError:
        return -1, -1
    return stat.st_size, stat.st_mtime_ns


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file while the block runs; the system frees the lock of a killed process."""
    with path.open("w") as file:
        wait_lock(file.fileno())
        yield


def is_full(error: OSError) -> bool:
    """Whether the disk or the user's quota is full."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def _decode_all(
    root: Path, names: Sequence[str], rules: tuple[Any, ...], pcm: Path, on_progress: Progress
) -> dict[str, Entry]:
    def attempt(name: str) -> Decoded | Refused:
        try:
            return decode(root / name, *rules)
        except Refused as refusal:
            return refusal

    entries, offset, part = {}, 0, pcm.with_suffix(".part")
    with part.open("wb") as file, ThreadPoolExecutor() as pool:
        for first in range(0, len(names), AHEAD):
            batch = names[first : first + AHEAD]
            for name, result in zip(batch, pool.map(attempt, batch), strict=True):
                if isinstance(result, Refused):
                    entries[name] = Entry(refused=str(result))
                    continue
                file.write(result.pcm.astype("<i2").tobytes())
                size, sha = len(result.pcm), digest(result.pcm, result.exponent)
                entries[name] = Entry(offset, size, result.exponent, sha, result.converted)
                offset += size
            on_progress(first + len(batch), len(names))
        file.flush()
        flush(file.fileno())
    replace(part, pcm)
    return entries
