"""Fig. 2 of the paper as one figure, with those of its eight panels that were run."""

import string
from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tisdiss.analysis.canvas import in_figures, settle, style
from tisdiss.analysis.captions import basis, daggers, escape_figure
from tisdiss.analysis.figures import draw_depths, without_bands
from tisdiss.analysis.places import PANELS
from tisdiss.records.names import SI_SNRI, score_heading, score_unit
from tisdiss.records.plan_record import StudyFile

COLUMNS = 4
_WIDTH, _ROW = 7.0, 1.95
_SMALL = 5.5
_GREY = "0.35"
SUBJECTS = {
    "fig2a": "loss sets",
    "fig2b": r"$N_\mathrm{sep}$",
    "fig2c": r"$N_\mathrm{re}$ of training",
    "fig2d": "repetitions or blocks",
    "fig2e": "fine-tuning, clean",
    "fig2f": "fine-tuning, large clean",
    "fig2g": "fine-tuning, noisy",
    "fig2h": "splitters, bands",
}
"""What each panel compares."""


Panel = tuple[pd.DataFrame, StudyFile]
"""A study's curve and its plan."""


def fig2(
    panels: Mapping[str, Panel], epochs: Mapping[str, str] | None = None, *, metric: str = SI_SNRI
) -> Figure:
    """The figure of the studies fig2a to fig2h in `panels`, which holds curve and plan by name.

    `epochs` says which epochs the weights of a study come from (`recipe.kept_epochs`).

    A panel that was not run is left out and named below the figure; the others keep their letters.
    """
    with style("".join(in_figures(plan) for _, plan in panels.values())):
        studies = [(at, study) for at, study in enumerate(PANELS) if study in panels]
        columns = min(COLUMNS, len(studies))
        rows = -(-len(studies) // columns)
        figure = Figure(figsize=(_WIDTH, _ROW * rows))
        grid = list(figure.subplots(rows, columns, squeeze=False).ravel())
        for empty in grid[len(studies) :]:
            empty.remove()
        for place, (axes, (at, study)) in enumerate(zip(grid, studies, strict=False)):
            letter = string.ascii_lowercase[at]
            axes.set_title(f"({letter}) {SUBJECTS[study]}", fontsize=7.5, pad=2, loc="left")
            _panel(axes, *panels[study], metric=metric)
            if place % columns == 0:
                axes.set_ylabel(score_heading(metric))
            if place + columns >= len(studies):  # no panel below
                axes.set_xlabel(r"$N_\mathrm{re}$ (inference)")
        notes = _notes(panels, epochs or {}, metric)
        figure.supxlabel(notes, fontsize=_SMALL, color=_GREY, x=0.99, ha="right")
        figure.draw_without_rendering()  # so that legends have a size
        for axes in figure.axes:
            _make_room(axes)
        settle(figure)
    return figure


def _panel(axes: Axes, curve: pd.DataFrame, plan: StudyFile, *, metric: str) -> None:
    curve = without_bands(curve[curve["metric"] == metric])  # as in the paper
    draw_depths(axes, curve, plan, metric=metric)
    axes.tick_params(labelsize=6.5)
    axes.margins(y=0.1)
    axes.legend(fontsize=_SMALL, handlelength=1.5, loc="upper left")


def _make_room(axes: Axes) -> None:
    """Raise the upper end of the axis until no curve is under the legend."""
    legend = axes.get_legend()
    if legend is not None:
        share = legend.get_window_extent().height / axes.get_window_extent().height
        low, high = axes.get_ylim()
        axes.set_ylim(low, low + (high - low) / (0.97 - share))


def _has_gaps(curve: pd.DataFrame, plan: StudyFile) -> bool:
    return curve["row"].nunique() < plan.n_own_rows


def _notes(panels: Mapping[str, Panel], epochs: Mapping[str, str], metric: str) -> str:
    """The meaning of marks, and the data behind the numbers: once, or per panel if it differs."""
    bases: dict[str, list[str]] = {}
    widths: list[str] = []
    for study, (curve, plan) in panels.items():
        facts = [*basis(plan, curve), epochs.get(study, ""), *daggers(plan)]
        bases.setdefault(" · ".join(filter(None, facts)), []).append(study[-1])
        half = (curve["high"] - curve["low"]).where(curve["metric"] == metric).max() / 2
        widths += [f"({study[-1]}) ±{half:.2f}"] if half == half else []
    lines = [f"({', '.join(at)}) {line}" if len(bases) > 1 else line for line, at in bases.items()]
    marks = ["large filled marker: N_re of training", "vertical axes differ"]
    if widths:
        unit = score_unit(metric)
        lines.insert(0, f"95 % intervals over speakers, at most: {', '.join(widths)} {unit}")
    if torn := [f"({name[-1]})" for name, panel in panels.items() if _has_gaps(*panel)]:
        marks.append(f"not all rows run: {', '.join(torn)}")
    if any(plan.show.equal_cost for _, plan in panels.values()):
        marks.append("dashed: equal cost")
    if absent := [f"({study[-1]})" for study in PANELS if study not in panels]:
        marks.append(f"not run: {', '.join(absent)}")
    return escape_figure("\n".join([" · ".join(marks), *lines]))
