"""Options that several commands share, and `-h`."""

from __future__ import annotations

import math
from collections.abc import Collection
from pathlib import Path
from typing import Annotated

import typer

from tisdiss import __version__
from tisdiss.harness.engines import ENGINES
from tisdiss.limits import MAX_MEASURED, MAX_THREADS
from tisdiss.machine.folders import KEPT_REPORTS, REPORTS, SMOKE_REPORTS

SETTINGS = {"help_option_names": ["--help", "-h"]}
"""Context settings of every group of commands; its commands inherit them."""


def known_profile(name: str) -> str:
    """The profile's name if it exists; checked before anything is loaded or run."""
    from tisdiss.records.problems import nearest
    from tisdiss.study.profiles import load_profiles

    if name not in load_profiles():
        raise typer.BadParameter(f"no profile '{name}'; {nearest(name, load_profiles())}")
    return name


def known_device(name: str) -> str:
    """The device's name if it has a known form; whether the device exists is checked later."""
    from tisdiss.machine.device import check_device_name

    return check_device_name(name)


def known_engine(name: str) -> str:
    """The engine's name, if there is such an engine."""
    from tisdiss.records.problems import nearest

    if name not in ENGINES:
        raise typer.BadParameter(f"no engine '{name}'; {nearest(name, ENGINES)}")
    return name


def above_zero(value: float | None) -> float | None:
    """A number that is finite and above 0, or None."""
    if value is not None and not 0 < value < math.inf:
        raise typer.BadParameter(f"{value:g}: give a number above 0")
    return value


def _show_version(show: bool) -> None:
    if show:
        typer.echo(f"tisdiss {__version__}")
        raise typer.Exit


def group_options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """The options of every group of commands."""


Device = Annotated[str, typer.Option(callback=known_device, help="cpu, cuda or cuda:N.")]
Engine = Annotated[
    str,
    typer.Option(
        callback=known_engine,
        help="Where runs are executed: "
        + "; ".join(f"{name}, {engine.about}" for name, engine in ENGINES.items())
        + ".",
    ),
]
Profile = Annotated[
    str,
    typer.Option(
        callback=known_profile,
        help="Size: smoke, mini, cpu, lab or paper; see tisdiss/study/profiles.yaml.",
    ),
]
Studies = Annotated[list[str], typer.Argument(help="Study names, as in studies/, or YAML files.")]
RunsDir = Annotated[Path, typer.Option(help="Folder of runs.")]
Cache = Annotated[Path, typer.Option(help="Folder for decoded and fetched speech.")]
Speech = Annotated[
    Path | None,
    typer.Option(help="Folder of speakers; also read from $SPEECH.", show_default=False),
]
Seeds = Annotated[
    list[int] | None,
    typer.Option("--seed", min=0, help="Instead of the study's seeds; repeat for several."),
]
Rows = Annotated[list[str] | None, typer.Option("--row", help="Only these rows; repeatable.")]
Threads = Annotated[
    int | None, typer.Option(min=1, max=MAX_THREADS, help="Torch threads of each run.")
]
Seconds = Annotated[
    float, typer.Option(max=MAX_MEASURED, callback=above_zero, help="Length of the audio.")
]
Force = Annotated[
    bool, typer.Option("--force", help="Replace files that no earlier command of ours wrote.")
]
NewReports = Annotated[
    Path | None,
    typer.Option(
        "--reports",
        "--out",
        help="Folder of reports; else build/reports/, or build/smoke/ at profile smoke.",
        show_default=False,
    ),
]


def holding(studies: Collection[str] = ()) -> Path:
    """build/reports if it has all of the studies, or any if none is named; else reports/."""
    names = {path.parent.name for path in REPORTS.glob("*/provenance.json")}
    return REPORTS if names and names.issuperset(studies) else KEPT_REPORTS


def new_reports(profile: str, out: Path | None) -> Path:
    """The folder for reports at a profile: `out`, else the default."""
    return out or (SMOKE_REPORTS if profile == "smoke" else REPORTS)


WEIGHTS_HELP = (
    "base (shipped), a .safetensors, the first digits of a run, an address in MLflow such as "
    "models:/tisdiss@best, or a released .pth."
)
AnyWeights = Annotated[str, typer.Option(help=WEIGHTS_HELP)]
"""The weights of an existing model; `shipped.weights_of` finds their file."""
Recipe = Annotated[
    Path | None, typer.Option(help="config.yaml of a released .pth; else the one beside it.")
]
