"""PESQ, STOI, ESTOI and DNSMOS of estimates, on request: slow, and not in dB. Higher is better.

Arguments are (estimates, sources, rate): (..., samples) in the same source order, and the rate in
Hz. Each returns one value per estimate, in float64. A silent source, a signal that is too short and
a sample that is not finite give NaN.
"""

import warnings
from collections.abc import Callable
from functools import cache, partial
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from tisdiss.config.training import PESQ_RATES
from tisdiss.wave import resample

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

DNSMOS_RATE = 16000
DNSMOS_SAMPLES = 144160
"""Length of the network's input: 9.01 s, which it hears in steps of a second."""
DNSMOS_LEAST_SECONDS = 0.25
"""Shorter sound would be judged by its repetitions."""
DNSMOS_RMS = 10 ** (-26 / 20)
"""The level at which a signal is judged, because the network takes loudness for quality."""
DNSMOS_OVERALL = (0.04602535, 1.11546468, -0.06766283)
"""Coefficients of 1, x and x² from the network's third output to the overall quality."""

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


def dnsmos(estimates: Tensor, sources: Tensor, rate: int) -> Tensor:
    """DNSMOS P.835: the overall quality that listeners would give, an opinion score from 1 to 5.

    It needs no source: a network judges the estimate alone, at 16 kHz and a level of -26 dB. Sound
    of a lower rate lacks the high frequencies that it expects, so values are comparable at the same
    rate only. A signal below 9 s is repeated. A silent estimate and one below a quarter of a second
    give NaN.

    Reddy et al., "DNSMOS P.835: a non-intrusive perceptual objective speech quality metric to
    evaluate noise suppressors", ICASSP 2022; the network is that of the package speechmos.
    """
    return _each(_dnsmos, estimates, sources, rate)


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


def _dnsmos(estimate: np.ndarray, source: np.ndarray, rate: int) -> float:
    if not estimate.any() or len(estimate) < DNSMOS_LEAST_SECONDS * rate:
        return np.nan
    wide = resample(torch.from_numpy(estimate).float(), rate, DNSMOS_RATE).numpy()
    level = np.clip(wide * DNSMOS_RMS / np.sqrt(np.mean(wide**2)), -1, 1)
    while len(level) < DNSMOS_SAMPLES:
        level = np.append(level, level)
    starts = range(0, len(level) - DNSMOS_SAMPLES + 1, DNSMOS_RATE)
    parts = (level[None, start : start + DNSMOS_SAMPLES] for start in starts)
    overall = [_judge().run(None, {"input_1": part})[0][0][2] for part in parts]
    return float(np.mean(np.polynomial.polynomial.polyval(overall, DNSMOS_OVERALL)))


@cache
def _judge() -> "InferenceSession":
    import onnxruntime
    import speechmos

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    network = files(speechmos) / "dnsmos_models" / "sig_bak_ovr.onnx"
    return onnxruntime.InferenceSession(network.read_bytes(), options)
