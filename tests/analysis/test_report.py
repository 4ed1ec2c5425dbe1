"""A report folder: complete, reproducible, traceable."""

import json
import os
import re
import shutil
import subprocess
import sys
import time

import pandas as pd
import pytest

from tisdiss.analysis.canvas import render
from tisdiss.analysis.figure2 import PANELS, fig2
from tisdiss.analysis.frames import load_saved, load_study
from tisdiss.analysis.provenance import why, why_text
from tisdiss.analysis.report import again, compose, figures_of, report, tables_of
from tisdiss.analysis.results import results_in, results_of
from tisdiss.analysis.tex_check import check_tex

FILES = {"table.tex", "table.md", "table.csv", "numbers.tex", "scores.parquet"} | {
    "provenance.json",
    "README.md",
    "files.sha256",
}
STEPS_150 = {"epochs": 3, "batch_size": 2, "data": {"train_mixtures": 99}}
FIGURES = ("", "-sdri", "-difficulty", "-change", "-spread")


@pytest.fixture(scope="module")
def folder(study_folder):
    """Row a with two seeds, row b without one of its runs, and a claim about both."""
    folder = study_folder().row("a", {1: 3.0, 3: 5.0}, seeds=(0, 1))
    folder.plan["claims"] = [
        {"id": "deeper", "expr": "gain(row('a'), n_re=1..3) > 1", "source": "ours"},
        {"id": "torn", "expr": "row('b') > row('a')", "source": "ours"},
    ]
    return folder.row("b", {1: 2.0, 3: 6.0}, seeds=(0, 1), absent=(1,))


@pytest.fixture(scope="module")
def made(folder, tmp_path_factory):
    """The report of that folder."""
    out_dir = tmp_path_factory.mktemp("reports")
    *written, index = report("fig2e", "mini", folder.runs_dir, out_dir)
    assert {path.parent for path in written} == {out_dir / "fig2e"}
    assert index == out_dir / "README.md"
    return out_dir / "fig2e"


def test_report_is_whole(made):
    figures = {f"fig2e{s}.{f}" for s in FIGURES for f in ("pdf", "png", "svg")}
    assert {path.name for path in made.iterdir()} == FILES | figures


def test_report_is_made_again_without_runs_to_the_same_bytes(made, tmp_path, monkeypatch):
    """Also where an earlier version kept no list: the names of a report are ours, no others."""
    monkeypatch.chdir(tmp_path)  # away from our studies, whose fig2e has other claims
    monkeypatch.setattr("tisdiss.study.load.SHIPPED_STUDIES", tmp_path)
    folder = tmp_path / "fig2e"
    folder.mkdir()
    known = json.loads((made / "provenance.json").read_text())
    assert known.pop("files") == "files.sha256"
    (folder / "provenance.json").write_text(json.dumps(known))
    (folder / "scores.parquet").write_bytes((made / "scores.parquet").read_bytes())
    for name in ("fig2e-cost.pdf", "table.tex", "notes.pdf"):
        (folder / name).write_text("of an earlier report, and of yours")
    os.utime(folder / "table.tex", (time.time() + 3600,) * 2)
    with pytest.raises(ValueError, match=r"fig2e/table\.tex is not ours"):
        again(folder)  # it was edited since
    os.utime(folder / "table.tex")
    written = again(folder)
    assert {path.name for path in written} | {"files.sha256"} == {p.name for p in made.iterdir()}
    for path in written:
        assert path.read_bytes() == (made / path.name).read_bytes(), path.name
    assert set(folder.iterdir()) == {*written, folder / "notes.pdf", folder / "files.sha256"}


def test_report_again_decides_the_claims_that_the_study_has_by_now(made, tmp_path, monkeypatch):
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "fig2e.yaml").write_text(
        "{study: fig2e, title: t, claim: c, how_to_read: '`a` before _b_.',\n"
        "base: sep1x2-re1x3-l1+3, rows: [{id: a}, {id: b}, {id: c}],\n"
        "evaluate: {n_re: 1..10}, show: {figure: depth_curve, against: b}, claims: [\n"
        "{id: deeper, expr: \"gain(row('a'), n_re=1..3) > 1\", source: ours, says: Depth pays.},\n"
        "{id: new, expr: \"row('a') > 2\", source: ours},\n"
        "{id: later, expr: \"row('c') > row('a')\", source: ours}]}\n"
    )
    monkeypatch.chdir(tmp_path)
    again(made, tmp_path / "fig2e")
    text = (tmp_path / "fig2e" / "README.md").read_text()
    assert "| **PASS** | Depth pays.<br>" in text and "\n`a` before \\_b\\_.\n" in text
    results = results_in(tmp_path / "fig2e")
    assert [(v.id, v.status) for v in results.verdicts] == [
        ("deeper", "PASS"),
        ("new", "NOT TESTABLE HERE"),
        ("later", "MISSING"),
    ]
    assert results.verdicts[2].reason == "1 of its 2 rows is not planned"
    assert results.against == "b"
    assert "| rows | 2 of 3 rows of the study are reported |" in text


def test_report_again_of_a_copy_leaves_the_original(made, tmp_path):
    copy = shutil.copytree(made, tmp_path / "mine")
    before = {path: path.stat().st_mtime_ns for path in made.iterdir()}
    assert {path.parent for path in again(copy)} == {copy}
    assert {path: path.stat().st_mtime_ns for path in made.iterdir()} == before


def test_files_of_the_user_stay_and_one_in_the_way_is_named(folder, made, tmp_path):
    home = shutil.copytree(made, tmp_path / "fig2e")
    theirs = ("notes.md", "data.csv", "caption.tex", "photo.png", "refs.json", "fig2e-cost.pdf")
    for name in theirs:
        (home / name).write_text("mine")
    (tmp_path / "README.md").write_text("my paper")
    *_, index = report("fig2e", "mini", folder.runs_dir, tmp_path)
    assert index == tmp_path / "reports.md"
    assert (tmp_path / "README.md").read_text() == "my paper"
    (home / "table.tex").write_text("my own caption")
    before = {path: path.stat().st_mtime_ns for path in home.iterdir()}
    with pytest.raises(ValueError, match=r"fig2e/table\.tex was edited since: .*: --force"):
        report("fig2e", "mini", folder.runs_dir, tmp_path)
    assert {path: path.stat().st_mtime_ns for path in home.iterdir()} == before
    report("fig2e", "mini", folder.runs_dir, tmp_path, force=True)
    assert (home / "table.tex").read_bytes() == (made / "table.tex").read_bytes()
    assert {(home / name).read_text() for name in theirs} == {"mine"}


def test_progress_names_what_is_made(folder, tmp_path):
    said = []
    report("fig2e", "mini", folder.runs_dir, tmp_path, say=said.append)
    assert said == ["fig2e: scores", "fig2e: figures", "fig2e: tables and claims"]


def test_cell_leads_to_its_runs_and_runs_to_their_code(folder, made):
    found = json.loads((made / "provenance.json").read_text())
    cell = found["cells"]["a.si_snri.re3"]
    planned = folder.plan["rows"][0]["runs"]
    assert cell["mean"] == 5.0
    assert cell["interval"][0] < 5.0 < cell["interval"][1]
    assert cell["seeds"] == [0, 1]
    assert cell["runs"] == [run["identity"] for run in planned]
    assert cell["evaluations"] == [run["evaluation"] for run in planned]
    assert {run["commit"] for run in found["runs"] if run["row"] == "a"} == {"c0ffee"}
    assert found["plan"] == load_study(folder.runs_dir, "fig2e", "mini").plan.plain()


def test_cell_of_a_row_that_misses_a_run_names_the_runs_it_is_from(folder, made):
    found = json.loads((made / "provenance.json").read_text())
    cell = found["cells"]["b.si_snri.re3"]
    assert (cell["mean"], cell["seeds"]) == (6.0, [0])
    assert cell["runs"] == [folder.plan["rows"][1]["runs"][0]["identity"]]
    assert "8 speakers, 1 run;" in why_text(why("fig2e:b:si_snri", reports=made.parent))


def test_number_of_others_leads_to_its_source(study_folder, tmp_path):
    folder = study_folder().row("a", {1: 3.0, 3: 5.0})
    theirs = {"id": "sota", "published": {"si_snri": 25.1, "params_m": 59.4}, "source": "Table 1"}
    folder.plan["published"] = [theirs]
    folder.save()
    report("fig2e", "mini", folder.runs_dir, tmp_path / "reports")
    told = why_text(why("fig2e:sota:si_snri", reports=tmp_path / "reports"))
    assert told.startswith("fig2e:sota:si_snri = 25.1 dB, reported by others: Table 1\n")
    size = why("fig2e:sota:params", reports=tmp_path / "reports")
    assert size.quoted == "59.4 M, reported by others: Table 1"
    with pytest.raises(ValueError, match="source does not report it; the nearest is 'si_snri'"):
        why("fig2e:sota:sdri", reports=tmp_path / "reports")


def test_report_holds_the_frames_it_was_made_from(folder, made):
    wanted, found = load_study(folder.runs_dir, "fig2e", "mini"), load_saved(made)
    assert found.plan == wanted.plan
    pd.testing.assert_frame_equal(found.runs, wanted.runs)
    pd.testing.assert_frame_equal(found.scores, wanted.scores)


def test_rows_of_an_earlier_report_are_marked_as_well(made, tmp_path):
    known = json.loads((made / "provenance.json").read_text())
    assert known["plan"]["rows"][1].pop("scored_seeds") == [0]
    (tmp_path / "provenance.json").write_text(json.dumps(known))
    (tmp_path / "scores.parquet").write_bytes((made / "scores.parquet").read_bytes())
    assert load_saved(tmp_path).plan == load_saved(made).plan


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "x holds no report: `tisdiss report x` writes it"),
        ('{"schema": 1}', "has schema 1, this version reads 2: run `tisdiss report x` again"),
        ("{", "not JSON"),
    ],
)
def test_folder_that_is_no_report_says_what_to_run(tmp_path, text, message):
    (tmp_path / "x").mkdir()
    if text is not None:
        (tmp_path / "x" / "provenance.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        load_saved(tmp_path / "x")


def test_scores_hold_every_run_also_of_incomplete_rows(made):
    scores = pd.read_parquet(made / "scores.parquet")
    assert scores.groupby("row")["seed"].nunique().to_dict() == {"a": 2, "b": 1}


def test_page_shows_claim_figure_table_and_what_is_missing(made):
    page = (made / "README.md").read_text()
    assert page.startswith("# fig2e: Does deeper training scale further?")
    assert "**Claim.** fine-tuning at re1x6" in page
    assert "](fig2e.png)" in page
    assert (made / "table.md").read_text() in page
    assert "* b, seed 1 (run " in page
    assert "seeds 0, 1 (1 to 2 a row)" in page and "| b† |" in page
    assert "† b: seed 0 of 0, 1." in page
    assert "`tisdiss report fig2e --profile mini`" in page


def test_metric_that_the_study_asks_for_leads(study_folder):
    folder = study_folder().row("a", {1: 3.0})
    folder.plan["show"]["y"] = "sdri"
    results = results_of("fig2e", "mini", folder.save().runs_dir)
    assert list(figures_of(results))[:2] == ["", "-si_snri"]
    assert tables_of(results)[0].corner == "SDRi [dB]"


def test_study_without_any_scored_run_names_what_to_run(study_folder, tmp_path):
    folder = study_folder().row("a", {1: 3.0}, status="failed")
    with pytest.raises(ValueError, match=r"seed 0 \(run .*\): failed.*`tisdiss run fig2e"):
        report("fig2e", "mini", folder.runs_dir, tmp_path)
    assert not (tmp_path / "fig2e").exists()


def test_page_lists_claims_with_their_verdicts(made):
    page = (made / "README.md").read_text()
    assert "## Claims: 1 PASS, 1 MISSING" in page
    assert '**PASS** | The gain in SI-SNRi of "a" from N\\_re = 1 to 3 is above 1 dB.' in page
    assert "<br><sub>`gain(row('a'), n_re=1..3) > 1`</sub> | ours | +1.00 dB" in page
    assert "neither proves nor refutes" in page
    assert ", 40 mixtures, 8 speakers, 2 seeds |" in page


def test_every_number_has_a_name_for_running_text(made):
    numbers = (made / "numbers.tex").read_text()
    for line in (
        r"\tisdissnumber{fig2e:a:si_snri}{5.00}",
        r"\tisdissnumber{fig2e:a:si_snri.re1}{3.00}",
        r"\tisdissnumber{fig2e:a:params}{0.310}",
        r"\tisdissnumber{fig2e:b:si_snri}{-{}-}",
        r"\tisdissnumber{fig2e:claim:deeper}{PASS}",
    ):
        assert line in numbers
    body = "\n".join(line for line in numbers.splitlines() if line.startswith(r"\tisdissnumber"))
    assert [text for text in check_tex(body) if "_ must" not in text] == []


def test_why_walks_a_cell_back_to_runs_data_and_code(made, folder):
    answer = why("fig2e:a:si_snri", reports=made.parent, code_hash="another")
    planned = folder.plan["rows"][0]["runs"]
    assert answer.cell == "fig2e:a:si_snri.re3"
    assert answer.numbers.mean == 5.0
    assert [origin.run.identity for origin in answer.runs] == [run["identity"] for run in planned]
    assert [origin.run.evaluation for origin in answer.runs] == [
        run["evaluation"] for run in planned
    ]
    assert {origin.code_changed for origin in answer.runs} == {True}
    text = why_text(answer)
    for said in ("= 5.00 [", "sep1x2-re1x3-l1+3", "40 mixtures, 8 speakers, 2 runs"):
        assert said in text
    assert ", CHANGED SINCE\n            commit c0ffee" in text
    assert 'PASS: The gain in SI-SNRi of "a"' in text


@pytest.mark.parametrize(
    ("known", "told"),
    [
        ({"commit": None}, "commit not known"),
        ({"dirty": True}, "commit c0ffee, not in this history, with changes that were not kept"),
        ({"dirty": None}, "commit c0ffee, not in this history, changes not known"),
        ({"later_commits": "a" * 40}, "not in this history, went on at aaaaaaaaaa"),
        ({"commit_in_history": True, "later_commits": ""}, "            commit c0ffee\n"),
        ({"code_scope": None}, " (hash of other files: not comparable)\n"),
        ({"config": STEPS_150}, "done, 100 steps (its settings say 150), evaluation"),
        ({"config": STEPS_150, "reason": "early"}, "done, 100 steps, evaluation"),
        ({"config": {"epochs": 3}}, "done, 100 steps, evaluation"),
    ],
)
def test_why_says_what_is_not_sure_of_a_run(made, tmp_path, monkeypatch, known, told):
    monkeypatch.setattr("tisdiss.analysis.provenance.in_history", lambda commit: None)
    report_file = json.loads((made / "provenance.json").read_text())
    for run in report_file["runs"]:
        run |= {"commit_in_history": False, "reason": "epochs"} | known
    (tmp_path / "fig2e").mkdir()
    (tmp_path / "fig2e/provenance.json").write_text(json.dumps(report_file))
    assert told in why_text(why("fig2e:a:si_snri", reports=tmp_path, code_hash="another"))


def test_why_explains_every_name_in_numbers_tex(made):
    names = re.findall(r"tisdissnumber{(fig2e:[^}]+)}", (made / "numbers.tex").read_text())
    known = [name for name in names if not name.endswith((".low", ".high", "b:si_snri", "b:sdri"))]
    assert {"fig2e:a:params", "fig2e:claim:deeper"} <= set(known)
    for name in known:
        assert why_text(why(name, reports=made.parent)).startswith(name)
    assert "310,000 parameters" in why_text(why("fig2e:a:params", reports=made.parent))
    text = why_text(why("fig2e:claim:deeper", reports=made.parent))
    assert (
        '  claim     PASS: The gain in SI-SNRi of "a" from N_re = 1 to 3 is above 1 dB.\n' in text
    )
    assert "            ours; +1.00 dB [" in text
    assert "            gain(row('a'), n_re=1..3) > 1\n" in text
    assert "seed 1: missing" in why_text(why("fig2e:claim:torn", reports=made.parent))


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("fig2e", "is not a cell; one looks like"),
        ("fig2e:a:snr", "'snr' is not a score"),
        ("fig9:a:si_snri", "no report of study 'fig9'.*there are: fig2e"),
        ("fig2e:aa:si_snri", "no row 'aa'; the nearest is 'a'"),
        ("fig2e:claim:deep", "no claim 'deep'; the nearest is 'deeper'"),
        ("fig2e:a:si_snri.re4", "no such number; the nearest is 'a.si_snri.re"),
    ],
)
def test_why_refuses_what_is_no_cell(made, cell, message):
    with pytest.raises(ValueError, match=message):
        why(cell, reports=made.parent)


def test_composed_figure_is_the_same_bytes_again(made):
    first = {path.name: path.read_bytes() for path in compose(made.parent)}
    figures = ("fig2", "fig2-sdri", "depth-gain")
    assert list(first) == [f"{name}.{form}" for name in figures for form in ("pdf", "png", "svg")]
    results = results_in(made)
    figure = fig2({"fig2e": (results.curve, results.plan)})
    assert render(figure, ["svg"])["svg"] == first["fig2.svg"]
    assert "† b: seed 0 of 0, 1" in figure.get_supxlabel()


def test_composed_figure_leaves_intervals_to_the_reports(made):
    results = results_in(made)
    assert results.curve["low"].notna().any()
    figure = fig2({"fig2e": (results.curve, results.plan)})
    assert not [axes for axes in figure.axes if axes.collections]
    assert "95 % intervals over speakers, at most: (e) ±" in figure.get_supxlabel()


def test_composed_figure_has_no_empty_panel_and_names_what_was_not_run(made):
    results = results_in(made)
    panel = results.curve, results.plan
    figure = fig2({"fig2b": panel, "fig2e": panel, "fig2f": panel, "fig2g": panel, "fig2h": panel})
    assert [axes.get_title("left")[:3] for axes in figure.axes] == [
        "(b)",
        "(e)",
        "(f)",
        "(g)",
        "(h)",
    ]
    assert all(axes.lines for axes in figure.axes)
    labelled = [axes.get_title("left")[:3] for axes in figure.axes if axes.get_xlabel()]
    assert labelled == ["(e)", "(f)", "(g)", "(h)"]  # below (b) stands (h)
    assert "not run: (a), (c), (d)" in figure.get_supxlabel()
    epochs = {"fig2b": "weights: mean of all 3 epochs"}
    notes = fig2({"fig2b": panel, "fig2e": panel}, epochs).get_supxlabel().splitlines()
    (averaged,) = [line for line in notes if "mean of all 3 epochs" in line]
    assert averaged.startswith("(b) ")
    whole = fig2(dict.fromkeys(PANELS, panel))
    assert len(whole.axes) == 8 and "not run" not in whole.get_supxlabel()


def test_composed_figure_without_any_panel_names_what_to_run(tmp_path):
    with pytest.raises(ValueError, match=r"holds no panel of Fig\. 2: `tisdiss report fig2a`"):
        compose(tmp_path)


def test_analysis_never_loads_torch():
    code = "import sys, analysis.report; assert not {'torch', 'mlflow'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
