"""Estimates of the time and memory of planned runs, with their basis.

Time is work in multiply-adds (`cost/planned.py`) over a speed. The speed is that of finished runs
of the same profile, from their journals, or else the one that the profile assumes. Without either
there is no estimate.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tisdiss.config import DataConfig, TrainConfig
from tisdiss.cost.planned import macs, training_bytes, training_macs
from tisdiss.harness.plan import Plan, PlannedEvaluation, PlannedRun
from tisdiss.harness.plan_file import saved_plans
from tisdiss.records import names
from tisdiss.records.files import DamagedError
from tisdiss.records.run_folder import RunFolder, read_journal
from tisdiss.records.run_record import Environment
from tisdiss.study.profiles import get_profile

MIXTURE_SECONDS = 6.0
"""Assumed mean length of a mixture if the profile sets no limit; 5.4 s in WSJ0-2mix."""


@dataclass(frozen=True)
class Basis:
    """A speed and its origin."""

    macs_per_second: float
    device: str
    source: str

    def __str__(self) -> str:
        return f"{self.macs_per_second / 1e12:.3g} TMAC/s on {self.device}, {self.source}"


def find_basis(plan: Plan, runs_dir: Path) -> Basis | None:
    """The median speed of the profile's finished runs on the device that ran most of them.

    Without finished runs, the speed that the profile assumes, or None.
    """
    profile = plan.profile
    identities = _identities(runs_dir, profile) | {run.identity for run in plan.runs}
    by_device: dict[str, list[float]] = {}
    for identity in sorted(identities):
        with suppress(DamagedError):  # reported where the run itself is shown
            folder = RunFolder.of(runs_dir, identity)
            for speed in _speeds(folder):
                by_device.setdefault(_device(folder), []).append(speed)
    if by_device:
        device, speeds = max(by_device.items(), key=lambda item: len(item[1]))
        runs = f"{len(speeds)} finished run{'s' if len(speeds) > 1 else ''}"
        return Basis(median(speeds), device, f"median of {runs} at profile {profile}")
    assumed = get_profile(profile).speed
    if assumed is None:
        return None
    return Basis(assumed.tera_macs_per_second * 1e12, assumed.device, assumed.basis)


def seconds(run: PlannedRun, basis: Basis | None) -> float | None:
    """Seconds of a run with all its epochs and evaluations; None without a basis."""
    return work(run) / basis.macs_per_second if basis else None


def work(run: PlannedRun) -> int:
    """Multiply-adds of training, validation and evaluation."""
    training = 0 if run.kind == "weights" else _training_work(run.config)
    return training + sum(_evaluation_work(run, asked) for asked in run.evaluations)


def gibibytes(run: PlannedRun) -> float | None:
    """Memory of one training step on one device; None if it is not known."""
    config = run.config
    kept = training_bytes(config.model, config.data.segment_seconds, config.batch_size)
    return None if kept is None else kept / 2**30


def left(runs: Iterable[PlannedRun]) -> Sequence[PlannedRun]:
    """The runs that are not done."""
    return [run for run in runs if run.state != "done"]


def summary(plan: Plan, basis: Basis | None) -> list[str]:
    """The plan in a few lines: runs and rows, memory, time and its basis."""
    row_runs = [run for study in plan.studies for row in study.rows for run in row.runs]
    rows = Counter(run.identity for run in row_runs)
    shared = [count for count in rows.values() if count > 1]
    todo = left(plan.runs)
    lines = [
        f"{_count(len(plan.studies), 'stud', 'ies', 'y')}, {_count(len(row_runs), 'row', 's')} "
        f"counting seeds: {_count(len(plan.runs), 'run', 's')}"
        + (f", {len(shared)} of them shared by {sum(shared)} rows" if shared else "")
        + f"; {len(plan.runs) - len(todo)} done"
    ]
    known = [memory for run in todo if (memory := gibibytes(run)) is not None]
    if known:
        most = max(known)
        lines.append(
            f"memory: up to {two_digits(most)} GiB for the tensors of a training step; "
            "--processes N shares them, --recompute keeps a fifteenth"
        )
    if todo and basis is None:
        lines.append(f"time: no basis yet, no run of profile {plan.profile} is finished")
    elif todo:
        total = sum(seconds(run, basis) or 0 for run in todo)
        lines.append(
            f"time: about {duration(total)} on one idle device, all epochs; basis: {basis}"
        )
    lines += plan.notes
    if plan.unknown:
        lines.append("unknown which runs are done (`tisdiss data check` tells what is missing):")
    return lines + [f"  {reason.splitlines()[0]}" for reason in plan.unknown]


def duration(seconds: float | None) -> str:
    """A time in a suitable unit, to two digits: 40 s, 12 min, 3.5 h, 1200 h."""
    if seconds is None:
        return ""
    for limit, unit, size in ((100, "s", 1), (100 * 60, "min", 60)):
        if seconds < limit:
            return f"{two_digits(seconds / size)} {unit}"
    return f"{two_digits(seconds / 3600)} h"


def two_digits(value: float) -> str:
    """A number to two digits: 0.15, 3.5, 65, 2900."""
    return f"{float(f'{value:.2g}'):.12g}"


def _count(number: int, word: str, many: str, one: str = "") -> str:
    return f"{number} {word}{one if number == 1 else many}"


def _training_work(config: TrainConfig) -> int:
    steps = config.steps_per_epoch or -(-config.data.train_mixtures // config.batch_size)
    example = training_macs(config.model, config.data.segment_seconds)
    validation = config.data.val_mixtures * macs(config.model, _mixture_seconds(config.data))
    return config.epochs * (steps * config.batch_size * example + validation)


def _evaluation_work(run: PlannedRun, asked: PlannedEvaluation) -> int:
    """One pass to the greatest depth per mixture; decoding the others costs next to nothing."""
    stored = asked.data.val_mixtures if asked.config.split == "val" else asked.data.test_mixtures
    count = min(asked.config.mixtures or stored, stored)
    deepest = max(asked.config.n_re, default=None)
    one = macs(run.config.model, _mixture_seconds(asked.data), n_re=deepest)
    return count * one


def _mixture_seconds(data: DataConfig) -> float:
    return min(data.max_seconds or MIXTURE_SECONDS, MIXTURE_SECONDS)


def _identities(runs_dir: Path, profile: str) -> set[str]:
    """The runs that some study planned at a profile."""

    def ignore(error: DamagedError) -> None:
        """`status` reports it; an estimate does not need it."""

    plans = saved_plans(runs_dir, profile, damaged=ignore)
    return {run.identity for plan in plans for row in plan.rows for run in row.runs}


def _speeds(folder: RunFolder) -> list[float]:
    """The last speed of a finished training, in multiply-adds per second; [] if none was logged."""
    if folder.result().status != "done":
        return []
    config = folder.settings()
    speeds = [
        event.metrics[names.SPEED]
        for event in read_journal(folder.journal)
        if event.kind == names.EVENT_TRAIN and event.metrics.get(names.SPEED)
    ]
    length = config.data.segment_seconds
    return [speed * training_macs(config.model, length) / length for speed in speeds[-1:]]


def _device(folder: RunFolder) -> str:
    environment = folder.environment() or Environment()
    threads = environment.threads or 1
    cpu = f"{threads} CPU thread{'s' if threads > 1 else ''}"
    return environment.accelerator or cpu
