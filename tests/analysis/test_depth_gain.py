"""What depth gains: the check of one model, and the figure of all reports in a folder."""

import pytest

from tisdiss.analysis.depth_gain import depth_gain
from tisdiss.analysis.depth_gain_figure import depth_gain_figure, reported_gains


@pytest.mark.parametrize(
    ("once", "deep", "uses"),
    [(5.0, 5.6, True), (5.0, 5.4, False), (5.0, 5.0, False), (5.0, 4.0, False)],
)
def test_a_model_uses_its_depth_if_it_gains_half_a_decibel(scores, once, deep, uses):
    found = depth_gain(scores(a={1: once, 3: deep}, b={1: 0.0, 3: 9.0}), "a", 3)
    assert found.gain.mean == pytest.approx(deep - once)
    assert found.deep.mean == pytest.approx(deep, abs=0.2)
    assert found.worse == (1.0 if deep < once else 0.0)
    assert found.uses_depth is uses


def test_a_gain_that_makes_mixtures_worse_is_no_use(scores):
    frame = scores(a={1: 5.0, 3: 6.0})
    lost = sorted(frame["mixture_id"].unique())[:4]  # of 40
    worse = frame["mixture_id"].isin(lost) & (frame["n_re"] == 3)
    found = depth_gain(frame.assign(si_snri=frame["si_snri"] - 2.0 * worse), "a", 3)
    assert found.worse == pytest.approx(0.1) and found.gain.mean == pytest.approx(0.8)
    assert not found.uses_depth


def test_there_is_no_gain_without_two_depths(scores):
    assert depth_gain(scores(a={1: 5.0, 3: 6.0}), "a", 1) is None
    assert depth_gain(scores(a={3: 6.0}), "a", 3) is None


def test_the_figure_has_a_point_for_each_model_in_all_reports(study_folder, keep_frames, tmp_path):
    one = study_folder("fig2e").row("a", {1: 5.0, 3: 5.25}).row("b", {1: 4.0, 3: 4.0})
    same = study_folder("fig2a").row("a", {1: 5.0, 3: 5.25}).row("deep", {3: 5.0})
    other = study_folder("base", "cpu").row("c", {1: 7.0, 3: 8.0})
    for made in (one, same, other):
        keep_frames(made, tmp_path)
    gains = reported_gains(tmp_path)
    assert {(gain.study, gain.row) for gain in gains} == {
        ("base", "c"), ("fig2a", "a"), ("fig2e", "b")
    }  # fmt: skip
    figure = depth_gain_figure(gains)
    axes = figure.axes[0]
    drawn = [
        (round(float(x), 1), round(float(y), 2))
        for container in axes.containers
        for x, y in zip(*container[0].get_data(), strict=True)
    ]
    expected = [(gain.gain.deep.mean, gain.gain.gain.mean) for gain in gains]
    assert sorted(drawn) == sorted((round(x, 1), round(y, 2)) for x, y in expected)
    assert sorted(y for _, y in drawn) == pytest.approx([0.0, 0.25, 1.0], abs=0.01)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["profile cpu", "profile mini"]
    assert depth_gain_figure([]) is None


def test_a_damaged_report_is_left_out(study_folder, keep_frames, tmp_path):
    keep_frames(study_folder("fig2e").row("a", {1: 5.0, 3: 6.0}), tmp_path)
    (tmp_path / "fig2e" / "scores.parquet").write_bytes(b"no")
    assert reported_gains(tmp_path) == []


def test_a_model_whose_depths_are_no_repetitions_is_left_out(study_folder, keep_frames, tmp_path):
    made = study_folder("fig2e").row("a", {1: 5.0, 3: 6.0}).row("stages", {1: 5.0, 3: 8.0})
    made.plan["rows"][-1]["name"] = "sepreformer"
    made.save()
    keep_frames(made, tmp_path)
    assert [gain.row for gain in reported_gains(tmp_path)] == ["a"]
