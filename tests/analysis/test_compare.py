"""The weights of scores and plain numbers in a claim's comparisons."""

import pytest

from tisdiss.analysis.compare import depth_weights, has_tolerance, is_level
from tisdiss.records.expression import parse


def part(claim: str):
    (only,) = parse(claim)
    return only


def weights(claim: str) -> dict:
    return dict(depth_weights(part(claim), lambda cell: cell.n_re or (3,)))


@pytest.mark.parametrize(
    ("claim", "counts"),
    [
        ("row('a') > row('b')", {("a", 3): 1, ("b", 3): -1}),
        ("row('a').si_snri(n_re=1..2) > 1", {("a", 1): 0.5, ("a", 2): 0.5}),
        ("2 * row('a') - row('b') > 0", {("a", 3): 2, ("b", 3): -1}),
        ("row('a') * 2 > row('a')", {("a", 3): 1}),
        ("row('a') > row('b') - 0.5 * row('c')", {("a", 3): 1, ("b", 3): -1, ("c", 3): 0.5}),
        ("min(row('a'), 4) + 1 > row('b') - min(row('b'), row('c'))",
         {("a", 3): 0.5, ("b", 3): -0.5, ("c", 3): 0.5}),
    ],
)  # fmt: skip
def test_scores_count_with_their_factors(claim, counts):
    assert weights(claim) == pytest.approx(counts)


@pytest.mark.parametrize(
    ("claim", "tolerance", "level"),
    [
        ("row('a') > row('b')", False, False),
        ("row('a') > row('b') + 0.1", True, False),
        ("row('a') > 10", True, True),
        ("row('a') > 0", False, False),
        ("row('a') + 1 > row('b') + 1", False, False),
        ("2 * (row('a') - row('b')) > 2 * 0.3", True, False),
        ("row('a') - min(row('b'), row('c')) > 0.3", True, False),
        ("min(row('a'), 10) - row('b') > 0", True, True),
        ("params(row('a')) < 0.5 * params(row('b'))", False, False),
        ("params(row('a')) < 5", True, True),
    ],
)
def test_plain_numbers_are_tolerances_or_levels(claim, tolerance, level):
    """A plain number beside scores in a max or min is a level that they are held against."""
    assert (has_tolerance(part(claim)), is_level(part(claim))) == (tolerance, level)
