"""The measurement of loading speed counts what it says."""

from tisdiss.data import fixed_set
from tisdiss.data.speed import examples_per_second


def test_examples_are_counted_without_the_start(voices):
    options = {"n_src": 2, "gain_db": 2.5, "min_seconds": 0.5, "max_seconds": None, "seed": 0}
    mixtures = fixed_set(voices, "train", n_mixtures=5, **options)
    assert examples_per_second(mixtures, seconds=0.5, count=20) > 20
