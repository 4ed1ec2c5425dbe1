"""Text escaped for LaTeX, and the check of LaTeX source."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tisdiss.analysis.captions import escape_figure, escape_markdown, pretty
from tisdiss.analysis.latex import LETTERS, escape_tex, with_letters
from tisdiss.analysis.tex_check import check_tex

FRAME = "\\begin{tabular}{lS[table-format=2.2]*{2}{r}}\n%s\n\\end{tabular}"


def test_model_names_get_the_times_sign():
    assert pretty("sep1x2-re1x3-l1x2+3") == "sep1×2-re1×3-l1×2+3"
    assert pretty("  max  x\nbox ") == "max x box"
    assert escape_tex(pretty("sep1x2")) == r"sep1$\times$2"


def test_specials_are_escaped():
    assert escape_tex(r"50% & $5_a^b~#{\x}") == (
        r"50\% \& \$5\_a\textasciicircum{}b\textasciitilde{}\#\{\textbackslash{}x\}"
    )


def test_dagger_stands_high_in_any_font():
    assert escape_tex("re1x4†") == r"re1x4$^\dagger$"
    assert check_tex(escape_tex("† a†: b")) == []


def test_bracket_and_star_cannot_become_arguments_of_a_row_end():
    assert escape_tex("[a] *b") == "{[}a] {*}b"


def test_two_hyphens_stay_two_hyphens():
    assert escape_tex("a--b---c-d") == "a-{}-b-{}-{}-c-d"


@pytest.mark.parametrize(
    ("text", "tex"),
    [
        ("é ñ Ä\t", "é ñ Ä "),
        ("š č ğ Ḿ q\u0308", r"š \v{c} \u{g} \'{M} \"{q}"),
        ("λ→∞ ≠ Ω x² ½", r"$\lambda$$\rightarrow$$\infty$ $\neq$ $\Omega$ x$^2$ 1/2"),
        ("ά ｆｕｌｌ ﬁ", r"\'{$\alpha$} full fi"),
        ("a\u200db\x07", "ab"),
        ("Модель №", r"\tisdissletters{Модель}{1052}{T2A}{Model'} No"),
        ("Łódź ąę", r"\L{}ód\'{z} \tisdissletters{ąę}{261}{T1}{ae}"),
        ("中", r"\tisdissletters{中}{20013}{none}{\dots{}}"),
    ],
)
def test_letters_of_any_script_are_latex(text, tex):
    assert escape_tex(text) == tex and check_tex(tex) == []


def test_a_row_whose_letters_latex_has_not_has_its_id():
    assert escape_tex("a_é", "row") == r"a\_é"
    assert escape_tex("Модель", "row") == escape_tex("Модель")
    assert escape_tex("Ж 中_é", "row_1") == r"\tisdissletters{Ж 中\_é}{20013}{none}{row\_1}"


def test_what_letters_need_is_defined_before_them():
    assert with_letters("plain") == "plain"
    tex = with_letters(FRAME % f"{escape_tex('中')} & 1 & 2 & 3 \\\\")
    assert tex.startswith(LETTERS) and check_tex(tex) == []
    assert check_tex("中" + tex) == ["line 1: U+4E2D has no glyph in LaTeX's own fonts"]


@settings(deadline=None)
@given(st.text(max_size=30))
@example("}¢{")
def test_any_escaped_text_is_accepted_in_a_cell(text):
    for escaped in (escape_tex(text), escape_tex(text, "row_1")):
        assert check_tex(FRAME % f"{escaped} & 1 & 2 & 3 \\\\") == []


@settings(deadline=None)
@given(st.text(alphabet="abx19\\`*_{}[]<>#|~$ ", max_size=20))
def test_markdown_cell_has_no_bare_pipe(text):
    escaped = escape_markdown(text)
    assert escaped.count("\\|") >= text.count("|")
    assert not escaped.replace("\\\\", "").replace("\\|", "").count("|")


def test_figure_text_has_no_mathematics_and_is_not_hidden():
    assert escape_figure("_a $x$") == r" _a \$x\$"


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        (r"\textbf{a", "line 1: { is never closed"),
        ("a\n}", "line 2: } closes nothing"),
        (r"\begin{table}\end{center}", r"\\end\{center\} closes nothing"),
        (r"\begin{table}", r"\\begin\{table\} is never closed"),
        ("$x", "odd number of \\$"),
        ("a_b", "_ must be escaped"),
        ("50 # 3", "# must be escaped"),
        ("a & b", "& must be escaped"),
        ("中", "U\\+4E2D has no glyph"),
        (FRAME % r"a & 1 & 2 \\", "3 columns instead of 4 in row: a & 1 & 2"),
        (FRAME % r"a & \multicolumn{4}{c}{b} \\", "5 columns instead of 4"),
    ],
)
def test_check_finds(source, problem):
    with pytest.raises(AssertionError, match=problem):
        assert not check_tex(source), check_tex(source)


def test_check_accepts_rules_comments_spans_and_mathematics():
    body = "\\toprule\na & \\multicolumn{3}{c}{$x_1^2$} \\\\ % 100 # & {\n\\cmidrule(lr){2-4}\n"
    body += "b\\_c & {--} & 1 & \\phantom{0}2 \\\\[2pt]\n\\bottomrule"
    assert check_tex("\\label{tab:a_b}\n" + FRAME % body) == []
