"""Claims decided on scores with known means: each status by its scores."""

import numpy as np
import pandas as pd
import pytest

from tisdiss.analysis.claims import decide
from tisdiss.analysis.claims_of_studies import claims
from tisdiss.analysis.claims_text import (
    any_failed,
    counts,
    headline,
    meaning,
    to_markdown,
    to_text,
)
from tisdiss.analysis.frames import load_study
from tisdiss.analysis.units import signed
from tisdiss.analysis.verdict import numbers_of
from tisdiss.records.report_record import Verdict

RISING = {n: float(n) for n in range(1, 7)}


@pytest.fixture(scope="module")
def folder(study_folder):
    """`deep` rises and is 1 dB above `flat` at depth 3; `twin` equals `flat` on average."""
    folder = study_folder().row("deep", RISING, seeds=(0, 1), n_re_train=3)
    folder.row("flat", dict.fromkeys(RISING, 2.0), seeds=(0, 1))
    folder.row("twin", dict.fromkeys(RISING, 2.0), seeds=(0, 1))
    return folder.row("torn", RISING, seeds=(0, 1), absent=(1,), params=620_000)


def decided(folder, *exprs, profile="mini", source="ours"):
    folder.plan["claims"] = [
        {"id": f"c{i}", "expr": expr, "source": source} for i, expr in enumerate(exprs)
    ]
    folder.save()
    return decide(load_study(folder.runs_dir, "fig2e", profile))


@pytest.mark.parametrize(
    ("expr", "status", "difference"),
    [
        ("row('deep') > row('flat')", "PASS", 1.0),
        ("row('flat') > row('deep')", "FAIL", -1.0),
        ("row('flat') > row('twin')", "UNDECIDED", 0.0),
        ("row('deep').si_snri(n_re=6) - row('flat').si_snri(n_re=6) > 3", "PASS", 1.0),
        ("row('deep').si_snri(n_re=6) - row('flat').si_snri(n_re=6) > 5", "FAIL", -1.0),
        ("row('deep').si_snri(n_re=1..6) > row('flat').si_snri(n_re=1..6)", "PASS", 1.5),
        ("approx(row('flat'), row('twin'), 1.5)", "PASS", 1.5),
        ("approx(row('flat'), row('deep'), 0.1)", "FAIL", -0.9),
        ("approx(row('flat'), row('twin'), 0.001)", "UNDECIDED", 0.001),
        ("mono(row('deep').si_snri, n_re=1..6)", "PASS", 1.0),
        ("gain(row('deep'), n_re=3..6) > 2", "PASS", 1.0),
        ("row('deep') > max(row('flat'), row('twin'))", "PASS", 1.0),
        ("row('flat') > max(row('deep'), row('twin'))", "FAIL", -1.0),
        ("spread(row('flat'), row('twin'), row('deep')) < 3", "PASS", 2.0),
        ("spread(row('flat'), row('twin'), row('deep')) < 0.2", "FAIL", -0.8),
        ("params(row('flat')) < 0.75 * params(row('torn'))", "PASS", 0.155),
        ("params(row('flat')) < params(row('twin'))", "FAIL", 0.0),
        ("row('deep') > row('flat') and params(row('flat')) < params(row('torn'))", "PASS", 0.31),
    ],
)
def test_status_and_difference_follow_from_the_scores(folder, expr, status, difference):
    (verdict,) = decided(folder, expr)
    assert (verdict.status, verdict.difference) == (status, pytest.approx(difference))


def test_verdict_carries_interval_and_counts(folder):
    (verdict,) = decided(folder, "row('deep') > row('flat')")
    assert 0 < verdict.low < verdict.difference < verdict.high
    assert (verdict.n_mixtures, verdict.n_speakers, verdict.n_seeds) == (40, 8, 2)
    assert "40 mixtures, 8 speakers, 2 seeds" in numbers_of(verdict)
    assert numbers_of(verdict).startswith("+1.00 dB [+")


def test_verdict_of_rows_with_unlike_numbers_of_seeds_names_the_fewest_and_the_most(study_folder):
    folder = study_folder().row("one", {3: 9.0}).row("three", {3: 1.0}, seeds=(0, 1, 2))
    (verdict,) = decided(folder, "row('one') > row('three')")
    assert (verdict.n_seeds, verdict.most_seeds) == (1, 3)
    assert numbers_of(verdict).endswith("8 speakers, 1 to 3 seeds")
    earlier = {k: v for k, v in vars(verdict).items() if k != "most_seeds"}
    assert numbers_of(Verdict.model_validate(earlier)).endswith("8 speakers, 1 seed")


@pytest.mark.parametrize(
    ("better", "reason"), [("a", "these weights pass"), ("b", "these weights fail")]
)
def test_one_training_of_a_row_decides_for_these_weights_alone(study_folder, better, reason):
    folder = study_folder().row("a", {3: 9.0 if better == "a" else 1.0}, seeds=(0, 1, 2))
    folder.row("b", {3: 5.0})
    (verdict,) = decided(folder, "row('a') > row('b')")
    assert (verdict.status, verdict.reason) == ("ONE TRAINING", reason)
    assert not any_failed([verdict])


def test_trainings_that_differ_leave_a_claim_undecided(study_folder):
    """Seeds apart by 1 dB: their mean is known to 2.48 dB (t of two degrees of freedom)."""
    folder = study_folder().row("b", {3: 4.0}, seeds=(0, 1, 2))
    folder.row("a", {3: 5.0}, seeds=(0, 1, 2))
    for seed, shift in enumerate((-1.0, 0.0, 1.0)):
        path = next(folder.folder("a", seed).glob("evaluations/*/scores.parquet"))
        scores = pd.read_parquet(path)
        scores.assign(si_snri=scores["si_snri"] + shift).to_parquet(path)
    (verdict,) = decided(folder, "row('a') > row('b')")
    assert verdict.status == "UNDECIDED" and verdict.difference == pytest.approx(1.0)
    assert verdict.high - verdict.difference == pytest.approx(2.48, abs=0.05)
    assert verdict.reason == (
        "the estimate is on the passing side; a true difference of 3.27 dB would be found in "
        "80 % of cases"
    )


def test_depth_is_compared_only_of_models_that_use_it(folder):
    exprs = "mono(row('flat').sdri, n_re=1..6)", "row('deep').si_snri(n_re=6) > row('flat')"
    for verdict in decided(folder, *exprs):
        assert verdict.status == "NOT TESTABLE HERE"
        assert verdict.reason.startswith(
            '"flat" gains 0 dB from N_re = 1 to 3, where 0% of the mixtures score lower; '
        )
    same_depths = "row('deep').si_snri(n_re=1..6) > row('flat').si_snri(n_re=1..6)"
    assert decided(folder, same_depths)[0].status == "PASS"


def test_a_tolerance_of_the_papers_level_is_for_its_profile(study_folder):
    expr = "approx(row('a'), row('b'), 0.1)"
    statuses = {}
    for profile in ("mini", "paper"):
        folder = study_folder(profile=profile)
        folder.row("a", {3: 9.0}, seeds=(0, 1)).row("b", {3: 1.0}, seeds=(0, 1))
        for source in ("Sec. 3.3", "ours"):
            (verdict,) = decided(folder, expr, profile=profile, source=source)
            statuses[profile, source] = verdict.status
    assert statuses.pop(("mini", "Sec. 3.3")) == "NOT TESTABLE HERE"
    assert set(statuses.values()) == {"FAIL"}


def test_looking_at_several_claims_is_corrected_for(folder):
    """Holm: the least of n p values counts n times, the next n - 1 times."""
    verdicts = decided(folder, "row('deep') > row('flat')", "row('flat') > row('twin')")
    first, second = sorted(verdicts, key=lambda verdict: verdict.p)
    assert first.p_holm == pytest.approx(2 * first.p)
    assert second.p_holm == pytest.approx(max(second.p, first.p_holm))
    assert ", p < 0.001 (Holm < 0.001), 40 mixtures" in numbers_of(first)


def test_the_headline_counts_each_sentence_of_the_paper_once(folder):
    claim = {"expr": "row('deep') > row('flat')", "source": "Sec. 3.3"}
    folder.plan["claims"] = [
        {**claim, "id": "a"},
        {**claim, "id": "same", "same_as": "fig2e/a"},
        {**claim, "id": "ours", "source": "ours"},
        {"id": "size", "expr": "params(row('flat')) < params(row('torn'))", "source": "Sec. 3"},
        {"id": "open", "expr": "row('flat') > row('twin')", "source": "Sec. 3.3"},
    ]
    verdicts = decide(load_study(folder.save().runs_dir, "fig2e", "mini"))
    assert [verdict.kind for verdict in verdicts] == [
        *("paper", "paper", "ours", "construction", "paper")
    ]
    assert headline(verdicts) == (
        "Of the paper's 2 distinct claims about scores, several trainings decide 1 (1 PASS, 0 "
        "FAIL), and one training 0. Claims that repeat another, and claims about parameters or "
        "multiply-adds, are not counted."
    )


def test_verdict_counts_the_utterances_that_are_undefined(study_folder):
    folder = study_folder().row("a", {3: 9.0}).row("b", {3: 1.0}).row("c", {3: 2.0})
    path = next(folder.folder("b").glob("evaluations/*/scores.parquet"))
    known = pd.read_parquet(path)
    known.loc[:2, "si_snri"] = [np.nan, -np.inf, np.nan]  # both voices of m0000, one of m0001
    known.to_parquet(path)
    torn, whole = decided(folder, "row('a') > row('b')", "row('a') > row('c')")
    assert torn.reason == 'these weights pass; 3 of 80 utterances left out, undefined in "b"'
    assert torn.n_mixtures == 39 and whole.n_mixtures == 40
    assert whole.reason == "these weights pass"
    assert '3 of 80 utterances left out, undefined in "b" |' in to_markdown([torn])


def test_the_same_scores_give_the_same_verdict(folder):
    exprs = "row('deep') > row('flat')", "mono(row('deep').sdri, n_re=1..3)"
    assert decided(folder, *exprs) == decided(folder, *exprs)


def test_deciding_comparison_of_several_is_named(folder):
    (verdict,) = decided(folder, "row('deep') > row('flat') > row('deep')")
    assert (verdict.status, verdict.reason) == (
        "FAIL",
        'comparison 2 of 2: "flat" has a higher SI-SNRi than "deep"',
    )


def test_deciding_pair_of_those_held_together_is_named(folder):
    (verdict,) = decided(folder, "spread(row('flat'), row('twin'), row('deep')) < 0.2")
    assert verdict.reason == 'comparison 6 of 6: the SI-SNRi of "deep" and "twin"'


def test_row_without_all_its_runs_is_missing(folder):
    verdict, other = decided(folder, "row('torn') > row('flat')", "row('x') > row('flat')")
    assert (verdict.status, verdict.reason) == ("MISSING", 'runs are missing of "torn"')
    assert (other.status, other.reason) == ("MISSING", "1 of its 2 rows is not planned")
    assert np.isnan(verdict.difference)


def test_depth_that_was_not_evaluated_is_missing(folder):
    (verdict,) = decided(folder, "row('deep').si_snri(n_re=9) > row('flat').si_snri(n_re=9)")
    assert verdict.reason == '"deep" is not evaluated at N_re = 9'


def test_row_without_any_defined_score_is_missing(study_folder):
    folder = study_folder().row("a", {3: 5.0}).row("b", {3: 4.0})
    path = next(folder.folder("b").glob("evaluations/*/scores.parquet"))
    pd.read_parquet(path).assign(si_snri=np.nan).to_parquet(path)
    (verdict,) = decided(folder, "row('a') > row('b')")
    assert verdict.status == "MISSING"
    assert verdict.reason == 'no mixture has a defined score in all of "a" and "b"'


def test_absolute_decibels_are_for_the_papers_own_profile(study_folder):
    verdicts = {}
    exprs = "approx(row('a'), 23.9, 0.3)", "row('a') > row('sota')", "row('a') > 0"
    for profile in ("mini", "paper"):
        folder = study_folder(profile=profile).row("a", {3: 23.9})
        folder.plan["published"] = [{"id": "sota", "label": "S", "published": {"si_snri": 25.1}}]
        verdicts[profile] = [v.status for v in decided(folder, *exprs, profile=profile)]
    assert verdicts["mini"] == ["NOT TESTABLE HERE", "NOT TESTABLE HERE", "ONE TRAINING"]
    assert verdicts["paper"] == ["UNDECIDED", "ONE TRAINING", "ONE TRAINING"]


def test_quoted_number_is_a_constant_that_nothing_is_paired_with(study_folder):
    folder = study_folder(profile="paper").row("a", {3: 23.9})
    folder.plan["published"] = [{"id": "sota", "label": "S", "published": {"si_snri": 25.1}}]
    quoted, alone = decided(folder, "row('a') > row('sota')", "row('a') > 0", profile="paper")
    ends = [verdict.low - verdict.difference for verdict in (quoted, alone)]
    assert quoted.difference == pytest.approx(-1.2) and ends[0] == pytest.approx(ends[1])


def test_quoted_number_of_another_corpus_is_not_compared(study_folder):
    folder = study_folder(profile="paper").row("a", {3: 23.9}, corpus="noisy")
    folder.plan["corpora"] = {"noisy": {"source": "noisy", "note": ""}}
    sota = {"id": "sota", "label": "S", "published": {"si_snri": 25.1}, "corpus": "clean"}
    folder.plan["published"] = [sota]
    (verdict,) = decided(folder, "row('a') > row('sota')", profile="paper")
    assert (verdict.status, verdict.reason) == ("MISSING", "compares scores on different corpora")


def test_without_an_interval_the_least_of_several_comparisons_is_told(study_folder):
    folder = study_folder().row("a", {3: 9.0}, speakers=3).row("b", {3: 1.0}, speakers=3)
    for ids in (("a", "b"), ("b", "a")):
        (verdict,) = decided(folder, "approx(row('{}'), row('{}'), 0.5)".format(*ids))
        assert verdict.difference == pytest.approx(-7.5)


def test_too_few_speakers_decide_nothing(study_folder):
    folder = study_folder().row("a", {3: 9.0}, speakers=3).row("b", {3: 1.0}, speakers=3)
    (verdict,) = decided(folder, "row('a') > row('b')")
    assert (verdict.status, verdict.reason) == (
        "UNDECIDED",
        "too few speakers for an interval",
    )
    assert verdict.difference == pytest.approx(8.0)


def test_study_that_was_never_planned_lists_its_claims_as_missing(tmp_path):
    verdicts = claims(["fig2a"], "mini", tmp_path)
    assert {verdict.status for verdict in verdicts} == {"MISSING"}
    assert "run `tisdiss run fig2a --profile mini` first" in verdicts[0].reason
    assert verdicts[0].says == "Every further pass from N_re = 1 to 6 raises the SI-SNRi of l1+3."


def test_lists_show_status_numbers_and_what_they_mean(folder):
    verdicts = decided(folder, "row('deep') > row('flat')", "row('torn') > row('flat')")
    text = to_text(verdicts, "mini")
    assert text.startswith(
        'PASS              fig2e/c0: "deep" has a higher SI-SNRi than "flat".\n'
        "                    ours; +1.00 dB ["
    )
    assert "\n                    row('deep') > row('flat')\n" in text
    assert "1 PASS, 1 MISSING." in text
    assert "neither proves nor refutes" in text
    assert (
        '| **MISSING** | "torn" has a higher SI-SNRi than "flat".'
        "<br><sub>`row('torn') > row('flat')`</sub> |"
    ) in to_markdown(verdicts)
    assert counts([]) == "no claims"
    assert meaning([], "paper") == ""
    assert meaning([], "smoke", "paper").endswith("its verdicts mean nothing.")
    small = meaning([], "cpu", "mini", "paper")
    assert small.startswith("At profiles cpu and mini a verdict is about")
    assert "MISSING: a row has no finished run." in meaning(verdicts, "paper")
    assert "UNDECIDED" not in meaning(verdicts, "paper")


def test_a_study_may_be_named_by_its_file(folder):
    decided(folder, "row('deep') > row('flat')")
    named, filed = (
        claims([name], "mini", folder.runs_dir) for name in ("fig2e", "mine/fig2e.yaml")
    )
    assert named == filed and named


def test_only_a_failed_claim_fails(folder):
    assert not any_failed(decided(folder, "row('flat') > row('twin')", "row('torn') > 0"))
    assert any_failed(decided(folder, "row('flat') > row('deep')"))


def test_claim_over_two_corpora_is_decided_on_each_and_never_across(study_folder):
    folder = study_folder()
    for corpus in ("noisy", "large"):
        sizes = {"test_manifest": corpus, "corpus": corpus}
        folder.row(f"{corpus}-a", {3: 5.0}, **sizes).row(f"{corpus}-b", {3: 1.0}, **sizes)
    folder.plan["corpora"] = {
        name: {"source": name, "test_manifest": name, "note": ""} for name in ("noisy", "large")
    }
    each, across = decided(
        folder,
        "row('noisy-a') > row('noisy-b') and row('large-a') > row('large-b')",
        "row('noisy-a') > row('large-b')",
    )
    assert (each.status, each.n_mixtures) == ("ONE TRAINING", 40)
    assert (across.status, across.reason) == ("MISSING", "compares scores on different corpora")


def test_the_sentence_of_the_study_is_said(folder):
    folder.plan["claims"] = [
        {"id": "c", "expr": "row('deep') > row('flat')", "source": "ours", "says": "Depth pays."}
    ]
    (verdict,) = decide(load_study(folder.save().runs_dir, "fig2e", "mini"))
    assert verdict.says == "Depth pays."


def test_margin_has_the_unit_of_what_decided(study_folder):
    folder = study_folder().row("a", {3: 5.0}, params=310_000).row("b", {3: 1.0}, params=312_300)
    for row, macs in zip(folder.plan["rows"], (2_000_000_000, 2_004_000_000), strict=True):
        row["macs"] = {"3": macs}
    shown = [
        numbers_of(verdict)
        for verdict in decided(
            folder,
            "params(row('a')) < params(row('b'))",
            "params(row('b')) < params(row('b'))",
            "macs(row('a'), n_re=3) < macs(row('b'), n_re=3)",
            "approx(macs(row('a'), n_re=3), macs(row('a'), n_re=3), 1)",
            "row('a') > row('b') and params(row('a')) < params(row('b'))",
        )
    ]
    assert shown == [
        "+0.00230 M parameters",
        "0 M parameters",
        "+0.00400 GMAC/s",
        "+0.00100 GMAC/s",
        "+0.00230 M parameters",
    ]


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.39, "dB", "+0.39"),
        (-12.345, "dB", "-12.35"),
        (0.0041, "dB", "+0.004"),
        (-0.00006, "dB", "-0.00006"),
        (1e-17, "dB", "0"),
        (0.155, "M parameters", "+0.155"),
        (8.0123, "M parameters", "+8.01"),
        (0.00099999999, "M parameters", "+0.00100"),
        (0.00012, "GMAC/s", "+0.000120"),
    ],
)
def test_no_margin_is_rounded_to_nothing(value, unit, text):
    assert signed(value, unit) == text


def test_cost_that_no_plan_states_is_missing(folder):
    (verdict,) = decided(folder, "macs(row('deep'), n_re=3) < macs(row('flat'), n_re=3)")
    assert (verdict.status, verdict.reason) == ("MISSING", 'macs of "flat" are not known')


def test_blocks_and_repetitions_of_equal_number_are_of_equal_depth(folder):
    """Two blocks run once are as deep as one block run twice."""
    folder.plan["rows"][1]["name"] = "sep1x2-re2x1-l1+2"
    equal = "row('deep').si_snri(n_re=4) > row('flat').si_snri(n_re=2)"
    deeper = "row('deep').si_snri(n_re=4) > row('flat').si_snri(n_re=3)"
    statuses = [verdict.status for verdict in decided(folder, equal, deeper)]
    folder.plan["rows"][1]["name"] = "sep1x2-re1x3-l1+3"
    assert statuses == ["PASS", "NOT TESTABLE HERE"]


def test_a_score_against_a_number_is_no_claim_about_depth(folder):
    """The row gains nothing from its repetitions, and has a score all the same."""
    above, twice = decided(folder, "row('flat') > 0", "row('flat') > 0.1 * row('flat')")
    assert {above.status, twice.status} == {"PASS"}


def test_depths_of_two_architectures_are_not_compared(folder):
    """TF-Locoformer has no N_re, and SepReformer's is the number of its stages."""
    names = [row["name"] for row in folder.plan["rows"]]
    folder.plan["rows"][1]["name"] = "sepreformer"
    other = decided(folder, "row('deep').si_snri(n_re=4) > row('flat').si_snri(n_re=3)")
    folder.plan["rows"][1]["name"] = names[1]
    same = decided(folder, "row('deep').si_snri(n_re=4) > row('flat').si_snri(n_re=3)")
    assert [verdict.status for verdict in (*other, *same)] == ["PASS", "NOT TESTABLE HERE"]
