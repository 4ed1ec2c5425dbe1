"""The facts that may explain why equal settings gave other numbers, the likeliest first."""

from __future__ import annotations

from collections.abc import Iterable

from tisdiss.harness.diff import Difference

_COMPUTING = ("torch", "torchaudio", "triton", "numpy", "scipy")
_LIBRARIES = ("nvidia-", "cuda-", "mkl", "intel-", "openblas")
"""Packages that compute, and beginnings of the names of those that they call."""
_MACHINE = ("device", "accelerator", "processes", "threads", "capability", "compiler", "cpu")
"""Facts of a machine that change the order of sums, the strongest first."""


def causes(differences: Iterable[Difference]) -> list[Difference]:
    """The differences that can change a number, the likeliest first.

    Other data change everything. Other code is next, as it may mean another formula, while packages
    and machines with the same code mostly round in another way. What one of the runs did not record
    is no cause; a package that only one of them has is one.
    """
    known = [
        each
        for each in differences
        if each.part in ("data", "code", "packages", "environment") and _is_known(each)
    ]
    return sorted(known, key=_rank)


def _is_known(difference: Difference) -> bool:
    if difference.part == "packages":
        return difference.what != "number"
    return difference.a is not None and difference.b is not None


def _rank(difference: Difference) -> int:
    what = difference.what
    if difference.part == "data":
        return 0
    if difference.part == "code":
        return 1 if what.startswith("code_") else 20  # a commit may change what nothing imports
    if difference.part == "packages":
        computes = what in _COMPUTING or what.startswith(_LIBRARIES)
        return 2 if computes else 17
    if what == "torch":
        return 2
    return 3 + _MACHINE.index(what) if what in _MACHINE else 18
