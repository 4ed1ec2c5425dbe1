"""Long signals, separated part by part and put together again.

A model gives its estimates in no particular order. Two neighbouring parts share some seconds: there
the order of the later part that correlates best with the earlier one is taken, and the two are
cross-faded. A speaker who is silent in a whole overlap cannot be followed across it.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from tisdiss.losses import pit_loss


def stitched(
    separate: Callable[[Tensor], Tensor], wave: Tensor, *, part: int, overlap: int
) -> Tensor:
    """Estimates (n_src, samples) of a wave (samples,) of any length.

    `separate` maps (samples,) to (n_src, samples) and is called on parts of `part` samples, each
    sharing `overlap` with the one before it; the last part is moved back to be as long as the
    others. A wave of up to `part` samples is separated whole.
    """
    if not 0 < overlap <= part // 2:
        raise ValueError(
            f"overlap={overlap}, part={part}: parts share at least one sample and at most half of "
            "their length; choose longer parts"
        )
    whole = separate(wave[:part])
    while whole.shape[-1] < len(wave):
        start = min(whole.shape[-1] - overlap, len(wave) - part)
        whole = _joined(whole, separate(wave[start : start + part]), whole.shape[-1] - start)
    return whole


def n_parts(samples: int, *, part: int, overlap: int) -> int:
    """How many parts `stitched` makes of a wave."""
    return 1 + max(0, math.ceil((samples - part) / (part - overlap)))


def _joined(before: Tensor, after: Tensor, shared: int) -> Tensor:
    """Both (n_src, samples); the last `shared` samples of one are the first of the other."""
    head, old = before.split([before.shape[-1] - shared, shared], dim=-1)
    after = after[_order(after[:, :shared], old)]
    fade = torch.linspace(0, 1, shared)
    return torch.cat([head, old + fade * (after[:, :shared] - old), after[:, shared:]], dim=-1)


def _order(estimates: Tensor, sources: Tensor) -> Tensor:
    """Indices (n_src,) of the estimates that go on as the sources, by summed inner products."""
    return pit_loss(-(sources @ estimates.T))[1]
