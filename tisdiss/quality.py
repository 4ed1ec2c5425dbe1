"""PESQ, STOI and ESTOI of estimates, on request: slow, and not in dB. Higher is better.

Arguments are (estimates, sources, rate): (..., samples) in the same source order, and the rate in
Hz. Each returns one value per estimate, in float64. A silent source, a signal that is too short and
a sample that is not finite give NaN.
"""

import warnings
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor

from tisdiss.config.training import PESQ_RATES

Measured = Callable[[np.ndarray, np.ndarray, int], float]
"""The value of one estimate and its source, both (samples,)."""


def pesq(estimates: Tensor, sources: Tensor, rate: int) -> Tensor:
    """Perceptual evaluation of speech quality, as a mean opinion score from 1.0 to 4.64.

    ITU-T P.862 with the mappings of P.862.1 (8 kHz) and P.862.2 (16 kHz). A silent estimate and a
    signal below a quarter of a second give NaN.
    """
    return _each(_pesq, estimates, sources, rate)


def stoi(estimates: Tensor, sources: Tensor, rate: int) -> Tensor:
    """Short-time objective intelligibility, from 0 to 1.

    Taal et al., "An algorithm for intelligibility prediction of time-frequency weighted noisy
    speech", 2011. A source with less than 0.4 s of speech gives NaN.
    """
    return _each(partial(_stoi, extended=False), estimates, sources, rate)


def estoi(estimates: Tensor, sources: Tensor, rate: int) -> Tensor:
    """Extended STOI, which also suits fluctuating maskers, such as another speaker.

    Jensen and Taal, "An algorithm for predicting the intelligibility of speech masked by modulated
    noise maskers", 2016.
    """
    return _each(partial(_stoi, extended=True), estimates, sources, rate)


def _each(measured: Measured, estimates: Tensor, sources: Tensor, rate: int) -> Tensor:
    sources = sources.expand_as(estimates)
    pairs = zip(_signals(estimates), _signals(sources), strict=True)
    values = [
        measured(estimate, source, rate) if _is_defined(estimate, source) else np.nan
        for estimate, source in pairs
    ]
    return torch.tensor(values, dtype=torch.float64, device=estimates.device).view(
        estimates.shape[:-1]
    )


def _signals(signals: Tensor) -> np.ndarray:
    """(signals, samples) in float64 on the CPU."""
    flat: np.ndarray = signals.detach().double().cpu().reshape(-1, signals.shape[-1]).numpy()
    return flat


def _is_defined(estimate: np.ndarray, source: np.ndarray) -> bool:
    return bool(np.isfinite(estimate).all() and np.isfinite(source).all() and source.any())


def _pesq(estimate: np.ndarray, source: np.ndarray, rate: int) -> float:
    from pesq import PesqError
    from pesq import pesq as measure

    mode = "nb" if rate == min(PESQ_RATES) else "wb"
    value = measure(rate, source, estimate, mode, on_error=PesqError.RETURN_VALUES)
    return float(value) if value > 0 else np.nan  # errors are below 0


def _stoi(estimate: np.ndarray, source: np.ndarray, rate: int, *, extended: bool) -> float:
    from pystoi import stoi as measure

    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        try:
            return float(measure(source, estimate, rate, extended=extended))
        except RuntimeWarning:  # too few frames with speech
            return np.nan
