"""The growth of a pass's cost with length, width, depth, batch size and number of speakers."""

import math
from collections.abc import Callable

import cases
import numpy as np
import torch
from timing import interleaved, once

from tisdiss.model import TISDiSS

BASE = {"seconds": 1.0, "width": 8, "n_re": 3, "batch": 1, "n_src": 2}
CODEC = {"kind": "bands-conv1d", "n_fft": 256, "hop": 128}
"""33 bands, as at the profiles for a CPU, so that a pass over 64 s of audio takes seconds."""
AXES: dict[str, tuple[float, ...]] = {
    "seconds": (1, 2, 4, 8, 16, 32, 64),
    "width": (8, 16, 32, 64, 128),
    "n_re": (1, 2, 4, 8, 16),
    "batch": (1, 2, 4, 8),
    "n_src": (2, 3, 4, 5),
}


def measure(device: str) -> dict[str, dict]:
    """Per axis: values, seconds, and exponents of a power law through all or the last 3 points."""
    return {axis: _axis(axis, values, device) for axis, values in AXES.items()}


def _axis(axis: str, values: tuple[float, ...], device: str) -> dict:
    seconds = [_pass(BASE | {axis: value}, device) for value in values]
    return {
        "values": list(values),
        "seconds": seconds,
        "exponent": exponent(values, seconds),
        "last_exponent": exponent(values[-3:], seconds[-3:]),
    }


def exponent(values: tuple[float, ...], seconds: list[float]) -> float:
    slope, _ = np.polyfit([math.log(v) for v in values], [math.log(s) for s in seconds], 1)
    return float(slope)


def _pass(at: dict[str, float], device: str) -> float:
    model = cases.build(int(at["width"]), device, n_src=int(at["n_src"]), codec=CODEC)
    x = cases.mixture(at["seconds"], device, int(at["batch"]))
    work = _work(model, x, int(at["n_re"]))
    if device == "cpu" and at["seconds"] > 16:  # too long for a warm-up to matter
        return once(work, device)
    return interleaved({"ours": work}, device=device, repeats=5, budget=3)["ours"].median


def _work(model: TISDiSS, x: torch.Tensor, n_re: int) -> Callable[[], object]:
    def run() -> object:
        with torch.no_grad():
            return model(x, n_re=n_re)

    return run
