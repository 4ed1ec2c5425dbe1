"""Fonts in figures for letters of all scripts, one message without a font, no Type 3 in PDFs."""

import re
import warnings

import matplotlib
import pytest
from matplotlib import font_manager

from tisdiss.analysis import canvas, fonts
from tisdiss.analysis.canvas import render, unshown
from tisdiss.analysis.figures import depth_figure
from tisdiss.analysis.fonts import can_embed, further_families, unprintable
from tisdiss.analysis.report import study_files
from tisdiss.analysis.results import Results, results_of

OURS = ("STIXGeneral", "DejaVu Serif")


@pytest.fixture
def shipped(monkeypatch):
    """A machine that has no fonts but those of matplotlib."""
    home = matplotlib.get_data_path()
    there = [font for font in font_manager.fontManager.ttflist if font.fname.startswith(home)]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", there)
    fonts._chosen.cache_clear()
    yield
    fonts._chosen.cache_clear()


@pytest.fixture
def drawing(study_folder):
    """The main figure of a study whose only row has a label, and the results it is from."""

    def draw(label: str) -> tuple[dict[str, bytes], Results]:
        folder = study_folder().row("a", {1: 3.0, 3: 5.0}, label=label, mixtures=4)
        results = results_of("fig2e", "mini", folder.runs_dir)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return render(depth_figure(results.curve, results.plan)), results

    return draw


def fonts_of(pdf: bytes) -> set[bytes]:
    return set(re.findall(rb"/Subtype /(Type3|Type0|TrueType)\b", pdf))


@pytest.mark.parametrize(
    ("text", "further", "lacking"),
    [
        ("Модель λ→∞ ≥ 3 é", [], ""),
        ("مرحبا", ["DejaVu Sans"], ""),
        ("普通話 مرحبا", ["DejaVu Sans"], "普話通"),
        ("plain\n", [], ""),
    ],
)
def test_the_fewest_fonts_that_have_the_letters(shipped, text, further, lacking):
    assert further_families(text, OURS) == further
    assert unprintable(text, OURS) == lacking


def test_of_fonts_that_have_the_letters_one_that_a_pdf_can_hold_is_taken(monkeypatch):
    letters = {"Sans A": "普", "Serif B": "普通", "Serif C": "普通", "STIXGeneral": "a"}
    there = [font_manager.FontEntry(name=name, style="normal", weight=400) for name in letters]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", there)
    monkeypatch.setattr(fonts, "_letters", lambda name: frozenset(letters[name]))
    monkeypatch.setattr(fonts, "can_embed", lambda name: name != "Serif B")
    fonts._chosen.cache_clear()
    assert further_families("普通", ["STIXGeneral"]) == ["Serif C"]
    fonts._chosen.cache_clear()


def test_letters_of_another_font_are_embedded_as_truetype(shipped, drawing):
    files, results = drawing("مرحبا")
    assert unshown(results.plan) == ""
    assert b"DejaVuSans" in files["pdf"] and fonts_of(files["pdf"]) == {b"Type0"}


def test_letters_of_a_font_that_a_pdf_cannot_hold_are_outlines(shipped, drawing, monkeypatch):
    assert can_embed("DejaVu Sans")
    monkeypatch.setattr(canvas, "can_embed", lambda family: False)
    files, _ = drawing("مرحبا")
    assert b"DejaVuSans" not in files["pdf"] and b"Type3" not in fonts_of(files["pdf"])


def test_letters_that_no_font_has_are_told_once_and_the_row_is_named(shipped, drawing):
    files, results = drawing("普通話")
    assert files == drawing("a")[0]
    said: list[str] = []
    study_files(results, say=said.append)
    (line,) = [line for line in said if "no font" in line]
    assert line.startswith("fig2e: no font has 普話通, so figures show ids; install one")


def test_the_looks_of_a_user_have_no_part_in_our_figures(drawing):
    wanted, _ = drawing("a")
    theirs = {"pdf.fonttype": 3, "font.family": ["cursive"], "axes.facecolor": "red"}
    theirs |= {"text.usetex": True, "savefig.transparent": True, "svg.fonttype": "none"}
    with matplotlib.rc_context(theirs):
        assert drawing("a")[0] == wanted
