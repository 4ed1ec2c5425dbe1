"""Scores in dB, higher is better, in float64; arguments are (estimates, sources[, mixture])."""

import torch
import torch.nn.functional as F
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

    Sources are (..., samples), estimates the same, in the same source order, or with further axes
    before, such as depths: what depends on the sources alone is then computed once. Returns the
    estimates' (...). A silent source, and a sample that is not finite, give NaN, a silent estimate
    -inf. Values above about 100 dB are rounding, up to +inf for a perfect estimate.

    The values are those of torchmetrics and mir_eval, which do not share the sources' part.
    Vincent et al., "Performance measurement in blind audio source separation", 2006.
    """
    estimates, sources = _at_full_scale(estimates), _at_full_scale(sources)
    sound = sources.isfinite().all(-1, keepdim=True) & (sources != 0).any(-1, keepdim=True)
    whole = estimates.isfinite().all(-1, keepdim=True)
    explained = _explained(torch.where(whole, estimates, 0.0), torch.where(sound, sources, 1.0))
    value = 10 * torch.log10(explained / (1 - explained))
    value = torch.where(value.isnan(), torch.inf, value)  # rounding took the share above 1
    return torch.where((whole & sound).squeeze(-1), value, torch.nan)


def _explained(estimates: Tensor, sources: Tensor) -> Tensor:
    """Share of each estimate's energy that the best filter of its source accounts for.

    With R the source's autocorrelation matrix and c its correlation with the estimate, both at
    unit energy: c R^-1 c.
    """
    estimates, sources = (F.normalize(signals, dim=-1) for signals in (estimates, sources))
    size = 1 << (sources.shape[-1] + FILTER_TAPS - 1).bit_length()  # no lag asked for wraps around
    spectrum = torch.fft.rfft(sources, size)
    own = torch.fft.irfft(spectrum.abs().square(), size)[..., :FILTER_TAPS]
    cross = torch.fft.irfft(spectrum.conj() * torch.fft.rfft(estimates, size), size)
    cross = cross[..., :FILTER_TAPS].reshape(-1, *own.shape).movedim(0, -1)  # ..., lag, estimate
    lag = torch.arange(FILTER_TAPS, device=own.device)
    solved = torch.linalg.solve(own[..., (lag[:, None] - lag).abs()], cross)
    return (cross * solved).sum(-2).movedim(-1, 0).reshape(estimates.shape[:-1])


def improvements(estimates: Tensor, sources: Tensor, mixture: Tensor) -> dict[str, Tensor]:
    """All scores of (batch, n_src, samples) estimates, each (batch, n_src) in dB.

    Estimates may have a first axis of depths, which the scores then have too: a depth more costs
    next to nothing. The permutation is fixed by SI-SNR, depth by depth, and used for SDR too.
    "si_snri" and "sdri" are the gain over the unprocessed mixture (batch, samples) taken as every
    estimate.
    """
    ordered = reorder(estimates, best_permutation(estimates, sources))
    unprocessed = mixture.unsqueeze(-2).expand_as(sources)
    signals = torch.cat([ordered.reshape(-1, *sources.shape), unprocessed[None]])
    scores = {"si_snr": si_snr(signals, sources), "sdr": sdr(signals, sources)}
    reached = {name: score[:-1].reshape(ordered.shape[:-1]) for name, score in scores.items()}
    before = {name: score[-1].expand_as(reached[name]) for name, score in scores.items()}
    return {
        "si_snr": reached["si_snr"],
        "si_snri": reached["si_snr"] - before["si_snr"],
        "sdr": reached["sdr"],
        "sdri": reached["sdr"] - before["sdr"],
        "mixture_si_snr": before["si_snr"],
        "mixture_sdr": before["sdr"],
    }


def _at_full_scale(signals: Tensor) -> Tensor:
    """In float64 with a peak of 1, so that energies neither over- nor underflow."""
    signals = signals.double()
    peak = signals.abs().amax(-1, keepdim=True)
    return torch.where(peak > 0, signals / peak, signals)


def _centred(signals: Tensor) -> Tensor:
    signals = signals.double()
    return signals - signals.mean(dim=-1, keepdim=True)
