"""Means against values computed by hand, properties of intervals, equal results on every call."""

import time

import numpy as np
import pandas as pd
import pytest

from tisdiss.analysis.stats import depth_curve, difference_curve, paired


def rng():
    return np.random.default_rng(0)


def by_hand(values):
    """Scores from (row, seed, mixture, slot, speaker, n_re, si_snri)."""
    columns = ["row", "seed", "mixture_id", "slot", "speaker", "n_re", "si_snri"]
    return pd.DataFrame(values, columns=columns).assign(label="L", n_re_train=1)


def paired_at(scores, row_a, row_b, n_re):
    """Row a minus row b at one depth, over the utterances that are defined in both, in dB."""
    a, b = paired(scores, [(row_a, n_re, "si_snri"), (row_b, n_re, "si_snri")]).estimates
    return a - b


def test_mean_is_over_speakers_then_mixtures_then_seeds():
    scores = by_hand(
        [
            ("a", 0, "m1", 0, "p", 1, 2.0),
            ("a", 0, "m1", 1, "q", 1, 4.0),  # m1: 3
            ("a", 0, "m2", 0, "p", 1, 7.0),
            ("a", 0, "m2", 1, "r", 1, np.nan),  # m2: 7; seed 0: 5
            ("a", 1, "m1", 0, "p", 1, 1.0),
            ("a", 1, "m1", 1, "q", 1, 1.0),
            ("a", 1, "m2", 0, "p", 1, 1.0),
            ("a", 1, "m2", 1, "r", 1, 1.0),  # seed 1: 1
        ]
    )
    line = depth_curve(scores, rng=rng()).iloc[0]
    assert line["mean"] == 3.0
    assert line["seed_sd"] == pytest.approx(np.std([5, 1], ddof=1))
    assert (line["n_mixtures"], line["n_speakers"], line["n_seeds"]) == (2, 3, 2)
    assert line["n_missing"] == 1


def test_interval_contains_the_estimate_at_every_depth(scores):
    curve = depth_curve(scores(a={1: 3.0, 2: 5.0}, b={1: 2.0, 2: 1.0}), rng=rng())
    assert curve["mean"].round(9).tolist() == [3.0, 5.0, 2.0, 1.0]
    assert (curve["low"] < curve["mean"]).all() and (curve["mean"] < curve["high"]).all()


def test_interval_is_absent_with_fewer_than_four_speakers():
    pairs = [("p", "q"), ("p", "r"), ("q", "r")]
    rows = [
        ("a", 0, f"m{i}", slot, pair[slot], 1, float(i))
        for i, pair in enumerate(pairs)
        for slot in (0, 1)
    ]
    line = depth_curve(by_hand(rows), rng=rng()).iloc[0]
    assert line["mean"] == 1.0
    assert np.isnan(line["low"]) and np.isnan(line["high"])


def test_interval_is_about_twice_the_spread_that_speakers_cause():
    """Score = u(a) + u(b): its mean over all pairs is 2 mean(u), of deviation 2 sd(u)/sqrt(n)."""
    n = 30
    effect = np.random.default_rng(3).normal(0, 1, n)
    rows = [
        ("a", 0, f"m{a}-{b}", slot, f"v{(a, b)[slot]}", 1, effect[a] + effect[b])
        for a in range(n)
        for b in range(a)
        for slot in (0, 1)
    ]
    line = depth_curve(by_hand(rows), rng=rng()).iloc[0]
    expected = 2 * 1.96 * effect.std() / np.sqrt(n)
    assert (line["high"] - line["low"]) / 2 == pytest.approx(expected, rel=0.15)


def test_seeds_that_disagree_widen_the_interval(scores):
    one = scores(a={1: 3.0})
    two = pd.concat([one, one.assign(seed=1, si_snri=one["si_snri"] + 6.0)])
    width = [
        (curve["high"] - curve["low"]).item()
        for curve in (depth_curve(frame, rng=rng()) for frame in (one, two))
    ]
    assert width[1] > 2 * width[0]


def test_curve_is_the_same_bytes_on_every_call_whatever_the_order(scores):
    frame = scores(n_seeds=2, a={1: 3.0, 2: 5.0}, b={1: 2.0, 2: 1.0})
    first = depth_curve(frame, rng=rng())
    again = depth_curve(frame, rng=rng())
    assert first.to_csv() == again.to_csv()
    shuffled = pd.concat([frame.iloc[:1], frame.iloc[1:].sample(frac=1, random_state=0)])
    pd.testing.assert_frame_equal(first, depth_curve(shuffled, rng=rng()))


def test_difference_is_a_minus_b_and_turns_its_sign(scores):
    frame = scores(a={3: 6.0}, b={3: 5.0})
    ab = paired_at(frame, "a", "b", 3)
    ba = paired_at(frame, "b", "a", 3)
    assert ab.mean == pytest.approx(1.0)
    low, high = ab.interval()
    assert low < ab.mean < high
    assert (ba.mean, *ba.interval()) == pytest.approx((-ab.mean, -high, -low))
    assert ab.p == ba.p < 0.01


def test_difference_is_tighter_than_the_curves_because_it_is_paired(scores):
    frame = scores(a={3: 6.0}, b={3: 5.9})
    difference = paired_at(frame, "a", "b", 3)
    curve = depth_curve(frame, rng=rng())
    low, high = difference.interval()
    assert high - low < (curve["high"] - curve["low"]).min() / 2


def test_equal_rows_have_no_difference_and_p_one(scores):
    frame = scores(a={3: 6.0})
    both = pd.concat([frame, frame.assign(row="b")])
    difference = paired_at(both, "a", "b", 3)
    assert (difference.mean, *difference.interval(), difference.p) == (0, 0, 0, 1)


def test_difference_leaves_out_what_is_undefined_in_either_row(scores):
    frame = scores(a={3: 6.0}, b={3: 5.0})
    hole = (frame["row"] == "a") & (frame["mixture_id"] == "m0000")
    with_hole = frame.assign(si_snri=frame["si_snri"].mask(hole))
    without = frame[frame["mixture_id"] != "m0000"]
    found = paired_at(with_hole, "a", "b", 3)
    both = paired(with_hole, [("a", 3, "si_snri"), ("b", 3, "si_snri")])
    assert (both.n_utterances, both.n_left_out, both.n_missing) == (80, 2, (2, 0))
    assert both.n_mixtures == 39
    assert found.mean == pytest.approx(paired_at(without, "a", "b", 3).mean)


def test_a_difference_cancels_what_the_seeds_of_both_rows_share(scores):
    shifted = [scores(a={3: 6.0}, b={3: 5.0}).assign(seed=seed) for seed in range(3)]
    for seed, frame in enumerate(shifted):
        frame["si_snri"] += 2.0 * seed
    frame = pd.concat(shifted)
    low, high = paired_at(frame, "a", "b", 3).interval()
    assert high - low < 1 < depth_curve(frame, rng=rng()).eval("high - low").min()


def test_noise_of_rows_with_different_seeds_adds_up(scores):
    """Their variances add, with the degrees of freedom of Welch and Satterthwaite."""
    frames = []
    for row, seeds in (("a", (0, 1, 2, 3)), ("b", (7, 8, 9))):
        for at, seed in enumerate(seeds):
            one = scores(**{row: {3: 6.0}}).assign(seed=seed)
            frames.append(one.assign(si_snri=one["si_snri"] + at))
    difference = paired_at(pd.concat(frames), "a", "b", 3)
    parts = [np.var([0, 1, 2, 3], ddof=1) / 4, np.var([0, 1, 2], ddof=1) / 3]
    assert difference.spread.noise_scale == pytest.approx(np.sqrt(sum(parts)))
    expected = sum(parts) ** 2 / (parts[0] ** 2 / 3 + parts[1] ** 2 / 2)
    assert difference.spread.noise_df == pytest.approx(expected)


def test_the_bootstrap_stands_beside_as_a_check(scores):
    curve = depth_curve(scores(a={1: 3.0, 2: 5.0}), rng=rng())
    assert (curve["check_low"] < curve["mean"]).all()
    assert (curve["mean"] < curve["check_high"]).all()


def test_difference_of_an_unknown_row_names_what_there_is(scores):
    with pytest.raises(ValueError, match=r"row 'c' at n_re=3; there are: 'a' at \[3\]"):
        paired_at(scores(a={3: 6.0}), "a", "c", 3)


def test_nothing_cannot_be_averaged(scores):
    with pytest.raises(ValueError, match="no scores to average"):
        depth_curve(scores(a={1: 3.0}).iloc[:0], rng=rng())


def test_four_rows_of_ten_depths_are_quick(scores):
    depths = {n: float(n) for n in range(1, 11)}
    frame = scores(a=depths, b=depths, c=depths, d=depths)
    start = time.process_time()
    depth_curve(frame, rng=rng())
    assert time.process_time() - start < 2


def test_differences_are_paired_at_every_depth_that_both_rows_have(scores):
    frame = scores(a={1: 3.0, 2: 5.0, 3: 6.0}, b={1: 2.0, 2: 5.5}, c={0: 1.0})
    curve = difference_curve(frame, "b")
    assert curve["row"].tolist() == ["a", "a"] and curve["n_re"].tolist() == [1, 2]
    assert curve["mean"].round(9).tolist() == [1.0, -0.5]
    for line in curve.to_dict("records"):
        estimate = paired_at(frame, "a", "b", line["n_re"])
        assert (line["low"], line["high"]) == estimate.interval()


def test_a_row_on_another_corpus_has_no_difference(scores):
    frame = scores(a={1: 3.0}, b={1: 2.0})
    frame["corpus"] = frame["row"].map({"a": "noisy", "b": "clean"})
    assert difference_curve(frame, "b").empty
