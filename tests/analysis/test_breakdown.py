"""Breakdowns of a mean on scores with known parts, and their figures."""

import numpy as np
import pandas as pd
import pytest

from tisdiss.analysis.adaptive_figure import adaptive_figure
from tisdiss.analysis.breakdown import (
    adaptive,
    by_input_level,
    by_mixture,
    by_sex,
    change_per_step,
)
from tisdiss.analysis.extra_figures import change_figure, cost_figure, difficulty_figure
from tisdiss.analysis.spread_figure import spread_figure
from tisdiss.records.names import SETTLED_BY
from tisdiss.records.plan_record import StudyFile


def rng():
    return np.random.default_rng(0)


@pytest.fixture
def louder_is_easier(scores):
    """Every decibel of input level adds one decibel."""
    frame = scores(a={3: 5.0})
    return frame.assign(si_snri=frame["mixture_si_snr"])


def test_input_level_splits_utterances_evenly(louder_is_easier):
    curve = by_input_level(louder_is_easier, rng=rng(), bins=4)
    assert list(curve["group"]) == [0, 1, 2, 3]
    assert curve["level"].is_monotonic_increasing
    assert curve["mean"].is_monotonic_increasing
    np.testing.assert_allclose(curve["mean"], curve["level"], atol=0.6)


def test_only_the_trained_depth_counts(scores):
    frame = scores(a={1: 0.0, 3: 5.0})
    assert set(by_input_level(frame, rng=rng())["n_re"]) == {3}
    assert by_input_level(frame.assign(n_re_train=9), rng=rng()).empty


def test_mixtures_are_told_apart_by_sex(scores):
    frame = scores(a={3: 5.0})
    same = frame.groupby("mixture_id")["sex"].transform("nunique") == 1
    curve = by_sex(frame.assign(si_snri=np.where(same, 2.0, 7.0)), rng=rng())
    assert dict(zip(curve["group"], curve["mean"], strict=True)) == {
        "different sexes": 7.0,
        "same sex": 2.0,
    }


def test_unknown_sex_is_left_out(scores):
    frame = scores(a={3: 5.0})
    assert by_sex(frame.assign(sex=""), rng=rng()).empty


def test_change_of_each_pass_and_who_gets_worse(scores):
    frame = scores(a={1: 3.0, 2: 4.0, 4: 3.5})
    change = change_per_step(frame)
    assert list(zip(change["n_re_from"], change["n_re"], strict=True)) == [(1, 2), (2, 4)]
    assert change["q50"].tolist() == pytest.approx([1.0, -0.5])
    assert change["worse"].tolist() == [0.0, 1.0]


def test_undefined_scores_change_nothing(scores):
    frame = scores(a={1: 3.0, 2: 4.0})
    holes = frame.assign(si_snri=frame["si_snri"].where(frame["mixture_id"] != "m0000"))
    assert change_per_step(holes)["n_changes"].tolist() == [39]


def test_each_mixture_counts_once_with_the_mean_of_its_speakers_and_seeds(scores):
    frame = pd.concat([scores(a={1: 0.0, 3: 5.0}), scores(a={3: 7.0}).assign(seed=1)])
    spread = by_mixture(frame)
    assert list(spread.columns) == ["row", "mixture_id", "score"]
    assert spread["mixture_id"].is_unique and spread["score"].mean() == pytest.approx(6.0)
    first = frame[(frame["mixture_id"] == "m0000") & (frame["n_re"] == 3)]
    assert spread["score"][spread["mixture_id"] == "m0000"].item() == pytest.approx(
        first["si_snri"].mean()
    )


def test_a_mixture_with_an_undefined_score_is_left_out_of_the_spread(scores):
    frame = scores(a={3: 5.0})
    hole = (frame["mixture_id"] == "m0000") & (frame["slot"] == 0)
    spread = by_mixture(frame.assign(si_snri=frame["si_snri"].mask(hole)))
    assert "m0000" not in set(spread["mixture_id"]) and len(spread) == 39


def test_the_spread_has_the_quartiles_of_the_mixtures(scores):
    from tisdiss.analysis.stats import depth_curve

    frame = scores(a={3: 5.0})
    spread = by_mixture(frame)
    figure = spread_figure(spread, plan_of(), depth_curve(frame, rng=rng()))
    axes = figure.axes[0]
    drawn = sorted(float(line.get_xdata()[0]) for line in axes.lines if line.get_linestyle() != "-")
    assert drawn == pytest.approx(spread["score"].quantile([0.25, 0.5, 0.75]).tolist(), abs=0.01)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a"]
    assert axes.get_xlabel() == "SI-SNRi [dB]"
    assert spread_figure(spread[:4], plan_of(), depth_curve(frame, rng=rng())) is None


@pytest.fixture
def two_kinds(scores):
    """Three depths; half of the mixtures settle at the second pass and then lose 1 dB."""
    frame = scores(a={1: 3.0, 2: 5.0, 3: 6.0})
    early = frame["mixture_id"].isin(sorted(frame["mixture_id"].unique())[::2])
    by = {1: np.nan, 2: 30.0, 3: 50.0}
    frame[SETTLED_BY] = frame["n_re"].map(by).where(early, frame["n_re"].map({2: 10.0, 3: 20.0}))
    frame.loc[early & (frame["n_re"] == 3), "si_snri"] -= 2.0
    return frame


def test_each_mixture_stops_at_its_first_settled_pass(two_kinds):
    line = adaptive(two_kinds).set_index("settled_db")
    scores = two_kinds.groupby("n_re")["si_snri"].mean()
    assert line.loc[10.0, "n_re"] == 2.0 and line.loc[10.0, "mean"] == pytest.approx(scores[2])
    assert line.loc[60.0, "n_re"] == 3.0 and line.loc[60.0, "mean"] == pytest.approx(scores[3])
    assert line.loc[26.0, "n_re"] == 2.5
    assert line.loc[26.0, "mean"] == pytest.approx(scores[3] + 0.5)  # half gain 1 dB by stopping


def test_depths_adapt_only_where_successive_ones_are_scored(two_kinds):
    assert adaptive(two_kinds.drop(columns=SETTLED_BY)).empty
    assert adaptive(two_kinds[two_kinds["n_re"] != 2]).empty
    assert adaptive(two_kinds.assign(**{SETTLED_BY: None})).empty
    assert adaptive_figure(pd.DataFrame(), plan_of(), pd.DataFrame()) is None


def test_adaptive_depths_are_a_line_beside_the_points_of_fixed_ones(two_kinds):
    from tisdiss.analysis.stats import depth_curve

    line, curve = adaptive(two_kinds), depth_curve(two_kinds, rng=rng())
    points, drawn = adaptive_figure(line, plan_of(), curve).axes[0].lines
    assert points.get_xdata().tolist() == [1, 2, 3] and points.get_linestyle() == "None"
    assert sorted(drawn.get_ydata()) == pytest.approx(sorted(line["mean"]))


def plan_of(macs=None, **row):
    run = {"seed": 0, "identity": "a", "evaluation": "b"}
    row |= {"id": "a", "label": "a", "name": "a", "n_re_train": 3, "macs": macs, "runs": [run]}
    return StudyFile.model_validate(
        {
            "study": "x",
            "profile": "mini",
            "title": "t",
            "rows": [row],
            "corpus": {"source": "prompts", "note": ""},
            "evaluate": {"n_re": [1, 3]},
            "show": {},
            "study_hash": "c",
        }
    )


def test_cost_is_drawn_only_where_it_is_known(scores):
    from tisdiss.analysis.stats import depth_curve

    curve = depth_curve(scores(a={1: 3.0, 3: 5.0}), rng=rng())
    assert cost_figure(curve, plan_of()) is None
    figure = cost_figure(curve, plan_of({"1": 2_000_000_000, "3": 4_000_000_000}))
    assert figure.axes[0].lines[-1].get_xdata().tolist() == [4.0]  # the trained depth, in GMAC


def test_real_time_factors_are_drawn_beside_the_multiply_adds(scores):
    from tisdiss.analysis.stats import depth_curve

    curve = depth_curve(scores(a={1: 3.0, 3: 5.0}), rng=rng())
    plan = plan_of({"1": 2_000_000_000, "3": 4_000_000_000}, rtf={"1": 0.1, "3": 0.25})
    machine = {"threads": 1, "torch": "2", "cpu": "a CPU", "accelerator": None}
    timing = {"rounds": 3, "seconds": 2.0, "environment": machine}
    figure = cost_figure(curve, plan.updated(timing=timing))
    assert figure.axes[1].lines[-1].get_xdata().tolist() == [0.25]
    assert figure.axes[1].get_xlabel() == "real-time factor, 1 CPU thread"


def test_figures_without_their_numbers_are_not_drawn(scores):
    empty = pd.DataFrame()
    assert difficulty_figure(empty, empty, plan_of()) is None
    assert change_figure(empty, plan_of(), empty) is None
