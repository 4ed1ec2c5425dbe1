"""Separates a recording from disk to disk, with memory that does not grow with its length.

The mixture and the estimates of `separate.py` go to a temporary folder beside the output as raw
float32. The levels of the speakers (`level.py`), and who speaks when (`activity.py`), are known
only at the end; then the outputs are written, and each is renamed to its name when it is complete.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import soundfile
import torch
from torch import Tensor

from tisdiss.activity import Activity
from tisdiss.dial import Dial
from tisdiss.level import Levels
from tisdiss.machine.progress import Progress, silent
from tisdiss.separate import PART_SECONDS, Parts
from tisdiss.sound.outputs import Source, check_targets, shown, speaker_file
from tisdiss.wave import PEAK, measure, mono_blocks, wav_file
from tisdiss.whole import AnyNet

BLOCK = 2**18
"""Samples that are written at a time."""


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """How to separate a recording."""

    dial: Dial = field(default_factory=Dial)
    channel: int | None = None
    """The channel to separate, from 1; the mean of all if None."""
    peak: bool = False
    """Scale each speaker to peak at 0.9 of full scale."""
    find_speakers: bool = False
    """Mute a speaker who is not active, and write no file for one who is absent."""


@dataclass(frozen=True)
class Separated:
    """The files that were written, the depth, and the time it took."""

    files: tuple[Path, ...]
    speakers: int
    """The number of outputs."""
    n_re: int
    """The largest N_re of all parts."""
    seconds: float
    """Length of the audio."""
    rate: int
    """Sample rate of the audio and the files, in Hz."""
    took: float
    """Seconds of separating; includes the set-up of a process's first pass (see `warm_up`)."""
    lowered_db: float
    """Attenuation of all speakers against clipping, in dB; usually 0."""


def separate_file(
    model: AnyNet,
    source: Path | Source,
    folder: Path,
    wishes: Wishes = Wishes(),
    on_part: Progress = silent,
    *,
    force: bool = False,
) -> Separated:
    """Separate one sound file into `folder`/<name>_speaker1.wav and so on, 16-bit WAV.

    Each speaker is as loud as in the mixture. If a sample would clip, all speakers are attenuated
    equally. With `force`, files of these names are replaced, and those of speakers who are absent
    removed. Raises ValueError for a file that cannot be read to its end, for a folder that cannot
    be written, and for a result that would replace a file without `force`.
    """
    if not isinstance(source, Source):
        source = Source(Path(source), Path(Path(source).stem))
    folder, n_src = Path(folder), model.config.n_src
    check_targets([source], folder, n_src, force=force)
    targets = [speaker_file(source.name, folder, j + 1) for j in range(n_src)]

    def move(outputs: list[Path]) -> tuple[Path, ...]:
        written = targets[: len(outputs)]
        for output, target in zip(outputs, written, strict=True):
            os.replace(output, target)
        for target in targets[len(outputs) :]:
            if force and target.is_file():  # of an earlier run that found more speakers
                target.unlink()
        return tuple(written)

    return _separate(model, source.path, targets[0].parent, wishes, on_part, _one_each, move)


def separate_to_stream(
    model: AnyNet,
    source: Path,
    stream: BinaryIO,
    wishes: Wishes = Wishes(),
    on_part: Progress = silent,
) -> Separated:
    """As `separate_file`, into one 16-bit WAV with a channel per speaker that goes to `stream`.

    Nothing is written to the stream before the whole recording is separated.
    """

    def copy(outputs: list[Path]) -> tuple[Path, ...]:
        with outputs[0].open("rb") as file:
            shutil.copyfileobj(file, stream, 2**20)
        stream.flush()
        return ()

    return _separate(model, source, None, wishes, on_part, _all_in_one, copy)


def _separate(
    model: AnyNet,
    source: Path,
    folder: Path | None,
    wishes: Wishes,
    on_part: Progress,
    write: "Writer",
    deliver: Callable[[list[Path]], tuple[Path, ...]],
) -> Separated:
    samples, rate = measure(source, wishes.channel)
    parts = Parts(model, rate, wishes.dial, samples, PART_SECONDS, on_part)
    start = time.monotonic()
    try:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".separating-") as temporary:
            raw = _Raw(Path(temporary), model.config.n_src)
            raw.fill(parts, mono_blocks(source, wishes.channel))
            took = time.monotonic() - start
            outputs = _Outputs(raw, rate, find_speakers=wishes.find_speakers)
            peaks = outputs.peaks()
            fit = 1 / max([1.0, *peaks.tolist()])
            scale = torch.full_like(peaks, fit)
            if wishes.peak:
                scale, fit = torch.where(peaks > 0, PEAK / peaks, 0.0), 1.0
            scaled = (scale[:, None] * block for block in outputs.blocks())
            files = deliver(write(scaled, Path(temporary), rate, len(peaks), samples))
    except (OSError, soundfile.SoundFileRuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        place = shown(folder) if folder is not None else "output"
        raise ValueError(f"{place}: cannot be written: {reason}") from error
    lowered = -20 * torch.log10(torch.tensor(fit)).item()
    return Separated(files, len(peaks), parts.n_re, samples / rate, rate, took, lowered)


class _Raw:
    """The mixture and the estimates of a recording as raw float32 files."""

    def __init__(self, folder: Path, n_src: int) -> None:
        self.mixture = folder / "mixture.raw"
        self.estimates = [folder / f"{j}.raw" for j in range(n_src)]

    @torch.inference_mode()
    def fill(self, parts: Parts, blocks: Iterable[Tensor]) -> None:
        with ExitStack() as stack:
            copy = stack.enter_context(self.mixture.open("wb"))
            files = [stack.enter_context(path.open("wb")) for path in self.estimates]
            for piece in parts.of(_copied(blocks, copy)):
                for file, estimate in zip(files, piece, strict=True):
                    file.write(estimate.contiguous().numpy().tobytes())

    def blocks(self) -> Iterator[tuple[Tensor, Tensor]]:
        """(mixture (samples,), estimates (n_src, samples)), at the level of the model's output."""
        with ExitStack() as stack:
            files = [stack.enter_context(p.open("rb")) for p in (self.mixture, *self.estimates)]
            while len((rows := [_read(file) for file in files])[0]):
                yield rows[0], torch.stack(rows[1:])


class _Outputs:
    """The outputs of a recording, at the level that each speaker has in it."""

    def __init__(self, raw: _Raw, rate: int, *, find_speakers: bool) -> None:
        n_src = len(raw.estimates)
        levels, activity = Levels(n_src), Activity(n_src, rate)
        for mixture, estimates in raw.blocks():
            levels.add(mixture, estimates)
            if find_speakers:
                activity.add(mixture, estimates)
        self.raw, self.factors = raw, levels.factors()
        self.speakers = activity.speakers(self.factors) if find_speakers else None

    def blocks(self) -> Iterator[Tensor]:
        """(n_outputs, samples)"""
        start = 0
        for mixture, estimates in self.raw.blocks():
            scaled = self.factors[:, None] * estimates
            if self.speakers is not None:
                scaled = self.speakers.outputs(mixture, scaled, start)
            start += len(mixture)
            yield scaled

    def peaks(self) -> Tensor:
        """(n_outputs,)"""
        peaks: Tensor | None = None
        for block in self.blocks():
            highest = block.abs().amax(dim=1)
            peaks = highest if peaks is None else torch.maximum(peaks, highest)
        assert peaks is not None, "a recording has samples"
        return peaks


def _copied(blocks: Iterable[Tensor], copy: BinaryIO) -> Iterator[Tensor]:
    for block in blocks:
        copy.write(block.numpy().tobytes())
        yield block


def _read(file: BinaryIO) -> Tensor:
    data = file.read(4 * BLOCK)
    return torch.frombuffer(bytearray(data), dtype=torch.float32) if data else torch.empty(0)


Writer = Callable[[Iterable[Tensor], Path, int, int, int], list[Path]]
"""Writes blocks (n_src, samples) into a folder at a rate; also gets n_src and all samples."""


def _one_each(
    blocks: Iterable[Tensor], folder: Path, rate: int, n_src: int, samples: int
) -> list[Path]:
    paths = [folder / f"{j}.wav" for j in range(n_src)]
    with ExitStack() as stack:
        files = [stack.enter_context(wav_file(path, rate, samples=samples)) for path in paths]
        for block in blocks:
            for file, estimate in zip(files, block, strict=True):
                file.write(estimate.numpy())
    return paths


def _all_in_one(
    blocks: Iterable[Tensor], folder: Path, rate: int, n_src: int, samples: int
) -> list[Path]:
    path = folder / "all.wav"
    if not n_src:
        raise ValueError("no speaker is active; there is nothing to write")
    with wav_file(path, rate, channels=n_src, samples=samples) as file:
        for block in blocks:
            file.write(block.T.numpy())
    return [path]
