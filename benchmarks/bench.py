"""Speed and memory against a plain reference: `python benchmarks/bench.py [--device cuda]`.

Writes bench.json, README.md and the plots to build/benchmarks. Our code and the reference are timed
in turn, on a CPU each in its own process; results are medians.
"""

import argparse
import json
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import agreement
import cases
import growth
import loading
import numpy
import steps
import torch
from agreement import saved_bytes
from show import write
from timing import Timing, interleaved, interleaved_apart, matmul_rate, peak_memory

from tisdiss.cost.measured import macs_by_part
from tisdiss.kernels.modes import set_recompute


@dataclass(frozen=True)
class Case:
    what: str
    goal: str
    works: Callable[[str], dict[str, cases.Work]]
    repeats: int = 5


CASES = (
    Case("forward, float32, 128 channels, 1 s", "1.75x", partial(cases.forward, 128, 1.0), 3),
    Case("forward, float32, 32 channels, 2 s", "3.2x", partial(cases.forward, 32, 2.0)),
    Case("forward, float32, 32 channels, 4 s", "3.2x", partial(cases.forward, 32, 4.0), 3),
    Case(
        "forward, bf16 products, 128 channels, 1 s",
        "2.4x",
        partial(cases.forward_bf16, 128, 1.0),
        3,
    ),
    Case("training step, 128 channels, 0.3 s", "1.4x", partial(cases.training, 128, 0.3), 3),
    Case("training step, 32 channels, 1 s", "1.6x", partial(cases.training, 32, 1.0), 5),
    Case(
        "training step, 16 channels, 1 s x 4",
        "2x",
        partial(cases.training, 16, 1.0, batch=4),
    ),
    Case(
        "N_re = 1..10 against ten runs, 32 channels, 1 s", "13x", partial(cases.sweep, 32, 1.0), 3
    ),
    Case("N_sep 1..4 x N_re 1..10, 32 channels, 1 s", "15x", partial(cases.grid, 32, 1.0), 3),
    Case("SDR of two estimates, 4 s, against mir_eval", "60x", lambda _: cases.scoring(4.0)),
    Case("the same at ten depths", "60x", lambda _: cases.scoring(4.0, 10), 3),
)
MEMORY = (("128x4", "1/3"), ("32x32", "0.8 GB"))


def measure(device: str, threads: int, budget: float) -> dict:
    rows = []
    for case in CASES:
        times = _timed(case, device, budget)
        ours, theirs = times["ours"], times["reference"]
        rows.append(
            {
                "what": case.what,
                "goal": case.goal,
                "reference": theirs.median,
                "ours": ours.median,
                "ratio": theirs.median / ours.median,
                "spread": max(ours.spread, theirs.spread),
                "repeats": min(len(ours.seconds), len(theirs.seconds)),
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    results = {"rows": rows, "machine": machine(device, threads), "floor": floor(device)}
    results["agreement"] = [cost.measure() for cost in agreement.COSTS]
    results["recompute"] = recompute(device)
    results["loading"] = loading.measure()
    results["memory"] = memory(threads) if device == "cpu" else []
    results["steps"] = [] if device == "cpu" else steps.measure(device)
    return results


def _timed(case: Case, device: str, budget: float) -> dict[str, Timing]:
    works = case.works(device)
    if device == "cpu":
        return interleaved_apart(works, repeats=case.repeats, budget=budget)
    return interleaved(works, device=device, repeats=case.repeats, budget=budget)


def machine(device: str, threads: int) -> dict:
    name = torch.cuda.get_device_name() if device != "cpu" else _processor()
    return {
        "device": device,
        "name": name,
        "threads": threads,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "load": os.getloadavg()[0],
        "time": "processor seconds" if device == "cpu" else "device seconds",
    }


def floor(device: str) -> dict:
    """A lower bound: the time of the products for one second of audio at 128 channels.

    It assumes that all products run at the highest rate that a product reaches.
    """
    rate = matmul_rate(device)
    flops = 2 * sum(macs_by_part(cases.build(128, "cpu"), 1.0).values())
    return {"flop_per_second": rate, "flop": flops, "seconds": flops / rate}


def recompute(device: str) -> dict:
    """Saved bytes and time of a training step, with and without recomputing activations."""
    model, x = cases.build(32, device), cases.mixture(1.0, device)
    reference_work = cases.training(32, 1.0, device)["reference"]

    def step(on: bool) -> None:
        set_recompute(model, on)
        model.all_depths(x).square().sum().backward()

    works = {
        "reference": reference_work,
        "kept": partial(step, False),
        "again": partial(step, True),
    }
    times = interleaved(works, device=device, repeats=3, budget=8)
    saved = {}
    for on in (False, True):
        set_recompute(model, on)
        saved["again" if on else "kept"] = saved_bytes(lambda: model.all_depths(x))
    saved["reference"] = saved_bytes(lambda: cases.reference(model).all_depths(x))
    return {"seconds": {name: t.median for name, t in times.items()}, "saved_bytes": saved}


def memory(threads: int) -> list[dict]:
    rows = []
    for case, goal in MEMORY:
        row = {"case": case, "goal": goal, "ours": peak_memory(case, "ours", threads)}
        if case == "128x4":
            row["reference"] = peak_memory(case, "reference", threads)
        rows.append(row)
        print(json.dumps(row), flush=True)
    return rows


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return platform.processor()
    line = next(line for line in info.read_text().splitlines() if line.startswith("model name"))
    return line.split(":", 1)[1].strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--tf32", action="store_true", help="let a GPU's products use TF32")
    parser.add_argument("--quick", action="store_true", help="fewer repeats")
    parser.add_argument("--force", action="store_true", help="replace files of the user, too")
    parser.add_argument("--out", type=Path, default=Path("build/benchmarks"))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = options.tf32
    budget = 12.0 if options.quick else 30.0
    write_report(options.device, options.out, budget=budget, force=options.force)


def write_report(device: str, out: Path, *, budget: float, force: bool = False) -> None:
    """Measure everything and write the report; `budget` limits the seconds for a case's repeats."""
    results = measure(device, torch.get_num_threads(), budget)
    results["machine"]["tf32"] = torch.backends.cudnn.allow_tf32
    results["growth"] = growth.measure(device)
    write(results, out, force=force)


if __name__ == "__main__":
    main()
