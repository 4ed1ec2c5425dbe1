"""The index of reports: studies that were run, with their data, and studies that were not."""

import pytest

from tisdiss.analysis.index import as_written_now, entries, write_index
from tisdiss.analysis.places import PAPER
from tisdiss.harness.planner import plan
from tisdiss.study.load import find_studies, load_study


@pytest.fixture(scope="module")
def reports(study_folder, keep_frames, tmp_path_factory):
    """A report of fig2e, one of its three rows complete, and one of a study beyond the paper."""
    out = tmp_path_factory.mktemp("reports")
    folder = study_folder().row("a", {1: 3.0, 3: 5.0}).row("b", {1: 2.0}, absent=(0,))
    folder.row("torn", {1: 2.0}, seeds=(0, 1), absent=(1,))
    folder.plan["claims"] = [
        {"id": "c", "expr": "gain(row('a'), n_re=1..3) > 1", "source": "ours"},
        {"id": "d", "expr": "row('a') > row('b')", "source": "ours"},
    ]
    keep_frames(folder.save(), out)
    keep_frames(study_folder("own", "cpu").row("x", {1: 1.0}), out)
    return out


def test_every_table_and_figure_of_the_paper_is_listed_and_then_all_others(reports):
    listed = entries(reports)
    assert [entry.study for entry in listed] == [*PAPER, "own"]
    assert [entry.study for entry in listed if entry.plan] == ["fig2e", "own"]


def test_index_says_what_was_run_from_what_and_what_was_not(reports):
    text = write_index(reports).read_text()
    assert "## Run: 2 of 12 studies" in text
    assert (
        "| [fig2e](fig2e/README.md) | Does deeper training scale further? | profile mini, corpus "
        "prompts, seed 0, 40 mixtures, 8 speakers | 1 of 3 | 1 ONE TRAINING, 1 MISSING |"
    ) in text
    assert (
        "| fig2a | With which losses does SI-SNRi rise with N\\_re at inference? |"
        in text.split("## Not run")[1]
    )
    assert (
        '| fig2e | **ONE TRAINING** | The gain in SI-SNRi of "a" from N\\_re = 1 to 3 is above'
        in text
    )
    assert "<br><sub>`gain(row('a'), n_re=1..3) > 1`</sub> | ours | +1.00 dB" in text
    assert "Of the paper's 51 distinct claims about scores, several trainings decide 0" in text
    assert "report.html" not in text  # not written yet


def test_index_is_the_same_bytes_again_and_links_what_is_there(reports, tmp_path):
    first = write_index(reports).read_bytes()
    assert write_index(reports).read_bytes() == first
    (reports / "report.html").write_text("")
    assert b"[report.html](report.html)" in write_index(reports).read_bytes()


def test_without_study_files_only_reports_are_listed(reports, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert [entry.study for entry in entries(reports)] == ["fig2e", "own"]


def test_report_of_an_earlier_version_is_listed_as_such(reports, tmp_path):
    (tmp_path / "fig2a").mkdir()
    (tmp_path / "fig2a" / "provenance.json").write_text('{"schema": 1}')
    text = write_index(tmp_path).read_text()
    assert "## Run: 0 of 11 studies" in text
    assert "has schema 1, this version reads 2: run `tisdiss report fig2a` again" in text.replace(
        "\\", ""
    )


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty project, called from its folder; its `studies/`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "studies").mkdir()
    return tmp_path / "studies"


def test_a_study_with_a_mistake_is_listed_with_it(reports, project):
    (project / "fig2a.yaml").write_text("{study: fig2a, titel: Why}\n")
    (listed,) = [entry for entry in entries(reports) if entry.study == "fig2a"]
    assert listed.problem.startswith("studies/fig2a.yaml:1:")
    text = write_index(reports).read_text().split("## Not run")[1].replace("\\", "")
    assert f"| fig2a |  | 0 | {listed.problem} |" in text


def test_texts_of_now_are_those_that_a_plan_would_have(study_folder, project):
    (project / "mine.yaml").write_text(
        "{study: mine, title: Newer, claim: c, how_to_read: '`a` is small.',\n"
        "base: sep1x2-re1x3-l1+3, show: {figure: table},\n"
        "rows: [{id: a}, {id: b, recipe: tf-gridnet, model: tf-gridnet-sep6x1-l1}],\n"
        "claims: [{id: new, expr: \"row('a') > 2\", source: ours}]}\n"
    )
    study = load_study(project / "mine.yaml")
    planned = plan([study], "smoke", runs_dir=project).studies[0].record()
    now = as_written_now(study_folder("mine").row("a", {1: 3.0}).study)
    assert now.how_to_read.startswith("`a` is small.\nRecipe `tf-gridnet`: ")
    for name in ("title", "claim", "how_to_read", "claims", "show", "order"):
        assert getattr(now, name) == getattr(planned, name), name


def test_texts_of_now_are_also_those_of_the_package(study_folder, project):
    (study,) = find_studies(["fig2e"])
    now = as_written_now(study_folder("fig2e").study)
    assert now.title == study.title and len(now.claims) == len(study.claims) > 0
    unknown = study_folder("own").study
    assert as_written_now(unknown) is unknown


def test_a_mistake_in_the_study_is_told_instead_of_the_old_texts(study_folder, project):
    (project / "mine.yaml").write_text("{study: mine, titel: Why}\n")
    with pytest.raises(ValueError, match=r"studies/mine\.yaml:1:15: 'titel': unknown key"):
        as_written_now(study_folder("mine").study)
