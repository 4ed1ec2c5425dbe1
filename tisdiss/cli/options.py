"""What several commands have in common: options that mean the same everywhere, and `-h`."""

from __future__ import annotations

import math
from typing import Annotated

import typer

from tisdiss import __version__

SETTINGS = {"help_option_names": ["--help", "-h"]}
"""Context settings of every group of commands; its commands inherit them."""


def known_profile(name: str) -> str:
    """The profile's name, if there is such a profile: told before anything is loaded or run."""
    from tisdiss.records.problems import nearest
    from tisdiss.study.profiles import load_profiles

    if name not in load_profiles():
        raise typer.BadParameter(f"no profile '{name}'; {nearest(name, load_profiles())}")
    return name


def known_device(name: str) -> str:
    """The device's name, if it is one of a kind that we know; whether it is there is seen later."""
    from tisdiss.machine.device import check_device_name

    return check_device_name(name)


def above_zero(value: float | None) -> float | None:
    """A number that is finite and above 0, or none."""
    if value is not None and not 0 < value < math.inf:
        raise typer.BadParameter(f"{value:g}: give a number above 0")
    return value


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"tisdiss {__version__}")
        raise typer.Exit


def group_options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """What every group of commands takes."""


Device = Annotated[str, typer.Option(callback=known_device, help="cpu, cuda or cuda:N.")]
Profile = Annotated[
    str,
    typer.Option(
        callback=known_profile,
        help="Size: smoke, mini, cpu, lab or paper; see tisdiss/study/profiles.yaml.",
    ),
]
