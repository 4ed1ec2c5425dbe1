"""What a training minimises, and what it validates, for a model of either kind."""

from typing import NamedTuple

from torch import Tensor, stack

from tisdiss.config import TrainConfig
from tisdiss.depths import Depth
from tisdiss.losses import multi_depth_loss
from tisdiss.schedule import trained_n_re
from tisdiss.whole import AnyNet, Whole

LAST = (Depth("sep", 1, 0, 0),)
"""The only depth of a model that is supervised at its last output alone."""


class Objective(NamedTuple):
    """The loss of a step and its parts, in dB."""

    total: Tensor
    parts: Tensor
    """The loss at each place, (places,)."""
    places: list[str]
    """A supervised depth, or a part of a whole model's own loss; "last" is the last output."""


def objective(
    model: AnyNet, mixture: Tensor, sources: Tensor, config: TrainConfig, step: int, epoch: int
) -> Objective:
    """The loss of update `step` of an epoch, both counted from 0.

    mixture (batch, samples), sources (batch, n_src, samples).
    """
    if isinstance(model, Whole):
        own = model.training_loss(mixture, sources, epoch + 1)
        if own is not None:
            total, parts = own
            return Objective(total, stack(list(parts.values())), list(parts))
        return Objective(*multi_depth_loss(model(mixture)[None], sources, LAST, config.loss), _LAST)
    n_re = trained_n_re(step, config)
    depths = model.config.decoded(n_re=n_re)
    estimates = model.all_depths(mixture, n_re=n_re)
    loss, by_depth = multi_depth_loss(estimates, sources, depths, config.loss)
    return Objective(loss, by_depth, [*(depth.name for depth in depths[:-1]), "last"])


_LAST = ["last"]


def validated(
    model: AnyNet, mixture: Tensor, sources: Tensor, config: TrainConfig
) -> tuple[Tensor, Tensor]:
    """The loss that selects epochs, and the last output (batch, n_src, samples).

    That of a whole model is the negative SI-SNR of its last output.
    """
    if isinstance(model, Whole):
        last = model(mixture)
        return multi_depth_loss(last[None], sources, LAST, config.loss)[0], last
    estimates = model.all_depths(mixture)
    loss = multi_depth_loss(estimates, sources, model.config.decoded(), config.loss)[0]
    return loss, estimates[-1]
