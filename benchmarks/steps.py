"""Training steps on a GPU: precisions and batch sizes against the plain reference in float32.

`PEAK` is the vendor's rate for dense products. The share of it that a step reaches counts the
model's multiply-adds, without those that an implementation adds.
"""

from dataclasses import asdict, dataclass
from functools import partial
from statistics import median

import cases
import torch
from timing import once

from tisdiss.cost.formulas import training_macs
from tisdiss.machine.device import set_precision

PRECISIONS = ("float32", "tf32", "bf16")
PEAK = {"H100": {"float32": 67e12, "tf32": 495e12, "bf16": 989e12}}
PEAK["H200"] = PEAK["H100"]


@dataclass(frozen=True)
class Step:
    """Time, memory and operations of a step, without the optimiser's part."""

    precision: str
    batch: int
    seconds: float | None
    """None if it does not fit into memory."""
    plain_seconds: float | None
    """Seconds of the plain reference, always in float32; None if it does not fit."""
    memory: int
    """Peak bytes."""
    flops: float

    @property
    def ratio(self) -> float | None:
        return self.plain_seconds / self.seconds if self.plain_seconds and self.seconds else None


def measure(
    device: str, *, width: int = 128, seconds: float = 4.0, batches: tuple[int, ...] = (1, 4, 8, 32)
) -> list[dict]:
    """One row for every precision and batch size, also for those that do not fit."""
    rows, example = [], 2.0 * training_macs(cases.build(width, "cpu").config, seconds)
    for batch in batches:
        set_precision("float32")
        plain, _ = _timed(
            device, partial(cases.training, width, seconds, device, batch), "reference"
        )
        for precision in PRECISIONS:
            set_precision(precision)
            works = partial(cases.training, width, seconds, device, batch, precision == "bf16")
            spent, memory = _timed(device, works, "ours")
            rows.append(asdict(Step(precision, batch, spent, plain, memory, batch * example)))
    set_precision("float32")
    return rows


def markdown(rows: list[dict], device_name: str) -> list[str]:
    """The rows as a Markdown table."""
    peak = next((peak for name, peak in PEAK.items() if name in device_name), {})
    lines = [
        "| batch | precision | plain float32 (ms) | ours (ms) | ratio | TFLOP/s | of the peak | "
        "peak memory (GiB) |",
        "|--:|---|--:|--:|--:|--:|--:|--:|",
    ]
    for step in (Step(**row) for row in rows):
        rate = step.flops / step.seconds if step.seconds else None
        share = rate / peak[step.precision] if rate and step.precision in peak else None
        cells = [
            str(step.batch),
            step.precision,
            _number(step.plain_seconds, 1e3, ".1f") or "does not fit",
            _number(step.seconds, 1e3, ".1f") or "does not fit",
            _number(step.ratio, 1, ".2f") + "x" if step.ratio else "-",
            _number(rate, 1e-12, ".2f") or "-",
            _number(share, 1, ".0%") or "-",
            _number(step.memory, 2**-30, ".1f") or "-",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def _timed(device: str, build: partial, which: str) -> tuple[float | None, int]:
    """Median seconds of five steps after two for warm-up, and peak allocated memory on a GPU."""
    on_gpu = device != "cpu"
    try:
        work = build()[which]
        if on_gpu:
            torch.cuda.reset_peak_memory_stats()
        times = [once(work, device) for _ in range(7)]
    except torch.OutOfMemoryError:
        times = []
    memory = torch.cuda.max_memory_allocated() if on_gpu else 0
    if on_gpu:
        torch.cuda.empty_cache()
    return (median(times[2:]), memory) if times else (None, 0)


def _number(value: float | None, scale: float, form: str) -> str:
    return f"{value * scale:{form}}" if value else ""
