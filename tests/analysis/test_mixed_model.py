"""The interval of a mean over mixtures of recurring speakers: known answers, and coverage."""

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad

from tisdiss.analysis.mixed_model import Design, Spread


def casts(n_speakers: int, n_mixtures: int, rng: np.random.Generator) -> list[list[str]]:
    draw = (rng.choice(n_speakers, 2, replace=False) for _ in range(n_mixtures))
    return [[f"s{speaker}" for speaker in pair] for pair in draw]


def simulated(design: Design, share: float, rng: np.random.Generator) -> np.ndarray:
    """Values of mean 0 and variance about 1, of which speakers cause `share`."""
    weights = design.weights * np.sqrt(2)
    by_speaker = weights @ rng.standard_normal(weights.shape[1])
    rest = rng.standard_normal(len(weights))
    return np.sqrt(share) * by_speaker + np.sqrt(1 - share) * rest


@pytest.mark.parametrize(
    ("n_speakers", "n_mixtures", "share", "low", "high"),
    [
        (29, 300, 0.0, 0.95, 1.0),
        (29, 300, 0.18, 0.92, 0.98),
        (29, 300, 0.35, 0.92, 0.98),
        (29, 300, 1.0, 0.92, 0.98),
        (10, 120, 0.18, 0.92, 0.98),
        (10, 120, 0.35, 0.92, 0.98),
        (10, 120, 1.0, 0.92, 0.98),
        (5, 60, 0.0, 0.97, 1.0),
        (5, 60, 0.35, 0.92, 0.98),
        (5, 60, 1.0, 0.92, 0.98),
    ],
)
def test_the_interval_holds_the_truth_as_often_as_it_says(
    n_speakers: int, n_mixtures: int, share: float, low: float, high: float
) -> None:
    rng = np.random.default_rng(7)
    held, trials = 0, 800
    for _ in range(trials // 20):
        design = Design.of(casts(n_speakers, n_mixtures, rng))
        for _ in range(20):
            values = simulated(design, share, rng)
            held += abs(values.mean()) <= design.spread(values).half_width(0.95)
    # 800 trials: the standard error is 0.8 %
    assert low <= held / trials <= high


def test_mixtures_of_two_new_speakers_each_give_the_t_test() -> None:
    """Each speaker meets one other, once: only the sum of both variances counts."""
    rng = np.random.default_rng(1)
    design = Design.of([[f"a{m}", f"b{m}"] for m in range(40)])
    values = rng.standard_normal(40) + 3
    expected = stats.sem(values) * stats.t.ppf(0.975, 39)
    assert design.spread(values).half_width(0.95) == pytest.approx(expected, rel=1e-4)


def test_speakers_that_explain_all_give_the_t_test_over_speakers() -> None:
    rng = np.random.default_rng(2)
    design = Design.of([[f"s{m // 5}"] for m in range(60)])
    by_speaker = rng.standard_normal(12)
    values = np.repeat(by_speaker, 5)
    expected = stats.sem(by_speaker) * stats.t.ppf(0.975, 11)
    assert design.spread(values).half_width(0.95) == pytest.approx(expected, rel=1e-4)


def test_the_p_value_is_that_of_the_interval() -> None:
    rng = np.random.default_rng(3)
    spread = Design.of(casts(12, 80, rng)).spread(rng.standard_normal(80))
    assert spread.p_value(spread.half_width(0.95)) == pytest.approx(0.05, abs=1e-4)
    assert spread.p_value(0.0) == pytest.approx(1.0)


def test_seeds_alone_give_the_t_test_over_seeds() -> None:
    design = Design.of([["a", "b"], ["b", "c"], ["c", "a"]])
    means = np.array([1.0, 1.4, 1.1, 1.3])
    spread = design.spread(np.full(3, means.mean())).with_noise(stats.sem(means), 3)
    expected = stats.sem(means) * stats.t.ppf(0.975, 3)
    assert spread.half_width(0.95) == pytest.approx(expected, rel=0.01)


def test_seeds_widen_the_interval_as_independent_noise_does() -> None:
    """With many seeds and mixtures both parts are normal, and their squares add up."""
    rng = np.random.default_rng(4)
    design = Design.of([[f"a{m}", f"b{m}"] for m in range(400)])
    values, means = rng.standard_normal(400), rng.normal(0, 0.3, 50)
    test, seeds = stats.sem(values), stats.sem(means)
    width = design.spread(values).with_noise(seeds, 49).half_width(0.95)
    assert width == pytest.approx(1.96 * np.hypot(test, seeds), rel=0.02)


@pytest.mark.parametrize(("test", "noise", "df"), [(1, 2, 3), (1, 1, 1), (3, 1, 3), (1, 9, 2)])
@pytest.mark.parametrize("x", [2, 10, 40])
def test_the_sum_of_both_parts_is_exact_far_into_its_tail(test, noise, df, x) -> None:
    """The first looks of a sequential test have levels of 1e-6, unlike intervals of 95 %."""
    spread = Spread(np.ones(1), np.array([float(test)]), 299.0).with_noise(float(noise), df)

    def density(shift: float) -> float:
        return stats.t.sf((x - shift) / noise, df) * stats.t.pdf(shift / test, 299) / test

    expected, _ = quad(density, -14 * test, 14 * test, points=[0], limit=500)
    assert 1 - spread.below(x) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("n_mixtures", [1, 2, 9])
def test_equal_values_have_no_width(n_mixtures: int) -> None:
    design = Design.of([["a", "b"]] * n_mixtures)
    assert design.spread(np.full(n_mixtures, 2.5)).half_width(0.95) == 0


def test_one_pair_of_speakers_leaves_the_mixtures_to_tell() -> None:
    rng = np.random.default_rng(6)
    values = rng.standard_normal(30)
    width = Design.of([["a", "b"]] * 30).spread(values).half_width(0.95)
    assert width == pytest.approx(stats.sem(values) * stats.t.ppf(0.975, 29), rel=1e-4)


def test_a_mixture_without_speakers_is_refused() -> None:
    with pytest.raises(ValueError, match="mixture 1 has no speaker"):
        Design.of([["a"], []])
