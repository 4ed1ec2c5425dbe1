"""The depth dial: how often the reconstructor runs on a mixture (Sec. 2.1, 3.4).

A fixed N_re, or as deep as it pays: every further pass refines the same estimates, so one can stop
when a pass changes little (adaptive), or when the time is up (anytime). Both read the depths of one
pass, `TISDiSS.repetitions`, and compute none that they do not need.
"""

import math
import time
from dataclasses import dataclass, replace

from torch import Tensor

from tisdiss.config import ModelConfig
from tisdiss.metrics import si_snr
from tisdiss.model import TISDiSS


@dataclass(frozen=True, kw_only=True)
class Dial:
    """When to stop going deeper; without any field the trained depth is run."""

    n_re: int | None = None
    """This depth; with another field, this depth at most (10 where None)."""
    settled_db: float | None = None
    """Stop at the first pass whose change lies so far below the estimates, in dB (30: 0.1 %)."""
    seconds: float | None = None
    """Start no pass that would end later than this if it took as long as the one before it.

    One pass always runs, however long it takes."""

    def __post_init__(self) -> None:
        if self.settled_db is not None and not 0 < self.settled_db < math.inf:
            raise ValueError(
                f"settled at {self.settled_db} dB: say how far below the estimates a change may "
                "lie, above 0, such as 30"
            )
        if self.n_re is not None and self.n_re < 1:
            raise ValueError(
                f"n_re={self.n_re}: the reconstructor runs at least once; pass n_re >= 1."
            )
        if self.seconds is not None and not self.seconds > 0:
            raise ValueError(f"within {self.seconds} s: a time budget is above 0")

    @property
    def fixed(self) -> bool:
        return self.settled_db is None and self.seconds is None

    def shared(self, parts: int) -> "Dial":
        """The dial of each of some equal parts, which share the time."""
        return replace(self, seconds=self.seconds and self.seconds / parts)

    def check(self, config: ModelConfig) -> None:
        """Refuse a depth that a model cannot have."""
        config.check_depth(None, self.n_re if self.fixed else self._depths[-1])

    def run(self, model: TISDiSS, mixture: Tensor) -> tuple[Tensor, int]:
        """Estimates (batch, n_src, samples) of (batch, samples), and the N_re they are from."""
        if self.fixed:
            return model(mixture, n_re=self.n_re), model.config.check_depth(None, self.n_re)[1]
        self.check(model.config)
        began = passed = time.monotonic()
        estimates, n_re = None, 0
        for deeper in model.repetitions(mixture, self._depths):
            settled = estimates is not None and self._settled(estimates, deeper)
            estimates, n_re, now = deeper, n_re + 1, time.monotonic()
            if settled or self._late(now - began, now - passed):
                break
            passed = now
        assert estimates is not None
        return estimates, n_re

    @property
    def _depths(self) -> range:
        return range(1, 1 + (10 if self.n_re is None else self.n_re))

    def _settled(self, before: Tensor, after: Tensor) -> bool:
        if self.settled_db is None:
            return False
        change = si_snr(before, after)  # undefined for silence, which never changes
        return bool((change.nan_to_num(nan=math.inf) >= self.settled_db).all())

    def _late(self, spent: float, last_pass: float) -> bool:
        return self.seconds is not None and spent + last_pass > self.seconds
