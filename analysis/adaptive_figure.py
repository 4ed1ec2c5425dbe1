"""A figure that the paper does not have: depths that adapt to each mixture beside fixed ones."""

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.figure import Figure

from tisdiss.analysis.canvas import in_figures, legend, note, settle, style
from tisdiss.analysis.figures import legend_label, looks
from tisdiss.records.names import SI_SNRI, score_heading
from tisdiss.records.plan_record import StudyFile

_KEY = "points: one fixed depth; lines: each mixture stops once a pass changes little (--settled)"


def adaptive_figure(
    adaptive: pd.DataFrame, plan: StudyFile, curve: pd.DataFrame, *, metric: str = SI_SNRI
) -> Figure | None:
    """Score against mean depth: a line as `breakdown.adaptive` returns it, a point per fixed depth.

    Where a line runs above the points of its colour, adapting pays. None without a line.
    """
    if adaptive.empty:
        return None
    fixed = curve[curve["metric"] == metric]
    with style(in_figures(plan)):
        figure = Figure()
        axes = figure.add_subplot()
        handles: list[Artist] = []
        for row, look in looks(plan):
            line = adaptive[adaptive["row"] == row.id].sort_values("settled_db")
            if line.empty:
                continue
            points = fixed[(fixed["row"] == row.id) & (fixed["n_re"] > 0)]
            axes.plot(points["n_re"], points["mean"], ls="none", mfc="white", **look)
            handles += axes.plot(
                line["n_re"], line["mean"], label=legend_label(row.label), color=look["color"]
            )
        axes.set_xlabel(r"mean $N_\mathrm{re}$ (inference)")
        axes.set_ylabel(score_heading(metric))
        note(figure, plan, curve, above=[_KEY, *_not_recorded(adaptive, fixed, plan)])
        legend(figure, handles)
        settle(figure)
    return figure


def _not_recorded(adaptive: pd.DataFrame, fixed: pd.DataFrame, plan: StudyFile) -> list[str]:
    """A line that names the rows whose changes per pass were not recorded."""
    without = set(fixed["row"]) - set(adaptive["row"])
    labels = [row.label for row, _ in looks(plan) if row.id in without]
    return [f"changes per pass not recorded: {'; '.join(labels)}"] if labels else []
