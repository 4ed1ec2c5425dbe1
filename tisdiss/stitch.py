"""Separates a long signal in overlapping parts and joins them, with the memory of two parts.

The estimates of each part are put in the order and polarity of the part before (`order.py`), and
the two are cross-faded.
"""

import math
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

from tisdiss.order import Order, by_overlap


def stitched(
    separate: Callable[[Tensor], Tensor],
    blocks: Iterable[Tensor],
    *,
    part: int,
    overlap: int,
    order: Order = by_overlap,
) -> Iterator[Tensor]:
    """Estimates of a signal of any length, in pieces (n_src, samples) that follow one another.

    `blocks` make up the signal, (samples,) each and of any length. `separate` maps (samples,) to
    (n_src, samples) and is called on parts of `part` samples. Each part shares `overlap` samples
    with the one before it, the last one more if that makes it as long as the others. A signal of up
    to `part` samples is separated whole. Raises ValueError for an overlap that does not fit.
    """
    if not 0 < overlap <= part // 2:
        raise ValueError(
            f"overlap={overlap}, part={part}: parts must share at least one sample and at most "
            "half of their length; use longer parts"
        )
    begin = 0
    previous: Tensor | None = None
    for start, wave in _parts(blocks, part, overlap):
        estimates = separate(wave)
        if previous is None:
            previous = order(None, estimates, wave)
        else:
            head, tail = previous.tensor_split([start - begin], dim=-1)
            yield head
            previous = _joined(tail, order(tail, estimates, wave))
        begin = start
    if previous is not None:
        yield previous


def n_parts(samples: int, *, part: int, overlap: int) -> int:
    """How many parts `stitched` makes of a signal."""
    return 1 + max(0, math.ceil((samples - part) / (part - overlap)))


def _parts(blocks: Iterable[Tensor], part: int, overlap: int) -> Iterator[tuple[int, Tensor]]:
    """(index of the first sample, part) for each part of a signal; none for an empty one."""
    source, step = iter(blocks), part - overlap
    start, buffer = 0, _at_least(part, torch.empty(0), source)
    if len(buffer):
        yield start, buffer[:part]
    while len(buffer := _at_least(part + step, buffer, source)) >= part + step:
        start, buffer = start + step, buffer[step:]
        yield start, buffer[:part]
    if len(buffer) > part:
        yield start + len(buffer) - part, buffer[-part:]


def _at_least(samples: int, buffer: Tensor, source: Iterator[Tensor]) -> Tensor:
    """`buffer`, extended by blocks to at least `samples`; shorter at the end of the signal."""
    blocks, length = [buffer], len(buffer)
    while length < samples and (block := next(source, None)) is not None:
        blocks.append(block)
        length += len(block)
    return torch.cat(blocks)


def _joined(before: Tensor, after: Tensor) -> Tensor:
    """Cross-fade two (n_src, samples); `before` covers the first samples of `after`."""
    overlap = before.shape[-1]
    fade = torch.linspace(0, 1, overlap)
    crossfade = before + fade * (after[:, :overlap] - before)
    return torch.cat([crossfade, after[:, overlap:]], dim=-1)
