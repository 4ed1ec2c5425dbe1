"""Scores in dB, higher is better, in float64; arguments are (estimates, sources[, mixture])."""

import torch
from torch import Tensor

from tisdiss.losses import pit_loss

FILTER_TAPS = 512
"""Length of the distortion filter that SDR forgives (BSS-eval v3)."""


def si_snr(estimates: Tensor, sources: Tensor) -> Tensor:
    """Scale-invariant signal-to-noise ratio of each estimate, in dB.

    Both are (..., samples) and already in the same source order (see `best_permutation`).
    Returns (...). Means are removed; rescaling an estimate changes nothing. A silent source has no
    defined value: NaN, so that an average cannot hide it. A silent estimate gives -inf, a perfect
    one +inf.

    Le Roux et al., "SDR - half-baked or well done?", ICASSP 2019.
    """
    estimates, sources = _centred(estimates), _centred(sources)
    energy = sources.square().sum(-1, keepdim=True)
    target = (estimates * sources).sum(-1, keepdim=True) / energy * sources
    noise = estimates - target
    ratio = target.square().sum(-1) / noise.square().sum(-1)
    silent = estimates.square().sum(-1) == 0
    ratio = torch.where(silent & (energy.squeeze(-1) > 0), torch.zeros_like(ratio), ratio)
    return 10 * torch.log10(ratio)


def best_permutation(estimates: Tensor, sources: Tensor) -> Tensor:
    """Indices (batch, n_src): source j is best matched by estimate index[j], by mean SI-SNR.

    Both are (batch, n_src, samples). Undefined pairs count as very bad.
    """
    pairs = -si_snr(estimates.unsqueeze(-3), sources.unsqueeze(-2))  # batch, source, estimate
    return pit_loss(pairs.nan_to_num(nan=1e4, posinf=1e4, neginf=-1e4))[1]


def reorder(estimates: Tensor, order: Tensor) -> Tensor:
    """Estimates (batch, n_src, samples) put into the order of the sources."""
    return estimates.gather(-2, order.unsqueeze(-1).expand_as(estimates))


def sdr(estimates: Tensor, sources: Tensor) -> Tensor:
    """Signal-to-distortion ratio of BSS-eval v3 (512-tap filter), in dB.

    Both are (..., samples) in the same source order; returns (...). A silent source gives NaN, a
    silent estimate -inf. Values above about 100 dB are rounding.

    Vincent et al., "Performance measurement in blind audio source separation", 2006.
    """
    from torchmetrics.functional.audio import signal_distortion_ratio

    estimates, sources = estimates.double(), sources.double()
    value = signal_distortion_ratio(estimates, sources, filter_length=FILTER_TAPS, zero_mean=False)
    silent_source = sources.square().sum(-1) == 0
    silent_estimate = estimates.square().sum(-1) == 0
    value = torch.where(silent_estimate, torch.full_like(value, -torch.inf), value)
    perfect = value.isnan() & ~silent_source
    value = torch.where(perfect, torch.full_like(value, torch.inf), value)
    return torch.where(silent_source, torch.full_like(value, torch.nan), value)


def improvements(estimates: Tensor, sources: Tensor, mixture: Tensor) -> dict[str, Tensor]:
    """All scores of (batch, n_src, samples) estimates, each (batch, n_src) in dB.

    The permutation is fixed by SI-SNR and used for SDR too. "si_snri" and "sdri" are the gain over
    the unprocessed mixture (batch, samples) taken as every estimate.
    """
    ordered = reorder(estimates, best_permutation(estimates, sources))
    unprocessed = mixture.unsqueeze(-2).expand_as(sources)
    base = {"si_snr": si_snr(unprocessed, sources), "sdr": sdr(unprocessed, sources)}
    scores = {"si_snr": si_snr(ordered, sources), "sdr": sdr(ordered, sources)}
    return scores | {
        "si_snri": scores["si_snr"] - base["si_snr"],
        "sdri": scores["sdr"] - base["sdr"],
        "mixture_si_snr": base["si_snr"],
        "mixture_sdr": base["sdr"],
    }


def _centred(signals: Tensor) -> Tensor:
    signals = signals.double()
    return signals - signals.mean(dim=-1, keepdim=True)
