"""Measures the memory of training steps, each in a new process, which no earlier step has grown."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor

import torch

from tisdiss.config import TrainConfig
from tisdiss.harness.estimate import gibibytes
from tisdiss.harness.plan import PlannedRun
from tisdiss.machine.device import memory_of
from tisdiss.machine.memory import peak_growth
from tisdiss.train import start, train_step

SHARE = 0.5
"""A step is measured if the count of its tensors fits into this share of the device's memory."""


def training_memories(runs: Iterable[PlannedRun], device: str) -> dict[str, int]:
    """Peak bytes of a training step of each run, by identity; steps that are too large are left
    out."""
    room = SHARE * memory_of(device) / 2**30
    fitting = [run for run in runs if run.kind != "weights" and (gibibytes(run) or 0.0) < room]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as fresh:
        pending = {run.identity: fresh.submit(training_peak, run.config, device) for run in fitting}
        return {identity: future.result() for identity, future in pending.items()}


def training_peak(config: TrainConfig, device: str = "cpu") -> int:
    """Peak bytes of the first training step on a batch of noise, beyond the model and the batch.

    Allocated on a GPU; resident on a CPU, where only a fresh process gives a number that does not
    depend on what ran before.
    """
    data = config.data
    samples = round(data.segment_seconds * data.sample_rate)
    sources = torch.randn(config.batch_size, config.model.n_src, samples).to(device)
    config = config.model_copy(update={"steps_per_epoch": config.steps_per_epoch or 1})
    state, mixture = start(config, None, device), sources.sum(1)
    state.model.train()
    if device == "cpu":
        return peak_growth(lambda: train_step(state, mixture, sources, config))
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    train_step(state, mixture, sources, config)
    return torch.cuda.max_memory_allocated(device) - before
