"""The training objective: permutation-invariant SI-SNR at several depths (Sec. 2.2, Eq. 1).

Losses are in dB, lower is better, and take (estimates, sources).
"""

import itertools
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from tisdiss.config import LossConfig
from tisdiss.depths import Depth, LossTerm


def pair_losses(estimates: Tensor, sources: Tensor, *, clamp: float) -> Tensor:
    """Negative SI-SNR of every source against every estimate, in dB.

    estimates (..., n_src, samples), sources (batch, n_src, samples) -> (..., source, estimate).
    The squared correlation is clamped to [clamp, 1 - clamp]; outside that range the gradient is
    zero. A silent signal gives the largest loss.
    """
    estimates, sources = _unit(estimates), _unit(sources)
    correlation = (sources @ estimates.transpose(-1, -2)).square()
    correlation = correlation.clamp(clamp, 1 - clamp)
    return 10 * torch.log10((1 - correlation) / correlation)


def pit_loss(pairs: Tensor) -> tuple[Tensor, Tensor]:
    """The mean of (..., source, estimate) pair losses under the best permutation, and that one.

    Returns losses (...) and indices (..., n_src): source j is paired with estimate index[j].
    """
    n_src = pairs.shape[-1]
    orders = permutations(n_src).to(pairs.device)
    rows = torch.arange(n_src, device=pairs.device)
    means = pairs[..., rows, orders].mean(dim=-1)  # ..., permutation
    best, index = means.min(dim=-1)
    return best, orders[index]


def multi_depth_loss(
    estimates: Tensor, sources: Tensor, depths: Sequence[Depth], config: LossConfig
) -> tuple[Tensor, Tensor]:
    """The total loss, and the PIT loss of every depth (Eq. 1).

    estimates (depth, batch, n_src, samples). Each depth and utterance has its own permutation.
    """
    pairs = pair_losses(estimates, sources, clamp=config.clamp)
    by_depth = pit_loss(pairs)[0].mean(dim=-1)
    weights = by_depth.new_tensor(depth_weights(depths, config))
    return (weights * by_depth).sum(), by_depth


def depth_weights(depths: Sequence[Depth], config: LossConfig) -> list[float]:
    """Weight of each depth in the total; the last depth is the `last` term.

    "flat": lambda / number of depths. "eq1": lambda / (K * depths of that term), K terms active.
    """
    terms: list[LossTerm] = [*(depth.stage for depth in depths[:-1]), "last"]
    scale = [config.weights.get(term, 1.0) for term in terms]
    if config.average == "flat":
        return [weight / len(terms) for weight in scale]
    active = len(set(terms))
    return [
        weight / (active * terms.count(term)) for term, weight in zip(terms, scale, strict=True)
    ]


def _unit(signals: Tensor) -> Tensor:
    centred = signals - signals.mean(dim=-1, keepdim=True)
    return centred / torch.linalg.vector_norm(centred, dim=-1, keepdim=True).clamp(min=1e-6)


@lru_cache
@torch.inference_mode(False)  # a training may use the cached tensor of an earlier evaluation
def permutations(n_src: int) -> Tensor:
    """(n_src!, n_src): all orders of the speakers."""
    return torch.tensor(list(itertools.permutations(range(n_src))))
