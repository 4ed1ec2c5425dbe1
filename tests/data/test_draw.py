"""Draws depend only on their seed, and are fair."""

from collections import Counter

from tisdiss.data.draw import Draw


def test_the_stream_is_pinned():
    draw = Draw("pinned", 0)
    values = [draw.integer(1000) for _ in range(4)] + [round(draw.uniform(-1, 1), 12)]
    assert values == [947, 498, 454, 784, 0.02937229462]


def test_seed_words_do_not_run_into_each_other():
    assert Draw("a", 1, 12).integer(2**60) != Draw("a", 11, 2).integer(2**60)


def test_distinct_never_repeats_and_reaches_all():
    draw = Draw("distinct", 0)
    pairs = [tuple(draw.distinct("abcd", 2)) for _ in range(600)]
    assert all(a != b for a, b in pairs)
    assert len(set(pairs)) == 12
    assert min(Counter(pairs).values()) > 25


def test_shuffled_is_a_fair_permutation():
    draw = Draw("shuffled", 0)
    counts = Counter("".join(draw.shuffled("abc")) for _ in range(600))
    assert len(counts) == 6 and min(counts.values()) > 70


def test_uniform_stays_inside_and_fills_the_range():
    draw = Draw("uniform", 0)
    values = [draw.uniform(-2.5, 2.5) for _ in range(2000)]
    assert -2.5 <= min(values) < -2.45 and 2.45 < max(values) < 2.5
    assert abs(sum(values) / 2000) < 0.15
