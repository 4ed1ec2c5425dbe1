"""Random choices that are the same on every machine, in every version, with any number of workers.

numpy guarantees the bits of its generators but not the output of `Generator.integers` and others,
so this module makes the few draws that a mixture needs from the bits.
"""

import hashlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.random import PCG64

T = TypeVar("T")


class Draw:
    """A stream of random choices that depends on `seed` alone."""

    def __init__(self, *seed: str | int) -> None:
        text = "/".join(map(str, seed))
        self._bits = PCG64(int.from_bytes(hashlib.sha256(text.encode()).digest()[:16]))

    def uniform(self, low: float, high: float) -> float:
        return low + (high - low) * (self._bits.random_raw() >> 11) * 2.0**-53

    def integer(self, n: int) -> int:
        """0 to n - 1; the bias of the remainder is below n / 2**64."""
        return int(self._bits.random_raw()) % n

    def normal(self, count: int) -> np.ndarray:
        """Float64 Gaussian noise of variance 1, rounded to 1/1024.

        The last bits of logarithm and cosine differ between machines.
        """
        pairs = (count + 1) // 2
        bits = (self._bits.random_raw(2 * pairs) >> np.uint64(11)).astype(np.float64)
        radius = np.sqrt(-2 * np.log((bits[:pairs] + 1) * 2.0**-53))
        angle = bits[pairs:] * (2 * np.pi * 2.0**-53)
        values = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:count]
        return np.rint(values * 1024) / 1024

    def distinct(self, items: Sequence[T], k: int) -> list[T]:
        """`k` different positions of `items`, in random order."""
        chosen: dict[int, None] = {}
        while len(chosen) < k:
            chosen[self.integer(len(items))] = None
        return [items[i] for i in chosen]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        items = list(items)
        for last in range(len(items) - 1, 0, -1):
            other = self.integer(last + 1)
            items[last], items[other] = items[other], items[last]
        return items


def rank(text: str) -> str:
    """A sort key that puts names into a fixed pseudo-random order."""
    return hashlib.sha256(text.encode()).hexdigest()
