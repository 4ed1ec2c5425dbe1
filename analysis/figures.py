"""The figure of a study: a score over N_re, a line for every row."""

import textwrap
from typing import Any, NotRequired, TypedDict

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from tisdiss.analysis.canvas import COLOURS, in_figures, legend, note, settle, style
from tisdiss.analysis.captions import (
    covered,
    dagger,
    escape_figure,
    pretty,
    reported,
    row_label,
    source_of,
)
from tisdiss.analysis.fonts import unprintable
from tisdiss.records.names import SI_SNRI, in_unit, score_heading, score_unit
from tisdiss.records.plan_record import ShownRow, StudyFile

MARKERS = ("o", "s", "^", "D", "v", "<", ">", "h")
"""The place of a variant in the plan determines its marker and its colour."""

_EQUAL_COST: dict[str, Any] = {"color": "0.4", "ls": "--", "lw": 0.9, "marker": "", "zorder": 1.9}
"""The style of a line between points of equal cost; it lies below the curves and their markers."""
_SUBTITLE_SIZE = 7
_PAIRED_HEIGHT = 3.4
"""Height in inches of a figure with a panel of differences."""
_ASIDE = 0.36
"""Width, in depths, over which the points of one depth are spread."""
_MEAN = ("mean", "low", "high")
_LEAST_SPAN = 1.0
"""Least span of scores, in dB, over which curves that fall are cut off."""
_MOST_BELOW = 2.0
"""How many such spans a curve may fall below the others."""
_LEGEND_CHARACTERS = 52
_MOST_BANDS = 2
"""Most bands in a figure. More would overlap, so the legend gives their width instead."""
_MOST_KEYED = 4
"""Most variants whose legend explains the marks. For more, the note below the axes does."""


class Look(TypedDict):
    """The style of a variant, as matplotlib's arguments."""

    color: str
    marker: str
    ms: NotRequired[float]
    mew: NotRequired[float]
    lw: NotRequired[float]


def depth_figure(
    curve: pd.DataFrame,
    plan: StudyFile,
    differences: pd.DataFrame | None = None,
    *,
    against: str = "",
    metric: str = SI_SNRI,
) -> Figure:
    """Score against inference depth, one line per variant, from `stats.depth_curve`.

    The band is the interval; for more than two variants the legend gives its width instead. The
    large filled marker is the trained depth. The note below the axes names variants without runs,
    and the seeds of variants with missing runs. `differences` from the row `against`, as
    `stats.difference_curve` returns them, get a second panel. They are paired by mixture, so their
    intervals are usually narrower than those of the scores.
    """
    curve = curve[curve["metric"] == metric]
    with style(in_figures(plan)):
        figure = Figure()
        paired = None if differences is None or differences.empty else differences
        axes, *below = _panels(figure, paired=paired is not None)
        handles, absent = draw_depths(axes, curve, plan, metric=metric)
        cut_off(axes, curve, plan)
        axes.set_ylabel(score_heading(metric))
        if paired is not None:
            _draw_differences(below[0], paired, plan, against)
            cut_off(below[0], paired, plan)
            below[0].set_ylabel(in_unit("difference", metric))
        (below or [axes])[-1].set_xlabel(r"$N_\mathrm{re}$ (inference)")
        note(figure, plan, curve, absent, above=key_lines(curve, plan))
        legend(figure, handles + keys(curve, plan) + _cost_key(plan))
        settle(figure)
    return figure


def _panels(figure: Figure, *, paired: bool) -> list[Axes]:
    """One panel, or two: the scores above the differences."""
    if not paired:
        return [figure.add_subplot()]
    figure.set_figheight(_PAIRED_HEIGHT)
    return list(figure.subplots(2, 1, sharex=True, height_ratios=(3, 2)))


def _draw_differences(axes: Axes, differences: pd.DataFrame, plan: StudyFile, against: str) -> None:
    """Draw each variant minus `against`: a point with its interval at every depth, side by side."""
    axes.axhline(0, color="0.5", lw=0.6)
    shown = [(row, look) for row, look in looks(plan) if (differences["row"] == row.id).any()]
    for at, (row, look) in enumerate(shown):
        line = differences[differences["row"] == row.id]
        x = line["n_re"] + _ASIDE * (at - (len(shown) - 1) / 2) / max(1, len(shown) - 1)
        bars(axes, x, line, look["color"])
        thin: Look = {**look, "lw": 0.5}
        axes.plot(x, line["mean"], mfc="white", **thin)
    label = next((row.label for row, _ in looks(plan) if row.id == against), against)
    axes.set_title(f"minus {legend_label(label)}", loc="left", fontsize=_SUBTITLE_SIZE, pad=3)


def draw_depths(
    axes: Axes, curve: pd.DataFrame, plan: StudyFile, *, metric: str
) -> tuple[list[Artist], list[str]]:
    """Draw the curves of a study; returns their handles, and the labels of rows without a curve.

    At profile paper, a quoted number is a dotted level; at other profiles it would mislead.
    """
    handles: list[Artist] = []
    absent = []
    curve = uncluttered(curve)
    for row, look in looks(plan):
        line = curve[curve["row"] == row.id].sort_values("n_re")
        if line.empty:
            absent.append(row.label)
        elif not row.n_re_train:
            handles.append(_level(axes, line, row, look))
        else:
            handles.append(_variant(axes, line, row, look))
    if plan.at_paper:
        handles += _reported_levels(axes, plan, metric)
    if plan.show.equal_cost:
        _join_equal_costs(axes, curve, plan)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=12))
    axes.margins(x=0.03, y=0.06)
    return handles, absent


def looks(plan: StudyFile) -> list[tuple[ShownRow, Look]]:
    """Every row of a study with its colour and marker, the same in all figures of the study."""
    return [
        (row.updated(label=_printable(row_label(row, plan), row)), _look(at, small=_has_many(plan)))
        for at, row in enumerate(plan.rows)
    ]


def marker(at: int) -> str:
    """The marker at a place in the plan; colours that come again get other markers."""
    return MARKERS[(at + at // len(COLOURS)) % len(MARKERS)]


def _look(at: int, *, small: bool) -> Look:
    look: Look = {"color": COLOURS[at % len(COLOURS)], "marker": marker(at)}
    return {**look, "ms": 2.8, "mew": 0.6, "lw": 0.9} if small else look


def _printable(label: str, row: ShownRow) -> str:
    """The label, or the row's id if no installed font has its letters."""
    families = matplotlib.rcParams["font.family"]
    return row.id + dagger(row) if unprintable(label, families) else label


def _variant(axes: Axes, line: pd.DataFrame, row: ShownRow, look: Look) -> Line2D:
    """Draw one curve with its band and the mark of its trained depth."""
    band(axes, line["n_re"], line, look["color"])
    label = legend_label(row.label)
    (handle,) = axes.plot(line["n_re"], line["mean"], mfc="white", label=label, **look)
    trained = line[line["n_re"] == line["n_re_train"]]
    axes.plot(trained["n_re"], trained["mean"], **trained_mark(**look))
    return handle


def uncluttered(curve: pd.DataFrame) -> pd.DataFrame:
    """The curves of a figure, without intervals if their bands would overlap."""
    return without_bands(curve) if _is_crowded(curve) else curve


def without_bands(curve: pd.DataFrame) -> pd.DataFrame:
    """The curves without their intervals."""
    return curve.assign(low=float("nan"), high=float("nan"))


def _is_crowded(curve: pd.DataFrame) -> bool:
    return curve["row"].nunique() > _MOST_BANDS


def band(axes: Axes, x: pd.Series, line: pd.DataFrame, colour: str) -> None:
    """Draw the interval of a curve, if there is one."""
    if line["low"].notna().any():
        ends = line["low"], line["high"]
        axes.fill_between(x, *ends, color=colour, alpha=0.12, lw=0)
        for end in ends:
            axes.plot(x, end, color=colour, alpha=0.35, lw=0.4)


def bars(
    axes: Axes, x: pd.Series, line: pd.DataFrame, colour: str, names: tuple[str, ...] = _MEAN
) -> None:
    """Draw the interval of each point of a line as a bar; `names` are its middle, low and high."""
    middle, low, high = (line[name] for name in names)
    if low.notna().any():
        ends = np.array([middle - low, high - middle])
        axes.errorbar(x, middle, ends, ls="none", color=colour, lw=0.9)


def cut_off(axes: Axes, curve: pd.DataFrame, plan: StudyFile) -> None:
    """End the axis above curves that fall so far that they would flatten all others.

    An arrow shows where such a curve leaves, with its lowest value.
    """
    trained = curve.loc[curve["n_re"] == curve["n_re_train"], "mean"]
    if trained.nunique() < 2:
        return
    span = max(trained.max() - trained.min(), _LEAST_SPAN)
    floor = trained.min() - span
    if curve["mean"].min() > floor - _MOST_BELOW * span:
        return
    axes.set_ylim(bottom=floor - 0.06 * span, top=curve["mean"].max() + 0.12 * span)
    for row, look in looks(plan):
        line = curve[curve["row"] == row.id].sort_values("n_re")
        hidden = line[line["mean"] < floor]
        if not hidden.empty:
            axes.annotate(
                f"{legend_label(row.label)}: down to {hidden['mean'].min():.1f}",
                (hidden["n_re"].iloc[0], 0.0),
                xycoords=("data", "axes fraction"),
                xytext=(4, 2),
                textcoords="offset points",
                fontsize=_SUBTITLE_SIZE - 1,
                color=look["color"],
                va="bottom",
            )


def legend_label(label: str) -> str:
    """A row's label for a legend: escaped and wrapped."""
    return textwrap.fill(escape_figure(label), _LEGEND_CHARACTERS)


def _level(axes: Axes, line: pd.DataFrame, row: ShownRow, look: Look) -> Line2D:
    """Draw a variant without N_re as a level across the figure."""
    label = legend_label(row.label)
    return axes.axhline(line["mean"].iloc[0], color=look["color"], ls="--", lw=0.9, label=label)


def _reported_levels(axes: Axes, plan: StudyFile, metric: str) -> list[Artist]:
    """Draw each quoted number without a depth as a level, with its source in the legend."""
    levels = [row for row in reported(plan) if metric in row.published]
    handles: list[Artist] = []
    for at, row in enumerate(levels, start=len(plan.rows)):
        label = legend_label(f"{pretty(row.label or row.id)} ({source_of(row)})")
        colour = COLOURS[at % len(COLOURS)]
        level = row.published[metric]
        handles.append(axes.axhline(level, label=label, color=colour, ls=":", lw=0.9))
    return handles


def _join_equal_costs(axes: Axes, curve: pd.DataFrame, plan: StudyFile) -> None:
    """Draw a line between points of different rows that have equal cost."""
    costs: dict[float, list[tuple[str, int]]] = {}
    for row in plan.rows:
        for n_re, macs in row.cost("macs").items():
            costs.setdefault(macs, []).append((row.id, n_re))
    shared = [points for _, points in sorted(costs.items()) if len({r for r, _ in points}) > 1]
    for points in shared:
        ends = [curve[(curve["row"] == row) & (curve["n_re"] == n_re)] for row, n_re in points]
        pair = pd.concat(ends)
        axes.plot(pair["n_re"], pair["mean"], **_EQUAL_COST)


def trained_mark(
    marker: str, color: str, ms: float = 3.6, mew: float = 0.7, lw: float = 1.1
) -> dict[str, Any]:
    """The style of the marker at the trained depth: larger, and filled."""
    return {
        "ls": "none",
        "marker": marker,
        "ms": 1.5 * ms,
        "mfc": color,
        "mec": "black" if ms > 3 else "white",  # dark edges of small markers would merge
        "mew": mew,
        "zorder": 3,
    }


def _has_many(plan: StudyFile) -> bool:
    return len(plan.rows) > _MOST_KEYED


def key_lines(curve: pd.DataFrame, plan: StudyFile) -> list[str]:
    """The content of `keys` as text, if there are too many variants for a legend."""
    texts = []
    if _has_many(plan) and (curve["n_re"] == curve["n_re_train"]).any():
        texts.append("large filled marker: N_re of training")
    if _has_many(plan) and curve["low"].notna().any():
        texts.append(_width(curve))
    return [" · ".join(texts)] if texts else []


def _width(curve: pd.DataFrame) -> str:
    half = (curve["high"] - curve["low"]) / 2
    ends = f"±{half.min():.2f} to {half.max():.2f} {score_unit(curve['metric'].iloc[0])}"
    return f"95% interval over {covered(curve)}: {ends}".rstrip()


def keys(curve: pd.DataFrame, plan: StudyFile) -> list[Artist]:
    """Legend entries for the marks that all variants share; none if there are many variants."""
    handles: list[Artist] = []
    if _has_many(plan):
        return handles
    if (curve["n_re"] == curve["n_re_train"]).any():
        label = r"$N_\mathrm{re}$ of training"
        handles.append(Line2D([], [], label=label, **trained_mark("o", "0.6")))
    if curve["low"].notna().any():
        if _is_crowded(curve):
            handles.append(Line2D([], [], ls="none", label=_width(curve)))
        else:
            label = f"95% interval over {covered(curve)}"
            handles.append(Patch(facecolor="0.5", alpha=0.3, lw=0, label=label))
    return handles


def _cost_key(plan: StudyFile) -> list[Artist]:
    """The legend entry for lines of equal cost, if there are any."""
    if plan.show.equal_cost and any(row.macs for row in plan.rows):
        return [Line2D([], [], label="equal cost", **_EQUAL_COST)]
    return []
