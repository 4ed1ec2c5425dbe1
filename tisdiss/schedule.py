"""The learning rate from update to update, as a share of the base rate."""

from tisdiss.config import OptimConfig, TrainConfig


def rate_share(step: int, config: TrainConfig) -> float:
    """Of update number `step`, counted from 0."""
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
