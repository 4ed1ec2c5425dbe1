"""Tables: golden files, ranks and missing numbers."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tisdiss.analysis.frames import load_study
from tisdiss.analysis.stats import depth_curve
from tisdiss.analysis.tables import depth_table, in_millions, ranks, to_csv, to_markdown, to_tex
from tisdiss.analysis.tex_check import check_tex
from tisdiss.records import names
from tisdiss.records.plan_record import StudyFile

GOLDEN = Path(__file__).parent / "golden"


def curve_of(rows, **columns):
    """A curve from {(row, n_re): mean}, with an interval of ±0.25."""
    frame = pd.DataFrame(
        [
            {"row": row, "n_re": n, "mean": m, "low": m - 0.25, "high": m + 0.25}
            for (row, n), m in rows.items()
        ]
    )
    facts = {"metric": "si_snri", "n_re_train": 1, "seed_sd": np.nan, "n_missing": 0}
    counts = {"n_mixtures": 200, "n_speakers": 5, "n_seeds": 1}
    return frame.assign(label=frame["row"], **{**facts, **counts, **columns})


def plan_of(*rows, profile="mini", depths=(1, 2), **corpus):
    runs = [{"seed": 0, "identity": "a", "evaluation": "b"}]
    whole = {"name": "sep1x2-re1x3-l1+3", "n_re_train": 1, "runs": runs}
    return StudyFile.model_validate(
        {
            "study": "fig2x",
            "profile": profile,
            "title": "Which?",
            "study_hash": "0123456789abcdef",
            "corpus": {"source": "prompts", "note": "unheard recordings of heard voices", **corpus},
            "evaluate": {"n_re": list(depths)},
            "show": {"figure": "depth_curve"},
            "rows": [whole | row for row in rows],
        }
    )


@pytest.fixture
def frozen():
    """A curve and a plan with every feature of a table."""
    plan = plan_of(
        {"id": "a", "label": "sep1x2-re1x3 & co_1", "params": 8_020_000},
        {"id": "b", "label": "100% [b]", "params": 310_000, "paper": {"si_snri": 23.94}},
        {"id": "c", "label": "c", "n_re_train": 6},
    )
    means = {("a", 1): 9.414, ("a", 2): 10.05, ("b", 1): 9.0, ("b", 2): -0.5}
    return curve_of(means), plan


def check_golden(name, text):
    """Compare with a stored file. Regenerate: delete the file and run the test twice."""
    path = GOLDEN / name
    if not path.is_file():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        pytest.fail(f"{path} was absent and has been written: look at it and run again")
    assert text == path.read_text(encoding="utf-8")


def test_golden_tex(frozen):
    curve, plan = frozen
    check_golden("table.tex", to_tex(depth_table(curve, plan.updated(profile="paper"))))


def test_golden_markdown(frozen):
    check_golden("table.md", to_markdown(depth_table(*frozen)))


def test_papers_values_stand_only_at_its_own_profile(frozen):
    curve, plan = frozen
    for profile, shown in (("mini", False), ("paper", True)):
        table = depth_table(curve, plan.updated(profile=profile))
        assert ("paper" in [column.name for column in table.columns]) == shown
        assert ("Paper: the published value" in table.caption) == shown


def test_golden_csv(frozen):
    curve, plan = frozen
    check_golden("table.csv", to_csv([curve], plan))


def test_tex_passes_the_check(frozen):
    assert check_tex(to_tex(depth_table(*frozen))) == []


def test_best_is_bold_and_second_underlined_as_printed(frozen):
    tex = to_tex(depth_table(*frozen))
    assert r"{\phantom{00}\textbf{9.41}}" in tex  # as wide as -10.05
    assert r"{\phantom{0}\underline{$-$0.50}}" in tex


def test_equal_as_printed_are_both_best():
    curve = curve_of({("a", 1): 5.001, ("b", 1): 5.004, ("c", 1): 4.0})
    plan = plan_of(*({"id": i, "label": i} for i in "abc"), depths=(1,))
    assert [row.cells[1].rank for row in depth_table(curve, plan).rows] == [1, 1, 0]


def test_below_two_that_are_best_none_is_second():
    assert ranks(["2.00", "1.00", "2.00", None, "0.50"]) == [1, 0, 1, 0, 0]
    assert ranks(["1.00", "2.00", "1.00", "0.50"]) == [2, 1, 2, 0]


def test_lone_number_is_neither_best_nor_second():
    table = depth_table(curve_of({("a", 1): 5.0}), plan_of({"id": "a", "label": "a"}, depths=(1,)))
    assert table.rows[0].cells[1].rank == 0


def test_row_without_any_run_prints_as_missing(study_folder):
    folder = study_folder().row("whole", {1: 5.0}, seeds=(0, 1))
    folder.row("none", {1: 9.0}, seeds=(0, 1), absent=(0, 1))
    frames = load_study(folder.runs_dir, "fig2e", "mini")
    curve = depth_curve(frames.scores, rng=np.random.default_rng(0))
    table = depth_table(curve, frames.plan)
    assert [row.cells[-1].text for row in table.rows] == ["5.00", None]
    assert "none & 3 & 0.310 & {--} \\\\" in to_tex(table)
    assert "| none | 3 | 0.310 | -- |" in to_markdown(table)
    assert "A row of -- has no finished run." in table.caption and "seeds 0, 1," in table.caption
    assert "none,none,3,1,si_snri,,,,,,,," in to_csv([curve], frames.plan)


def test_row_that_misses_a_run_is_shown_with_a_dagger_and_without_a_rank(study_folder):
    folder = study_folder().row("a", {1: 5.0}, seeds=(0, 1)).row("b", {1: 4.0}, seeds=(0, 1))
    folder.row("torn", {1: 9.0}, seeds=(0, 1), absent=(1,))
    frames = load_study(folder.runs_dir, "fig2e", "mini")
    table = depth_table(depth_curve(frames.scores, rng=np.random.default_rng(0)), frames.plan)
    assert [(row.label, row.cells[-1].text, row.cells[-1].rank) for row in table.rows] == [
        ("a", "5.00", 1),
        ("b", "4.00", 2),
        ("torn†", "9.00", 0),
    ]
    assert r"torn$^\dagger$ & 3 & 0.310 & 9.00" in to_tex(table)
    assert check_tex(to_tex(table)) == []
    assert "seeds 0, 1 (1 to 2 a row), 40 mixtures" in table.caption
    assert "† torn: seed 0 of 0, 1. Rows with † are not ranked." in table.caption
    assert "has no finished run" not in table.caption


def test_reported_rows_follow_with_their_numbers_and_sources(frozen):
    curve, plan = frozen
    published = [
        {"id": "s", "label": "SepReformer", "source": "Table 1, from [6]"}
        | {"published": {"si_snri": 25.1, "params_m": 59.4}},
        {"id": "t", "label": "deep", "source": "ours", "published": {"si_snri.re2": 99.0}},
    ]
    table = depth_table(curve, plan.updated(published=published))
    *_, last, level, depth = table.rows
    assert [column.name for column in table.columns][1:] == [
        "params [M]",
        "N_re = 1",
        "N_re = 2",
        "reported",
    ]
    assert (level.label, depth.label) == ("SepReformer [6]", "deep")
    assert [cell.text for cell in level.cells] == [None, "59.40", None, None, "25.10"]
    assert [(cell.text, cell.rank) for cell in depth.cells[3:]] == [("99.00", 0), (None, 0)]
    not_comparable = "Reported by others on the paper's corpora, not comparable"
    assert [row.rule for row in (last, level, depth)] == [None, not_comparable, None]
    assert f"{not_comparable} (SepReformer [6]: Table 1, from [6]; deep: ours)." in table.caption
    assert check_tex(to_tex(table)) == []
    shown = plan.updated(published=published, show={"figure": "table"})
    assert len(depth_table(curve, shown).rows) == len(plan.rows)


def test_caption_states_profile_corpus_seeds_and_numbers(frozen):
    caption = depth_table(*frozen).caption
    assert "profile mini, corpus prompts, seed 0, 200 mixtures, 5 speakers" in caption
    assert "Unheard recordings of heard voices." in caption
    assert "95 % interval over speakers" in caption
    assert "With only 5 speakers the interval is approximate" in caption
    assert "not comparable with the paper's" in caption


def test_caption_at_the_papers_own_size_makes_no_excuse(frozen):
    curve, plan = frozen
    assert "not comparable" not in depth_table(curve, plan.updated(profile="paper")).caption


def test_caption_counts_undefined_scores_and_drawn_seeds():
    curve = curve_of({("a", 1): 5.0}, n_missing=3, n_seeds=2, n_speakers=18)
    caption = depth_table(curve, plan_of({"id": "a", "label": "a"}, depths=(1,))).caption
    assert "3 undefined scores are left out (a)." in caption
    assert "over speakers and seeds" in caption
    assert "little" not in caption


def test_columns_without_any_value_are_left_out():
    table = depth_table(curve_of({("a", 1): 5.0}), plan_of({"id": "a", "label": "a"}, depths=(1,)))
    assert [column.name for column in table.columns] == ["trained N_re", "N_re = 1"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, None), (15.0, "15.00"), (0.12378, "0.124"), (0.021675, "0.0217"), (0.016383, "0.0164")],
)
def test_small_counts_of_parameters_keep_three_digits(value, text):
    assert in_millions(value) == text


def test_a_made_up_score_has_a_table(monkeypatch):
    """The new measure is added only to the list of measures."""
    monkeypatch.setitem(names.MEASURES, "peak", names.Measure("Peak", "made_up:peak_ratio"))
    curve, plan = curve_of({("a", 1): 9.4}, metric="peaki"), plan_of({"id": "a", "label": "a"})
    shown = to_markdown(depth_table(curve, plan, metric="peaki"))
    assert "Peaki [dB]" in shown and "9.40" in shown
