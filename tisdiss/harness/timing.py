"""Times a study's models on this machine at every depth.

Weights do not affect a model's speed, so models need no training first. All rows are timed in one
process, round by round, so that a slower phase of the machine affects all of them equally and their
factors can be compared. All rows in a file were timed together. Peak memory, of a pass and of a
training step, is measured in a new process each, because an allocator keeps freed memory.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from tisdiss.config import AnyModel
from tisdiss.cost.measured import peak_memory, seconds_of
from tisdiss.harness.environment import describe_environment
from tisdiss.harness.plan import Plan, PlannedRow, PlannedStudy
from tisdiss.harness.training_memory import training_memories
from tisdiss.limits import MAX_MEASURED, MAX_ROUNDS
from tisdiss.machine.device import check_device
from tisdiss.records.files import write_atomic
from tisdiss.records.plan_record import TimedRow
from tisdiss.records.run_folder import json_text
from tisdiss.records.runs_layout import timing_file
from tisdiss.whole import AnyNet, build

SCHEMA = 1

Point = tuple[AnyModel, int]
"""A model, without settings that only training uses, and N_re (0 without a reconstructor)."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How models are timed."""

    device: str = "cpu"
    threads: int | None = None
    seconds: float = 2.0
    """Length of the audio."""
    rounds: int = 3

    def __post_init__(self) -> None:
        for name, most in (("seconds", MAX_MEASURED), ("rounds", MAX_ROUNDS)):
            if not 0 < getattr(self, name) <= most:
                raise ValueError(f"{name}={getattr(self, name)} must be above 0, at most {most:g}")


def time_plan(
    plan: Plan,
    runs_dir: Path,
    timing: Timing | None = None,
    *,
    on_pass: Callable[[int, int], None] = lambda done, of: None,
) -> list[Path]:
    """Time all rows of the plan's studies and write one file per study; returns their paths.

    A factor is processing time over audio time of one mixture; below 1 is faster than real time.
    """
    timing = timing or Timing()
    check_device(timing.device)
    about = describe_environment(device=timing.device, threads=timing.threads)
    points = {row_point for study in plan.studies for row_point in _points(plan, study)}
    factors = time_points(sorted(points, key=str), timing, on_pass)
    memory = peak_memories({model for model, _ in points}, timing)
    training = training_memories(plan.runs, timing.device)
    paths = []
    for study in plan.studies:
        rows = {row.id: _timed(plan, row, factors, memory, training).plain() for row in study.rows}
        document = {
            "schema": SCHEMA,
            "study": study.study,
            "profile": study.profile,
            "seconds": timing.seconds,
            "rounds": timing.rounds,
            "environment": about.model_dump(exclude_unset=True, exclude={"platform", "code_files"}),
            "rows": rows,
        }
        path = timing_file(runs_dir, study.study, study.profile)
        write_atomic(path, json_text(document))
        paths.append(path)
    return paths


@torch.inference_mode()
def time_points(
    points: list[Point], timing: Timing, on_pass: Callable[[int, int], None]
) -> dict[Point, list[float]]:
    """Real-time factors of every point, one per round, after one warm-up pass."""
    if timing.threads is not None:
        torch.set_num_threads(timing.threads)
    models = {config: _built(config, timing.device) for config, _ in points}
    sounds = {config: _sound(config, timing) for config in models}
    measured: dict[Point, list[float]] = {point: [] for point in points}
    work = [(turn, point) for turn in range(timing.rounds + 1) for point in points]
    for done, (turn, (config, n_re)) in enumerate(work, start=1):
        forward = partial(models[config], sounds[config], n_re=n_re)
        spent = seconds_of(forward, timing.device)
        if turn:
            measured[config, n_re].append(spent / timing.seconds)
        on_pass(done, len(work))
    return measured


def peak_memories(models: Iterable[AnyModel], timing: Timing) -> dict[AnyModel, int]:
    """Peak bytes of a pass of each model, beyond model and input."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as fresh:
        pending = {
            model: fresh.submit(peak_memory, model, timing.seconds, timing.device)
            for model in models
        }
        return {model: future.result() for model, future in pending.items()}


def _points(plan: Plan, study: PlannedStudy) -> Iterator[Point]:
    for row in study.rows:
        yield from _row_points(plan, row)


def _row_points(plan: Plan, row: PlannedRow) -> list[Point]:
    model = row.at_its_n_sep(plan.run(row.runs[0].identity).config.model).at_inference()
    return [(model, n_re) for n_re in row.macs]


def _timed(
    plan: Plan,
    row: PlannedRow,
    factors: dict[Point, list[float]],
    memory: dict[AnyModel, int],
    training: dict[str, int],
) -> TimedRow:
    """Median and range by N_re, and the memory."""
    by_depth = {point[1]: factors[point] for point in _row_points(plan, row)}
    model, _ = _row_points(plan, row)[0]
    return TimedRow(
        identity=row.runs[0].identity,
        rtf={str(n_re): median(values) for n_re, values in by_depth.items()},
        range={str(n_re): [min(values), max(values)] for n_re, values in by_depth.items()},
        memory=memory[model],
        training_memory=training.get(row.runs[0].identity),
    )


def _built(config: AnyModel, device: str) -> AnyNet:
    return build(config).to(device).eval()


def _sound(config: AnyModel, timing: Timing) -> Tensor:
    samples = round(timing.seconds * config.sample_rate)
    return torch.randn(1, samples, generator=torch.Generator().manual_seed(0)).to(timing.device)
