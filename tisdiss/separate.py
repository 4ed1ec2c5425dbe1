"""Audio in, one file per speaker out: the depth dial for a practitioner.

Whole files in one pass; what goes in at any rate and channel count comes out mono at the rate it
came in.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from tisdiss.model import TISDiSS
from tisdiss.wave import read_wave, resample, write_wav


@dataclass(frozen=True)
class Separated:
    """What `separate_file` wrote, and how deep the model went."""

    files: tuple[Path, ...]
    n_re: int
    seconds: float
    """Length of the audio."""


@torch.inference_mode()
def separate(model: TISDiSS, mixture: Tensor, rate: int, n_re: int | None = None) -> Tensor:
    """Estimates (n_src, samples) of a mixture (samples,), at the mixture's own rate.

    `n_re` is the depth; the trained one where None. Estimates are in the scale of the mixture.
    """
    own = model.config.codec.sample_rate
    wave = resample(mixture, rate, own)
    shortest = model.config.codec.n_fft
    padded = torch.nn.functional.pad(wave, (0, max(0, shortest - len(wave))))
    device = next(model.parameters()).device
    estimates = model(padded.to(device)[None], n_re=n_re)[0, :, : len(wave)].cpu()
    back = resample(estimates, own, rate)[:, : len(mixture)]
    return torch.nn.functional.pad(back, (0, len(mixture) - back.shape[1]))


def check_names(sources: Sequence[Path]) -> None:
    """Refuse files whose outputs would have the same names."""
    names = [Path(source).stem for source in sources]
    for source, name in zip(sources, names, strict=True):
        if names.count(name) > 1:
            raise ValueError(
                f"{source}: {names.count(name)} of the files are called {name!r} and would "
                "overwrite each other's speakers; separate them into different folders (-o)"
            )


def separate_file(model: TISDiSS, source: Path, folder: Path, n_re: int | None = None) -> Separated:
    """Separate one sound file into `folder`/<name>_speaker1.wav and so on."""
    mixture, rate = read_wave(source)
    estimates = separate(model, mixture, rate, n_re)
    files = tuple(
        folder / f"{Path(source).stem}_speaker{j}.wav" for j in range(1, len(estimates) + 1)
    )
    for file, estimate in zip(files, estimates, strict=True):
        write_wav(file, estimate, rate)
    depth = model.config.check_depth(None, n_re)[1]
    return Separated(files, depth, len(mixture) / rate)
