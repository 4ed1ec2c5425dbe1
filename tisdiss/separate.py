"""Audio in, one file per speaker out: the depth dial for a practitioner.

What goes in at any rate and channel count comes out mono, at the rate it came in and at the level
that each speaker has in the mixture (`level.py`). A long file is read, separated and written in
overlapping parts (`stitch.py`), so that memory does not grow with its length.
"""

import os
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import tee
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tisdiss.dial import Dial
from tisdiss.level import Levels, in_level
from tisdiss.machine.progress import Progress, silent
from tisdiss.model import TISDiSS
from tisdiss.sound.outputs import check_targets, speaker_file
from tisdiss.stitch import n_parts, stitched
from tisdiss.wave import PEAK, as_mono, measure, mono_blocks, resample, wav_file

PART_SECONDS = 60.0
"""Files up to this length are separated in one pass, longer ones in such parts."""
OVERLAP_SECONDS = 4.0
"""What two parts share, to tell which estimate goes on as which."""
WARM_SECONDS = 0.5


@dataclass(frozen=True)
class Separated:
    """What `separate_file` wrote, and how deep the model went."""

    files: tuple[Path, ...]
    n_re: int
    """The deepest N_re of its parts."""
    seconds: float
    """Length of the audio."""
    rate: int
    """Of the files, in Hz: that of the audio."""
    took: float
    """Seconds of separating, without what the first pass of a process sets up."""
    lowered_db: float
    """By how much all speakers were lowered, in dB, so that no sample clips; 0 as a rule."""


def rate_note(rate: int, model: TISDiSS) -> str:
    """What the model's own rate means for audio of `rate` (Hz); "" where they are equal."""
    own = model.config.codec.sample_rate
    if rate > own:
        return f"the model works at {own} Hz: nothing above {own / 2:g} Hz is kept of {rate} Hz"
    if rate < own:
        return f"the model works at {own} Hz: {rate} Hz lack what it knows above {rate / 2:g} Hz"
    return ""


def separate(
    model: TISDiSS,
    mixture: Any,
    rate: int,
    n_re: int | None = None,
    *,
    part_seconds: float = PART_SECONDS,
) -> Tensor:
    """Estimates (n_src, samples) of a mixture, at its rate in Hz and at their level in it.

    `mixture` is a tensor or an array, (samples,) or with a few channels, of which the mean is
    taken; integers count as full scale at the end of their range. `n_re` is the depth; the trained
    one where None. ValueError for what is empty, not finite or of another shape.
    """
    return separate_with(model, mixture, rate, Dial(n_re=n_re), part_seconds=part_seconds)[0]


@torch.inference_mode()
def separate_with(
    model: TISDiSS,
    mixture: Any,
    rate: int,
    dial: Dial,
    *,
    part_seconds: float = PART_SECONDS,
    on_part: Progress = silent,
) -> tuple[Tensor, int]:
    """As `separate`, with any setting of the dial; also returns the deepest N_re that ran.

    `on_part` hears how many parts are done, of how many.
    """
    wave = as_mono(mixture, rate)
    parts = _Parts(model, rate, dial, len(wave), part_seconds, on_part)
    estimates = torch.cat(list(parts.of([wave])), dim=-1)
    return in_level(wave, estimates), parts.n_re


@torch.inference_mode()
def separate_depths(
    model: TISDiSS, mixture: Any, rate: int, n_re: Sequence[int]
) -> Iterator[tuple[int, Tensor]]:
    """(N_re, estimates) at each ascending depth, out of one pass and as soon as each is ready.

    Mixture, rate and estimates as of `separate`; the mixture is separated in one part.
    """
    wave = as_mono(mixture, rate)
    own = model.config.codec.sample_rate
    inner = _as_batch(model, resample(wave, rate, own))
    for depth, output in zip(n_re, model.repetitions(inner, n_re), strict=True):
        yield depth, in_level(wave, _back(output[0], own, rate, len(wave)))


class _Parts:
    """A signal of `samples` at `rate`, separated part by part."""

    def __init__(
        self,
        model: TISDiSS,
        rate: int,
        dial: Dial,
        samples: int,
        part_seconds: float,
        on_part: Progress,
    ) -> None:
        self.model, self.rate, self.on_part = model, rate, on_part
        self.part = round(part_seconds * rate)
        self.overlap = round(min(OVERLAP_SECONDS, part_seconds / 2) * rate)
        self.count = n_parts(samples, part=self.part, overlap=self.overlap)
        self.dial = dial.shared(self.count)
        self.n_re, self.done = 0, 0

    def of(self, blocks: Iterable[Tensor]) -> Iterator[Tensor]:
        """Pieces (n_src, samples) of the estimates, in the model's own level."""
        return stitched(self._separated, blocks, part=self.part, overlap=self.overlap)

    def _separated(self, wave: Tensor) -> Tensor:
        own = self.model.config.codec.sample_rate
        inner = resample(wave, self.rate, own)
        output, n_re = self.dial.run(self.model, _as_batch(self.model, inner))
        self.n_re, self.done = max(self.n_re, n_re), self.done + 1
        self.on_part(self.done, self.count)
        return _back(output[0], own, self.rate, len(wave))


def _as_batch(model: TISDiSS, wave: Tensor) -> Tensor:
    """(1, samples) on the model's device; a short wave is padded."""
    padded = torch.nn.functional.pad(wave, (0, max(0, model.config.codec.n_fft - len(wave))))
    return padded.to(next(model.parameters()).device)[None]


def _back(estimates: Tensor, own: int, rate: int, samples: int) -> Tensor:
    """(n_src, samples) at the mixture's rate and length."""
    back = resample(estimates.cpu(), own, rate)[:, :samples]
    return torch.nn.functional.pad(back, (0, samples - back.shape[1]))


@torch.inference_mode()
def warm_up(model: TISDiSS) -> None:
    """Run once on noise: the first pass of a process loads libraries and lays out memory."""
    rate = model.config.codec.sample_rate
    noise = torch.randn(2 * round(WARM_SECONDS * rate))
    model(_as_batch(model, resample(noise, 2 * rate, rate)))


@torch.inference_mode()
def separate_file(
    model: TISDiSS,
    source: Path,
    folder: Path,
    dial: Dial | None = None,
    on_part: Progress = silent,
    *,
    peak: bool = False,
    force: bool = False,
) -> Separated:
    """Separate one sound file into `folder`/<name>_speaker1.wav and so on, 16-bit WAV.

    Each speaker is as loud as in the mixture; with `peak` each file has its peak at 0.9 of full
    scale. Where a sample would clip, all speakers are lowered alike. ValueError for a file that
    cannot be read to its end, and where a result would replace a file without `force`.
    """
    source, folder = Path(source), Path(folder)
    n_src = model.config.n_src
    check_targets([source], folder, n_src, force=force)
    samples, rate = measure(source)
    parts = _Parts(model, rate, dial or Dial(), samples, PART_SECONDS, on_part)
    began = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".separating-") as aside:
        raw = [Path(aside, f"{j}.raw") for j in range(n_src)]
        heard, mixture = tee(mono_blocks(source))
        levels = _collected(parts.of(heard), mixture, raw, n_src)
        took = time.monotonic() - began
        factors = levels.peak_factors(PEAK) if peak else levels.factors()
        fit = levels.fitting(factors)
        files = []
        for j, factor in enumerate((fit * factors).tolist()):
            written = Path(aside, f"{j}.wav")
            with wav_file(written, rate) as file:
                for block in _raw_blocks(raw[j]):
                    file.write((factor * block).numpy())
            files.append(speaker_file(source, folder, j + 1))
            os.replace(written, files[-1])
    lowered = -20 * torch.log10(torch.tensor(fit)).item()
    return Separated(tuple(files), parts.n_re, samples / rate, rate, took, lowered)


def _collected(
    pieces: Iterable[Tensor], mixture: Iterable[Tensor], raw: Sequence[Path], n_src: int
) -> Levels:
    """Write the pieces as raw float32, a file per speaker; returns what decides their levels."""
    levels, heard = Levels(n_src), torch.empty(0)
    blocks = iter(mixture)
    files = [path.open("wb") for path in raw]
    try:
        for piece in pieces:
            while len(heard) < piece.shape[-1]:
                heard = torch.cat([heard, next(blocks)])
            levels.add(heard[: piece.shape[-1]], piece)
            heard = heard[piece.shape[-1] :]
            for file, estimate in zip(files, piece, strict=True):
                file.write(estimate.contiguous().numpy().tobytes())
    finally:
        for file in files:
            file.close()
    return levels


def _raw_blocks(path: Path, samples: int = 2**18) -> Iterator[Tensor]:
    with path.open("rb") as file:
        while data := file.read(4 * samples):
            yield torch.frombuffer(bytearray(data), dtype=torch.float32)
