"""What several commands have in common: options that mean the same everywhere, and `-h`."""

from __future__ import annotations

import math
from typing import Annotated

import typer

SETTINGS = {"help_option_names": ["--help", "-h"]}
"""Context settings of every group of commands; its commands inherit them."""


def known_profile(name: str) -> str:
    """The profile's name, if there is such a profile: told before anything is loaded or run."""
    from tisdiss.records.problems import nearest
    from tisdiss.study.profiles import load_profiles

    if name not in load_profiles():
        raise typer.BadParameter(f"no profile '{name}'; {nearest(name, load_profiles())}")
    return name


def above_zero(value: float | None) -> float | None:
    """A number that is finite and above 0, or none."""
    if value is not None and not 0 < value < math.inf:
        raise typer.BadParameter(f"{value:g}: give a number above 0")
    return value


Profile = Annotated[
    str,
    typer.Option(
        callback=known_profile,
        help="Size: smoke, mini, cpu, lab or paper; see tisdiss/study/profiles.yaml.",
    ),
]
