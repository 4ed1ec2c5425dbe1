"""The table of engines: the places where the runs of a plan are executed.

To add an engine, add an entry to `ENGINES` and the function that it names. An engine starts workers
(`worker.py`) or a `Runner`. Slow imports wait until a plan is launched.
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
    """The numbers of runs and processes to start, for every engine."""

    jobs: int = 1
    """Runs at a time; on a cluster, its settings replace this."""
    processes: int = 1
    """Processes that train one run together."""
    track: bool = True
    """Whether finished runs go to MLflow."""
    settings: Path | None = None
    """YAML file with the engine's own settings."""


Launch = Callable[["Plan", "Runner", Start], "dict[str, Outcome]"]
"""A function that executes every unfinished run of a plan; returns the outcomes by identity."""


@dataclass(frozen=True)
class Engine:
    """A place where runs are executed."""

    about: str
    launch: Launch
    here: bool = False
    """Whether runs are executed on this machine. Then its devices are checked before a corpus is
    opened, and `--until-decided` can add seeds."""


def _local(plan: Plan, runner: Runner, start: Start) -> dict[str, Outcome]:
    from tisdiss.harness.launch import launch
    from tisdiss.machine.extras import need_modules

    need_modules(plan.packages)
    if start.settings:
        raise ValueError(f"{start.settings}: the engine local has no settings; leave them out")
    return launch(
        plan, runner=runner, jobs=start.jobs, processes=start.processes, track=start.track
    )


def _slurm(plan: Plan, runner: Runner, start: Start) -> dict[str, Outcome]:
    from tisdiss.harness.slurm import launch_on_slurm
    from tisdiss.harness.slurm_jobs import SlurmSettings, load_settings
    from tisdiss.machine.extras import need, need_modules

    need("slurm")
    need_modules(plan.packages)
    settings = load_settings(start.settings) if start.settings else SlurmSettings()
    return launch_on_slurm(
        plan, runner=runner, settings=settings, processes=start.processes, track=start.track
    )


ENGINES = {
    "local": Engine("processes of this machine", _local, here=True),
    "slurm": Engine("jobs of a Slurm cluster", _slurm),
}
"""The engines by name (`tisdiss run --engine`)."""
