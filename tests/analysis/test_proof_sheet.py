"""The proof sheet: its content, relevant log messages, and a compilation if TeX is installed."""

import shutil

import pytest

from tisdiss.analysis.proof_sheet import check_tex_pdf, log_problems, proof_source
from tisdiss.analysis.report import report


def test_only_what_matters_in_a_log_is_a_problem():
    log = r"""
! Undefined control sequence.
Overfull \hbox (12.5pt too wide) in paragraph at lines 3--4
Overfull \hbox (0.4pt too wide) in paragraph at lines 3--4
Underfull \hbox (badness 10000) in paragraph at lines 5--6
Missing character: There is no x in font y!
LaTeX Warning: Reference `tab:x' on page 1 undefined on input line 9.
LaTeX Warning: `!h' float specifier changed to `!ht'.
LaTeX Warning: Label `tab:x' multiply defined.
Output written on proof.pdf (1 page).
"""
    assert [line.split()[0] for line in log_problems(log)] == [
        "!",
        "Overfull",
        "Missing",
        "LaTeX",
        "LaTeX",
    ]


def test_sheet_holds_every_table_and_figure(tmp_path):
    study = tmp_path / "fig2a"
    study.mkdir()
    for name in ("table.tex", "numbers.tex", "fig2a.pdf", "notes.tex"):
        (study / name).write_bytes(b"/MediaBox [ 0 0 504 100 ]")
    source = proof_source(tmp_path)
    assert rf"\input{{{study / 'table.tex'}}}" in source
    assert rf"{{7in}}\includegraphics{{{study / 'fig2a.pdf'}}}" in source
    assert "notes.tex" not in source


def test_nothing_to_compile_names_the_command(tmp_path):
    with pytest.raises(ValueError, match="holds no table or figure: run `tisdiss report`"):
        proof_source(tmp_path)


def test_absent_tex_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(ValueError, match="no pdflatex: install a TeX"):
        check_tex_pdf(tmp_path, tmp_path / "proof.pdf")


def test_a_compilation_that_does_not_end_is_told(tmp_path, monkeypatch):
    tex = tmp_path / "bin" / "pdflatex"
    tex.parent.mkdir()
    tex.write_text("#!/bin/sh\nexec sleep 60\n")
    tex.chmod(0o755)
    monkeypatch.setenv("PATH", str(tex.parent), prepend=":")
    monkeypatch.setattr("tisdiss.analysis.proof_sheet._MAX_SECONDS", 0.2)
    (tmp_path / "reports" / "fig2a").mkdir(parents=True)
    (tmp_path / "reports" / "fig2a" / "numbers.tex").write_text("")
    with pytest.raises(ValueError, match=r"pdflatex took over 0\.2 s; name a folder with fewer"):
        check_tex_pdf(tmp_path / "reports", tmp_path / "proof.pdf")
    assert not (tmp_path / "proof.pdf").exists()


@pytest.mark.slow
@pytest.mark.parametrize("label", ["100% [b] & c_1", "普通話 λ→∞", "Модель ą ½"])
def test_report_compiles_without_a_warning_that_matters(study_folder, tmp_path, label):
    if shutil.which("pdflatex") is None:
        pytest.skip("needs a TeX with booktabs and siunitx")
    folder = study_folder().row("a", {1: 3.0, 3: -5.0}, label=label, seeds=(0, 1))
    report("fig2e", "mini", folder.runs_dir, tmp_path / "reports")
    assert check_tex_pdf(tmp_path / "reports", tmp_path / "proof.pdf") == []
    assert (tmp_path / "proof.pdf").read_bytes().startswith(b"%PDF")
    with pytest.raises(ValueError, match=r"proof\.pdf was edited since"):
        (tmp_path / "proof.pdf").write_text("my paper")
        check_tex_pdf(tmp_path / "reports", tmp_path / "proof.pdf")
