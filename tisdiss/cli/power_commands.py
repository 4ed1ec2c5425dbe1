"""The command about the power of claims."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tisdiss.cli.answers import Json, power_document, print_json
from tisdiss.cli.options import Force, Profile, RunsDir
from tisdiss.limits import MAX_NOISE
from tisdiss.machine.folders import RUNS

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from tisdiss.analysis.power import ClaimPower, NoPower, Parts

app = typer.Typer()

WIDE = 150
"""Columns of a terminal from which on the whole table fits."""
_EXPLAINING = ("speakers", "mixtures", "training", "1 seed", "2 seeds", "20 seeds", "h per seed")
"""Columns that a narrow table leaves out."""


@app.command()
def power(
    study: Annotated[
        str, typer.Argument(help="A study that was run; a pilot of one seed will do.")
    ],
    profile: Profile = "mini",
    runs_dir: RunsDir = RUNS,
    noise: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=MAX_NOISE,
            help="Standard deviation between trainings of one row, in dB, to assume if a row has "
            "only one seed.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for power.csv and a figure.", show_default=False),
    ] = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Show which differences the claims of a study can detect, and what more seeds would cost.

    A difference is detectable if the 95 % confidence interval excludes 0 in 80 % of cases.

    Example: tisdiss power fig2e --profile mini

    With one seed, assume its noise: tisdiss power fig2c --profile cpu --noise 0.07
    """
    from rich.console import Console

    from tisdiss.analysis.places import check_planned

    name = Path(study).stem
    check_planned(runs_dir, name, profile)

    from tisdiss.analysis.power import power as power_of  # with pandas

    claims = power_of(runs_dir, name, profile, noise=noise)
    if as_json:
        print_json("power", power_document(claims, name, profile))
    else:
        _show(claims, f"{name} at profile {profile}", Console())
    if out:
        from tisdiss.analysis.power_figure import write_power  # with matplotlib

        for path in write_power(claims, out, force=force):
            typer.echo(path, err=as_json)


def _show(claims: list[ClaimPower | NoPower], title: str, console: Console) -> None:
    narrow = console.width < WIDE
    console.print(power_table(claims, title, narrow=narrow))
    if narrow:
        typer.echo(
            f"(a terminal of {WIDE} columns also shows the sources of variance, and the hours)"
        )
    for line in remarks(claims):
        console.print(line, markup=False, highlight=False)


def power_table(claims: list[ClaimPower | NoPower], title: str, *, narrow: bool = False) -> Table:
    """One line per claim: its difference, its sources of variance, and detectable differences.

    A narrow table leaves out what only explains the others.
    """
    from tisdiss.harness.display import new_table

    table = new_table(f"{title}: detectable difference in dB (80 % power, 5 % two-sided)")
    lines = [_line(claim) for claim in claims]
    names = dict.fromkeys(name for line in lines for name in line)
    shown = [name for name in names if not (narrow and name in _EXPLAINING)]
    for name in shown:
        is_text = name in ("claim", "needs")
        table.add_column(name, justify="left" if is_text else "right", no_wrap=name != "needs")
    for line in lines:
        table.add_row(*(line.get(name, "") for name in shown))
    return table


def _line(claim: ClaimPower | NoPower) -> dict[str, str]:
    """The cells of a claim by the name of their column."""
    from tisdiss.analysis.power import NoPower

    if isinstance(claim, NoPower):
        return {"claim": claim.verdict.id, "observed": "-"}
    at_present = [plan for plan in claim.plans if plan.mixtures == claim.mixtures]
    by_seeds = {
        f"{plan.seeds} seed{'s' if plan.seeds > 1 else ''}": _decibels(plan.detectable)
        for plan in at_present
    }
    return {
        "claim": claim.verdict.id,
        "observed": f"{claim.estimate.mean:+.2g}" + _other_unit(claim.verdict.unit),
        "speakers": _decibels(claim.parts.speakers),
        "mixtures": _decibels(claim.parts.mixtures),
        "training": _training(claim.parts),
        "now": _decibels(claim.now),
        **by_seeds,
        "h per seed": _decibels(claim.cost.hours(1, 1) if claim.cost else None),
        "needs": _needs(claim),
    }


def _other_unit(unit: str) -> str:
    """The unit of a difference that is not in dB, which the table's title says."""
    return "" if unit == "dB" else f" {unit or 'no unit'}"


def remarks(claims: list[ClaimPower | NoPower]) -> list[str]:
    """Explanations of the table's numbers, and of missing ones."""
    from tisdiss.analysis.power import NoPower

    known = [claim for claim in claims if not isinstance(claim, NoPower)]
    lines = [f"{c.verdict.id}: {c.reason}" for c in claims if isinstance(c, NoPower)]
    lines += [
        f"{claim.verdict.id}: NOT TESTABLE HERE, however many seeds: {claim.verdict.reason}"
        for claim in known
        if claim.verdict.status == "NOT TESTABLE HERE"
    ]
    if known:
        lines.append(
            "speakers, mixtures: standard deviation of the mean over test material; "
            "training: of the difference of one seed"
        )
    if any(claim.parts.training is None for claim in known):
        lines.append(
            "? the noise of training is unknown, because a row has one seed; 1 seed only holds for "
            "these weights. Run a second (`tisdiss run --seed`), or assume a noise: --noise 0.07"
        )
    elif any(claim.parts.assumed for claim in known):
        lines.append(
            "* assumed, not measured, because a row has one seed; depths of one row count as "
            "separate trainings, which overestimates the noise"
        )
    if known:
        lines.append("1 seed is never a verdict on a recipe; hours are those of the finished runs")
    return lines


def _needs(claim: ClaimPower) -> str:
    """The least seeds and mixtures that would detect the observed difference."""
    if claim.parts.training is None:
        return "?"
    plan = claim.needs
    if plan is None:
        return "more than these"
    hours = "" if math.isnan(plan.hours) else f", {plan.hours:.2g} h"
    more = "" if plan.mixtures == claim.mixtures else f" on {plan.mixtures} mixtures"
    return f"{plan.seeds} seeds{more}{hours}"


def _training(parts: Parts) -> str:
    assumed = parts.assumed and parts.training is not None
    return _decibels(parts.training) + ("*" if assumed else "")


def _decibels(value: float | None) -> str:
    return "?" if value is None or math.isnan(value) else f"{value:.2g}"
