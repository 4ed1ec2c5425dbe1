"""What a model gains from its repetitions, which decides whether it can test claims about depth."""

from dataclasses import dataclass

import pandas as pd

from tisdiss.analysis.stats import Estimate, paired
from tisdiss.paper_names import Stated, read_name
from tisdiss.records.names import SI_SNRI

LEAST_GAIN = 0.5
"""Least gain in dB from N_re = 1 to the trained depth of a model that uses its depth."""
MOST_WORSE = 0.05
"""Largest share of mixtures that may score lower at the trained depth than at N_re = 1."""


@dataclass(frozen=True)
class DepthGain:
    """A row at its trained depth and at N_re = 1."""

    trained: int
    deep: Estimate
    """SI-SNRi at the trained depth, in dB."""
    gain: Estimate
    """SI-SNRi at the trained depth minus that at N_re = 1, in dB."""

    @property
    def worse(self) -> float:
        """Share of mixtures with a lower score at the trained depth."""
        return float((self.gain.values < 0).mean())

    @property
    def uses_depth(self) -> bool:
        """Whether claims about depth can be tested on the model."""
        large = self.gain.mean > LEAST_GAIN and not self.gain.interval()[0] <= 0
        return large and self.worse < MOST_WORSE


def repeated(name: str) -> Stated | None:
    """The blocks and repetitions that a name states.

    None for a whole model, whose depths are no repetitions and whose package need not be installed.
    """
    try:
        return read_name(name)
    except ValueError:
        return None


def depth_gain(scores: pd.DataFrame, row: str, trained: int) -> DepthGain | None:
    """The gain of a row, trained at this N_re; None if it was trained or scored at one depth."""
    scores = scores[scores["row"] == row]
    if trained < 2 or not {1, trained} <= set(scores["n_re"]):
        return None
    deep, once = paired(scores, [(row, trained, SI_SNRI), (row, 1, SI_SNRI)]).estimates
    return DepthGain(trained, deep, deep - once)
