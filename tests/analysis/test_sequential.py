"""Seeds until claims are decided: levels of looks, outcomes, and how often they are right."""

import importlib.util
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm

from tisdiss.analysis.frames import load_study
from tisdiss.analysis.mixed_model import Design
from tisdiss.analysis.sequential import conditional_power, levels, path_of
from tisdiss.analysis.stats import Estimate

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "simulate_seeds.py"


def bounds(most: int) -> list[float]:
    return [float(norm.isf(level / 2)) for level in levels(most).values()]


def test_the_levels_are_those_of_lan_and_demets() -> None:
    """Five equally spaced looks, against published values of O'Brien-Fleming spending."""
    assert bounds(5) == pytest.approx([3.357, 2.680, 2.290, 2.031], abs=1e-3)
    assert levels(2) == {2: pytest.approx(0.05)}
    assert list(levels(10)) == list(range(2, 11))


def test_all_looks_together_err_in_5_percent_of_cases() -> None:
    rng = np.random.default_rng(0)
    steps = rng.standard_normal((100_000, 10))
    sums = steps.cumsum(axis=1)[:, 1:] / np.sqrt(np.arange(2, 11))
    crossed = (np.abs(sums) > bounds(10)).any(axis=1)
    assert crossed.mean() == pytest.approx(0.05, abs=0.002)


def estimate(mean: float, noise: float, seeds: int) -> Estimate:
    design = Design.of([[f"a{m}", f"b{m}"] for m in range(60)])
    values = np.random.default_rng(1).normal(0, 0.2, 60)
    by_seed = np.linspace(-1, 1, seeds)
    apart = {tuple(range(seeds)): noise * by_seed / by_seed.std(ddof=1)}
    return Estimate(mean, values - values.mean() + mean, design, apart)


def test_seeds_that_agree_leave_nothing_open() -> None:
    assert conditional_power(estimate(0.2, 0.0, 2), 2, 10) == 1.0
    assert conditional_power(estimate(0.01, 0.0, 2), 2, 10) == 0.0


def test_conditional_power_rises_with_the_effect_and_is_even() -> None:
    by_effect = [conditional_power(estimate(mean, 0.1, 5), 5, 10) for mean in (0, 0.05, 0.1, 0.3)]
    assert by_effect == sorted(by_effect) and by_effect[0] < 0.1 < 0.95 < by_effect[-1]
    down = conditional_power(estimate(-0.1, 0.1, 5), 5, 10)
    assert down == pytest.approx(by_effect[2])


@pytest.fixture
def made(study_folder):
    return study_folder().row("a", {3: 9.0}, seeds=(0, 1)).row("b", {3: 5.0}, seeds=(0, 1))


def path(folder, *exprs, before=None, most=10):
    folder.plan["claims"] = [
        {"id": f"c{i}", "expr": expr, "source": "ours"} for i, expr in enumerate(exprs)
    ]
    folder.save()
    return path_of(load_study(folder.runs_dir, "fig2e", "mini"), before, most)


def test_one_training_asks_for_a_second_of_all_its_rows(study_folder) -> None:
    folder = study_folder().row("a", {3: 9.0}, seeds=(4,)).row("b", {3: 5.0}, seeds=(4,))
    (claim,) = path(folder, "row('a') > row('b')").claims
    assert (claim.outcome, claim.rows, claim.next_seed) == ("OPEN", ["a", "b"], 0)
    assert claim.looks == []


def test_a_seed_that_another_row_has_comes_first(study_folder) -> None:
    folder = study_folder().row("a", {3: 9.0}, seeds=(0, 1, 2)).row("b", {3: 5.0})
    (claim,) = path(folder, "row('a') > row('b')").claims
    assert (claim.outcome, claim.next_seed) == ("OPEN", 1)


def test_what_several_seeds_decided_before_is_left(made) -> None:
    (claim,) = path(made, "row('a') > row('b')").claims
    assert (claim.outcome, claim.next_seed, claim.looks) == ("NOT ASKED", None, [])
    assert claim.reason == "PASS by 2 seeds before the first look"


def test_what_asked_for_seeds_is_tested_at_the_level_of_its_look_and_a_decision_stays(
    study_folder,
) -> None:
    folder, expr = study_folder().row("a", {3: 5.3}).row("b", {3: 5.0}), "row('a') > row('b')"
    first = path(folder, expr)
    folder.plan["rows"] = []
    folder.row("a", {3: 5.3}, seeds=(0, 1)).row("b", {3: 5.0}, seeds=(0, 1))
    (claim,) = path(folder, expr, before=first).claims
    (look,) = claim.looks
    assert 1e-6 < look.p < 0.05 and look.level == levels(10)[2]
    assert (claim.outcome, claim.begun, look.seeds) == ("OPEN", True, 2)
    (last,) = path(folder, expr, before=first, most=10).claims
    assert last.looks == [look]
    decided = claim.model_copy(update={"outcome": "PASS", "next_seed": None})
    before = first.model_copy(update={"claims": [decided]})
    assert path(folder, expr, before=before).claims == [decided]
    assert path(folder, "row('b') > row('a')", before=before).claims[0].outcome != "PASS"


def test_claims_that_no_seed_helps_say_why(made, study_folder) -> None:
    folder = made.row("torn", {3: 7.0}, seeds=(0, 1), absent=(1,))
    folder.row("shipped", {3: 7.0})
    folder.plan["rows"][-1]["kind"] = "weights"
    facts, torn, shipped = path(
        folder,
        "params(row('a')) < params(row('b'))",
        "row('a') > row('torn')",
        "row('a') > row('shipped')",
    ).claims
    assert {facts.outcome, torn.outcome, shipped.outcome} == {"NOT ASKED"}
    assert facts.reason == "FAIL: it compares no scores"
    assert torn.reason == 'MISSING: runs are missing of "torn"'
    assert shipped.reason == "ONE TRAINING: shipped are weights that were trained once"
    few = study_folder().row("a", {3: 9.0}, speakers=2).row("b", {3: 8.0}, speakers=2)
    (claim,) = path(few, "row('a') > row('b')").claims
    assert claim.reason == "too few speakers for an interval: at least four are needed"


def test_equal_rows_are_futile(study_folder) -> None:
    """Their means are equal in every seed: no further seed is going to tell them apart."""
    folder = study_folder().row("a", {3: 9.0}, seeds=(0, 1)).row("b", {3: 9.0}, seeds=(0, 1))
    found = path(folder, "row('a') > row('b')")
    (claim,) = found.claims
    assert (claim.outcome, claim.next_seed, found.open) == ("FUTILE", None, [])
    (look,) = claim.looks
    assert (look.seeds, look.power) == (2, pytest.approx(0)) and look.p == pytest.approx(1.0)
    (last,) = path(folder, "row('a') > row('b')", before=found).claims
    assert last == claim  # looked at once


def test_the_last_seed_leaves_a_claim_undecided(study_folder) -> None:
    folder = study_folder().row("a", {3: 9.0}, seeds=(0, 1)).row("b", {3: 9.0}, seeds=(0, 1))
    (claim,) = path(folder, "row('a') > row('b')", most=2).claims
    assert (claim.outcome, claim.next_seed) == ("UNDECIDED", None)


def test_a_test_cannot_change_its_end_and_a_study_needs_claims(made) -> None:
    before = path(made, "row('a') > row('b')")
    with pytest.raises(ValueError, match=r"--max-seeds 5: the test of fig2e .* began with 10"):
        path(made, "row('a') > row('b')", before=before, most=5)
    with pytest.raises(ValueError, match="study 'fig2e' has no claims"):
        path(made)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("effect", "right", "least", "wrong"),
    [
        (0.0, ("FUTILE", "UNDECIDED"), 0.92, 0.08),
        (0.1, ("PASS",), 0.2, 0.02),
        (0.5, ("PASS",), 0.97, 0),
    ],
)
def test_200_simulated_studies_are_decided_as_they_are(effect, right, least, wrong) -> None:
    spec = importlib.util.spec_from_file_location("simulate_seeds", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    rng = np.random.default_rng(0)
    design = script.test_set(rng)
    count = Counter(script.simulate(design, effect, rng).outcome for _ in range(200))
    assert sum(count[name] for name in right) >= least * 200
    errors = count["FAIL"] + (count["PASS"] if not effect else 0)
    assert errors <= wrong * 200
