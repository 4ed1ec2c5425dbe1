"""The rate and the depth of a training: warm-up, plateau, decay, stages."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tisdiss import train as loop
from tisdiss.checkpoint import load_state
from tisdiss.config import OptimConfig, TrainConfig
from tisdiss.train import State, train


def state_at(step: int, lr: float = 1.0) -> State:
    model = torch.nn.Linear(1, 1)
    return State(model, torch.optim.AdamW(model.parameters()), step=step, base_lr=lr)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("first_step", "rates"),
    [("warm", [0.25, 0.5, 0.75, 1, 1]), ("full", [1, 0.25, 0.5, 0.75, 1])],
)
def test_the_rate_warms_up_over_four_updates(first_step: str, rates: list[float]) -> None:
    config = TrainConfig(optim=OptimConfig(warmup_steps=4, first_step=first_step))
    assert [loop.current_lr(state_at(step), config) for step in range(5)] == rates


def test_without_warm_up_the_first_rate_is_full() -> None:
    config = TrainConfig(optim=OptimConfig(warmup_steps=0))
    assert loop.current_lr(state_at(0, lr=0.3), config) == 0.3


def test_the_rate_decays_to_zero_over_the_last_steps() -> None:
    optim = OptimConfig(warmup_steps=2, schedule="decay", decay_share=0.4)
    config = TrainConfig(optim=optim, epochs=2, steps_per_epoch=5)
    rates = [loop.current_lr(state_at(step), config) for step in range(11)]
    assert rates == [0.5, 1, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25, 0]


def test_depth_grows_in_equal_stages(tiny_training, tiny, corpus) -> None:
    model = tiny("sep1x1-re1x3-l1+3")
    config = tiny_training(model=model, curriculum=0.5, epochs=2, steps_per_epoch=4)
    state = loop.start(config, None, "cpu")
    batch = loop.training_batch(corpus, config, 0, 0, "cpu")
    logs = [loop.train_step(state, *batch, config) for _ in range(6)]
    outputs = [sum(name.startswith("train/loss.") for name in log) for log in logs]
    assert outputs == [2, 2, 3, 3, 4, 4]  # N_re = 1, 1, 2, 2, 3, 3 and the splitter's


def test_a_decay_without_a_known_end_is_refused() -> None:
    with pytest.raises(ValueError, match="steps_per_epoch is not set"):
        loop.current_lr(state_at(0), TrainConfig(optim=OptimConfig(schedule="decay")))


@pytest.mark.parametrize("schedule", ["constant", "decay"])
def test_other_schedules_neither_halve_nor_stop_early(
    tiny_training, corpus, tmp_path: Path, validation, schedule: str
) -> None:
    optim = OptimConfig(schedule=schedule, early_stop=1, plateau_patience=0, warmup_steps=0)
    validation(-5, -4, -3, -2, -1, 0)
    result = train(tiny_training(epochs=6, optim=optim), corpus, tmp_path)
    assert (result.epochs, result.best_val, result.stopped) == (6, -5, "epochs")
    assert load_state(tmp_path / "checkpoints")[0]["base_lr"] == optim.lr


def plateau(losses: list[float], step: int = 100, **settings: Any) -> list[float]:
    """Base rates after each epoch."""
    state, optim, rates = state_at(step), OptimConfig(warmup_steps=10, **settings), []
    for state.epoch, loss in enumerate(losses, start=1):
        loop.apply_plateau(state, loss, optim)
        rates.append(state.base_lr)
    return rates


def test_the_rate_halves_at_the_fourth_epoch_that_is_not_better() -> None:
    assert plateau([-5, -4, -4, -4, -4, -4]) == [1, 1, 1, 1, 0.5, 0.5]
    assert plateau([-5, -4, -4, -4, -6, -4, -4, -4, -4]) == [1] * 8 + [0.5]
    assert plateau([3.0, 3.0], plateau_patience=0, plateau_factor=0.1) == [1, 0.1]


def test_the_plateau_rule_may_start_late() -> None:
    losses = [-9.0, -8, -8, -8, -8, -5, -4, -4]
    assert plateau(losses, plateau_patience=1) == [1, 1, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125]
    late = plateau(losses, plateau_patience=1, plateau_after=5)
    assert late == [1] * 7 + [0.5]  # the best before does not count: -5 is the first


def test_a_slightly_worse_negative_loss_counts_as_better_as_released() -> None:
    assert plateau([-10.0] + [-9.9995 + 5e-4 * i for i in range(9)]) == [1] * 10


def test_a_cut_in_the_warm_up_has_no_effect() -> None:
    assert plateau([-5, *[-4] * 4], step=9) == [1] * 5
    assert plateau([-5, *[-4] * 4], step=10)[-1] == 0.5
