"""Scores in dB, higher is better, in float64; arguments are (estimates, sources[, mixture]).

`records/names.py` is the table of measures, from which columns, claims and tables follow.
"""

from collections.abc import Iterable
from pkgutil import resolve_name

import torch
import torch.nn.functional as F
from torch import Tensor

from tisdiss.losses import pit_loss
from tisdiss.machine.device import one_thread
from tisdiss.plugins import PluginError, guarded
from tisdiss.records import names

FILTER_TAPS = 512
"""Length of the distortion filter that SDR forgives (BSS-eval v3)."""


def si_snr(estimates: Tensor, sources: Tensor) -> Tensor:
    """Scale-invariant signal-to-noise ratio of each estimate, in dB.

    Both are (..., samples) and already in the same source order (see `best_permutation`).
    Returns (...). Means are removed; rescaling an estimate changes nothing. A silent source gives
    NaN, so that an average cannot hide it. A silent estimate gives -inf, a perfect one +inf.

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

    Both are (batch, n_src, samples). Undefined pairs rank last.
    """
    pairs = -si_snr(estimates.unsqueeze(-3), sources.unsqueeze(-2))  # batch, source, estimate
    return pit_loss(pairs.nan_to_num(nan=1e4, posinf=1e4, neginf=-1e4))[1]


def reorder(estimates: Tensor, order: Tensor) -> Tensor:
    """Estimates (batch, n_src, samples) in the order of the sources."""
    return estimates.gather(-2, order.unsqueeze(-1).expand_as(estimates))


def sdr(estimates: Tensor, sources: Tensor) -> Tensor:
    """Signal-to-distortion ratio of BSS-eval v3 (512-tap filter), in dB.

    Sources are (..., samples). Estimates have the same shape and source order, and may have further
    leading axes, such as depths. Returns one value per estimate. A silent source or a non-finite
    sample gives NaN, a silent estimate -inf. Values above about 100 dB are rounding error, up to
    +inf for a perfect estimate.

    Vincent et al., "Performance measurement in blind audio source separation", 2006.
    """
    from torchmetrics.functional.audio import signal_distortion_ratio

    estimates = _at_full_scale(estimates)
    sources = _at_full_scale(sources).expand_as(estimates)
    finite = (estimates.isfinite() & sources.isfinite()).all(-1)
    defined = finite & (sources != 0).any(-1)
    with one_thread():
        value = signal_distortion_ratio(
            torch.where(defined.unsqueeze(-1), estimates, 0.0),
            torch.where(defined.unsqueeze(-1), sources, 1.0),
            filter_length=FILTER_TAPS,
        )
    value = torch.where(value.isnan(), torch.inf, value)  # rounding pushed the coherence above 1
    return torch.where(defined, value, torch.nan)


def improvements(
    estimates: Tensor,
    sources: Tensor,
    mixture: Tensor,
    *,
    quality: Iterable[str] = (),
    rate: int = 0,
) -> dict[str, Tensor]:
    """All scores of (batch, n_src, samples) estimates, each (batch, n_src); most are in dB.

    Estimates may have a leading axis of depths, which the scores then have too. SI-SNR determines
    the permutation at each depth, for all measures. A gain is the score minus that of the mixture
    (batch, samples) used as every estimate. Measures of `quality` also need the `rate` in Hz.
    """
    ordered = reorder(estimates, best_permutation(estimates, sources))
    unprocessed = mixture.unsqueeze(-2).expand_as(sources)
    signals = torch.cat([ordered.reshape(-1, *sources.shape), unprocessed[None]])
    scores: dict[str, Tensor] = {}
    for name in names.MEASURES:
        scores[name] = _score(name, signals, sources)
        _check(name, scores)
    for name in quality:
        scores[name] = resolve_name(names.QUALITY[name].function)(signals, sources, rate)
    after = {name: score[:-1].reshape(ordered.shape[:-1]) for name, score in scores.items()}
    before = {name: score[-1].expand_as(after[name]) for name, score in scores.items()}
    values: dict[str, Tensor] = {}
    for name in scores:
        values |= {name: after[name], names.gain(name): after[name] - before[name]}
    return values | {names.of_mixture(name): before[name] for name in scores}


def _score(name: str, signals: Tensor, sources: Tensor) -> Tensor:
    """One measure of signals (..., samples); an error names the package that it is from."""
    with guarded(names.MEASURES.of(name), names.MEASURES.package(name)):
        score: Tensor = resolve_name(names.MEASURES[name].function)(signals, sources)
        if not isinstance(score, Tensor) or score.shape != signals.shape[:-1]:
            found = getattr(score, "shape", type(score).__name__)
            raise ValueError(f"{found} for signals of {signals.shape}: one number for each")
    return score


def _check(name: str, scores: dict[str, Tensor]) -> None:
    """Refuse the NaN of a package's measure where SI-SNR is a number."""
    if names.MEASURES.package(name) is None:
        return
    if bool((scores[name].isnan() & ~scores[names.SI_SNR].isnan()).any()):
        raise PluginError(f"{names.MEASURES.of(name)} is NaN for sound estimates and sources")


def _at_full_scale(signals: Tensor) -> Tensor:
    """Signals in float64 with a peak of 1, zero-padded to at least the filter's length.

    torchmetrics treats a norm below 1e-6 as silence and wraps around the lags of shorter signals.
    """
    signals = signals.double()
    signals = F.pad(signals, (0, max(0, FILTER_TAPS - signals.shape[-1])))
    peak = signals.abs().amax(-1, keepdim=True)
    return torch.where(peak > 0, signals / peak, signals)


def _centred(signals: Tensor) -> Tensor:
    signals = signals.double()
    return signals - signals.mean(dim=-1, keepdim=True)
