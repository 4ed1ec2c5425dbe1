"""What changes from update to update: the learning rate, and how deep the model is trained."""

from tisdiss.config import OptimConfig, TrainConfig


def rate_share(step: int, config: TrainConfig) -> float:
    """Share of the base rate at update number `step`, counted from 0."""
    share = warm_up(step, config.optim)
    if config.optim.schedule == "decay":
        falling = config.optim.decay_share * config.total_steps
        share *= min(1.0, (config.total_steps - step) / falling)
    return share


def warm_up(step: int, optim: OptimConfig) -> float:
    """Rises linearly over `warmup_steps`, then stays at 1."""
    if optim.first_step == "full":
        if step == 0:
            return 1.0
        step -= 1
    return min(1.0, (step + 1) / max(1, optim.warmup_steps))


def trained_n_re(step: int, config: TrainConfig) -> int:
    """Passes of the reconstructor at an update; those of the model once the curriculum is over."""
    full = config.model.n_re
    growing = config.curriculum * config.total_steps if config.curriculum else 0
    return full if step >= growing else 1 + int((full - 1) * step / growing)
