"""Labels beside points, none over another label or point, with a line where a label is far off."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Annotation

from tisdiss.analysis.captions import escape_figure

_SIZE = 6
_COLUMNS = 19
"""Characters in a line of a label."""
_MARK = 3.0
"""Half the width that a point takes; this and all distances are in points of 1/72 inch."""
_GAP = 1.0
"""Free space around the letters of a label."""
_DISTANCES = (3.5, 5, 7, 10, 14, 19, 25, 32, 40, 50, 62, 76)
"""Of a label's edge from its point."""
_ANGLES = np.deg2rad([0, 180, 90, 270, *(turn for turn in range(15, 360, 15) if turn % 90)])
_NEAR = 8
"""Distance up to which a label needs no line."""
_STEPS = 12
"""Places of a line at which it is compared with what is in its way."""
_COLLISION, _CROSSING = 1000.0, 12.0
"""What a place costs, as a distance, for each point or label, or place of a curve, in its way."""
_ROUNDS = 4

Boxes = np.ndarray
"""(number, 4) pixels: left, lower, right and upper ends."""


@dataclass
class _Label:
    """A label and the places that it may take, each with its line to the point."""

    text: Annotation
    point: np.ndarray
    boxes: Boxes
    distances: np.ndarray
    lines: np.ndarray
    """(number, _STEPS, 2) pixels."""
    chosen: int = 0

    @property
    def box(self) -> Boxes:
        """The chosen place."""
        return self.boxes[self.chosen][None]

    @property
    def line(self) -> Boxes:
        """The line at the chosen place, as small boxes; empty if it needs none."""
        far = self.distances[self.chosen] > _NEAR
        return _around(self.lines[self.chosen][1:], 1.0) if far else np.empty((0, 4))


def place_labels(
    axes: Axes, points: Sequence[tuple[float, float, str]], curve: Sequence[tuple[float, float]]
) -> list[Annotation]:
    """Label points (x, y, label); the layout must be final.

    Each label takes the nearest place that is free of points, of other labels and of their lines,
    and if possible of the `curve`.
    """
    scale = _canvas(axes).figure.dpi / 72
    labels = [_label(axes, point, scale) for point in points]
    marks = _around(np.array([label.point for label in labels]), _MARK * scale)
    course = _around(axes.transData.transform(_dense(curve)), 0.5 * scale)
    placed: list[_Label] = []
    for _ in range(_ROUNDS):  # the first places each beside the earlier ones, the others mend that
        for at, label in enumerate(labels):
            others = [other for other in placed if other is not label]
            label.chosen = _best(label, others, np.delete(marks, at, 0), marks[at], course, axes)
            placed = [*others, label]
    for label in labels:
        _settle(axes, label, scale)
    return [label.text for label in labels]


def _label(axes: Axes, point: tuple[float, float, str], scale: float) -> _Label:
    x, y, label = point
    text = axes.annotate(
        _lines(label), (x, y), (0, 0), textcoords="offset points", fontsize=_SIZE, zorder=4,
        linespacing=1.0, ha="center", va="center", annotation_clip=False,
    )  # fmt: skip
    extent = text.get_window_extent(_canvas(axes).get_renderer())
    half = np.array([extent.width, extent.height]) / 2 + _GAP * scale
    place = axes.transData.transform((x, y))
    distances = np.repeat(_DISTANCES, len(_ANGLES))
    angles = np.tile(_ANGLES, len(_DISTANCES))
    turn = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    middle = place + turn * (half + distances[:, None] * scale)
    boxes = np.hstack([middle - half, middle + half])
    ends = np.clip(place, boxes[:, :2], boxes[:, 2:])
    share = np.linspace(0, 1, _STEPS)[:, None]
    return _Label(text, place, boxes, distances, place + share * (ends - place)[:, None])


def _canvas(axes: Axes) -> FigureCanvasAgg:
    return FigureCanvasAgg(axes.get_figure(root=True))


def _lines(label: str) -> str:
    """A label in lines, a remark after a comma in a line of its own."""
    if len(label) <= _COLUMNS:
        return escape_figure(label)
    parts = label.replace(", ", ",\n").split("\n")
    lines = [textwrap.fill(part, _COLUMNS, break_long_words=False) for part in parts]
    return escape_figure("\n".join(lines))


def _best(
    label: _Label,
    others: list[_Label],
    marks: Boxes,
    own: np.ndarray,
    course: Boxes,
    axes: Axes,
) -> int:
    """The cheapest place."""
    taken = np.vstack([marks, *(other.box for other in others)])
    lines = np.vstack([np.empty((0, 4)), *(other.line for other in others)])
    hits = _overlaps(label.boxes, np.vstack([taken, own[None], lines])).sum(1)
    away = taken[~_overlaps(own[None], taken)[0]]  # lines of points in one place leave together
    crossed = _contain(away, label.lines) * (label.distances > _NEAR)[:, None]
    frame = np.array([*axes.bbox.min, *axes.bbox.max])
    out = np.maximum(frame[:2] - label.boxes[:, :2], label.boxes[:, 2:] - frame[2:]).max(1)
    cost = label.distances + _COLLISION * (hits + crossed.sum(1) + 3 * (out > 0))
    cost += _CROSSING * np.minimum(3, _overlaps(label.boxes, course).sum(1))
    return int(cost.argmin())


def _settle(axes: Axes, label: _Label, scale: float) -> None:
    box = label.boxes[label.chosen]
    middle = (box[:2] + box[2:]) / 2
    label.text.set_position(tuple((middle - label.point) / scale))
    if label.distances[label.chosen] > _NEAR:
        ends = axes.transData.inverted().transform(label.lines[label.chosen][[0, -1]])
        axes.plot(*ends.T, color="0.6", lw=0.4, zorder=1.5, scalex=False, scaley=False)


def _dense(curve: Sequence[tuple[float, float]]) -> np.ndarray:
    """A curve of straight parts with places between their ends."""
    share = np.linspace(0, 1, 40)[:, None]
    ends = np.array(curve)
    return np.vstack([a + share * (b - a) for a, b in pairwise(ends)])


def _around(places: np.ndarray, half: float) -> Boxes:
    return np.hstack([places - half, places + half])


def _overlaps(boxes: Boxes, others: Boxes) -> np.ndarray:
    """(boxes, others): whether they overlap."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    return (low < high).all(-1)


def _contain(boxes: Boxes, lines: np.ndarray) -> np.ndarray:
    """(lines, boxes): whether a place of a line is in a box."""
    place = lines[:, :, None]
    inside: np.ndarray = (boxes[:, :2] < place) & (place < boxes[:, 2:])
    return np.any(np.all(inside, axis=-1), axis=1)
