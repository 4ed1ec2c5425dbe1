"""The figure of detectable differences against seeds, and the files of `tisdiss power --out`."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import (
    FixedLocator,
    FormatStrFormatter,
    LogLocator,
    NullFormatter,
    NullLocator,
    ScalarFormatter,
)

from tisdiss.analysis.canvas import COLOURS, legend, render, settle, style
from tisdiss.analysis.figures import legend_label, marker, trained_mark
from tisdiss.analysis.inventory import write_own
from tisdiss.analysis.power import MORE_MIXTURES, SEEDS, ClaimPower, NoPower, power_table


def write_power(
    claims: Sequence[ClaimPower | NoPower], out: Path, *, force: bool = False
) -> list[Path]:
    """Write `power.csv` and the figure in three formats; ValueError if no claim can be drawn."""
    powers = [claim for claim in claims if isinstance(claim, ClaimPower)]
    if not powers:
        reasons = "; ".join(f"{c.verdict.id}: {c.reason}" for c in claims if isinstance(c, NoPower))
        raise ValueError(f"no claim to draw: {reasons}")
    files: dict[str, bytes | str] = {"power.csv": power_table(claims).to_csv(index=False)}
    images = render(power_figure(powers))
    files |= {f"power.{form}": content for form, content in images.items()}
    return write_own(out, files, force=force)


def power_figure(claims: Sequence[ClaimPower]) -> Figure:
    """The detectable difference against seeds, one line per claim, with the present mixtures.

    The large marker is at the present number of seeds. The dotted line is for four times the
    mixtures.
    """
    with style(" ".join(claim.verdict.id for claim in claims)):
        figure = Figure()
        axes = figure.add_subplot()
        handles = [_line(axes, claim, at) for at, claim in enumerate(claims)]
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.xaxis.set_major_locator(FixedLocator(SEEDS))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter(FormatStrFormatter("%.3g"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("seeds of every row (one: these weights, not the recipe)")
        axes.set_ylabel("detectable difference [dB]")
        legend(figure, [*handles, *_keys()])
        settle(figure)
    return figure


def _line(axes: Axes, claim: ClaimPower, at: int) -> Line2D:
    look: dict[str, Any] = {
        "color": COLOURS[at % len(COLOURS)],
        "marker": marker(at),
    }
    present, most = (_curve(claim, more) for more in (MORE_MIXTURES[0], MORE_MIXTURES[-1]))
    label = legend_label(claim.verdict.id)
    (handle,) = axes.plot(SEEDS[1:], present[1:], mfc="white", label=label, **look)
    axes.plot(SEEDS[1:], most[1:], color=look["color"], ls=":", lw=0.9)
    axes.plot(SEEDS[:1], present[:1], mfc="white", **look)  # not joined: only about these weights
    if not math.isnan(claim.now):
        axes.plot([claim.seeds], [claim.now], **trained_mark(**look))
    return handle


def _curve(claim: ClaimPower, more: int) -> list[float]:
    mixtures = more * claim.mixtures
    return [plan.detectable for plan in claim.plans if plan.mixtures == mixtures]


def _keys() -> list[Artist]:
    times = MORE_MIXTURES[-1]
    return [
        Line2D([], [], label="seeds now", **trained_mark("o", "0.6")),
        Line2D([], [], color="0.4", ls=":", lw=0.9, label=f"{times} times the mixtures"),
    ]
