"""What SepReformer is trained with: a loss of waves for its main output, of magnitudes for others.

All in dB, lower is better. Each output of each mixture has the permutation that suits it.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from tisdiss.config.sepreformer_loss import SepReformerLossConfig
from tisdiss.losses import pit_loss


class TrainingLoss(NamedTuple):
    """The number to minimise and its parts: means over speakers and mixtures, in dB."""

    total: Tensor
    """(1 - α) * time + α * mean(magnitude)."""
    time: Tensor
    """Of the main output."""
    magnitude: Tensor
    """Of each early output, (R,)."""


def training_loss(
    early: Tensor, last: Tensor, sources: Tensor, epoch: int, config: SepReformerLossConfig
) -> TrainingLoss:
    """early (R, batch, n_src, samples), last and sources (batch, n_src, samples)."""
    time = pit_loss(time_pairs(last, sources, config))[0].mean()
    magnitude = pit_loss(magnitude_pairs(early, sources, config))[0].mean(dim=-1)
    weight = config.auxiliary_weight(epoch)
    return TrainingLoss((1 - weight) * time + weight * magnitude.mean(), time, magnitude)


def time_pairs(estimates: Tensor, sources: Tensor, config: SepReformerLossConfig) -> Tensor:
    """Negative SI-SNR of every source against every estimate, at least -`best_db`.

    estimates (..., n_src, samples), sources (batch, n_src, samples) -> (..., source, estimate).
    """
    estimates, sources = _centred(estimates), _centred(sources)
    gain = sources @ estimates.transpose(-1, -2) / (_power(sources) + 1e-8)
    scaled = gain.unsqueeze(-1) * sources.unsqueeze(-2)  # ..., source, estimate, samples
    error = torch.linalg.vector_norm(estimates.unsqueeze(-3) - scaled, dim=-1)
    ratio = torch.linalg.vector_norm(scaled, dim=-1) / (error + 1e-8)
    return (-20 * torch.log10(ratio + 1e-8)).clamp(min=-config.best_db)


def magnitude_pairs(estimates: Tensor, sources: Tensor, config: SepReformerLossConfig) -> Tensor:
    """The same of magnitude spectra, without a bound; a source is scaled by `least_gain` at least.

    ValueError for signals shorter than a frame.
    """
    estimates, sources = _centred(estimates), _centred(sources)
    gain = sources @ estimates.transpose(-1, -2) / (_power(sources) + 1e-12)
    gain = gain.clamp(min=config.least_gain)
    spectra = _power_spectra(sources, config).unsqueeze(-3)  # ..., source, 1, bins, frames
    scaled = _magnitudes(gain.square()[..., None, None] * spectra)
    found = _magnitudes(_power_spectra(estimates, config)).unsqueeze(-4)
    error = torch.linalg.vector_norm(scaled - found, dim=(-2, -1))
    ratio = torch.linalg.vector_norm(scaled, dim=(-2, -1)) / (error + 1e-12)
    return -20 * torch.log10(ratio + 1e-12)


def _centred(signals: Tensor) -> Tensor:
    return signals - signals.mean(dim=-1, keepdim=True)


def _power(signals: Tensor) -> Tensor:
    return signals.square().sum(dim=-1, keepdim=True)


def _magnitudes(power: Tensor) -> Tensor:
    return torch.sqrt(power + 1e-10)


def _power_spectra(signals: Tensor, config: SepReformerLossConfig) -> Tensor:
    """Squared magnitudes (..., bins, frames); zeros fill the last hop, and no frame is centred."""
    samples = signals.shape[-1]
    padded = F.pad(signals, (0, -samples % config.hop)).flatten(0, -2)
    if padded.shape[-1] < config.n_fft:
        raise ValueError(
            f"{samples} samples: the magnitude loss needs a whole frame of {config.n_fft}; train "
            "on longer crops"
        )
    window = _window(config, like=signals)
    spectra = torch.stft(
        padded, config.n_fft, config.hop, window=window, center=False, return_complex=True
    )
    power = torch.view_as_real(spectra).square().sum(dim=-1)
    return power.unflatten(0, signals.shape[:-1])


def _window(config: SepReformerLossConfig, like: Tensor) -> Tensor:
    """Periodic Hann, scaled as in the released code."""
    scale = math.sqrt(2 / 3) / (0.5 * math.sqrt(config.n_fft**2 / config.hop))
    hann = torch.hann_window(config.n_fft, dtype=torch.float64, device=like.device)
    return (scale * hann).to(like.dtype)
