"""Three figures that the paper does not have: score against cost, by difficulty, change per pass.

They have the style of `figures.py` and show frames of `stats.py` and `breakdown.py`.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from tisdiss.analysis.canvas import in_figures, legend, note, settle, style
from tisdiss.analysis.captions import timed_on
from tisdiss.analysis.figures import (
    Look,
    band,
    bars,
    key_lines,
    keys,
    legend_label,
    looks,
    trained_mark,
    uncluttered,
)
from tisdiss.records.names import SI_SNRI, in_unit, score_heading
from tisdiss.records.plan_record import CostName, ShownRow, StudyFile

COSTS: dict[CostName, tuple[str, float]] = {
    "macs": ("GMAC per second of audio", 1e-9),
    "rtf": ("real-time factor", 1.0),
}
"""Heading and unit of each cost that a plan may give for a row at each depth."""

_WIDE = (7.0, 2.3)


def cost_figure(curve: pd.DataFrame, plan: StudyFile, *, metric: str = SI_SNRI) -> Figure | None:
    """Score against multiply-adds and real-time factor, a point per depth; None if both unknown.

    Every variant is a line from its first to its last depth. The best variant is the one whose line
    is above and to the left of the others.
    """
    curve = curve[curve["metric"] == metric]
    costs = [name for name in COSTS if any(row.cost(name) for row in plan.rows)]
    if not costs:
        return None
    with style(in_figures(plan)):
        figure, panels = _figure(len(costs))
        curves = uncluttered(curve)
        for axes, name in zip(panels, costs, strict=True):
            handles = [_cost_line(axes, curves, row, name, look) for row, look in looks(plan)]
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_major_formatter("{x:g}")
            axes.xaxis.set_minor_formatter(NullFormatter())
            _label_at_least_two(axes)
            axes.set_xlabel(_cost_label(name, plan))
        panels[0].set_ylabel(score_heading(metric))
        shown = [handle for handle in handles if handle] + keys(curve, plan)
        _finish(figure, plan, curve, shown, above=key_lines(curve, plan))
    return figure


def _label_at_least_two(axes: Axes) -> None:
    """Label all digits if the range of costs holds fewer than two round numbers."""
    low, high = axes.get_xlim()
    if sum(low <= tick <= high for tick in axes.get_xticks()) < 2:
        axes.xaxis.set_major_locator(LogLocator(subs=range(1, 10)))


def difficulty_figure(
    by_level: pd.DataFrame, by_sex: pd.DataFrame, plan: StudyFile, *, metric: str = SI_SNRI
) -> Figure | None:
    """Score at the trained depth by input level, and by the sexes in a mixture where known."""
    parts = [part for part in (by_level, by_sex) if not part.empty]
    if by_level.empty:
        return None
    with style(in_figures(plan)):
        figure, panels = _figure(len(parts), sharey=True)
        handles = []
        curves = uncluttered(by_level)
        for row, look in looks(plan):
            line = curves[curves["row"] == row.id]
            if not line.empty:
                handles.append(_line(panels[0], line["level"], line, row, look))
        panels[0].set_xlabel("SI-SNR in the mixture [dB]")
        panels[0].set_ylabel(score_heading(metric))
        if len(parts) > 1:
            _sexes(panels[1], by_sex, plan)
        unmarked = by_level.assign(n_re_train=0)  # no point here marks the trained depth
        handles += keys(unmarked, plan)
        _finish(figure, plan, by_level, handles, above=key_lines(unmarked, plan))
    return figure


def change_figure(change: pd.DataFrame, plan: StudyFile, curve: pd.DataFrame) -> Figure | None:
    """The change by one further pass: median and quartiles over mixtures, and the share that lose.

    None if there is no further pass.
    """
    if change.empty:
        return None
    with style(in_figures(plan)):
        figure, panels = _figure(2)
        handles: list[Artist] = []
        lines = [(change[change["row"] == row.id], row, look) for row, look in looks(plan)]
        lines = [(line, row, look) for line, row, look in lines if not line.empty]
        for at, (line, row, look) in enumerate(lines):
            x = line["n_re"] + 0.12 * (at - (len(lines) - 1) / 2)
            bars(panels[0], x, line, look["color"], ("q50", "q25", "q75"))
            panels[0].plot(x, line["q50"], ls="none", mfc="white", **look)
            share = 100 * line["worse"]
            label = legend_label(row.label)
            handles += panels[1].plot(line["n_re"], share, mfc="white", label=label, **look)
        panels[0].axhline(0, color="0.5", lw=0.6)
        panels[0].set_ylabel(in_unit("change by the last pass", curve["metric"].iloc[0]))
        panels[0].set_title("median and quartiles over mixtures", loc="left", fontsize=7, pad=3)
        panels[1].set_ylabel("made worse by the last pass [%]")
        panels[1].set_title("share of mixtures", loc="left", fontsize=7, pad=3)
        panels[1].set_ylim(-4, 104)
        for axes in panels:
            axes.set_xlabel(r"$N_\mathrm{re}$ (inference)")
            axes.set_xticks(sorted(change["n_re"].unique()))
        _finish(figure, plan, curve, handles)
    return figure


def _figure(panels: int, *, sharey: bool = False) -> tuple[Figure, list[Axes]]:
    """A figure of one column for one panel, or of two columns for two."""
    figure = Figure(figsize=_WIDE) if panels > 1 else Figure()
    return figure, list(np.atleast_1d(figure.subplots(1, panels, sharey=sharey)))


def _finish(
    figure: Figure,
    plan: StudyFile,
    curve: pd.DataFrame,
    handles: list[Artist],
    *,
    above: Sequence[str] = (),
) -> None:
    note(figure, plan, curve, above=above)
    legend(figure, handles)
    settle(figure)


def _cost_label(name: CostName, plan: StudyFile) -> str:
    """The label of a cost, with the device if it was measured."""
    where = f", {timed_on(plan.timing.environment)}" if name == "rtf" and plan.timing else ""
    return f"{COSTS[name][0]}{where}"


def _cost_line(
    axes: Axes, curve: pd.DataFrame, row: ShownRow, name: CostName, look: Look
) -> Artist | None:
    costs = {n_re: cost * COSTS[name][1] for n_re, cost in row.cost(name).items()}
    line = curve[(curve["row"] == row.id) & curve["n_re"].isin(costs)].sort_values("n_re")
    if line.empty:
        return None
    x = line["n_re"].map(costs)
    handle = _line(axes, x, line, row, look)
    trained = line["n_re"] == line["n_re_train"]
    axes.plot(x[trained], line["mean"][trained], **trained_mark(**look))
    return handle


def _line(axes: Axes, x: pd.Series, line: pd.DataFrame, row: ShownRow, look: Look) -> Artist:
    band(axes, x, line, look["color"])
    label = legend_label(row.label)
    return axes.plot(x, line["mean"], mfc="white", label=label, **look)[0]


def _sexes(axes: Axes, by_sex: pd.DataFrame, plan: StudyFile) -> None:
    """A point with its interval per variant and kind of mixture."""
    kinds = sorted(by_sex["group"].unique())
    variants = [(row, look) for row, look in looks(plan) if (by_sex["row"] == row.id).any()]
    for at, (row, look) in enumerate(variants):
        line = by_sex[by_sex["row"] == row.id]
        x = line["group"].map(kinds.index) + 0.5 * ((at + 0.5) / len(variants) - 0.5)
        bars(axes, x, line, look["color"])
        axes.plot(x, line["mean"], ls="none", mfc="white", **look)
    axes.set_xticks(range(len(kinds)), kinds)
    axes.set_xlim(-0.5, len(kinds) - 0.5)
