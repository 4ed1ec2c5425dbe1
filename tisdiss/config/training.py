"""Settings of a training and of an evaluation."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from tisdiss.config.any_model import ModelField
from tisdiss.config.data import DataConfig
from tisdiss.config.model import ModelConfig
from tisdiss.config.numbers import Config, Count, Guard, Momentum, Passes, Seed, later
from tisdiss.config.whole import WholeConfig
from tisdiss.depths import LossTerm
from tisdiss.limits import (
    MAX_AVERAGED,
    MAX_BATCH,
    MAX_COUNT,
    MAX_FINITE,
    MAX_PASSES,
    MAX_SAMPLES,
)


class LossConfig(Config):
    """How the losses of the supervised outputs are averaged into one number (Eq. 1)."""

    average: Literal["flat", "eq1"] = "flat"
    """"flat": the plain mean over all decoded outputs, as the released code trains. "eq1": the
    paper's Eq. 1, where each term is first averaged over its own depths."""
    weights: dict[LossTerm, Annotated[float, Field(ge=0, le=MAX_FINITE)]] = Field(default={})
    """λ of each term; 1 if absent."""
    clamp: float = Field(default=1e-7, ge=0, lt=0.5)
    """The squared correlation is clamped to [clamp, 1 - clamp]: 1e-7 bounds the loss at 70 dB."""


class OptimConfig(Config):
    """AdamW, warm-up, plateau halving and early stop (Sec. 3.1), and options beyond the paper:
    Muon, other schedules, averaged weights."""

    kind: Literal["adamw", "muon"] = later("adamw")
    """"muon": Muon for the weights of products and convolutions between encoder and decoder, AdamW
    for all others (Jordan et al., "Muon", 2024)."""
    muon_lr: Annotated[float, Field(gt=0, le=MAX_FINITE)] = later(0.02)
    """Rate of Muon; `lr` is the rate of AdamW, and the schedule scales both alike."""
    lr: Annotated[float, Field(gt=0, le=MAX_FINITE)] = 1e-3
    betas: tuple[Momentum, Momentum] = (0.9, 0.999)
    eps: Guard = 1e-8
    weight_decay: Annotated[float, Field(ge=0, le=MAX_FINITE)] = 1e-2
    clip_norm: Annotated[float, Field(gt=0, le=MAX_FINITE)] = 5.0
    warmup_steps: Annotated[int, Field(ge=0, le=MAX_COUNT)] = 2000
    first_step: Literal["warm", "full"] = "warm"
    """"full": the first update runs at the full rate and the ramp starts after it, as the released
    code does; "warm": the ramp starts with the first update, as the paper says."""
    plateau_factor: float = Field(default=0.5, gt=0, le=1)
    plateau_patience: Annotated[int, Field(ge=0, le=MAX_COUNT)] = 3
    """The rate is cut when more than this many epochs in a row did not improve."""
    plateau_threshold: Annotated[float, Field(ge=0, le=1)] = 1e-4
    """Least relative improvement that counts. Validation losses are negative decibels, for which
    the released rule `loss < best * (1 - threshold)` also accepts slightly worse values; we keep
    it."""
    plateau_after: Annotated[int, Field(ge=0, le=MAX_COUNT)] = later(0)
    """The plateau rule ignores the validation losses of this many epochs, the first."""
    early_stop: Count = 10
    """Stop when the best epoch is more than this many epochs ago."""
    schedule: Literal["plateau", "constant", "decay"] = later("plateau")
    """What follows the warm-up. "plateau": halving and early stop; "constant": the full rate to the
    end; "decay": the full rate, then linearly to zero (Hu et al., "MiniCPM", 2024, call it
    warm-up-stable-decay; Hägele et al., "Scaling laws and compute-optimal training beyond fixed
    training durations", 2024). The last two never stop early."""
    decay_share: Annotated[float, Field(gt=0, le=1)] = later(0.3)
    """Share of all updates over which the rate falls to zero."""
    ema: Momentum = later(0.0)
    """Decay of an exponential moving average of the weights, which is validated and kept in their
    place (compare Polyak and Juditsky, 1992); 0: no average. With `average_best` at 1 the result
    is one such average."""


class TrainConfig(Config):
    """All settings that determine the weights of a run; its identity hashes them."""

    model: ModelField = ModelConfig()
    loss: LossConfig = LossConfig()
    optim: OptimConfig = OptimConfig()
    data: DataConfig = DataConfig()
    batch_size: Annotated[int, Field(ge=1, le=MAX_BATCH)] = 6
    epochs: Count = 150
    steps_per_epoch: Count | None = None
    """None: one pass over the training mixtures."""
    average_best: Annotated[int, Field(ge=1, le=MAX_AVERAGED)] = 5
    """The final model is the mean of this many checkpoints with the lowest validation loss."""
    curriculum: Annotated[float, Field(ge=0, le=1)] = later(0.0)
    """N_re grows from 1 to its trained value over this share of all updates, in equal stages, so
    that early updates cost less (after Gong et al., "Efficient training of BERT by progressively
    stacking", 2019). 0: the trained value from the first update, as in the paper."""
    precision: Literal["float32", "tf32", "bf16", "auto"] = "float32"
    """"tf32" lets a GPU round the inputs of matrix products to 10 bits; it has no effect on a CPU.
    "bf16" runs the products of paths and splitter in bfloat16 (7 bits) and the others as "tf32";
    weights, norms, codec, STFT and loss stay in float32. TF-GridNet, whose LSTMs run in float32,
    has no "bf16". "auto" is "bf16" where that is faster (a GPU, or a CPU with AMX or AVX512-BF16),
    else "tf32"."""
    seed: Seed = 0
    parent: str | None = None
    """Identity of the run whose weights start this one (fine-tuning, Sec. 2.3)."""

    @property
    def total_steps(self) -> int:
        """Updates of all epochs; ValueError unless `steps_per_epoch` is set."""
        if self.steps_per_epoch is None:
            raise ValueError("steps_per_epoch is not set, so only the corpus tells the total")
        return self.epochs * self.steps_per_epoch

    @model_validator(mode="after")
    def _batch_fits(self) -> "TrainConfig":
        samples = self.batch_size * self.data.segment_seconds * self.data.sample_rate
        if samples > MAX_SAMPLES:
            raise ValueError(
                f"batch_size={self.batch_size} crops of {self.data.segment_seconds:g} s are "
                f"{samples:.1e} samples; a batch holds at most {MAX_SAMPLES:.1e}"
            )
        return self

    @model_validator(mode="after")
    def _has_depth_to_grow(self) -> "TrainConfig":
        if self.curriculum and (isinstance(self.model, WholeConfig) or not self.model.dial):
            raise ValueError(
                f"curriculum={self.curriculum:g}: {self.model.name} has no reconstructor whose "
                "passes could grow; set curriculum: 0"
            )
        return self

    @model_validator(mode="after")
    def _precision_exists(self) -> "TrainConfig":
        if isinstance(self.model, WholeConfig):
            self._check_whole(self.model)
        elif self.precision == "bf16" and self.model.has_grid:
            raise ValueError(
                f"precision=bf16: the LSTMs of {self.model.architecture} run in float32; set tf32 "
                "or float32"
            )
        return self

    def _check_whole(self, model: WholeConfig) -> None:
        """Refuse what needs to know the inside of a model."""
        if self.precision == "bf16" and not model.entry.bf16:
            raise ValueError(f"precision=bf16: {model.name} has none; set tf32 or float32")
        if self.optim.kind == "muon":
            raise ValueError(
                f"optim.kind=muon: which weights of {model.name} are hidden is not known; set adamw"
            )


Quality = Literal["pesq", "stoi", "estoi", "dnsmos"]
_COMPUTED_BY: dict[Quality, tuple[str, ...]] = {
    "pesq": ("pesq",),
    "stoi": ("pystoi",),
    "estoi": ("pystoi",),
    "dnsmos": ("speechmos", "onnxruntime"),
}
PESQ_RATES = (8000, 16000)
"""Hz: narrow band and wide band."""


def _each_once(names: tuple[Quality, ...]) -> tuple[Quality, ...]:
    """In one order, because equal evaluations have equal identities."""
    return tuple(sorted(set(names)))


class EvalConfig(Config):
    """The depths and the mixtures to score; never a reason to train."""

    n_re: Annotated[tuple[Passes, ...], Field(max_length=MAX_PASSES)] = tuple(range(1, 11))
    """Empty for a model without early split, which has one depth."""
    n_sep: Passes | None = None
    split: Literal["test", "val"] = "test"
    mixtures: Count | None = None
    """Score only this many mixtures, the first of the split."""
    quality: Annotated[tuple[Quality, ...], AfterValidator(_each_once)] = later(())
    """Further scores, which are slow to compute (extra `quality`); see `tisdiss/quality.py`."""

    @property
    def packages(self) -> tuple[str, ...]:
        """The packages that compute the scores of `quality`."""
        return tuple(
            dict.fromkeys(module for name in self.quality for module in _COMPUTED_BY[name])
        )

    def check_quality(self, rate: int) -> None:
        """Raise ValueError for a score that is not defined at a rate in Hz."""
        if "pesq" in self.quality and rate not in PESQ_RATES:
            raise ValueError(
                f"quality: PESQ is defined at {' and '.join(map(str, PESQ_RATES))} Hz, and this "
                f"corpus has {rate} Hz; leave pesq out"
            )
