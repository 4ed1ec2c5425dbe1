"""Score against each cost of a row, with its Pareto front: the rows that no other row beats.

Every row is a point at its trained depth. A row is on the front of a cost if no row that costs as
little has a score as high.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, NullLocator

from tisdiss.analysis.canvas import in_figures, legend, note, settle, style
from tisdiss.analysis.captions import escape_figure, timed_on
from tisdiss.analysis.figures import Look, looks
from tisdiss.analysis.labels import place_labels
from tisdiss.records.names import SI_SNRI, score_heading
from tisdiss.records.plan_record import ShownRow, StudyFile

_PANEL = 3.5, 2.5
"""Width and height of a panel in inches; two stand side by side."""
_FRONT: dict[str, Any] = {"color": "0.55", "lw": 0.9, "zorder": 1.6}
_MARGIN = 0.14
"""Free share of an axis at each end, for labels."""


@dataclass(frozen=True)
class Cost:
    """A cost that a plan may give for a row at its trained depth."""

    name: str
    of: Callable[[ShownRow], float | None]
    units: tuple[tuple[float, str], ...]
    """Sizes and names of its units, largest first; an axis has the largest that some row has."""
    by_device: bool = False
    """Whether it depends on the device, which its axis names."""


COSTS = (
    Cost("parameters", lambda row: row.params, ((1e6, "M"), (1e3, "k"), (1, ""))),
    Cost(
        "multiply-adds per second of audio",
        lambda row: row.cost("macs").get(row.n_re_train),
        ((1e9, "G"), (1e6, "M"), (1, "")),
    ),
    Cost(
        "real-time factor",
        lambda row: row.cost("rtf").get(row.n_re_train),
        ((1, ""),),
        by_device=True,
    ),
    Cost(
        "memory of a training step",
        lambda row: row.training_memory,
        ((2**30, "GiB"), (2**20, "MiB")),
    ),
)


def pareto_figure(curve: pd.DataFrame, plan: StudyFile, *, metric: str = SI_SNRI) -> Figure | None:
    """A panel for each cost that is known of a scored row; None if there is none.

    Rows on different corpora have no common front, so a study of several gets no figure.
    """
    curve = curve[curve["metric"] == metric]
    scores = {row.id: _score(curve, row) for row in plan.rows}
    panels = [(cost, found) for cost in COSTS if (found := _points(cost, plan, scores))]
    if not panels or len(plan.scored_on) > 1:
        return None
    with style(in_figures(plan)):
        figure, axes = _grid(len(panels))
        for at, (cost, points) in zip(axes, panels, strict=True):
            _draw(at, cost, points, plan)
        for at in axes[::2]:
            at.set_ylabel(score_heading(metric))
        absent = [row.label for row, _ in looks(plan) if scores[row.id] is None]
        note(figure, plan, curve, absent, above=_left_out(plan, [cost for cost, _ in panels]))
        legend(figure, _keys())
        settle(figure)
        for at, (_, points) in zip(axes, panels, strict=True):
            place_labels(at, _labels(points), _staircase(at, points))
    return figure


@dataclass
class _Point:
    x: float
    y: float
    label: str
    look: Look
    leads: bool = False
    """Whether it is on the front."""


def _score(curve: pd.DataFrame, row: ShownRow) -> float | None:
    """The mean score at the trained depth."""
    line = curve[(curve["row"] == row.id) & (curve["n_re"] == row.n_re_train)]
    return None if line.empty else float(line["mean"].iloc[0])


def _points(cost: Cost, plan: StudyFile, scores: dict[str, float | None]) -> list[_Point]:
    points = [
        _Point(x, y, row.label, look)
        for row, look in looks(plan)
        if (x := cost.of(row)) and (y := scores[row.id]) is not None
    ]
    leading = front([(p.x, p.y) for p in points])
    for at in leading:
        points[at].leads = True
    return points


def _labels(points: list[_Point]) -> list[tuple[float, float, str]]:
    """A label for each place; of several rows in one place, such as of one run, the first's."""
    at: dict[tuple[float, float], list[str]] = {}
    for point in points:
        at.setdefault((point.x, point.y), []).append(point.label)
    more = {1: "", 2: ", 1 equal row"}
    return [
        (*place, labels[0] + more.get(len(labels), f", {len(labels) - 1} equal rows"))
        for place, labels in at.items()
    ]


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """The places of (cost, score) pairs that no other pair beats, the cheapest first.

    Of equal pairs, the first is on the front.
    """
    best, leading = -np.inf, []
    for at in sorted(range(len(points)), key=lambda k: (points[k][0], -points[k][1], k)):
        if points[at][1] > best:
            best = points[at][1]
            leading.append(at)
    return leading


def _grid(panels: int) -> tuple[Figure, list[Axes]]:
    """Up to two panels side by side, with a common axis of scores."""
    columns, rows = min(2, panels), -(-panels // 2)
    figure = Figure(figsize=(_PANEL[0] * columns, _PANEL[1] * rows))
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False).flatten()
    for spare in grid[panels:]:
        spare.remove()
    return figure, list(grid[:panels])


def _draw(axes: Axes, cost: Cost, points: list[_Point], plan: StudyFile) -> None:
    size, unit = next(u for u in cost.units if u is cost.units[-1] or _reaches(points, u[0]))
    for point in points:
        point.x /= size
        fill = point.look["color"] if point.leads else "white"
        axes.plot(point.x, point.y, ls="none", mfc=fill, zorder=3, **point.look)
    axes.set_xscale("log")
    axes.margins(x=_MARGIN, y=_MARGIN)
    axes.autoscale_view()
    axes.plot(*zip(*_staircase(axes, points), strict=True), scalex=False, scaley=False, **_FRONT)
    _set_ticks(axes)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(f"{cost.name}{_where(cost, plan)}" + (f" [{unit}]" if unit else ""))
    axes.tick_params(labelleft=True)


def _staircase(axes: Axes, points: list[_Point]) -> list[tuple[float, float]]:
    """The corners of the front, to the right end of the axes."""
    leading = sorted((p.x, p.y) for p in points if p.leads)
    ends = [x for x, _ in leading[1:]] + [axes.get_xlim()[1]]
    return [
        corner for (x, y), end in zip(leading, ends, strict=True) for corner in ((x, y), (end, y))
    ]


def _reaches(points: list[_Point], size: float) -> bool:
    return max(point.x for point in points) >= size


def _where(cost: Cost, plan: StudyFile) -> str:
    return f", {timed_on(plan.timing.environment)}" if cost.by_device and plan.timing else ""


def _set_ticks(axes: Axes) -> None:
    """A few labels: powers of ten and simple multiples, or equal steps in a short range."""
    low, high = axes.get_xlim()
    decades = np.log10(high / low)
    if decades < 0.8:
        axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 3) if decades > 1.5 else (1, 2, 5)))


def _left_out(plan: StudyFile, shown: list[Cost]) -> list[str]:
    lines = []
    missing = [cost.name for cost in COSTS if cost not in shown]
    if missing:
        command = f"tisdiss time {plan.study} --profile {plan.profile}"
        lines.append(f"not measured ({command}): {' and '.join(missing)}")
    return [escape_figure(line) for line in lines]


def _keys() -> list[Artist]:
    label = "Pareto front: no other row costs as little and scores as high (filled)"
    return [Line2D([], [], label=label, marker="o", mfc=_FRONT["color"], **_FRONT)]
