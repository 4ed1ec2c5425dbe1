"""The settings of SepReformer's losses."""

from typing import Annotated

from pydantic import Field

from tisdiss.config.numbers import Config, Count
from tisdiss.limits import MAX_FFT, MAX_FINITE

Positive = Annotated[float, Field(gt=0, le=MAX_FINITE)]
Share = Annotated[float, Field(ge=0, le=1)]


class SepReformerLossConfig(Config):
    """The time loss of the main output, and the magnitude loss of the auxiliary ones."""

    best_db: Annotated[float, Field(gt=0, le=MAX_FINITE)] = 30.0
    """The time loss of an estimate better than this is constant; the magnitude loss has no end."""
    n_fft: Annotated[int, Field(ge=8, le=MAX_FFT, multiple_of=2)] = 512
    """Frame of the magnitude loss, in samples."""
    hop: Annotated[int, Field(ge=1, le=MAX_FFT)] = 128
    least_gain: Positive = 0.01
    """References of the magnitude loss are scaled by no less than this."""
    auxiliary: Share = 0.4
    """α: share of the magnitude loss in the total, up to epoch `decay_after`."""
    decay: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Thereafter α is multiplied by this at once and every `decay_every` epochs."""
    decay_after: Count = 100
    decay_every: Count = 5

    def auxiliary_weight(self, epoch: int) -> float:
        """α of an epoch; they are counted from 1."""
        if epoch <= self.decay_after:
            return self.auxiliary
        return self.auxiliary * self.decay ** (
            1 + (epoch - self.decay_after - 1) // self.decay_every
        )
