"""Claims as expressions: their meaning, and the errors before anything runs."""

import subprocess
import sys

import pytest

from tisdiss.records.expression import Cell, Combined, Fact, Greater, Number, parse, rows_of

A, B, C = Cell("a"), Cell("b"), Cell("c")


def test_comparison_of_two_rows_at_a_depth():
    parts = parse("row('a').si_snri(n_re=6) > row('b').sdri(n_re=6)")
    assert parts == (Greater(Cell("a", "si_snri", (6,)), Cell("b", "sdri", (6,))),)


def test_less_is_greater_turned_round():
    assert parse("row('a') < row('b')") == parse("row('b') > row('a')") == (Greater(B, A),)


def test_chain_and_conjunction_hold_if_every_comparison_holds():
    chain = parse("row('a') > row('b') > row('c')")
    assert chain == parse("row('a') > row('b') and row('b') > row('c')")
    assert chain == (Greater(A, B), Greater(B, C))


def test_monotone_is_one_comparison_a_step():
    parts = parse("mono(row('l1+3').sdri, n_re=1..3)")
    at = [Cell("l1+3", "sdri", (n,)) for n in (1, 2, 3)]
    assert parts == (Greater(at[1], at[0]), Greater(at[2], at[1]))


def test_above_the_maximum_is_above_each():
    assert parse("row('a') > max(row('b'), row('c'))") == (Greater(A, B), Greater(A, C))
    assert parse("min(row('a'), row('b')) > row('c')") == (Greater(A, C), Greater(B, C))


def test_margin_gain_and_cost():
    assert parse("row('a') - row('b') > -0.5") == (Greater(Combined("-", (A, B)), Number(-0.5)),)
    gain = Combined("-", (Cell("a", n_re=(6,)), Cell("a", n_re=(3,))))
    assert parse("gain(row('a'), n_re=3..6) > 0") == (Greater(gain, Number(0.0)),)
    half = Combined("*", (Number(0.5), Fact("params", "b")))
    assert parse("params(row('a')) < 0.5 * params(row('b'))") == (
        Greater(half, Fact("params", "a")),
    )


def test_near_is_that_neither_is_above_the_other_by_the_tolerance():
    def plus(cell):
        return Combined("+", (cell, Number(0.1)))

    near = parse("approx(row('a'), row('b'), 0.1)")
    assert near == (Greater(plus(B), A), Greater(plus(A), B))
    assert parse("spread(row('a'), row('b')) < 0.1") == near
    assert len(parse("spread(row('a'), row('b'), row('c')) < 0.1")) == 6


def test_range_of_depths_is_one_value():
    (part,) = parse("row('a').si_snri(n_re=1..3) > 1")
    assert part.left == Cell("a", "si_snri", (1, 2, 3))


def test_rows_are_listed_in_order_of_appearance():
    assert rows_of(parse("row('b') > max(row('a'), row('b')) and params(row('c')) < 3")) == [
        "b",
        "a",
        "c",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not an expression"),
        ("row('a') >", "is not an expression"),
        ("(" * 300, "is not an expression"),
        ("row('a')" + " + 1" * 300 + " > 2", "at most 1000 are allowed"),
        ("row('a')", "a claim compares with > or <"),
        ("row('a') >= row('b')", "only > and < are allowed"),
        ("row('a').snr > 3", "'snr' is not a score; choose from si_snri"),
        ("row(a) > 1", "a row is named in quotes"),
        ("a > 1", "a value is a number, row"),
        ("mono(row('a'))", "needs its own range"),
        ("mono(row('a'), n_re=3..3)", "needs its own range"),
        ("row('a').si_snri(n_re=6..1) > 1", "6..1: n_re is a number of passes"),
        ("row('a').si_snri(depth=6) > 1", "the only keyword is n_re="),
        ("row('a', n_re=6) > 1", "n_re= belongs to the score"),
        ("max(row('a')) > 1", "takes two or more values"),
        ("approx(row('a'), row('b'))", "3 values are needed here, not 2"),
        ("approx(row('a'), row('b'), 0)", "must be above 0"),
        ("row('a') * row('b') > 1", "one side of a product must be"),
        ("1e999 > row('a')", "a number of a claim is at most 1e\\+09"),
        ("row('a') > " + "9" * 400, "a number of a claim is at most 1e\\+09"),
        ("row('a') > " + "-" * 900 + "1", "nested more than 40 levels deep"),
        ("row('a') > " + "not " * 200 + "1", "is not an expression"),
        ("row('a')" + " + 1" * 200 + " > 1", "nested more than 40 levels deep"),
        ("row('a')" + ".si_snri" * 100 + " > 1", "nested more than 40 levels deep"),
        ("max(" * 90 + "row('a')" + ")" * 90 + " > 1", "nested more than 40 levels deep"),
        ("(" * 400 + "row('a')" + ")" * 400 + " > 1", "is not an expression"),
        ("True > row('a')", "a plain number is needed"),
        ("__import__('os').system() > 1", "'system' is not a score"),
        ("spread(row('a'), row('b')) > 1", "stands alone"),
        ("0.1 > approx(row('a'), row('b'), 1)", "stands alone"),
        ("(lambda: 1)() > 0", "a value is a number, row"),
        ("[row('a')][0] > 1", "a value is a number, row"),
        ("max(*[1, 2]) > 1", "takes two or more values"),
    ],
)
def test_what_is_refused_says_why(text, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(").replace("*", r"\*")):
        parse(text)


def test_reading_claims_loads_neither_torch_nor_pandas():
    code = (
        "import sys, tisdiss.records.expression;"
        "assert not {'torch', 'pandas', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
