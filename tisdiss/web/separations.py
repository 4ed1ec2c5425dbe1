"""Recordings that were given to the page, and the estimates of each depth as they become ready.

One recording is separated at a time, by one thread; others wait. The last few stay in memory.
"""

from __future__ import annotations

import io
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_urlsafe

from torch import Tensor

from tisdiss.level import fitted
from tisdiss.separate import rate_note
from tisdiss.speech_separator import SpeechSeparator
from tisdiss.wave import TooLongError, read_wave, wav_file

N_RE = range(1, 11)
"""The depths on the page, for a model with a depth dial."""
WHOLE = 0
"""The one depth of a model without a dial."""


class Busy(RuntimeError):
    """Too many recordings wait."""


@dataclass
class Separation:
    """A recording and what is known of its estimates."""

    identity: str
    wave: Tensor
    """The mean of its channels, (samples,)."""
    rate: int
    note: str
    """What the rate of the model means for this recording."""
    depths: tuple[int, ...]
    mixture: bytes
    """WAV."""
    speakers: dict[int, list[bytes]] = field(default_factory=dict)
    """WAV files of the speakers at each depth that is ready."""
    took: dict[int, float] = field(default_factory=dict)
    """Seconds of computing up to each depth."""
    error: str = ""

    @property
    def seconds(self) -> float:
        return len(self.wave) / self.rate


class Separations:
    """Separates recordings one after the other; keeps the last `keep` of them."""

    def __init__(
        self,
        separator: SpeechSeparator,
        *,
        max_seconds: float,
        keep: int = 4,
        waiting: int = 3,
    ) -> None:
        self.separator, self.max_seconds = separator, max_seconds
        self.keep, self.waiting = keep, waiting
        self._kept: OrderedDict[str, Separation] = OrderedDict()
        self._lock = threading.Lock()
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="separation")
        self._open = 0

    @property
    def depths(self) -> tuple[int, ...]:
        """The depths of the model, in order."""
        dial = self.separator.model.config.dial
        return tuple(n_re for n_re in N_RE if n_re in dial) or (WHOLE,)

    def add(self, content: bytes) -> Separation:
        """Start the separation of a sound file.

        ValueError for a file that cannot be read or is too long; `Busy` if too many wait.
        """
        made = self._read(content)
        with self._lock:
            if self._open > self.waiting:
                raise Busy(f"{self._open} recordings are being separated: try again in a moment")
            self._open += 1
            self._kept[made.identity] = made
            while len(self._kept) > self.keep:
                self._kept.popitem(last=False)
        self._worker.submit(self._separate, made)
        return made

    def get(self, identity: str) -> Separation | None:
        """The separation of this name, if it is still kept."""
        return self._kept.get(identity)

    def close(self) -> None:
        """Start no more separations."""
        self._worker.shutdown(wait=False, cancel_futures=True)

    def _read(self, content: bytes) -> Separation:
        with tempfile.TemporaryDirectory(prefix="tisdiss-") as folder:
            path = Path(folder, "recording")
            path.write_bytes(content)
            try:
                wave, rate = read_wave(path, self.max_seconds)
            except TooLongError:
                raise ValueError(
                    f"this recording is longer than {self.max_seconds:g} s, the most that the page "
                    "takes: cut it, use `tisdiss separate`, or start the page with --max-seconds"
                ) from None
            except ValueError as error:
                raise ValueError(str(error).replace(str(path), "this recording")) from None
        note = rate_note(rate, self.separator.model)
        name = token_urlsafe(12)
        return Separation(name, wave, rate, note, self.depths, _wav(wave, rate))

    def _separate(self, made: Separation) -> None:
        start = time.monotonic()
        try:
            for depth, estimates in self._estimates(made):
                fit = fitted(estimates)
                made.took[depth] = time.monotonic() - start
                made.speakers[depth] = [_wav(voice, made.rate) for voice in fit]
        except Exception as error:  # shown on the page; the next recording is not affected
            made.error = f"{type(error).__name__}: {error}"
        finally:
            with self._lock:
                self._open -= 1

    def _estimates(self, made: Separation) -> Iterator[tuple[int, Tensor]]:
        if made.depths == (WHOLE,):
            yield WHOLE, self.separator.separate(made.wave, made.rate)
        else:
            yield from self.separator.repetitions(made.wave, made.rate, n_re=made.depths)


def _wav(wave: Tensor, rate: int) -> bytes:
    """(samples,) as a 16-bit WAV file."""
    buffer = io.BytesIO()
    with wav_file(buffer, rate) as file:
        file.write(wave.numpy())
    return buffer.getvalue()
