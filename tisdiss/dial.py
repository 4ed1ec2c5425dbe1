"""The depth dial: how often the reconstructor runs on a mixture (Sec. 2.1, 3.4).

N_re is fixed or chosen per mixture. Every pass refines the same estimates, so inference can stop
when a pass changes little (adaptive) or when time is up (anytime). Both take depths from
`TISDiSS.repetitions`, which computes a depth only when it is requested.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from tisdiss.config import AnyModel
from tisdiss.metrics import si_snr
from tisdiss.whole import AnyNet


@dataclass(frozen=True, kw_only=True)
class Dial:
    """How deep to go; without any field, the depth the model was trained at."""

    n_re: int | None = None
    """The depth; with another field, the largest depth (10 if None)."""
    n_sep: int | None = None
    """Passes through the separator, as many as in training if None."""
    settled_db: float | None = None
    """Stop after the first pass whose change is this many dB below the estimates (30: 0.1 %)."""
    seconds: float | None = None
    """Time budget: start no pass that would exceed it by taking as long as the pass before.

    The first pass always runs."""
    budget: float | None = None
    """Time budget in seconds per second of sound, for one mixture as `seconds`. The parts of a long
    one all have the depth that the first one reached (`later`)."""

    def __post_init__(self) -> None:
        if self.settled_db is not None and not 0 < self.settled_db < math.inf:
            raise ValueError(
                f"settled at {self.settled_db} dB: give a number above 0, such as 30 for a change "
                "30 dB below the estimates"
            )
        if self.n_re is not None and self.n_re < 1:
            raise ValueError(
                f"n_re={self.n_re}: the reconstructor runs at least once; pass n_re >= 1."
            )
        if self.n_sep is not None and self.n_sep < 1:
            raise ValueError(
                f"n_sep={self.n_sep}: the separator runs at least once; pass n_sep >= 1."
            )
        if self.seconds is not None and not self.seconds > 0:
            raise ValueError(f"within {self.seconds} s: give a time budget above 0")
        if self.budget is not None and not self.budget > 0:
            raise ValueError(f"budget of {self.budget} s per second: give a number above 0")
        if self.budget is not None and (self.seconds is not None or self.settled_db is not None):
            raise ValueError(
                "a budget fixes the depth: give it without a time limit and without settled_db"
            )

    @property
    def fixed(self) -> bool:
        return self.settled_db is None and self.seconds is None and self.budget is None

    def shared(self, parts: int) -> "Dial":
        """The dial for one of `parts` equal parts, which share the time budget."""
        return replace(self, seconds=self.seconds and self.seconds / parts)

    def later(self, n_re: int) -> "Dial":
        """The dial for the parts after the first, which had this depth."""
        return self if self.budget is None else replace(self, budget=None, n_re=n_re)

    def check(self, config: AnyModel) -> None:
        """Raise ValueError for a depth that the model cannot have."""
        config.check_depth(self.n_sep, self.n_re if self.fixed else self._depths(config)[-1])

    def run(self, model: AnyNet, mixture: Tensor) -> tuple[Tensor, int]:
        """Estimates (batch, n_src, samples) for a mixture (batch, samples), and their N_re."""
        if self.fixed:
            _, n_re = model.config.check_depth(self.n_sep, self.n_re)
            return model(mixture, n_sep=self.n_sep, n_re=self.n_re), n_re
        self.check(model.config)
        start = pass_start = time.monotonic()
        seconds = self._seconds(mixture.shape[-1] / model.config.sample_rate)
        estimates, n_re = None, 0
        depths = self._depths(model.config)
        outputs = model.repetitions(mixture, depths, n_sep=self.n_sep)
        for depth, deeper in zip(depths, outputs, strict=False):
            settled = estimates is not None and self._settled(estimates, deeper)
            estimates, n_re, now = deeper, depth, time.monotonic()
            spent, last_pass = now - start, now - pass_start
            if settled or spent + last_pass > seconds:
                break
            pass_start = now
        assert estimates is not None
        return estimates, n_re

    def _depths(self, config: AnyModel) -> Sequence[int]:
        """The depths to try, ascending; without a dial, the one that `check_depth` refuses."""
        most = 10 if self.n_re is None else self.n_re
        tried = [depth for depth in config.dial if depth <= most]
        return tried if tried and self.n_re in (None, *tried) else [most]

    def _settled(self, before: Tensor, after: Tensor) -> bool:
        return self.settled_db is not None and settled_by(before, after) >= self.settled_db

    def _seconds(self, sound: float) -> float:
        """The time budget for so many seconds of sound."""
        if self.budget is not None:
            return self.budget * sound
        return math.inf if self.seconds is None else self.seconds


def settled_by(before: Tensor, after: Tensor) -> float:
    """How far a pass's change is below its estimates, in dB; of all speakers, the smallest value.

    Both are (batch, n_src, samples). Silence counts as settled: it gives infinity.
    """
    return si_snr(before, after).nan_to_num(nan=math.inf).min().item()
