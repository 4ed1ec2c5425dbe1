"""How far two sets of numbers agree."""

from math import inf, nan

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from tisdiss.harness.reproduction.agreement import (
    MOST_SCORE,
    compare_scores,
    compare_weights,
    relative_bound,
    score_bound,
    worst,
)


@pytest.fixture
def weights(tmp_path):
    """Writes model files, whose headers differ; returns their paths."""

    def write(**tensors):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.safetensors"
        arrays = {name: np.asarray(value, "float32") for name, value in tensors.items()}
        save_file(arrays, path, {"about": path.name})
        return path

    return write


def test_equal_weights_are_equal_whatever_the_header_says(weights):
    found = compare_weights(weights(w=[1, nan]), weights(w=[1, nan]), updates=10)
    assert found.verdict == "equal"
    assert str(found) == "weights: equal, all 2 numbers bit for bit"


@pytest.mark.parametrize(
    ("other", "verdict", "difference"),
    [
        ([4, 1 + 2**-20], "equal within rounding", 2**-22),
        ([4, 1.01], "different", pytest.approx(0.0025, rel=1e-3)),
        ([4, nan], "different", inf),
    ],
)
def test_weights_differ_relative_to_the_greatest_of_their_tensor(
    weights, other, verdict, difference
):
    found = compare_weights(weights(a=[1], w=[4, 1]), weights(a=[1], w=other), updates=4)
    assert (found.verdict, found.difference, found.where) == (verdict, difference, "w")


def test_other_tensors_are_told(weights):
    found = compare_weights(weights(a=[1], w=[4, 1]), weights(w=[[4, 1]]), updates=4)
    assert found.verdict == "different" and "2 tensors of another form, such as a" in str(found)


def test_bounds_grow_with_the_updates_and_end():
    assert relative_bound(0) == relative_bound(1) == 2**-23
    assert relative_bound(200) == 200 * 2**-23 and relative_bound(10**9) == 1e-3
    assert score_bound(1) == pytest.approx(86.86 * 2**-23, rel=1e-3)
    assert score_bound(10**9) == MOST_SCORE


@pytest.fixture
def scores(tmp_path):
    def write(*values, order=1):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.parquet"
        rows = [
            {"mixture_id": f"m{m}", "slot": 0, "n_re": 1, "si_snr": value, "speaker": "a"}
            for m, value in enumerate(values)
        ]
        pd.DataFrame(rows[::order]).to_parquet(path)
        return path

    return write


def test_equal_scores_are_equal_in_any_order(scores):
    found = compare_scores(scores(1.0, nan), scores(1.0, nan, order=-1), "ab", updates=1)
    assert (found.verdict, found.count) == ("equal", 2)


@pytest.mark.parametrize(
    ("other", "verdict", "difference"),
    [
        (2.001, "equal within rounding", pytest.approx(0.001)),
        (2.1, "different", pytest.approx(0.1)),
        (nan, "different", inf),
    ],
)
def test_scores_differ_by_mixture(scores, other, verdict, difference):
    found = compare_scores(scores(1.0, 2.0), scores(1.0, other), "ab", updates=1000)
    assert (found.verdict, found.difference) == (verdict, difference)
    assert found.where == "si_snr, mixture_id m1, slot 0, n_re 1"


def test_other_mixtures_are_told(scores):
    found = compare_scores(scores(1.0, 2.0), scores(1.0), "ab", updates=1)
    assert "other mixtures, depths or scores" in str(found) and found.verdict == "different"


def test_the_worst_counts(scores, weights):
    equal = compare_weights(weights(w=[1]), weights(w=[1]), updates=1)
    close = compare_weights(weights(w=[1]), weights(w=[1 + 2**-23]), updates=1)
    far = compare_weights(weights(w=[1]), weights(w=[2]), updates=1)
    assert worst([]) == worst([equal]) == "equal"
    assert worst([equal, close]) == "equal within rounding" and worst([far, close]) == "different"
