"""The figure of the score against each cost: which rows are on the fronts, and readable labels."""

from itertools import combinations

import matplotlib.colors
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Annotation

from tisdiss.analysis.canvas import render, style
from tisdiss.analysis.pareto import front, pareto_figure
from tisdiss.analysis.results import results_of

ROWS = {  # score, parameters, multiply-adds, real-time factor, bytes of a training step
    "small": (2.0, 100_000, 4e9, 0.5, 2**28),
    "good": (3.0, 200_000, 2e9, 0.2, 2**30),
    "beaten": (2.5, 300_000, 3e9, 0.3, 2**30),
    "best, at equal parameters": (3.2, 200_000, 8e9, 0.9, 2**31),
}


@pytest.mark.parametrize(
    ("points", "leading"),
    [
        ([(1, 2.0)], [0]),
        ([(2, 3.0), (1, 2.0), (3, 2.5), (4, 4.0)], [1, 0, 3]),
        ([(1, 2.0), (1, 3.0), (1, 3.0)], [1]),
        ([(2, 3.0), (1, 3.0)], [1]),
        ([], []),
    ],
)
def test_the_front_is_what_no_other_beats(points, leading):
    assert front(points) == leading


@pytest.fixture
def drawn(study_folder):
    """A function: rows and whether they were timed -> the figure."""

    def draw(names=None, timed=True, corpora=("",)):
        folder = study_folder()
        for at, name in enumerate(names or ROWS):
            score, params = ROWS[name][:2]
            corpus = corpora[at % len(corpora)]
            folder.row(f"r{at}", {3: score}, params=params, label=name, corpus=corpus)
            _, _, macs, rtf, memory = ROWS[name]
            folder.plan["rows"][-1] |= {"macs": {"3": macs}}
            if timed:
                folder.plan["rows"][-1] |= {"rtf": {"3": rtf}, "training_memory": memory}
        if len(corpora) > 1:
            folder.plan["corpora"] = {role: folder.plan["corpus"] for role in corpora}
        results = results_of("fig2e", "mini", folder.save().runs_dir)
        return pareto_figure(results.curve, results.plan)

    return draw


def leading(axes: Axes) -> list[tuple[float, float]]:
    """The filled points."""
    points = [line for line in axes.lines if line.get_marker() not in ("None", "")]
    return sorted(
        (float(line.get_xdata()[0]), round(float(line.get_ydata()[0]), 9))
        for line in points
        if matplotlib.colors.to_hex(line.get_markerfacecolor()) != "#ffffff"
    )


def test_a_panel_for_each_cost_with_its_unit_and_front(drawn):
    figure = drawn()
    assert [axes.get_xlabel() for axes in figure.axes] == [
        "parameters [k]",
        "multiply-adds per second of audio [G]",
        "real-time factor",
        "memory of a training step [GiB]",
    ]
    fronts = [leading(axes) for axes in figure.axes]
    assert fronts[0] == [(100.0, 2.0), (200.0, 3.2)]
    assert fronts[1] == [(2.0, 3.0), (8.0, 3.2)]
    assert fronts[2] == [(0.2, 3.0), (0.9, 3.2)]
    assert fronts[3] == [(0.25, 2.0), (1.0, 3.0), (2.0, 3.2)]


def test_a_cost_that_was_not_measured_is_left_out_and_named(drawn):
    figure = drawn(timed=False)
    assert len(figure.axes) == 2
    note = figure.get_supxlabel()
    assert "not measured (tisdiss time fig2e --profile mini): real-time factor and memory" in note


def test_one_row_is_enough_and_two_corpora_are_too_many(drawn):
    figure = drawn(names=("good",))
    assert leading(figure.axes[0]) == [(200.0, 3.0)]
    assert drawn(corpora=("clean", "noisy")) is None


def test_labels_are_there_and_none_covers_another_or_sticks_out(drawn):
    figure = drawn()
    with style():
        renderer = FigureCanvasAgg(figure).get_renderer()
        for axes in figure.axes:
            texts = [text for text in axes.get_children() if isinstance(text, Annotation)]
            said = {" ".join(text.get_text().split()) for text in texts}
            assert said == set(ROWS)
            boxes = [text.get_window_extent(renderer) for text in texts]
            assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
            frame = axes.bbox.padded(1)
            assert all(np.all(b.min >= frame.min) and np.all(b.max <= frame.max) for b in boxes)


def test_the_same_bytes_twice(drawn):
    assert render(drawn(), ("png", "svg")) == render(drawn(), ("png", "svg"))


def test_rows_in_one_place_share_a_label(drawn, monkeypatch):
    monkeypatch.setitem(ROWS, "twin", ROWS["good"])
    (first, *_) = drawn().axes
    said = [text.get_text() for text in first.get_children() if isinstance(text, Annotation)]
    assert "good, 1 equal row" in said and len(said) == 4
