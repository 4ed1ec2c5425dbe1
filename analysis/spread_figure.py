"""A figure that the paper does not have: the spread of the mixtures, a shape per variant.

A mean hides mixtures that fail, and two means may differ because of few mixtures; the shapes show
both.
"""

from textwrap import fill

import pandas as pd
from matplotlib.figure import Figure

from tisdiss.analysis.canvas import in_figures, note, settle, style
from tisdiss.analysis.captions import escape_figure
from tisdiss.analysis.figures import looks
from tisdiss.records.names import SI_SNRI, score_heading
from tisdiss.records.plan_record import StudyFile

_ROW_HEIGHT = 0.42
"""Inches of a variant."""
_AXIS_HEIGHT = 0.65
_LABEL_CHARACTERS = 24
_KEY = "mixtures at the trained depth; lines in a shape: quartiles"
_LEAST = 5
"""Fewest mixtures of a shape."""


def spread_figure(
    spread: pd.DataFrame, plan: StudyFile, curve: pd.DataFrame, *, metric: str = SI_SNRI
) -> Figure | None:
    """The spread of mixtures at the trained depth, as `breakdown.by_mixture` returns it.

    Lines in a shape are the quartiles, and its ends are the lowest and the highest mixture. None if
    there are too few mixtures for a shape.
    """
    shown = [(row, look) for row, look in looks(plan) if (spread["row"] == row.id).any()]
    if not shown or spread.groupby("row")["score"].nunique().min() < _LEAST:
        return None
    import seaborn  # slow to load

    with style(in_figures(plan)):
        figure = Figure()
        figure.set_figheight(_AXIS_HEIGHT + _ROW_HEIGHT * len(shown))
        axes = figure.add_subplot()
        seaborn.violinplot(
            spread,
            x="score",
            y="row",
            hue="row",
            order=[row.id for row, _ in shown],
            palette={row.id: look["color"] for row, look in shown},
            legend=False,
            orient="h",
            inner="quart",
            cut=0,
            density_norm="width",
            width=0.85,
            linewidth=0.7,
            linecolor="0.15",
            alpha=0.45,
            ax=axes,
        )
        labels = [fill(escape_figure(row.label), _LABEL_CHARACTERS) for row, _ in shown]
        axes.set_yticks(range(len(shown)), labels)
        axes.tick_params(axis="y", length=0)
        axes.axvline(0, color="0.5", lw=0.6)
        axes.set_xlabel(score_heading(metric))
        axes.set_ylabel("")
        axes.grid(visible=False, axis="y")
        note(figure, plan, curve, above=[_KEY])
        settle(figure)
    return figure
