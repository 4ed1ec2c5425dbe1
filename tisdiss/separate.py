"""Separates mixtures into one signal per speaker, at any depth of the dial.

The mixture has any rate and channel count. The estimates are mono, at its rate and at the level
that each speaker has in it (`level.py`). A long mixture is separated in overlapping parts
(`stitch.py`). `recordings.py` does this from file to file.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from tisdiss.activity import heard
from tisdiss.dial import Dial
from tisdiss.level import in_level
from tisdiss.machine.progress import Progress, silent
from tisdiss.order import ByVoices, by_overlap
from tisdiss.stitch import n_parts, stitched
from tisdiss.wave import as_mono, resample
from tisdiss.whole import AnyNet

PART_SECONDS = 60.0
"""Audio up to this length is separated whole, longer audio in parts of this length."""
OVERLAP_SECONDS = 4.0
"""Overlap of two parts, in which their estimates are matched."""
WARM_SECONDS = 0.5


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
    find_speakers: bool = False,
    part_seconds: float = PART_SECONDS,
    on_part: Progress = silent,
) -> tuple[Tensor, int]:
    """As `separate`, with any setting of the dial; also returns the largest N_re that ran.

    `find_speakers` returns only the speakers who are there (`activity.heard`). `on_part` is called
    after each part with the number of parts done and of all parts.
    """
    wave = as_mono(mixture, rate)
    parts = Parts(model, rate, dial, len(wave), part_seconds, on_part)
    estimates = in_level(wave, torch.cat(list(parts.of([wave])), dim=-1))
    return heard(wave, estimates, rate) if find_speakers else estimates, parts.n_re


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


class Parts:
    """Separates a signal of `samples` at `rate` (Hz) part by part."""

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
        order = ByVoices(self.rate) if self.count > 1 else by_overlap
        return stitched(self._separated, blocks, part=self.part, overlap=self.overlap, order=order)

    def _separated(self, wave: Tensor) -> Tensor:
        model_rate = self.model.config.sample_rate
        batch = _as_batch(self.model, resample(wave, self.rate, model_rate))
        output, n_re = self.dial.run(self.model, batch)
        self.dial = self.dial.later(n_re)
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
