"""The page of all studies: self-contained, the same bytes again, and what it says."""

import re

import pytest

from tisdiss.analysis.claims_of_studies import claims
from tisdiss.analysis.claims_text import to_text
from tisdiss.analysis.index import PAPER, all_studies, write_index
from tisdiss.analysis.page import html_report
from tisdiss.analysis.report import FURTHER
from tisdiss.study.load import find_studies


def test_page_is_the_same_bytes_again(folder, reports, made, tmp_path):
    again = html_report(reports, folder.runs_dir, tmp_path / "again.html")
    assert again.read_bytes() == made.read_bytes()


def test_page_needs_no_network_and_names_no_machine_path(made, folder):
    text = made.read_text()
    assert not re.findall(r'(?:src|href)="(?!#|data:)[^"]*"', text)
    assert "@import" not in text
    assert str(folder.runs_dir) not in text


def test_page_shows_verdict_table_and_what_is_absent(made):
    text = made.read_text()
    said = "&quot;&lt;a&gt; &amp; co&quot; has a higher SI-SNRi than &quot;b&quot;."
    assert (
        f'<span class="verdict one-training">ONE TRAINING</span> {said} <span class="note">Sec. 3.4'
        in text
    )
    assert "<code>row(&#x27;a&#x27;) &gt; row(&#x27;b&#x27;)</code>" in text
    assert "&lt;a&gt; &amp; co" in text
    assert 'data-key="a.si_snri.re3"' in text
    assert '<tr class="absent"><td>fig2a</td>' in text


def test_claims_are_counted_alike_on_page_and_index_and_by_command(made, reports, folder):
    """The one report is decided; the claims of ten studies of the paper are missing."""
    index = write_index(reports).read_text()
    (counted,) = re.findall(r"## Claims: (.*) in 11 studies", index)
    assert f"<strong>{counted}</strong> in 11 studies, 1 of them run." in made.read_text()
    verdicts = claims(all_studies(folder.runs_dir, "mini"), "mini", folder.runs_dir)
    assert to_text(verdicts, "mini").split("\n")[-4] == f"{counted} in 11 studies."
    unrun = sum(len(study.claims) for study in find_studies([s for s in PAPER if s != "fig2e"]))
    assert counted == f"1 ONE TRAINING, {unrun} MISSING"
    assert f"<td>not run</td><td>{len(find_studies(['fig2a'])[0].claims)} MISSING</td>" in (
        made.read_text()
    )


def test_cell_of_the_page_leads_to_its_run(made, folder, data_of):
    study = data_of(made)["studies"]["fig2e"]
    (identity,) = study["cells"]["a.si_snri.re3"]["runs"]
    assert identity == folder.plan["rows"][0]["runs"][0]["identity"]
    assert study["runs"][identity]["origin"].startswith("commit c0ffee")
    assert study["cells"]["a.si_snri.re3"]["manifest"] == folder.plan["corpus"]["manifest"]


def test_page_without_run_folders_has_all_but_the_sounds(reports, tmp_path, data_of):
    page = html_report(reports, tmp_path / "none", tmp_path / "report.html")
    assert data_of(page)["sounds"] == {}
    assert 'data-key="a.si_snri.re3"' in page.read_text()
    assert "no run folder has them" in page.read_text()


@pytest.mark.parametrize(
    ("studies", "message"),
    [
        ([], "holds no report: run `tisdiss run fig2e` and `tisdiss report fig2e` first"),
        (["fig9"], "holds no report of 'fig9': run `tisdiss run fig9`"),
    ],
)
def test_nothing_to_show_says_what_to_run(tmp_path, studies, message):
    with pytest.raises(ValueError, match=message):
        html_report(tmp_path, tmp_path, tmp_path / "report.html", studies)
    assert list(tmp_path.iterdir()) == []


def test_page_has_the_pareto_figure_of_a_study_that_asks_for_it(
    study_folder, keep_frames, tmp_path
):
    made = study_folder().row("a", {1: 5.0, 3: 6.0}, params=10**5)
    made.row("b", {1: 4.0, 3: 5.0}, params=2 * 10**5)
    made.plan["show"]["pareto"] = True
    reports = keep_frames(made.save(), tmp_path)
    page = html_report(reports, made.runs_dir, tmp_path / "page.html")
    assert FURTHER["-pareto"] in page.read_text()
