"""Separates recordings into one signal or file per speaker, at any depth of the dial.

The input has any rate and channel count. The estimates are mono, at the input's rate and at the
level that each speaker has in the mixture (`level.py`). A long file is read, separated and written
in overlapping parts (`stitch.py`), so that memory does not grow with its length.
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
from tisdiss.sound.outputs import check_targets, speaker_file
from tisdiss.stitch import n_parts, stitched
from tisdiss.wave import PEAK, as_mono, measure, mono_blocks, resample, wav_file
from tisdiss.whole import AnyNet

PART_SECONDS = 60.0
"""Audio up to this length is separated whole, longer audio in parts of this length."""
OVERLAP_SECONDS = 4.0
"""Overlap of two parts, in which their estimates are matched."""
WARM_SECONDS = 0.5


@dataclass(frozen=True)
class Separated:
    """The files that `separate_file` wrote, the depth, and the time it took."""

    files: tuple[Path, ...]
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


def rate_note(rate: int, model: AnyNet) -> str:
    """What the model's sample rate means for audio at `rate` (Hz); "" if they are equal."""
    model_rate = model.config.sample_rate
    works = f"the model works at {model_rate} Hz"
    if rate > model_rate:
        return f"{works}: estimates have nothing above {model_rate / 2:g} Hz"
    if rate < model_rate:
        return f"{works}: audio at {rate} Hz has nothing above {rate / 2:g} Hz for it"
    return ""


def separate(
    model: AnyNet,
    mixture: Any,
    rate: int,
    n_re: int | None = None,
    *,
    part_seconds: float = PART_SECONDS,
) -> Tensor:
    """Estimates (n_src, samples) of a mixture, at its rate in Hz and at their level in it.

    `mixture` is a tensor or an array, (samples,) or with up to 32 channels, which are averaged; the
    range of an integer type is full scale. `n_re` is the depth, the trained one if None. Raises
    ValueError for a mixture that is empty, not finite or of another shape.
    """
    return separate_with(model, mixture, rate, Dial(n_re=n_re), part_seconds=part_seconds)[0]


@torch.inference_mode()
def separate_with(
    model: AnyNet,
    mixture: Any,
    rate: int,
    dial: Dial,
    *,
    part_seconds: float = PART_SECONDS,
    on_part: Progress = silent,
) -> tuple[Tensor, int]:
    """As `separate`, with any setting of the dial; also returns the largest N_re that ran.

    `on_part` is called after each part with the number of parts done and of all parts.
    """
    wave = as_mono(mixture, rate)
    parts = _Parts(model, rate, dial, len(wave), part_seconds, on_part)
    estimates = torch.cat(list(parts.of([wave])), dim=-1)
    return in_level(wave, estimates), parts.n_re


@torch.inference_mode()
def separate_depths(
    model: AnyNet, mixture: Any, rate: int, n_re: Sequence[int], n_sep: int | None = None
) -> Iterator[tuple[int, Tensor]]:
    """(N_re, estimates) at each depth of `n_re` (ascending) from one pass, as soon as it is ready.

    Mixture, rate and estimates are those of `separate`; the mixture is not cut into parts.
    """
    wave = as_mono(mixture, rate)
    model_rate = model.config.sample_rate
    batch = _as_batch(model, resample(wave, rate, model_rate))
    for depth, output in zip(n_re, model.repetitions(batch, n_re, n_sep=n_sep), strict=True):
        yield depth, in_level(wave, _back(output[0], model_rate, rate, len(wave)))


class _Parts:
    """Separates a signal of `samples` at `rate` part by part."""

    def __init__(
        self,
        model: AnyNet,
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
        """Pieces (n_src, samples) of the estimates, at the level of the model's output."""
        return stitched(self._separated, blocks, part=self.part, overlap=self.overlap)

    def _separated(self, wave: Tensor) -> Tensor:
        model_rate = self.model.config.sample_rate
        batch = _as_batch(self.model, resample(wave, self.rate, model_rate))
        output, n_re = self.dial.run(self.model, batch)
        self.n_re, self.done = max(self.n_re, n_re), self.done + 1
        self.on_part(self.done, self.count)
        return _back(output[0], model_rate, self.rate, len(wave))


def _as_batch(model: AnyNet, wave: Tensor) -> Tensor:
    """(1, samples) on the model's device; a short wave is padded with silence."""
    padded = torch.nn.functional.pad(wave, (0, max(0, model.config.least_samples - len(wave))))
    return padded.to(next(model.parameters()).device)[None]


def _back(estimates: Tensor, model_rate: int, rate: int, samples: int) -> Tensor:
    """(n_src, samples) at the mixture's rate and length."""
    back = resample(estimates.cpu(), model_rate, rate)[:, :samples]
    return torch.nn.functional.pad(back, (0, samples - back.shape[1]))


@torch.inference_mode()
def warm_up(model: AnyNet) -> None:
    """Run once on noise, because a process's first pass also loads libraries and sets up memory."""
    rate = model.config.sample_rate
    noise = torch.randn(2 * round(WARM_SECONDS * rate))
    model(_as_batch(model, resample(noise, 2 * rate, rate)))


@torch.inference_mode()
def separate_file(
    model: AnyNet,
    source: Path,
    folder: Path,
    dial: Dial | None = None,
    on_part: Progress = silent,
    *,
    peak: bool = False,
    force: bool = False,
) -> Separated:
    """Separate one sound file into `folder`/<name>_speaker1.wav and so on, 16-bit WAV.

    Each speaker is as loud as in the mixture; with `peak` each file peaks at 0.9 of full scale. If
    a sample would clip, all speakers are attenuated equally. Raises ValueError for a file that
    cannot be read to its end, and for a result that would replace a file without `force`.
    """
    source, folder = Path(source), Path(folder)
    n_src = model.config.n_src
    check_targets([source], folder, n_src, force=force)
    samples, rate = measure(source)
    parts = _Parts(model, rate, dial or Dial(), samples, PART_SECONDS, on_part)
    start = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".separating-") as temporary:
        raw = [Path(temporary, f"{j}.raw") for j in range(n_src)]
        blocks, mixture = tee(mono_blocks(source))
        levels = _collected(parts.of(blocks), mixture, raw, n_src)
        took = time.monotonic() - start
        factors = levels.peak_factors(PEAK) if peak else levels.factors()
        fit = levels.fitting(factors)
        files = []
        for j, factor in enumerate((fit * factors).tolist()):
            wav = Path(temporary, f"{j}.wav")
            with wav_file(wav, rate) as file:
                for block in _raw_blocks(raw[j]):
                    file.write((factor * block).numpy())
            files.append(speaker_file(source, folder, j + 1))
            os.replace(wav, files[-1])
    lowered = -20 * torch.log10(torch.tensor(fit)).item()
    return Separated(tuple(files), parts.n_re, samples / rate, rate, took, lowered)


def _collected(
    pieces: Iterable[Tensor], mixture: Iterable[Tensor], raw: Sequence[Path], n_src: int
) -> Levels:
    """Write the pieces as raw float32, one file per speaker; returns what sets their levels."""
    levels, buffer = Levels(n_src), torch.empty(0)
    blocks = iter(mixture)
    files = [path.open("wb") for path in raw]
    try:
        for piece in pieces:
            while len(buffer) < piece.shape[-1]:
                buffer = torch.cat([buffer, next(blocks)])
            levels.add(buffer[: piece.shape[-1]], piece)
            buffer = buffer[piece.shape[-1] :]
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
