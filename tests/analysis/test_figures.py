"""The depth figure: its content, its size, and the same bytes on every call."""

import struct

import numpy as np
import pandas as pd
import pytest

from tisdiss.analysis.canvas import COLOURS, render
from tisdiss.analysis.captions import wrapped
from tisdiss.analysis.figures import MARKERS, depth_figure
from tisdiss.analysis.frames import load_study
from tisdiss.analysis.results import results_of
from tisdiss.analysis.stats import depth_curve

SOTA = {"id": "sota", "label": "SepReformer-L", "source": "Table 1, from [6]"} | {
    "published": {"si_snri": 25.1}
}


@pytest.fixture(scope="module")
def study(study_folder):
    """Two whole rows and one that misses its run: a curve and its plan."""
    folder = study_folder().row("a", {1: 3.0, 2: 5.0, 3: 5.5}, label="sep1x2 $odd_label")
    folder.row("b", {1: 2.0, 2: 5.5, 3: 7.0}, n_re_train=6).row("c", {1: 1.0}, absent=(0,))
    frames = load_study(folder.runs_dir, "fig2e", "mini")
    return depth_curve(frames.scores, rng=np.random.default_rng(0)), frames.plan


@pytest.fixture(scope="module")
def figure(study):
    return depth_figure(*study)


@pytest.fixture(scope="module")
def files(figure):
    return render(figure)


def lines(figure):
    """The curves: lines that a legend names."""
    return [line for line in figure.axes[0].lines if not line.get_label().startswith("_")]


def test_figure_is_the_same_bytes_twice(study, figure, files):
    assert set(files) == {"pdf", "png", "svg"}
    assert render(depth_figure(*study)) == files
    assert render(figure) == files


def test_differences_have_a_panel_of_their_own(study_folder):
    folder = study_folder().row("a", {1: 3.0, 2: 5.0}).row("b", {1: 2.0, 2: 5.5})
    results = results_of("fig2e", "mini", folder.row("c", {1: 4.0, 2: 4.0}).runs_dir)
    differences = results.differences["si_snri"]
    figure = depth_figure(results.curve, results.plan, differences, against=results.against)
    levels, below = figure.axes
    assert levels.get_ylabel() == "SI-SNRi [dB]" and below.get_ylabel() == "difference [dB]"
    assert below.get_title(loc="left") == "minus a"
    drawn = [line for line in below.lines if line.get_marker() in MARKERS]
    assert [line.get_color() for line in drawn] == list(COLOURS[1:3])
    assert [line.get_ydata().round(9).tolist() for line in drawn] == [[-1.0, 0.5], [1.0, -1.0]]
    assert len(below.collections) == 2  # an interval at every point


def test_a_curve_that_falls_far_below_the_others_leaves_the_axis(study_folder):
    folder = study_folder().row("a", {1: 6.0, 2: 6.2, 3: 6.3}).row("b", {1: 7.0, 2: 7.1, 3: 7.2})
    results = results_of("fig2e", "mini", folder.row("c", {1: 0.0, 2: -4.0, 3: 5.2}).runs_dir)
    (axes,) = depth_figure(results.curve, results.plan).axes
    low, high = axes.get_ylim()  # the trained depths span 2 dB, from 5.2
    assert low == pytest.approx(5.2 - 2 - 0.12) and high > 7.2
    assert [text.get_text() for text in axes.texts] == ["c: down to -4.0"]


def test_curves_that_fall_a_little_are_shown_whole(study_folder):
    folder = study_folder().row("a", {1: 5.0, 3: 6.3})
    results = results_of("fig2e", "mini", folder.row("b", {1: 4.2, 3: 6.2}).runs_dir)
    (axes,) = depth_figure(results.curve, results.plan).axes
    assert axes.get_ylim()[0] < 4.2 and not axes.texts


def test_png_is_one_column_wide_at_300_dpi(files):
    assert struct.unpack(">I", files["png"][16:20])[0] == round(3.39 * 300)


def test_pdf_embeds_its_fonts_as_truetype(files):
    assert b"/Type3" not in files["pdf"] and b"/FontFile2" in files["pdf"]


def test_lines_are_the_means_each_with_its_own_colour_and_marker(figure):
    a, b = lines(figure)
    assert a.get_xdata().tolist() == [1, 2, 3]
    assert a.get_ydata() == pytest.approx([3.0, 5.0, 5.5])
    assert (a.get_color(), b.get_color()) == COLOURS[:2]
    assert (a.get_marker(), b.get_marker()) == MARKERS[:2]


def test_training_depth_is_marked_only_where_it_was_evaluated(figure):
    marks = [m for m in figure.axes[0].lines if m.get_linestyle() == "None" and len(m.get_xdata())]
    assert [mark.get_xdata().tolist() for mark in marks] == [[3]]  # b was trained at 6


def test_legend_and_note_say_what_is_drawn(figure):
    (legend,) = figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    assert names[0] == r"sep1×2 \$odd_label"
    assert names[2:] == [r"$N_\mathrm{re}$ of training", "95% interval over speakers"]
    note = figure.get_supxlabel()
    assert "profile mini · corpus prompts · seed 0 · 40 mixtures · 8 speakers" in note
    assert "unheard recordings of heard voices" in note
    assert "runs missing: c" in note


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("one two · three four", ["one two · three four"]),
        ("one two · three four · five six", ["one two · three four", "five six"]),
        ("a note that is longer than a line", ["a note that is longer", "than a line"]),
    ],
)
def test_note_is_broken_between_its_items(line, expected):
    assert wrapped(line, 22) == expected


def test_variant_that_misses_a_seed_is_drawn_with_a_dagger(study_folder):
    folder = study_folder().row("a", {1: 3.0, 3: 5.0}, seeds=(0, 1, 2))
    folder.row("b", {1: 2.0, 3: 4.0}, seeds=(0, 1, 2), absent=(1,), label="sep1x2-re1x4")
    frames = load_study(folder.runs_dir, "fig2e", "mini")
    figure = depth_figure(depth_curve(frames.scores, rng=np.random.default_rng(0)), frames.plan)
    assert [line.get_label() for line in lines(figure)] == ["a", "sep1×2-re1×4†"]
    assert lines(figure)[1].get_ydata() == pytest.approx([2.0, 4.0])
    note = figure.get_supxlabel()
    assert "seeds 0, 1, 2 (2 to 3 a row)" in note
    assert "† sep1×2-re1×4: seeds 0, 2 of 0, 1, 2" in note
    assert "runs missing" not in note


def test_reported_number_is_a_dotted_level_at_the_papers_own_profile(study):
    curve, plan = study
    plan = plan.updated(published=[SOTA, SOTA | {"id": "sdr", "published": {"sdri": 1.0}}])
    for profile, levels in (("mini", []), ("paper", [25.1])):
        figure = depth_figure(curve, plan.updated(profile=profile))
        dotted = [line for line in lines(figure) if line.get_linestyle() == ":"]
        assert [line.get_ydata()[0] for line in dotted] == levels
    assert dotted[0].get_label() == "SepReformer-L (Table 1, from [6])"
    assert dotted[0].get_label() in [text.get_text() for text in figure.legends[0].get_texts()]


def test_points_of_equal_cost_are_joined_below_the_markers(study):
    curve, plan = study
    macs = {"a": {"2": 4, "1": 2}, "b": {"1": 4}}
    rows = [row.updated(macs=macs.get(row.id)) for row in plan.rows]
    figure = depth_figure(curve, plan.updated(rows=rows, show={"equal_cost": True}))
    (joined,) = (line for line in figure.axes[0].lines if line.get_linestyle() == "--")
    assert joined.get_xdata().tolist() == [2, 1]
    assert joined.get_ydata() == pytest.approx([5.0, 2.0])
    assert joined.get_marker() == "" and joined.zorder < lines(figure)[0].zorder
    assert "equal cost" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_legend_covers_no_data_however_long(study):
    curve, plan = study
    figure = depth_figure(curve.assign(label="a very long name of a variant " * 4), plan)
    figure.draw_without_rendering()
    legend, axes = figure.legends[0].get_window_extent(), figure.axes[0].get_window_extent()
    assert legend.y0 >= axes.y1
    assert legend.width <= figure.bbox.width
    assert axes.height > 1.4 * figure.dpi


def test_band_is_absent_without_an_interval(study):
    curve, plan = study
    figure = depth_figure(curve.assign(low=np.nan, high=np.nan), plan)
    assert len(figure.axes[0].collections) == 0
    assert "interval" not in " ".join(t.get_text() for t in figure.legends[0].get_texts())


def test_of_more_than_two_curves_the_legend_gives_the_width(study):
    curve, plan = study
    third = curve[curve["row"] == "b"].assign(row="c")
    curve = pd.concat([curve, third]).assign(
        low=lambda t: t["mean"] - 0.25, high=lambda t: t["mean"] + 0.25
    )
    figure = depth_figure(curve, plan)
    assert len(lines(figure)) == 3 and len(figure.axes[0].collections) == 0
    assert figure.legends[0].get_texts()[-1].get_text().endswith("speakers: ±0.25 to 0.25 dB")


def test_of_many_variants_the_legend_names_them_alone_in_columns(study_folder):
    """As in table 3: eight long names, trained at one depth where their curves meet."""
    folder = study_folder()
    for at in range(8):
        folder.row(f"r{at}", {1: 1.0 + at, 3: 5.0}, label=f"sep2x1-re3x1-l1x2+{at}")
    frames = load_study(folder.runs_dir, "fig2e", "mini")
    curve = depth_curve(frames.scores, rng=np.random.default_rng(0))
    figure = depth_figure(curve, frames.plan)
    (legend,) = figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    assert names == [f"sep2×1-re3×1-l1×2+{at}" for at in range(8)]
    figure.draw_without_rendering()
    places = {round(text.get_window_extent().x0) for text in legend.get_texts()}
    assert len(places) == 2
    assert legend.get_window_extent().height < 0.75 * figure.dpi
    marks = [m for m in figure.axes[0].lines if m.get_linestyle() == "None"]
    assert {mark.get_markeredgecolor() for mark in marks} == {"white"}
    assert len({mark.get_marker() for mark in marks}) == len(marks) == 8
    note = figure.get_supxlabel().replace("\n", " ")
    assert note.startswith(r"large filled marker: $N_\mathrm{re}$ of training")
    assert "95% interval over speakers: ±" in note


def test_labels_name_metric_and_axis(study):
    curve, plan = study
    axes = depth_figure(curve.assign(metric="sdri"), plan, metric="sdri").axes[0]
    assert axes.get_ylabel() == "SDRi [dB]"
    assert axes.get_xlabel() == r"$N_\mathrm{re}$ (inference)"
