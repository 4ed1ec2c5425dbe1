"""The learning rate and the trained depth of each update."""

from tisdiss.config import OptimConfig, TrainConfig


def rate_share(step: int, config: TrainConfig) -> float:
    """The learning rate of update `step`, counted from 0, as a share of the base rate."""
    share = warm_up(step, config.optim)
    if config.optim.schedule == "decay":
        decay_steps = config.optim.decay_share * config.total_steps
        share *= min(1.0, (config.total_steps - step) / decay_steps)
    return share


def warm_up(step: int, optim: OptimConfig) -> float:
    """The warm-up factor: rises linearly over `warmup_steps`, then stays at 1."""
    if optim.first_step == "full":
        if step == 0:
            return 1.0
        step -= 1
    return min(1.0, (step + 1) / max(1, optim.warmup_steps))


def trained_n_re(step: int, config: TrainConfig) -> int:
    """N_re of update `step`: it grows during the curriculum, then it is the model's."""
    full = config.model.n_re
    curriculum_steps = config.curriculum * config.total_steps if config.curriculum else 0
    return full if step >= curriculum_steps else 1 + int((full - 1) * step / curriculum_steps)
