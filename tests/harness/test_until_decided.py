"""Rounds of seeds: the next seeds, the end, and resuming a stopped command."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from tisdiss.cli.until_decided import run_until_decided
from tisdiss.harness.launch import launch
from tisdiss.harness.until_decided import Deadline, until_decided
from tisdiss.records.files import DamagedError
from tisdiss.records.runs_layout import seed_path_file
from tisdiss.records.seed_path import ClaimPath, Look, SeedPath, read_seed_path, write_seed_path


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def claim(name: str, seed: int | None, power: float, seeds: int = 2) -> ClaimPath:
    look = Look(seeds=seeds, difference=0.1, low=0, high=1, p=0.5, level=0.01, power=power)
    outcome = "OPEN" if seed is not None else "FUTILE"
    return ClaimPath(
        claim=name, expr="", rows=[name], outcome=outcome, next_seed=seed, looks=[look]
    )


def study(*claims: ClaimPath) -> SeedPath:
    return SeedPath(
        schema=1, study="s", profile="mini", study_hash="x", max_seeds=10, claims=list(claims)
    )


def rounds(paths, deadline, outcome="done", spend=lambda: None):
    """The trained runs and the reason for the end, if the looks find these paths in turn."""
    asked, found = [], iter(paths)

    def train(name, seed, rows):
        asked.append((seed, *rows))
        spend()
        return {"run": outcome}

    ended = until_decided(lambda: [next(found)], train, deadline, lambda paths: None)
    return asked, ended


def test_the_most_promising_claim_trains_first_until_none_asks() -> None:
    paths = [
        study(claim("dull", 2, 0.2), claim("good", 2, 0.9), claim("lost", None, 0.0)),
        study(claim("dull", None, 0.05, 3), claim("good", 3, 0.95, 3)),
        study(claim("good", None, 1.0, 4)),
    ]
    asked, ended = rounds(paths, Deadline(1, Clock()))
    assert asked == [(2, "good"), (2, "dull"), (3, "good")]
    assert ended == "no claim requests more seeds"


def test_no_training_starts_after_the_hours() -> None:
    clock = Clock()

    def spend() -> None:
        clock.now += 2000

    path = study(claim("a", 2, 0.9), claim("b", 2, 0.8), claim("c", 2, 0.7))
    asked, ended = rounds([path], Deadline(1, clock), spend=spend)
    assert asked == [(2, "a"), (2, "b")]
    assert ended == "the 1 h are over; the same command continues from here"


def test_rounds_that_change_nothing_end() -> None:
    path = study(claim("a", 2, 0.9))
    asked, ended = rounds([path, path], Deadline(1, Clock()), outcome="failed")
    assert asked == [(2, "a")] and ended.startswith("the last round changed nothing")


@pytest.mark.parametrize("hours", [0, -1, float("nan"), float("inf")])
def test_hours_are_above_0(hours) -> None:
    with pytest.raises(ValueError, match=r"--max-hours .*: give a number above 0"):
        Deadline(hours)


def test_a_deadline_ends_training_and_workers(make_plan, make_runner) -> None:
    clock = Clock()
    deadline = Deadline(0.5, clock)
    runner = deadline.heeded_by(make_runner())
    assert runner.max_seconds == 1800 and not runner.stop()
    clock.now = 1800
    assert runner.stop()
    planned = make_plan(["{id: a}", "{id: b, set: {optim.lr: 1e-4}}"])
    unused = lambda *_: pytest.fail("no worker starts after the hours")  # noqa: E731
    for options in ({}, {"jobs": 2, "command": unused}):
        ended = launch(planned, runner=runner, track=False, **options)
        assert set(ended.values()) == {"stopped"}


EFFECT = 0.6
MORE = """
claims:
  - {id: faster, expr: "row('a') > row('b')", source: ours}
  - {id: slower, expr: "row('b') > row('a')", source: ours}
"""
ROWS = ["{id: a, set: {optim.lr: 1e-3}}", "{id: b, set: {optim.lr: 1e-4}}"]


def scored(model_file, corpus, config, folder, **options):
    """Eight speakers in 40 mixtures; rows differ by EFFECT, and trainings by 0.05 dB."""
    train = json.loads((model_file.parent / "config.json").read_text())["train"]
    rate, seed = train["optim"]["lr"], train["seed"]
    rng = np.random.default_rng([seed, int(rate * 1e5)])
    level = 5.0 + EFFECT * (rate > 5e-4) + rng.normal(0, 0.05)
    hard = np.random.default_rng(0).normal(0, 2, 40)
    rows = [
        {
            **{"mixture_id": f"m{m}", "slot": slot, "speaker": f"s{(m + 3 * slot) % 8}"},
            **{"sex": "f", "n_sep": 2, "n_re": n_re, "samples": 10, "mixture_si_snr": 0.0},
            **dict.fromkeys(("si_snr", "si_snri", "sdr", "sdri"), value),
        }
        for m in range(40)
        for slot in (0, 1)
        for value in [level + hard[m] + rng.normal(0, 0.1)]
        for n_re in config.n_re
    ]
    pd.DataFrame(rows).to_parquet(folder / "scores.parquet")


@pytest.fixture
def decide(make_plan, make_runner):
    """`tisdiss run --until-decided` of two rows, with pretended training."""

    def run(hours=1.0, clock=None, more=MORE, max_seeds=6):
        runner = make_runner(evaluate=scored)
        made = make_plan(ROWS, more=more)
        outcomes = run_until_decided(
            made,
            runner=runner,
            plan_at=lambda _, seed, rows: make_plan(ROWS, more=more, seeds=[seed], rows=rows),
            launch=lambda plan, runner: launch(plan, runner=runner, track=False),
            deadline=Deadline(hours, clock or Clock()),
            max_seeds=max_seeds,
            console=Console(quiet=True),
        )
        path = read_seed_path(runner.runs_dir, "demo", "smoke")
        return SimpleNamespace(outcomes=outcomes, path=path, runner=runner)

    return run


def test_looks_of_another_version_are_refused_with_a_way_out(tmp_path) -> None:
    path = SeedPath(study="demo", profile="smoke", study_hash="0" * 64, max_seeds=6, claims=[])
    file = write_seed_path(tmp_path, path)
    found = read_seed_path(tmp_path, "demo", "smoke")
    assert found is not None and found.model_dump() == path.model_dump()
    file.write_text(file.read_text().replace('"schema": 1', '"schema": 2'))
    with pytest.raises(DamagedError, match=r"schema = 2: .*; delete it: the claims are then"):
        read_seed_path(tmp_path, "demo", "smoke")


def test_seeds_are_added_until_a_difference_is_decided(decide) -> None:
    done = decide()
    faster, slower = done.path.claims
    assert (faster.outcome, slower.outcome) == ("PASS", "FAIL")
    counts = [look.seeds for look in faster.looks]
    assert counts == list(range(2, counts[-1] + 1)) and 3 <= counts[-1] <= 5
    assert all(look.p > look.level for look in faster.looks[:-1])
    assert faster.looks[-1].p <= faster.looks[-1].level
    assert faster.looks[-1].difference == pytest.approx(EFFECT, abs=0.15)
    assert len(done.outcomes) == 2 * counts[-1]
    assert set(decide().outcomes.values()) == {"skipped"}  # the same command has nothing to do


def test_a_command_that_ran_out_of_time_goes_on(decide) -> None:
    class Impatient(Clock):
        def __call__(self) -> float:
            self.now += 30
            return self.now

    first = decide(hours=0.1, clock=Impatient())
    assert first.runner.said[-1] == "the 0.1 h are over; the same command continues from here"
    begun = first.path.claims[0]
    assert begun.outcome == "OPEN" and len(first.outcomes) == 4
    done = decide()
    assert [claim.outcome for claim in done.path.claims] == ["PASS", "FAIL"]
    assert done.path.claims[0].looks[: len(begun.looks)] == begun.looks


def test_time_that_is_over_with_the_studys_own_seeds_is_told(decide) -> None:
    late = iter([0.0])
    done = decide(clock=lambda: next(late, 1e9))
    assert done.runner.said[-1] == "the 1 h are over; the same command continues from here"
    assert set(done.outcomes.values()) == {"stopped"} and done.path is None


def test_a_damaged_path_and_a_study_without_claims_are_told(decide) -> None:
    with pytest.raises(ValueError, match="demo: no claims, so there is nothing to decide"):
        decide(more="")
    runner = decide().runner
    seed_path_file(runner.runs_dir, "demo", "smoke").write_text("{}")
    with pytest.raises(ValueError, match=r"demo.smoke.json: the key .*delete it: the claims"):
        decide()
