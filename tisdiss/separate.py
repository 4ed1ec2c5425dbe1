"""Audio in, one file per speaker out: the depth dial for a practitioner.

What goes in at any rate and channel count comes out mono at the rate it came in. A long file is
separated in overlapping parts (`stitch.py`), so that memory does not grow with its length.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from tisdiss.dial import Dial
from tisdiss.model import TISDiSS
from tisdiss.progress import Progress, silent
from tisdiss.stitch import n_parts, stitched
from tisdiss.wave import read_wave, resample, write_wav

PART_SECONDS = 60.0
"""Files up to this length are separated in one pass, longer ones in such parts."""
OVERLAP_SECONDS = 4.0
"""What two parts share, to tell which estimate goes on as which."""


@dataclass(frozen=True)
class Separated:
    """What `separate_file` wrote, and how deep the model went."""

    files: tuple[Path, ...]
    n_re: int
    """The deepest N_re of its parts."""
    seconds: float
    """Length of the audio."""
    took: float
    """Seconds of work, without reading and writing."""


def separate(
    model: TISDiSS,
    mixture: Tensor,
    rate: int,
    n_re: int | None = None,
    *,
    part_seconds: float = PART_SECONDS,
) -> Tensor:
    """Estimates (n_src, samples) of a mixture (samples,), at the mixture's own rate.

    `n_re` is the depth; the trained one where None. Estimates are in the scale of the mixture.
    """
    return separate_with(model, mixture, rate, Dial(n_re=n_re), part_seconds=part_seconds)[0]


@torch.inference_mode()
def separate_with(
    model: TISDiSS,
    mixture: Tensor,
    rate: int,
    dial: Dial,
    *,
    part_seconds: float = PART_SECONDS,
    on_part: Progress = silent,
) -> tuple[Tensor, int]:
    """As `separate`, with any setting of the dial; also returns the deepest N_re that ran.

    `on_part` hears how many parts are done, of how many.
    """
    own = model.config.codec.sample_rate
    part = round(part_seconds * own)
    overlap = round(min(OVERLAP_SECONDS, part_seconds / 2) * own)
    whole = resample(mixture, rate, own)
    parts = n_parts(len(whole), part=part, overlap=overlap)
    dial = dial.shared(parts)
    depths: list[int] = []

    def separate_part(wave: Tensor) -> Tensor:
        estimates, n_re = _run(model, wave, dial)
        depths.append(n_re)
        on_part(len(depths), parts)
        return estimates

    estimates = stitched(separate_part, whole, part=part, overlap=overlap)
    back = resample(estimates, own, rate)[:, : len(mixture)]
    return torch.nn.functional.pad(back, (0, len(mixture) - back.shape[1])), max(depths)


def _run(model: TISDiSS, wave: Tensor, dial: Dial) -> tuple[Tensor, int]:
    """Estimates (n_src, samples) of (samples,) at the model's rate; short ones are padded."""
    shortest = model.config.codec.n_fft
    padded = torch.nn.functional.pad(wave, (0, max(0, shortest - len(wave))))
    device = next(model.parameters()).device
    estimates, n_re = dial.run(model, padded.to(device)[None])
    return estimates[0, :, : len(wave)].cpu(), n_re


def check_names(sources: Sequence[Path]) -> None:
    """Refuse files whose outputs would have the same names."""
    names = [Path(source).stem for source in sources]
    for source, name in zip(sources, names, strict=True):
        if names.count(name) > 1:
            raise ValueError(
                f"{source}: {names.count(name)} of the files are called {name!r} and would "
                "overwrite each other's speakers; separate them into different folders (-o)"
            )


def check_folder(folder: Path) -> None:
    """Refuse a folder for results that is, or lies in, a file."""
    for place in (folder, *folder.parents):
        if place.exists() and not place.is_dir():
            raise ValueError(f"{folder}: {place} is a file; name a folder (-o)")


def separate_file(
    model: TISDiSS,
    source: Path,
    folder: Path,
    dial: Dial | None = None,
    on_part: Progress = silent,
) -> Separated:
    """Separate one sound file into `folder`/<name>_speaker1.wav and so on."""
    mixture, rate = read_wave(source)
    began = time.monotonic()
    estimates, n_re = separate_with(model, mixture, rate, dial or Dial(), on_part=on_part)
    took = time.monotonic() - began
    files = tuple(
        folder / f"{Path(source).stem}_speaker{j}.wav" for j in range(1, len(estimates) + 1)
    )
    for file, estimate in zip(files, estimates, strict=True):
        write_wav(file, estimate, rate)
    return Separated(files, n_re, len(mixture) / rate, took)
