"""Whole training steps on a CPU, by width, precision and lever: `python benchmarks/training.py`.

Writes training.json and README.md into build/benchmarks/training. Each variant is a process of its
own; they take turns, step by step, so that a machine's moods meet all alike. "before" is float32 by
torch's own operations, which is what trainings did before there were compiled routines.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median

import bench
import torch
from torch import Tensor

from tisdiss.config import ModelConfig, TrainConfig
from tisdiss.kernels import conv_swiglu, heads
from tisdiss.kernels.compiled import SWITCH
from tisdiss.machine.memory import keep_freed_memory
from tisdiss.train import start, train_step

SAMPLE_RATE = 8000
COARSE = {"codec": {"kind": "bands-conv1d", "n_fft": 256, "hop": 128}, "mask": True}
"""33 bands: the grid of the profiles `mini` and `cpu`."""
PAPER = {"codec": {"n_fft": 128, "hop": 64}}
BEFORE = "before"
MOST_TOGETHER = 64
"""Channels up to which three processes at once fit a small machine."""


@dataclass(frozen=True)
class Case:
    """A model and its batch; as wide as profile `cpu`, or as the paper's."""

    channels: int
    grid: str
    batch: int = 4
    seconds: float = 2.0

    @property
    def config(self) -> ModelConfig:
        width, coarse = self.channels, self.grid == "coarse"
        n_heads = max(1, width // 16) if coarse else 4
        sizes = {"channels": width, "attention_dim": width, "n_heads": n_heads}
        hidden = 2 * width if coarse else 3 * width
        sizes |= {"norm_groups": n_heads, "ffn_hidden": (hidden, hidden)}
        base = ModelConfig.model_validate({"block": sizes, **(COARSE if coarse else PAPER)})
        return ModelConfig.from_name("sep1x2-re1x3-l1+3", base)

    @property
    def audio(self) -> float:
        """Seconds of sound in a step."""
        return self.batch * self.seconds


@dataclass(frozen=True)
class Variant:
    """A precision, with or without the compiled routines and what they made pay."""

    precision: str
    compiled: bool = True
    writes_scores: bool = True
    joins_rows: bool = True

    def apply(self) -> None:
        """Set this process up; before anything is compiled."""
        os.environ[SWITCH] = str(int(self.compiled))
        if not self.writes_scores:
            heads.written_out = lambda x: x.shape[1] == 2 and self.compiled  # type: ignore[assignment]
            sys.modules["tisdiss.layers"].written_out = heads.written_out  # type: ignore[attr-defined]
        if not self.joins_rows:
            conv_swiglu.IMAGE = 1


CASES = (
    *(Case(width, "coarse") for width in (16, 32, 64, 96)),
    Case(128, "paper", batch=1, seconds=1.0),
)
VARIANTS = {
    BEFORE: Variant("float32", compiled=False),
    "bf16 by torch": Variant("bf16", compiled=False),
    "float32": Variant("float32"),
    "bf16, flash attention": Variant("bf16", writes_scores=False),
    "bf16, a row an image": Variant("bf16", joins_rows=False),
    "bf16": Variant("bf16"),
}


def step_of(case: Case, precision: str) -> partial[dict[str, float]]:
    """One update on noise: forward, loss, backward, clipping, AdamW."""
    config = TrainConfig(model=case.config, precision=precision, steps_per_epoch=400)
    state = start(config, None, "cpu")
    torch.manual_seed(1)
    sources: Tensor = torch.randn(case.batch, 2, round(case.seconds * SAMPLE_RATE))
    return partial(train_step, state, sources.sum(1), sources, config)


def serve(case: Case, variant: Variant, threads: int) -> None:
    """For each line read: a step, and a line with its seconds and the peak of memory so far."""
    import resource

    torch.set_num_threads(threads)
    keep_freed_memory()
    variant.apply()
    step = step_of(case, variant.precision)
    for _ in sys.stdin:
        began = time.perf_counter()
        step()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps([time.perf_counter() - began, peak]), flush=True)


class Server:
    """A process that makes steps when it is told to."""

    def __init__(self, case: Case, variant: Variant, threads: int) -> None:
        given = json.dumps({"case": asdict(case), "variant": asdict(variant), "threads": threads})
        command = [sys.executable, str(Path(__file__)), "--serve", given]
        surroundings = os.environ | {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
        self.process = subprocess.Popen(
            command, env=surroundings, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def begin(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("step\n")
        self.process.stdin.flush()

    def end(self) -> tuple[float, int]:
        assert self.process.stdout is not None
        seconds, peak = json.loads(self.process.stdout.readline())
        return seconds, peak


@contextmanager
def servers(*settings: tuple[Case, Variant, int]) -> Iterator[list[Server]]:
    found = [Server(*each) for each in settings]
    yield found
    for server in found:
        server.process.communicate()


def measure(case: Case, threads: int, repeats: int, names: list[str]) -> list[dict]:
    """Median seconds of a step of each variant, and the peak of its process's memory."""
    settings = [(case, VARIANTS[name], threads) for name in names]
    with servers(*settings) as running:
        rounds = []
        for _ in range(repeats + 1):
            rounds.append([])
            for server in running:
                server.begin()
                rounds[-1].append(server.end())
    rows = []
    for name, column in zip(names, zip(*rounds[1:], strict=True), strict=True):
        took = [seconds for seconds, _ in column]
        rows.append(
            {"channels": case.channels, "grid": case.grid, "threads": threads, "variant": name}
            | {"seconds": median(took), "spread": (max(took) - min(took)) / median(took)}
            | {"audio": case.audio, "repeats": repeats, "peak": column[-1][1]}
        )
    for row in rows:
        row["ratio"] = rows[0]["seconds"] / row["seconds"]
        print(json.dumps(row), flush=True)
    return rows


def alone_and_together(case: Case, repeats: int, name: str = "bf16") -> dict:
    """Seconds of sound a second: a training of two threads, and two trainings of one, at once."""
    variant = VARIANTS[name]
    with servers((case, variant, 2), (case, variant, 1), (case, variant, 1)) as (both, *single):
        took: dict[str, list[float]] = {"one of two threads": [], "two of one thread": []}
        for _ in range(repeats + 1):
            both.begin()
            took["one of two threads"].append(both.end()[0])
            for server in single:
                server.begin()
            took["two of one thread"].append(max(server.end()[0] for server in single) / 2)
    found = {name: case.audio / median(times[1:]) for name, times in took.items()}
    print(json.dumps({"channels": case.channels} | found), flush=True)
    return {"channels": case.channels, "grid": case.grid, "precision": name} | found


def markdown(found: dict) -> str:
    machine = found["machine"]
    lines = [
        "# Training steps on a CPU",
        "",
        f"{machine['name']}, torch {machine['torch']}, load {machine['load']:.1f}; whole steps "
        "(forward, loss, backward, clipping, AdamW) on two speakers, medians of variants "
        "that take turns. Coarse grid: STFT 256/128, 33 bands, masked, batch 4 of 2 s; the paper's "
        "grid: STFT 128/64, 1 s. `before`: float32 by torch's own operations. Memory: peak of the "
        "process. Spread: largest less smallest repeat, over the median.",
        "",
        "| channels | grid | threads | variant | step (s) | audio (s a second) | against before | "
        "memory (GiB) | spread | repeats |",
        "|--:|---|--:|---|--:|--:|--:|--:|--:|--:|",
    ]
    for row in found["rows"]:
        lines.append(
            f"| {row['channels']} | {row['grid']} | {row['threads']} | {row['variant']} | "
            f"{row['seconds']:.3g} | {row['audio'] / row['seconds']:.3g} | {row['ratio']:.2f}x | "
            f"{row['peak'] / 2**30:.1f} | {row['spread']:.0%} | {row['repeats']} |"
        )
    lines += [
        "",
        "| channels | precision | one training of two threads (s of audio a second) | "
        "two of one thread, together | ratio |",
        "|--:|---|--:|--:|--:|",
    ]
    for row in found["together"]:
        one, two = row["one of two threads"], row["two of one thread"]
        lines.append(
            f"| {row['channels']} | {row['precision']} | {one:.3g} | {two:.3g} | {two / one:.2f}x |"
        )
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--channels", type=int, nargs="+", default=[c.channels for c in CASES])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--force", action="store_true", help="replace files that are not ours")
    parser.add_argument("--out", type=Path, default=Path("build/benchmarks/training"))
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        given = json.loads(options.serve)
        return serve(Case(**given["case"]), Variant(**given["variant"]), given["threads"])
    chosen = [case for case in CASES if case.channels in options.channels]
    found: dict = {
        "machine": bench.machine("cpu", max(options.threads)),
        "rows": [
            row
            for case in chosen
            for threads in options.threads
            for row in measure(case, threads, options.repeats, options.variants)
        ],
        "together": [
            alone_and_together(case, options.repeats) for case in chosen if case.channels <= 64
        ],
    }
    from tisdiss.analysis.inventory import write_own

    files = {"training.json": json.dumps(found, indent=1) + "\n", "README.md": markdown(found)}
    write_own(options.out, files, force=options.force)


if __name__ == "__main__":
    main()
