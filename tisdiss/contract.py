"""The contract: what a model must have, so that a study can train, score and show it.

A whole model is an `nn.Module` behind a class that is called with its settings. It must have

    forward(mixture)                  (batch, samples) -> (batch, n_src, samples)

and it may have

    outputs(mixture, depths)          those estimates at each of some depths, in ascending order,
                                      where its settings have `depths`: the numbers it can run to
    training_loss(mixture, sources, epoch)
                                      the number to minimise, or a NamedTuple with that as `total`
                                      and other numbers to log; sources (batch, n_src, samples),
                                      epochs count from 1. Without it, negative SI-SNR is minimised

Its settings are a `tisdiss.config.Config`, a frozen pydantic model, with `n_src` and `sample_rate`
(Hz). All other settings are the model's own; each has a default. Names of depths are numbers from
1, the deepest is the trained one; a depth 0 is only for training.

A `WholeModel` describes all that without importing torch. Models that share our STFT, separator and
decoder are entries of `tisdiss.architectures` instead. From the description follow the names in
studies, dotted settings such as `model.sepreformer.channels`, plan, identity, training,
checkpoints, evaluation, depth curves, tables, the page, and `tisdiss separate` and `profile`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from tisdiss.architectures import ARCHITECTURES
from tisdiss.plugins import Table

if TYPE_CHECKING:
    from torch import Tensor


class Separates(Protocol):
    """The module of a whole model."""

    def __call__(self, mixture: Tensor) -> Tensor: ...


class SeparatesByDepth(Separates, Protocol):
    """A module whose settings have `depths`."""

    def outputs(self, mixture: Tensor, depths: Sequence[int]) -> Iterable[Tensor]: ...


class HasLoss(Separates, Protocol):
    """A module with a loss of its own."""

    def training_loss(self, mixture: Tensor, sources: Tensor, epoch: int) -> Tensor | tuple: ...


@dataclass(frozen=True)
class Cost:
    """What a model costs, by its settings and a length of audio."""

    parameters: int
    macs: Mapping[int, int]
    """Multiply-adds of one pass by depth; the key is 0 for a model without depths."""
    training_macs: int | None = None
    """Of one training example, forward and backward; None: three passes to the deepest."""
    training_bytes: int | None = None
    """Kept for the gradient of one training example; None: unknown."""


@dataclass(frozen=True, kw_only=True)
class WholeModel:
    """One whole model, as an entry of the table; classes are "module:name"."""

    module: str
    """The class of the `nn.Module`."""
    settings: str
    """The class of its settings; importing it imports no torch."""
    variants: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """Settings of named variants: "base" of a model "net" is the model `net-base`."""
    sizes: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """Settings at profiles, by the profile's name, such as "smoke"; others have the defaults."""
    cost: str = ""
    """A module whose function `cost` of settings and seconds returns a `Cost`, without torch;
    "": a pass on the meta device, which computes nothing, is counted in another process."""
    free: tuple[str, ...] = ()
    """Settings that may change in a fine-tune, because the weights do not depend on them."""
    recomputes: bool = False
    """Whether modules have an attribute `recompute`, with which they keep less for the gradient."""
    bf16: bool = False
    """Whether modules have an attribute `bf16`, with which their products run in bfloat16."""


_SMALL = {
    "encoder_channels": 64,
    "kernel": 16,
    "stride": 8,
    "channels": 16,
    "stages": 3,
    "n_heads": 2,
    "local_kernel": 33,
    "max_offset": 500,
}

WHOLE_MODELS = Table(
    "tisdiss.models",
    WholeModel,
    {
        "sepreformer": WholeModel(
            module="tisdiss.baselines.sepreformer.model:SepReformer",
            settings="tisdiss.config.sepreformer:SepReformerConfig",
            variants={
                "base": {},
                "large": {"channels": 256, "dropout": 0.1, "splitter": "separate"},
            },
            sizes={
                "smoke": {
                    "encoder_channels": 8,
                    "kernel": 16,
                    "stride": 8,
                    "channels": 8,
                    "stages": 2,
                    "n_heads": 2,
                    "local_kernel": 5,
                    "max_offset": 64,
                },
                "mini": _SMALL,
                "cpu": _SMALL,
                "lab": {"encoder_channels": 128, "channels": 64, "n_heads": 4, "max_offset": 1000},
            },
            cost="tisdiss.cost.sepreformer_formulas",
            free=("dropout", "scale_init", "loss"),
        ),
    },
    taken=lambda: ARCHITECTURES,
)
"""The whole models by name: ours, and those of installed packages (`tisdiss.models`)."""
