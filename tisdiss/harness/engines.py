"""The engines, in one table: where the runs of a plan are executed, and what starts them there.

A new engine is an entry of `ENGINES` and the function that it names; all that an engine ever starts
is a worker (`worker.py`) or a `Runner`. Nothing heavy is imported before a plan is launched.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tisdiss.harness.plan import Plan
    from tisdiss.harness.runner import Outcome, Runner


@dataclass(frozen=True, kw_only=True)
class Start:
    """How many runs and processes are started, the same for every engine."""

    jobs: int = 1
    """Runs at a time; a cluster's own settings say it there."""
    processes: int = 1
    """Processes that train each run together."""
    track: bool = True
    """Show finished runs in MLflow."""
    settings: Path | None = None
    """YAML file of the engine's own settings."""


Launch = Callable[["Plan", "Runner", Start], "dict[str, Outcome]"]
"""Brings every run of a plan up to date; how each ended, by identity."""


@dataclass(frozen=True)
class Engine:
    """A place where runs are executed."""

    about: str
    launch: Launch
    here: bool = False
    """Whether it is this machine: its devices are looked for before a corpus is opened, and seeds
    may be added in rounds."""


def _local(plan: Plan, runner: Runner, start: Start) -> dict[str, Outcome]:
    from tisdiss.harness.launch import launch

    if start.settings:
        raise ValueError(f"{start.settings}: the engine local has no settings; leave them out")
    return launch(
        plan, runner=runner, jobs=start.jobs, processes=start.processes, track=start.track
    )


def _slurm(plan: Plan, runner: Runner, start: Start) -> dict[str, Outcome]:
    from tisdiss.harness.slurm import launch_on_slurm
    from tisdiss.harness.slurm_jobs import SlurmSettings, load_settings

    settings = load_settings(start.settings) if start.settings else SlurmSettings()
    return launch_on_slurm(
        plan, runner=runner, settings=settings, processes=start.processes, track=start.track
    )


ENGINES = {
    "local": Engine("processes of this machine", _local, here=True),
    "slurm": Engine("jobs of a Slurm cluster", _slurm),
}
"""By the name that `tisdiss run --engine` takes."""
