"""Keeps the speakers of consecutive parts in order, and the polarity of their estimates.

A model's estimates have no fixed order or polarity. Where two parts overlap, equal speakers
correlate. Where the overlap is silent, or two orders correlate almost as well, the voices decide
(`voices.py`), and the mixture decides the polarity: a speaker adds to it.
"""

import operator
from collections.abc import Callable

import torch
from torch import Tensor

from tisdiss.level import Levels
from tisdiss.losses import permutations
from tisdiss.voices import Voice, difference, voices

Order = Callable[[Tensor | None, Tensor, Tensor], Tensor]
"""(end of the estimates before, estimates, mixture) -> the estimates, in order and polarity.

The end is (n_src, overlap) and covers the first samples of the estimates (n_src, samples); it is
None for the first part. The mixture is (samples,).
"""
CLEAR = 0.5
"""The overlap decides if its best order is better than any other by this share of its energy."""
SILENT = 1e-3
"""A signal is silent where its power is below this share of its mean power: by 30 dB."""


def by_overlap(before: Tensor | None, estimates: Tensor, mixture: Tensor) -> Tensor:
    """The order and the polarity that correlate best with the part before."""
    if before is None:
        return estimates
    correlation = before @ estimates[:, : before.shape[-1]].T
    order, _ = _best(correlation.abs())
    sign = torch.where(correlation.gather(1, order[:, None]) < 0, -1.0, 1.0)
    return sign * estimates[order]


class ByVoices:
    """The order of the overlap where that is clear, else that of the voices so far."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self.known: list[Voice] = []
        """Of each speaker, over all parts so far."""

    def __call__(self, before: Tensor | None, estimates: Tensor, mixture: Tensor) -> Tensor:
        """As `Order`."""
        found = voices(estimates, self.rate)
        order = self._order(before, estimates, found)
        found, estimates = [found[j] for j in order], estimates[order]
        self.known = list(map(operator.add, self.known, found)) if self.known else found
        return _polarity(before, estimates, mixture)[:, None] * estimates

    def _order(self, before: Tensor | None, estimates: Tensor, found: list[Voice]) -> Tensor:
        if before is None:
            return torch.arange(len(estimates))
        after = estimates[:, : before.shape[-1]]
        energy = (before.square().sum() + after.square().sum()) / 2
        by_overlap, margin = _best((before @ after.T).abs())
        silent = energy <= SILENT * estimates.square().mean() * estimates.shape[0] * after.shape[-1]
        if not silent and margin >= CLEAR * energy:
            return by_overlap
        differences = [[difference(known, voice) for voice in found] for known in self.known]
        by_voices, margin = _best(-torch.tensor(differences))
        return by_voices if margin > 0 else by_overlap


def _best(gain: Tensor) -> tuple[Tensor, float]:
    """The order of the columns of (n_src, n_src) with the largest sum, and its lead."""
    orders = permutations(len(gain))
    sums = gain.double()[torch.arange(len(gain)), orders].sum(-1)
    best, *others = sums.topk(min(2, len(sums))).values.tolist()
    return orders[sums.argmax()], best - max(others, default=-torch.inf)


def _polarity(before: Tensor | None, estimates: Tensor, mixture: Tensor) -> Tensor:
    """(n_src,): signs that continue the part before where it is clear, else add to the mixture."""
    levels = Levels(len(estimates))
    levels.add(mixture, estimates)
    sign = torch.where(levels.factors() < 0, -1.0, 1.0)
    if before is None:
        return sign
    after = estimates[:, : before.shape[-1]]
    product = (before * after).sum(-1)
    clear = product.abs() >= CLEAR * before.norm(dim=-1) * after.norm(dim=-1)
    loud = after.square().mean(-1) > SILENT * estimates.square().mean(-1)
    return torch.where(clear & loud, torch.where(product < 0, -1.0, 1.0), sign)
