"""How SepReformer was trained: its losses and, for each released folder, its recipe. Data only."""

from typing import Annotated, Literal

from pydantic import Field

from tisdiss.config.numbers import Condition, Config, Count, Decibels, Guard, Length, Momentum
from tisdiss.limits import MAX_BATCH, MAX_COUNT, MAX_FFT, MAX_FINITE

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


class SepReformerMixing(Config):
    """How a training mixture is made anew each time it is asked for."""

    gain_db: Annotated[Decibels, Field(ge=0)]
    """The second source gets the level (root mean square) of the first; then each is moved by a
    uniform number of dB in ±gain_db."""
    noise_db: tuple[Decibels, Decibels] | None = None
    """Noise gets the level of the first source and is moved by a uniform number of dB from this
    range; None: no noise."""


class SepReformerRecipe(Config):
    """One released training: AdamW, one epoch with warm-up, a late plateau schedule.

    Weight decay acts on all parameters, BatchNorm sees a batch of two, nothing is normalised and
    nothing runs in half precision.
    """

    lr: Positive = 1e-3
    betas: tuple[Momentum, Momentum] = (0.9, 0.999)
    eps: Guard = 1e-8
    weight_decay: Annotated[float, Field(ge=0, le=MAX_FINITE)] = 0.01
    clip_norm: Positive = 5.0
    """The norm of all gradients together is clipped at this."""
    batch_size: Annotated[int, Field(ge=1, le=MAX_BATCH)] = 2
    epochs: Count = 199
    """The released setting says 200, which is exclusive."""
    warmup_steps: Annotated[int, Field(ge=0, le=MAX_COUNT)] = 1000
    """Update n of the first epoch runs at lr * min(n / warmup_steps, 1); later epochs have none."""
    plateau_after: Annotated[int, Field(ge=0, le=MAX_COUNT)] = 50
    """The schedule looks at the validation time loss once an epoch, from the epoch after this."""
    plateau_factor: Annotated[float, Field(gt=0, le=1)] = 0.8
    plateau_patience: Annotated[int, Field(ge=0, le=MAX_COUNT)] = 2
    plateau_threshold: Share = 1e-4
    """Relative improvement that counts."""
    least_lr: Annotated[float, Field(ge=0, le=1)] = 1e-10
    crop_seconds: Length = 4.0
    """One random crop of each utterance, in training and validation; shorter ones are kept and
    padded with zeros to the longest of the batch."""
    segmented: bool = True
    """The list of training mixtures cuts those longer than 6 s into pieces of 4 s."""
    condition: Condition = "clean"
    """What is heard; references are clean and anechoic."""
    mixing: SepReformerMixing | None = None
    """None: mixtures as they are stored."""
    loss: SepReformerLossConfig = SepReformerLossConfig()


RecipeName = Literal["wsj0-base", "wsj0-large", "wham-large", "whamr-large"]

_LARGE = 2e-4
RECIPES: dict[RecipeName, SepReformerRecipe] = {
    "wsj0-base": SepReformerRecipe(),
    "wsj0-large": SepReformerRecipe(lr=_LARGE, mixing=SepReformerMixing(gain_db=5)),
    "wham-large": SepReformerRecipe(
        lr=_LARGE,
        plateau_patience=3,
        condition="noisy",
        mixing=SepReformerMixing(gain_db=5, noise_db=(-5, 5)),
    ),
    "whamr-large": SepReformerRecipe(
        lr=_LARGE,
        segmented=False,
        condition="noisy-reverberant",
        mixing=SepReformerMixing(gain_db=3, noise_db=(-3, 6)),
    ),
}
"""The released trainings, by corpus and size."""
