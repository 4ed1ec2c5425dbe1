"""How far two trainings or evaluations of equal settings agree: equal, within rounding, or not.

A computer that adds the same numbers in another order rounds each sum differently, by half a unit
in the last place of float32. The bound for weights grants one unit, 2^-23, per update, as errors of
updates that do not amplify each other add up; at most `MOST_RELATIVE`. A relative change d of an
estimate changes an SI-SNR of up to 20 dB by at most 87 d dB (20 / ln 10 times 10, the ratio of
estimate to error), so the bound for scores is 87 times that for weights; at most half of the last
digit in tables. A training that amplifies rounding beyond these bounds counts as different.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tisdiss.records import names
from tisdiss.records.scores import read_scores

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

Verdict = Literal["equal", "equal within rounding", "different"]

UNIT = 2.0**-23
"""Relative distance of neighbouring float32 numbers."""
MOST_RELATIVE = 1e-3
MOST_SCORE = 0.005
"""Half of the last digit of scores in tables."""
_PER_RELATIVE = 200 / log(10)
"""dB of an SI-SNR of 20 dB per relative change of the estimate."""
_KEYS = ("mixture_id", "slot", "n_sep", "n_re")


@dataclass(frozen=True)
class Agreement:
    """The greatest difference of two sets of numbers, and the bound of rounding."""

    what: str
    """"weights", or "scores" with the evaluation."""
    count: int
    """The numbers that were compared."""
    equal: bool
    """Whether all numbers are equal, bit for bit."""
    difference: float
    """Of weights, relative to the greatest of their tensor; of scores, in their unit. inf if the
    two sets do not have the same members."""
    bound: float
    where: str = ""
    """The tensor or the score of the greatest difference."""

    @property
    def verdict(self) -> Verdict:
        if self.equal:
            return "equal"
        return "equal within rounding" if self.difference <= self.bound else "different"

    def __str__(self) -> str:
        if self.equal:
            return f"{self.what}: equal, all {self.count} numbers bit for bit"
        if self.difference == inf:
            return f"{self.what}: different, {self.where}"
        return (
            f"{self.what}: {self.verdict}, greatest difference {self.difference:.2g} "
            f"({self.where}), bound of rounding {self.bound:.2g}"
        )


def worst(agreements: list[Agreement]) -> Verdict:
    """The verdict on all of them."""
    order: tuple[Verdict, ...] = ("different", "equal within rounding")
    found = {each.verdict for each in agreements}
    return next((verdict for verdict in order if verdict in found), "equal")


def relative_bound(updates: int) -> float:
    """How far weights differ by rounding after this many updates, relative to the greatest."""
    return min(UNIT * max(updates, 1), MOST_RELATIVE)


def score_bound(updates: int) -> float:
    """How far scores differ by rounding, in dB, with weights of this many updates."""
    return min(_PER_RELATIVE * relative_bound(updates), MOST_SCORE)


def compare_weights(ours: Path, theirs: Path, *, updates: int) -> Agreement:
    """The tensors of two model files; their headers also hold the time of training."""
    from safetensors.numpy import load_file

    a, b = load_file(ours), load_file(theirs)
    count, bound = sum(tensor.size for tensor in a.values()), relative_bound(updates)
    if other := _of_other_form(a, b):
        what = f"{len(other)} tensors of another form, such as {other[0]}"
        return Agreement("weights", count, False, inf, bound, what)
    if all(a[name].tobytes() == b[name].tobytes() for name in a):
        return Agreement("weights", count, True, 0.0, bound)
    changes = {name: _relative(a[name], b[name]) for name in a}
    where = max(changes, key=lambda name: changes[name])
    return Agreement("weights", count, False, changes[where], bound, where)


def _of_other_form(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> list[str]:
    """Tensors that only one has, or that differ in shape or type."""

    def form(tensors: dict[str, np.ndarray], name: str) -> object:
        return (tensors[name].shape, tensors[name].dtype) if name in tensors else None

    return sorted(name for name in a.keys() | b.keys() if form(a, name) != form(b, name))


def _relative(a: np.ndarray, b: np.ndarray) -> float:
    """The greatest difference of two tensors relative to the greatest number; inf for NaN."""
    if a.tobytes() == b.tobytes():
        return 0.0
    difference = float(abs(a.astype("float64") - b.astype("float64")).max())
    size = float(abs(a.astype("float64")).max())
    change = difference / size if size else inf if difference else 0.0
    return change if change == change else inf


def compare_scores(ours: Path, theirs: Path, evaluation: str, *, updates: int) -> Agreement:
    """Every score of two tables of scores, by mixture, speaker and depth."""
    what, bound = f"scores of evaluation {evaluation}", score_bound(updates)
    a, b = _by_key(ours), _by_key(theirs)
    columns = [name for name in names.score_columns(names.QUALITY) if name in a]
    count = len(a) * len(columns)
    if not a.index.equals(b.index) or not set(columns) <= set(b):
        return Agreement(what, count, False, inf, bound, "other mixtures, depths or scores")
    x, y = a[columns], b[columns]
    if x.equals(y):  # NaN, the score of a silent source, equals NaN
        return Agreement(what, count, True, 0.0, bound)
    changes = (x - y).abs().where(x.ne(y) & ~(x.isna() & y.isna()), 0.0).fillna(inf)
    name = changes.max().idxmax()
    place = zip(a.index.names, a.index[int(changes[name].argmax())], strict=True)
    where = ", ".join([str(name), *(f"{key} {value}" for key, value in place)])
    return Agreement(what, count, False, float(changes[name].max()), bound, where)


def _by_key(path: Path) -> pd.DataFrame:
    scores = read_scores(path)
    return scores.set_index([key for key in _KEYS if key in scores]).sort_index()
