"""The repeats that a benchmark counts, and the warm-up that it leaves out."""

import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import growth
import timing


def rounds(first: Iterable[float], second: Iterable[float], repeats: int, budget: float = 60.0):
    a, b = iter(first), iter(second)
    return timing.rounds({"a": lambda: next(a), "b": lambda: next(b)}, repeats, budget)


def test_the_first_round_is_warm_up() -> None:
    times = rounds([9.0, 1.0, 2.0], [0.5, 3.0, 4.0], repeats=2)
    assert times["a"].seconds == (1.0, 2.0) and times["b"].seconds == (3.0, 4.0)


def test_one_round_is_measured_though_the_budget_is_spent() -> None:
    times = rounds([0.0, 0.2, 0.3], [0.0, 0.2, 0.3], repeats=5, budget=1e-9)
    assert times["a"].seconds == (0.2,)


def test_a_first_run_longer_than_the_budget_stands() -> None:
    times = rounds([90.0], [0.5, 0.2, 0.3], repeats=2, budget=60.0)
    assert times["a"].seconds == (90.0,) and times["b"].seconds == (0.2, 0.3)


def test_median_and_spread() -> None:
    found = timing.Timing((1.0, 2.0, 4.0))
    assert found.median == 2.0 and found.spread == pytest.approx(1.5)


def test_work_apart_is_timed_in_its_own_process() -> None:
    with timing.apart(lambda: sum(range(1_000_000)), keep_memory=True) as run:
        assert 0.001 < run() < 1


def test_exponent_of_a_square() -> None:
    assert growth.exponent((1, 2, 4), [3.0, 12.0, 48.0]) == pytest.approx(2)
