"""The paper's tables: lines, marks and ranks."""

import numpy as np
import pytest

from tisdiss.analysis.comparison import comparison_table, marks, shown_depths, table_lines
from tisdiss.analysis.frames import load_study
from tisdiss.analysis.stats import depth_curve
from tisdiss.analysis.tables import to_markdown, to_tex
from tisdiss.analysis.tex_check import check_tex
from tisdiss.records.plan_record import Marks, ShownRow, TableRow

PUBLISHED = {"id": "sota", "label": "SepReformer-L+DM", "source": "Table 1, from [6]"} | {
    "published": {"si_snri": 25.1, "sdri": 25.2, "params_m": 59.4}
}


def table_of(study_folder, profile):
    folder = study_folder("table3", profile)
    folder.row("flat", {0: 23.0}, n_re_train=0, label="TISDiSS-sep2x3-l1x3")
    folder.plan["rows"][-1]["name"] = "sep2x3-l1x3"
    paper = {"si_snri.re3": 23.9, "sdri.re3": 24.0, "si_snri.re5": 24.3}
    folder.row("deep", {3: 24.0, 5: 24.5}, paper=paper, seeds=(0, 1), params=8_011_779)
    folder.row("torn", {3: 99.0}, seeds=(0, 1), absent=(1,))
    folder.row("none", {3: 9.0}, absent=(0,))
    folder.plan["published"] = [PUBLISHED]
    folder.plan["show"] |= {"figure": "table", "marks": True}
    for at, row in enumerate(folder.plan["rows"]):
        row["marks"] = {"es": at > 0, "sp": True, "ml": True}
    frames = load_study(folder.save().runs_dir, "table3", profile)
    curves = {
        metric: depth_curve(frames.scores, rng=np.random.default_rng(0), metric=metric)
        for metric in ("si_snri", "sdri")
    }
    return comparison_table(curves, frames.plan)


@pytest.fixture(scope="module")
def mini(study_folder):
    return table_of(study_folder, "mini")


@pytest.fixture(scope="module")
def paper(study_folder):
    return table_of(study_folder, "paper")


def texts(table, name):
    (column,) = (column for column in table.columns if column.name == name)
    return [cell.text for cell in column.cells]


def test_marks_are_ticks_and_crosses():
    row = TableRow(id="a", marks=Marks(es=True, sp=False, ml=True))
    assert marks(row) == "✓/×/✓"
    assert marks(TableRow(id="a")) is None


def test_row_is_printed_at_every_depth_that_it_quotes():
    row = ShownRow(id="a", label="a", name="a", n_re_train=3, runs=[])
    quoting = row.updated(paper={"si_snri.re3": 1, "sdri.re3": 1, "si_snri.re5": 1})
    assert shown_depths(quoting) == [3, 5]
    assert shown_depths(row.updated(paper={"params_m": 8.0})) == [3]
    assert shown_depths(row.updated(at=[8], paper={"si_snri": 8.0})) == [8]


def test_lines_name_their_depth_and_their_source(mini):
    labels = [row.label for row in mini.rows]
    assert labels == [
        "TISDiSS-sep2×3-l1×3",
        "deep (3)",
        "deep (5)",
        "torn†",
        "none",
        "SepReformer-L+DM [6]",
    ]
    assert texts(mini, "SI-SNRi") == ["23.00", "24.00", "24.50", "99.00", None, "25.10"]
    assert texts(mini, "ES/SP/ML") == ["×/✓/✓", *["✓/✓/✓"] * 4, None]


def test_published_numbers_are_ranked_only_at_the_papers_own_profile(mini, paper):
    def best(table):
        return [row.label for row in table.rows if any(cell.rank == 1 for cell in row.cells)]

    assert best(mini) == ["deep (5)"]
    assert best(paper) == ["SepReformer-L+DM [6]"]
    assert mini.rows[-1].rule == "Reported by others on the paper's corpora, not comparable"


def test_paper_value_and_difference_stand_only_at_profile_paper(mini, paper):
    assert texts(paper, "SI-SNRi paper") == [None, "23.90", "24.30", None, None, None]
    assert texts(paper, "SI-SNRi difference") == [None, "+0.10", "+0.20", None, None, None]
    assert texts(paper, "Param [M]") == ["0.3", "8.0", "8.0", "0.3", "0.3", "59.4"]
    assert not [column.name for column in mini.columns if "paper" in column.name]


def test_every_print_is_sound(mini, paper):
    for table in (mini, paper):
        assert check_tex(to_tex(table)) == []
        assert "| deep (5) |" in to_markdown(table)
    assert r"$\times$/$\surd$/$\surd$" in to_tex(mini)
    assert "A row of -- has no finished run." in mini.caption
    assert "† torn: seed 0 of 0, 1. Rows with † are not ranked." in mini.caption
    assert "not comparable with the paper's" in mini.caption


def test_family_is_set_off_by_a_rule(mini):
    assert [row.rule is not None for row in mini.rows] == [True, True, False, False, False, True]


def test_system_on_two_corpora_is_one_line(study_folder):
    folder = study_folder("table2", "mini")
    for corpus in ("noisy", "large"):
        folder.row(f"a-{corpus}", {3: 5.0}, label="A", test_manifest=corpus, corpus=corpus)
    folder.plan["corpora"] = {
        name: {"label": name.title(), "source": name, "test_manifest": name, "note": ""}
        for name in ("noisy", "large")
    }
    folder.plan["show"]["figure"] = "table"
    frames = load_study(folder.save().runs_dir, "table2", "mini")
    curve = depth_curve(frames.scores, rng=np.random.default_rng(0))
    table = comparison_table({"si_snri": curve, "sdri": curve.assign(metric="sdri")}, frames.plan)
    assert [row.label for row in table.rows] == ["A"]
    assert [group for group, _, _ in table.groups] == ["", "Noisy", "Large"]
    assert "corpora Noisy (noisy) and Large (large)" in table.caption
    assert check_tex(to_tex(table)) == []


def test_study_order_places_published_rows_at_profile_paper(study_folder):
    plan = study_folder().row("a", {3: 1.0}).study
    plan = plan.updated(published=[PUBLISHED], order=["sota", "a"])
    first = [table_lines(plan.updated(profile=p))[0].label for p in ("paper", "mini")]
    assert first == ["SepReformer-L+DM [6]", "a"]


def test_at_profile_paper_ours_stand_beside_quoted_ones_in_one_block(study_folder):
    folder = study_folder("table1", "paper")
    folder.row("tfl", {0: 23.0}, n_re_train=0, label="TFL (ours)")
    folder.plan["rows"][-1] |= {"name": "tf-locoformer-sep6x1-l1", "marks": {"es": False}}
    folder.row("fla", {0: 23.5}, n_re_train=0, label="FLA (ours)")
    folder.plan["rows"][-1]["name"] = "fla-tf-locoformer-sep6x1-l1"
    folder.row("re1x3", {3: 24.0})
    folder.plan["published"] = [PUBLISHED, {**PUBLISHED, "id": "other", "label": "Other"}]
    folder.plan["show"] |= {"figure": "table"}
    folder.plan["order"] = ["sota", "tfl", "other", "fla", "re1x3"]
    frames = load_study(folder.save().runs_dir, "table1", "paper")
    curve = depth_curve(frames.scores, rng=np.random.default_rng(0))
    table = comparison_table({"si_snri": curve, "sdri": curve}, frames.plan)
    lines = [(row.label, row.rule) for row in table.rows]
    assert lines == [
        ("SepReformer-L+DM [6]", ""),
        ("TFL (ours)", None),
        ("Other [6]", None),
        ("FLA (ours)", None),
        ("re1×3", ""),
    ]
    assert to_tex(table).count(r"\midrule") == 2
