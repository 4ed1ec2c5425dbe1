"""Power of claims: against simulated studies, and from run folders with known numbers."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import brentq
from scipy.stats import nct, t

from tisdiss.analysis.detectable import Precision
from tisdiss.analysis.mixed_model import Design
from tisdiss.analysis.power import ClaimPower, NoPower, power, power_table
from tisdiss.analysis.power_figure import power_figure, write_power
from tisdiss.analysis.spent import Spent
from tisdiss.analysis.stats import Estimate
from tisdiss.cli import power_commands

SPREAD, SHARE = 0.5, 0.06
"""dB between mixtures, and what of that variance is the speakers'."""


@pytest.fixture(scope="module")
def design() -> Design:
    rng = np.random.default_rng(5)
    casts = [[f"s{s}" for s in rng.choice(29, 2, replace=False)] for _ in range(300)]
    return Design.of(casts)


def simulated(design, truth, seeds, noise, rng) -> Estimate:
    """A difference of two rows over a test set and some trainings."""
    weights = design.weights * np.sqrt(2)
    by_speaker = weights @ rng.standard_normal(weights.shape[1])
    rest = rng.standard_normal(len(weights))
    values = SPREAD * (np.sqrt(SHARE) * by_speaker + np.sqrt(1 - SHARE) * rest)
    by_seed = rng.normal(0, noise, seeds)
    mean = truth + by_seed.mean()
    apart = {tuple(range(seeds)): by_seed - by_seed.mean()}
    return Estimate(mean + values.mean(), mean + values, design, apart)


@pytest.mark.parametrize(("seeds", "noise"), [(1, 0.0), (3, 0.1), (10, 0.1)])
def test_the_detectable_difference_is_found_in_80_percent_of_cases(design, seeds, noise) -> None:
    rng = np.random.default_rng(seeds)
    pilots = [simulated(design, 0.0, 1, 0.0, rng) for _ in range(6)]
    tests = [design.spread(pilot.values) for pilot in pilots]
    truth = np.mean([Precision(test, noise).detectable(seeds) for test in tests])
    found = [simulated(design, truth, seeds, noise, rng).p < 0.05 for _ in range(300)]
    assert np.mean(found) == pytest.approx(0.80, abs=0.07)  # three standard errors


def test_without_noise_it_is_the_known_multiple_of_the_standard_error() -> None:
    """1.960 + 0.842 standard errors, of a normal mean."""
    rng = np.random.default_rng(1)
    design = Design.of([[f"a{m}", f"b{m}"] for m in range(200)])
    values = rng.standard_normal(200)
    found = Precision(design.spread(values), 0.0).detectable(1)
    assert found == pytest.approx(2.80 * values.std(ddof=1) / np.sqrt(200), rel=0.015)
    assert Precision(design.spread(values), 0.0).detectable(9) == found


def test_with_noise_alone_it_is_that_of_the_noncentral_t(design) -> None:
    """3 seeds: the t test over them, of two degrees of freedom."""
    test = design.spread(simulated(design, 0.0, 1, 0.0, np.random.default_rng(3)).values * 1e-3)
    expected = brentq(lambda shift: nct.sf(t.ppf(0.975, 2), 2, shift) - 0.8, 0, 20)
    found = Precision(test, 1.0).detectable(3) * np.sqrt(3)
    assert found == pytest.approx(expected, rel=0.02)  # noise stands in 200 points


def test_more_seeds_take_away_noise_and_more_mixtures_all_but_the_speakers(design) -> None:
    values = simulated(design, 0.0, 1, 0.0, np.random.default_rng(2)).values
    present, most = design.spread(values), design.spread(values, math.inf)
    noisy = [Precision(present, 0.1).detectable(seeds) for seeds in (2, 3, 5, 10, 20, 100)]
    assert noisy == sorted(noisy, reverse=True)
    assert noisy[-1] == pytest.approx(Precision(present, 0.0).detectable(1), rel=0.1)
    assert 0 < Precision(most, 0.0).detectable(1) < Precision(present, 0.0).detectable(1)


@pytest.fixture(scope="module")
def folder(study_folder):
    made = study_folder().row("a", {3: 9.0}, seeds=(0, 1, 2)).row("b", {3: 8.9}, seeds=(0, 1, 2))
    made.row("once", {3: 8.5}).row("other", {3: 8.0})
    return made


def powered(folder, *exprs, **options):
    folder.plan["claims"] = [
        {"id": f"c{i}", "expr": expr, "source": "ours"} for i, expr in enumerate(exprs)
    ]
    folder.save()
    return power(folder.runs_dir, "fig2e", "mini", **options)


def test_parts_and_hours_come_from_the_runs(folder) -> None:
    (claim,) = powered(folder, "row('a') > row('b')")
    assert isinstance(claim, ClaimPower)
    assert (claim.seeds, claim.mixtures, claim.parts.assumed) == (3, 40, False)
    whole = claim.estimate.design.spread(claim.estimate.values)
    variance = claim.parts.speakers**2 + claim.parts.mixtures**2
    assert variance == pytest.approx(float(whole.weights @ whole.scales**2))
    assert claim.parts.training == pytest.approx(0, abs=1e-9)  # means are exact in each seed
    assert claim.cost == Spent(training=120.0, evaluation=0.0)
    assert [plan.hours for plan in claim.plans[:3]] == pytest.approx([1 / 30, 2 / 30, 3 / 30])
    assert claim.now == pytest.approx(claim.plans[2].detectable)


def test_noise_that_nobody_measured_is_unknown_unless_it_is_assumed(folder) -> None:
    expr = "row('once') > row('other')"
    (unknown,) = powered(folder, expr)
    assert unknown.parts.training is None and not math.isnan(unknown.now)
    assert [math.isnan(p.detectable) for p in unknown.plans[:3]] == [False, True, True]
    assert unknown.needs is None
    (assumed,) = powered(folder, expr, noise=0.07)
    assert assumed.parts.training == pytest.approx(0.07 * math.sqrt(2))
    assert assumed.parts.assumed and assumed.now > unknown.now
    (mixed,) = powered(folder, "row('once') > row('a')", noise=0.07)
    assert mixed.parts.training == pytest.approx(0.07)


def test_claims_without_power_say_why(folder, study_folder) -> None:
    exprs = "params(row('a')) < params(row('b'))", "row('a') > row('gone')"
    facts, gone = powered(folder, *exprs)
    assert isinstance(facts, NoPower) and facts.reason.startswith("compares no scores")
    assert isinstance(gone, NoPower) and gone.reason == "1 of its 2 rows is not planned"
    few = study_folder().row("a", {3: 9.0}, speakers=2).row("b", {3: 8.0}, speakers=2)
    (claim,) = powered(few, "row('a') > row('b')")
    assert isinstance(claim, NoPower) and claim.reason.startswith("too few speakers")
    with pytest.raises(ValueError, match="no claim to draw: c0: too few speakers"):
        write_power([claim], few.runs_dir / "out")


def test_scores_that_do_not_vary_have_no_power(study_folder) -> None:
    folder = study_folder().row("a", {3: 9.0}, seeds=(0, 1)).row("b", {3: 8.0}, seeds=(0, 1))
    for row in "ab":
        for seed in (0, 1):
            path = next(folder.folder(row, seed).glob("evaluations/*/scores.parquet"))
            pd.read_parquet(path).assign(si_snri=float(ord(row))).to_parquet(path)
    (claim,) = powered(folder, "row('a') > row('b')")
    assert isinstance(claim, NoPower) and claim.reason.startswith("its scores do not vary")


def test_a_study_without_claims_or_runs_is_told(folder, study_folder) -> None:
    with pytest.raises(ValueError, match="study 'fig2e' has no claims: add some"):
        powered(folder)
    absent = study_folder().row("a", {3: 9.0}, absent=(0,)).row("b", {3: 8.0}, absent=(0,))
    with pytest.raises(ValueError, match=r"no run of study 'fig2e' .* is finished"):
        powered(absent, "row('a') > row('b')")
    with pytest.raises(ValueError, match="run `tisdiss run nope --profile mini` first"):
        power(folder.runs_dir, "nope", "mini")


def test_the_table_and_the_figure_hold_every_plan(folder, tmp_path) -> None:
    claims = powered(folder, "row('a') > row('b')", "row('once') > row('other')", noise=0.1)
    table = power_table(claims)
    assert len(table) == 2 * len(claims[0].plans)
    line = table[(table["claim"] == "c1") & (table["seeds"] == 5) & (table["mixtures"] == 80)]
    assert line["detectable_db"].item() == pytest.approx(
        next(p.detectable for p in claims[1].plans if (p.seeds, p.mixtures) == (5, 80))
    )
    assert line["training_assumed"].item() and not table["training_assumed"].iloc[0]
    axes = power_figure(claims).axes[0]
    assert [line.get_label() for line in axes.lines if line.get_label()[0] == "c"] == ["c0", "c1"]
    names = [path.name for path in write_power(claims, tmp_path)]
    assert names == ["power.csv", "power.pdf", "power.png", "power.svg"]


def test_a_parent_and_a_shared_run_cost_once(study_folder) -> None:
    folder = study_folder().row("a", {3: 9.0}).row("b", {3: 8.0}).row("base", {3: 7.0})
    for row in "ab":
        path = folder.folder(row) / "config.json"
        parent = folder.plan["rows"][2]["runs"][0]["identity"]
        path.write_text(json.dumps(json.loads(path.read_text()) | {"parent": parent}))
    folder.plan["rows"].append(folder.plan["rows"][0] | {"id": "twin"})
    two, three, twin = powered(
        folder, "row('a') > row('b')", "row('a') > row('base')", "row('a') > row('twin')"
    )
    assert (two.cost.training, three.cost.training) == (180.0, 120.0)
    assert isinstance(twin, NoPower) and twin.reason.startswith("its scores do not vary")


def test_a_narrow_table_keeps_what_decides(study_folder):
    folder = study_folder().row("a", {3: 5.0}, seeds=(0, 1)).row("b", {3: 4.0}, seeds=(0, 1))
    folder.plan["claims"] = [{"id": "c", "expr": "row('a') > row('b')", "source": "ours"}]
    claims = power(folder.save().runs_dir, "fig2e", "mini")
    wide, narrow = (power_commands.power_table(claims, "t", narrow=n) for n in (False, True))
    names = [column.header for column in wide.columns]
    assert names[:6] == ["claim", "observed", "speakers", "mixtures", "training", "now"]
    assert [column.header for column in narrow.columns] == [
        *("claim", "observed", "now", "3 seeds", "5 seeds", "10 seeds", "needs")
    ]
