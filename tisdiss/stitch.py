"""Long signals, separated part by part and put together again, with the memory of two parts.

A model gives its estimates in no particular order and polarity. Two neighbouring parts share some
seconds: there the order of the later part that correlates best with the earlier one is taken, signs
are made equal, and the two are cross-faded. A speaker who is silent in a whole overlap cannot be
followed across it.
"""

import math
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

from tisdiss.losses import pit_loss


def stitched(
    separate: Callable[[Tensor], Tensor], blocks: Iterable[Tensor], *, part: int, overlap: int
) -> Iterator[Tensor]:
    """Estimates (n_src, samples) of a signal of any length, in finished pieces.

    `blocks` are the signal, (samples,) each and of any length. `separate` maps (samples,) to
    (n_src, samples) and is called on parts of `part` samples, each sharing `overlap` with the one
    before it; the last part is moved back to be as long as the others. A signal of up to `part`
    samples is separated whole.
    """
    if not 0 < overlap <= part // 2:
        raise ValueError(
            f"overlap={overlap}, part={part}: parts share at least one sample and at most half of "
            "their length; choose longer parts"
        )
    begin, pending = 0, None
    for start, wave in _parts(blocks, part, overlap):
        estimates = separate(wave)
        if pending is not None:
            done, tail = pending.tensor_split([start - begin], dim=-1)
            yield done
            estimates = _joined(tail, estimates)
        begin, pending = start, estimates
    if pending is not None:
        yield pending


def n_parts(samples: int, *, part: int, overlap: int) -> int:
    """How many parts `stitched` makes of a signal."""
    return 1 + max(0, math.ceil((samples - part) / (part - overlap)))


def _parts(blocks: Iterable[Tensor], part: int, overlap: int) -> Iterator[tuple[int, Tensor]]:
    """The parts of a signal, each with its first sample; of an empty one none."""
    source, step = iter(blocks), part - overlap
    start, held = 0, _at_least(part, torch.empty(0), source)
    if len(held):
        yield start, held[:part]
    while len(held := _at_least(part + step, held, source)) >= part + step:
        start, held = start + step, held[step:]
        yield start, held[:part]
    if len(held) > part:
        yield start + len(held) - part, held[-part:]


def _at_least(samples: int, held: Tensor, source: Iterator[Tensor]) -> Tensor:
    """What is held with as many further blocks as it takes; less at the end of the signal."""
    blocks, length = [held], len(held)
    while length < samples and (block := next(source, None)) is not None:
        blocks.append(block)
        length += len(block)
    return torch.cat(blocks)


def _joined(before: Tensor, after: Tensor) -> Tensor:
    """Both (n_src, samples); the samples of one are the first of the other, and are faded."""
    shared = before.shape[-1]
    alike = before @ after[:, :shared].T
    order = pit_loss(-alike.abs())[1]
    sign = torch.where(alike.gather(1, order[:, None]) < 0, -1.0, 1.0)
    after = sign * after[order]
    fade = torch.linspace(0, 1, shared)
    faded = before + fade * (after[:, :shared] - before)
    return torch.cat([faded, after[:, shared:]], dim=-1)
