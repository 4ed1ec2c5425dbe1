"""Figures of scores, in the paper's style (`paper.mplstyle` holds fonts and widths).

A figure takes frames and returns a matplotlib Figure; `render` turns it into files' bytes, equal
on every call.
"""

import io
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from typing import Any

import matplotlib.style
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from analysis.captions import METRIC_LABELS, basis, escape_figure, pretty, resampled

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C564B")
"""Told apart by colour-blind readers (Okabe and Ito 2008), strongest first; then brown."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
"""A variant keeps its colour and its marker by its place in the plan."""

FORMATS = ("pdf", "png", "svg")

_METADATA = {
    "pdf": {"CreationDate": None, "Producer": None, "Creator": None},
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
}
_GREY = "0.35"
_NOTE_SIZE = 6
_LEGEND_CHARACTERS = 52


def depth_figure(curve: pd.DataFrame, plan: dict[str, Any], *, metric: str = "si_snri") -> Figure:
    """Score against inference depth, one line per variant, from `stats.depth_curve`.

    The band is the bootstrap interval, the large dark-edged marker the depth a variant was
    trained at. A variant that is not in `curve` misses runs and is named below the axes.
    """
    curve = curve[curve["metric"] == metric]
    with _style():
        figure = Figure()
        axes = figure.add_subplot()
        handles, absent = [], []
        for at, row in enumerate(plan["rows"]):
            line = curve[curve["row"] == row["id"]].sort_values("n_re")
            if line.empty:
                absent.append(pretty(row["label"]))
            else:
                handles.append(_variant(axes, line, COLOURS[at % 8], MARKERS[at % 8]))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=12))
        axes.set_xlabel(r"$N_\mathrm{re}$ (inference)")
        axes.set_ylabel(f"{METRIC_LABELS[metric]} [dB]")
        axes.margins(x=0.03, y=0.06)
        _note(figure, plan, curve, absent)
        _legend(figure, handles + _keys(curve))
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # laid out once, so that drawing again moves nothing
    return figure


def render(figure: Figure) -> dict[str, bytes]:
    """The figure as PDF, PNG (300 dpi) and SVG; the same bytes on every call."""
    files = {}
    with _style():
        for form in FORMATS:
            buffer = io.BytesIO()
            figure.savefig(buffer, format=form, metadata=_METADATA[form])
            files[form] = buffer.getvalue()
    return files


@contextmanager
def _style() -> Iterator[None]:
    with (
        resources.as_file(resources.files("analysis") / "paper.mplstyle") as path,
        matplotlib.style.context(["default", path]),
    ):
        yield


def _variant(axes: Axes, line: pd.DataFrame, colour: str, marker: str) -> Line2D:
    """One curve with its band and the mark of its training depth."""
    if line["low"].notna().any():
        ends = line["low"], line["high"]
        axes.fill_between(line["n_re"], *ends, color=colour, alpha=0.12, lw=0)
        for end in ends:
            axes.plot(line["n_re"], end, color=colour, alpha=0.35, lw=0.4)
    label = textwrap.fill(escape_figure(pretty(line["label"].iloc[0])), _LEGEND_CHARACTERS)
    (handle,) = axes.plot(
        line["n_re"], line["mean"], color=colour, marker=marker, mfc="white", label=label
    )
    trained = line[line["n_re"] == line["n_re_train"]]
    axes.plot(trained["n_re"], trained["mean"], **_trained(marker, colour))
    return handle


def _trained(marker: str, colour: str) -> dict[str, Any]:
    return {
        "ls": "none",
        "marker": marker,
        "ms": 5.4,
        "mfc": colour,
        "mec": "black",
        "mew": 0.7,
        "zorder": 3,
    }


def _keys(curve: pd.DataFrame) -> list[Artist]:
    """What the marks mean that all variants share."""
    keys: list[Artist] = []
    if (curve["n_re"] == curve["n_re_train"]).any():
        keys.append(Line2D([], [], label=r"$N_\mathrm{re}$ of training", **_trained("o", "0.6")))
    if curve["low"].notna().any():
        label = f"95% bootstrap over {resampled(curve)}"
        keys.append(Patch(facecolor="0.5", alpha=0.3, lw=0, label=label))
    return keys


def _legend(figure: Figure, handles: list[Artist]) -> None:
    """Above the axes, in as many columns as fit; the figure grows by it, the axes do not shrink."""
    height = figure.get_figheight()
    figure.set_figheight(3 * height)  # room to measure any legend
    for columns in (3, 2, 1):
        legend = figure.legend(handles=handles, loc="outside upper left", ncols=columns)
        figure.draw_without_rendering()
        extent = legend.get_window_extent()
        if columns == 1 or extent.width <= figure.bbox.width:
            break
        legend.remove()
    figure.set_figheight(height + extent.height / figure.dpi)


def _note(figure: Figure, plan: dict[str, Any], curve: pd.DataFrame, absent: list[str]) -> None:
    """What the numbers rest on, in small print below the axes."""
    lines = [" · ".join(basis(plan, curve))]
    if plan["corpus"].get("note"):
        lines.append(pretty(plan["corpus"]["note"]))
    if absent:
        lines.append(f"runs missing: {', '.join(absent)}")
    lines = [part for line in lines for part in textwrap.wrap(escape_figure(line), 84)]
    figure.supxlabel("\n".join(lines), fontsize=_NOTE_SIZE, color=_GREY, x=0.99, ha="right")
    figure.set_figheight(figure.get_figheight() + (len(lines) - 1) * 1.2 * _NOTE_SIZE / 72)
