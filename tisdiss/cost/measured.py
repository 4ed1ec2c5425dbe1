"""Measured cost: parameters, multiply-accumulates by part and depth, time and memory."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from tisdiss.checkpoint import load_model
from tisdiss.config import AnyModel, named
from tisdiss.limits import MAX_MEASURED
from tisdiss.machine.device import check_device
from tisdiss.machine.memory import peak_growth
from tisdiss.model import TISDiSS
from tisdiss.shipped import is_weights
from tisdiss.whole import AnyNet, Whole, build

PARTS = ("encoder", "separator", "splitter", "reconstructor", "decoder")


@dataclass(frozen=True)
class Profile:
    """Cost of one model on `seconds` of audio: counted MACs, and times on this machine."""

    name: str
    parameters: int
    seconds: float
    device: str
    threads: int
    macs_by_part: dict[str, int]
    """Multiply-accumulates of each part's matrix products at the trained depth; a whole model is
    one part."""
    macs_by_n_re: dict[int, int]
    """Multiply-accumulates of the whole model by N_re; empty without a dial."""
    real_time_factor: float
    """Processing time over audio time, at the trained depth; median."""
    peak_memory: int
    """Bytes beyond the model and its input: allocated on a GPU, resident on a CPU (Linux)."""

    @property
    def macs(self) -> int:
        return sum(self.macs_by_part.values())


def profile(
    model: str | Path,
    *,
    seconds: float = 4.0,
    n_re: tuple[int, ...] = (1, 2, 3, 6, 10),
    device: str = "cpu",
    repeats: int = 3,
) -> Profile:
    """Cost of a model file, or of a paper name ("sep1x2-re1x3-l1+3") at the paper's size."""
    if not 0 < seconds <= MAX_MEASURED:
        raise ValueError(f"{seconds:g} s of audio: give more than 0 and at most {MAX_MEASURED:g} s")
    check_device(device)
    built = _build(model).to(device).eval()
    config = built.config
    mixture = torch.randn(1, round(seconds * config.sample_rate), device=device)
    peak = _peak_growth(built, mixture)
    depths = config.dial if isinstance(built, Whole) else [n for n in n_re if n in config.dial]
    return Profile(
        name=config.name,
        parameters=sum(p.numel() for p in built.parameters()),
        seconds=seconds,
        device=device,
        threads=torch.get_num_threads(),
        macs_by_part=macs_by_part(built, seconds),
        macs_by_n_re={n: macs_of(built, seconds, n) for n in depths},
        real_time_factor=_seconds(lambda: built(mixture), device, repeats) / seconds,
        peak_memory=peak,
    )


def peak_memory(config: AnyModel, seconds: float, device: str = "cpu") -> int:
    """Peak bytes of one pass of a fresh model at its N_sep and N_re, beyond model and input.

    Allocated on a GPU; resident on a CPU, where only a fresh process gives a number that does not
    depend on what ran before.
    """
    model = build(config).to(device).eval()
    samples = round(seconds * config.sample_rate)
    return _peak_growth(model, torch.randn(1, samples, device=device))


def macs_by_part(model: AnyNet, seconds: float) -> dict[str, int]:
    """Multiply-accumulates of each part in one pass at the trained depth."""
    if isinstance(model, Whole):
        return {"model": macs_of(model, seconds, None)}
    counter = _count(model, seconds, None)
    called = counter.get_flop_counts()
    parts = {
        part: sum(called.get(f"{type(model).__name__}.{part}", {}).values()) // 2
        for part in ("encoder", "splitter", "decoder")
    }
    if model.reconstructor is not None:
        one, two = (macs_of(model, seconds, n_re) for n_re in (1, 2))
        parts["reconstructor"] = model.config.n_re * (two - one)
    # the counter goes by calls, and the separator yields features between calls of its blocks
    parts["separator"] = counter.get_total_flops() // 2 - sum(parts.values())
    return {part: parts[part] for part in PARTS if parts.get(part)}


def _build(model: str | Path) -> AnyNet:
    if is_weights(model):
        return load_model(Path(model))
    return build(named(str(model)))


def macs_of(model: AnyNet, seconds: float, n_re: int | None) -> int:
    """Multiply-accumulates of one pass to a depth; None or 0: the trained one."""
    return _count(model, seconds, n_re).get_total_flops() // 2


def _count(model: AnyNet, seconds: float, n_re: int | None) -> FlopCounterMode:
    """Count on the meta device, which computes nothing, so any size takes milliseconds.

    A whole model that cannot run there, such as one that looks at values, runs in earnest.
    """
    if isinstance(model, Whole):
        try:
            return _counted(model, seconds, n_re, "meta")
        except Exception:
            return _counted(model, seconds, n_re, "cpu")
    return _counted(model, seconds, n_re, "meta")


def _counted(model: AnyNet, seconds: float, n_re: int | None, device: str) -> FlopCounterMode:
    samples = round(seconds * model.config.sample_rate)
    shadow = build(model.config).to(device).eval()
    if isinstance(shadow, TISDiSS):
        shadow.stft.inverse = _no_inverse  # type: ignore[method-assign]  # it has no meta form
    for module in shadow.modules():
        if isinstance(module, nn.LSTM) and device == "meta":
            module.forward = partial(_lstm_products, module)  # type: ignore[has-type,method-assign]
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        shadow(torch.zeros(1, samples, device=device), n_re=n_re or None)
    return counter


def _no_inverse(spectrum: torch.Tensor, samples: int) -> torch.Tensor:
    return torch.empty(*spectrum.shape[:-2], samples, device="meta")


def _lstm_products(lstm: nn.LSTM, x: torch.Tensor) -> tuple[torch.Tensor, None]:
    """The products of a one-layer LSTM, all steps at once; counting step by step takes minutes."""
    directions = []
    for end in ("", "_reverse"):
        gates = F.linear(x, getattr(lstm, f"weight_ih_l0{end}"))
        hidden = gates[..., : lstm.hidden_size]
        F.linear(hidden, getattr(lstm, f"weight_hh_l0{end}"))
        directions.append(hidden)
    return torch.cat(directions, dim=-1), None


def seconds_of(work: Callable[[], object], device: str) -> float:
    """Wall time of one call in seconds, until the device has finished."""
    began = time.perf_counter()
    work()
    if device != "cpu":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began


@torch.no_grad()
def _seconds(work: Callable[[], object], device: str, repeats: int) -> float:
    return median([seconds_of(work, device) for _ in range(repeats + 1)][1:])


@torch.no_grad()
def _peak_growth(model: AnyNet, mixture: torch.Tensor) -> int:
    if mixture.is_cuda:
        torch.cuda.reset_peak_memory_stats(mixture.device)
        before = torch.cuda.memory_allocated(mixture.device)
        model(mixture)
        return torch.cuda.max_memory_allocated(mixture.device) - before
    return peak_growth(lambda: model(mixture))
