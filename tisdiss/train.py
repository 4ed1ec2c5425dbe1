"""The training loop of the paper (Sec. 3.1), from top to bottom.

AdamW, linear warm-up, halving on a plateau, early stop, gradient clipping, and the mean of the best
checkpoints as the result; `OptimConfig` has alternatives. An interrupted training resumes from its
folder and ends with exactly the same weights (on the same machine, torch and thread count): `State`
holds everything that determines the next step, and (seed, epoch, index) determine each example.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from tisdiss.checkpoint import (
    load_state,
    load_weights,
    read_model_file,
    save_model,
    save_state,
)
from tisdiss.config import OptimConfig, TrainConfig
from tisdiss.data.corpus import Corpus
from tisdiss.data.mixture import Example
from tisdiss.kernels.modes import set_bf16, set_recompute, takes_bf16
from tisdiss.machine.device import set_precision
from tisdiss.machine.ranks import ALONE, Ranks, ranks
from tisdiss.metrics import best_permutation, reorder, si_snr
from tisdiss.objective import objective, validated
from tisdiss.optimisers import Optimiser, build_optimiser, moving_average, set_rate
from tisdiss.records import names
from tisdiss.records.run_record import Logged, Origin
from tisdiss.schedule import rate_share
from tisdiss.whole import AnyNet, Whole, build

SAVE_SECONDS = 60.0
LOG_SECONDS = 5.0

Log = Callable[[Logged], None]


class Diverged(RuntimeError):
    """The loss or the gradient is no longer finite; repeating the run would not help."""


@dataclass
class State:
    """Exactly what a checkpoint holds."""

    model: AnyNet
    optimiser: Optimiser
    ema: AveragedModel | None = None
    step: int = 0
    epoch: int = 0
    base_lr: float = 0.0
    """Rate before warm-up; the plateau rule halves it."""
    plateau_best: float = math.inf
    bad_epochs: int = 0
    best: list[tuple[float, int, dict[str, Tensor]]] = field(default_factory=list)
    """(validation loss, epoch, weights) of the best epochs, best first."""
    seconds: float = 0.0
    skipped: int = 0

    @property
    def result(self) -> AnyNet:
        """The model that is validated and kept: the moving average if there is one."""
        return self.model if self.ema is None else cast(AnyNet, self.ema.module)

    def as_dict(self) -> dict[str, Any]:
        parts = self._parts()
        plain = {k: v for k, v in vars(self).items() if k not in (*parts, "ema")}
        return plain | {name: part.state_dict() for name, part in parts.items()}

    def restore(self, saved: dict[str, Any]) -> None:
        for name, part in self._parts().items():
            part.load_state_dict(saved.pop(name))
        vars(self).update(saved)

    def _parts(self) -> dict[str, Any]:
        parts = {"model": self.model, "optimiser": self.optimiser}
        return parts if self.ema is None else parts | {"ema": self.ema}


@dataclass(frozen=True)
class TrainResult:
    """How a training ended; `stopped` is "epochs", "early" or "time"."""

    steps: int
    epochs: int
    best_val: float
    seconds: float
    stopped: str


def train(
    config: TrainConfig,
    corpus: Corpus,
    folder: Path,
    *,
    parent: Path | None = None,
    device: str = "cpu",
    on_log: Log = lambda record: None,
    max_seconds: float = math.inf,
    stop: Callable[[], bool] = lambda: False,
    about: Origin | None = None,
    recompute: bool = False,
) -> TrainResult:
    """Train into `folder`, resuming an earlier call; writes model.safetensors at the end.

    `parent` is the model file whose weights start a fine-tuning. `stop` is called after each step;
    if it returns true, the state is saved and the call returns. `recompute` keeps about a fifteenth
    of the memory for the gradient at a third more computation, with equal results. `about` goes
    into the metadata of the result. Raises `Diverged` if the loss stays non-finite, ValueError if
    the saved state belongs to another training. Under torchrun, each process makes the same call.
    """
    corpus.check_rate(config.model)
    peers = ranks()
    set_precision(config.precision)
    checkpoints = folder / "checkpoints"
    state = start(config, parent, device)
    set_recompute(state.model, recompute)
    saved, complaints = peers.in_turn(lambda: load_state(checkpoints))
    steps = config.steps_per_epoch or math.ceil(len(corpus.train) / config.batch_size)
    config = config.model_copy(update={"steps_per_epoch": steps})
    if saved is not None:
        state.restore(saved)
        _check_place(state, steps, checkpoints)
    for complaint in complaints:
        kind = names.EVENT_WARNING
        on_log({"kind": kind, "step": state.step, "epoch": state.epoch, "text": complaint})
    clock = _Clock(state, max_seconds)
    while state.epoch < config.epochs and not stalled(state, config.optim):
        state.model.train()
        while state.step < (state.epoch + 1) * steps:
            batch = training_batch(corpus, config, state.epoch, state.step % steps, device, peers)
            metrics = train_step(state, *batch, config, peers)
            clock.step_done()
            if clock.due("log", LOG_SECONDS) or state.step == 1:
                on_log(_event(names.EVENT_TRAIN, state, metrics | clock.speed(config, steps)))
            time_is_up = peers.any(clock.over() or stop())
            if time_is_up or clock.due("save", SAVE_SECONDS):
                _save(state, checkpoints, clock, peers)
            if time_is_up:
                return _result(state, "time")
        metrics = validate(state.result, corpus, config, device, peers)
        finish_epoch(state, metrics[names.VAL_LOSS], config)
        _save(state, checkpoints, clock, peers)
        metrics[names.TRAIN_LR] = current_lr(state, config)
        on_log(_event(names.EVENT_EPOCH, state, metrics))
    stopped = "early" if stalled(state, config.optim) else "epochs"
    return _finish(state, folder, stopped, about or Origin(), peers)


def _check_place(state: State, steps: int, checkpoints: Path) -> None:
    """Refuse a state from epochs of another length, with which training would end elsewhere."""
    if not state.epoch * steps <= state.step <= (state.epoch + 1) * steps:
        raise ValueError(
            f"{checkpoints}: its last state is at step {state.step} in epoch {state.epoch + 1}, "
            f"where an epoch has {steps} steps: another training wrote it; delete that folder to "
            "start over"
        )


def _save(state: State, checkpoints: Path, clock: "_Clock", peers: Ranks) -> None:
    clock.stamp()
    if peers.first:
        save_state(checkpoints, state.step, state.as_dict())


def start(config: TrainConfig, parent: Path | None, device: str) -> State:
    """A fresh state, with seeded weights or those of the parent."""
    torch.manual_seed(config.seed)
    model = build(config.model)
    if parent is not None:
        tensors, parent_model, _ = read_model_file(parent)
        config.model.check_fine_tune(parent_model)
        load_weights(model, tensors, parent)
    model.to(device)
    set_bf16(model, takes_bf16(config.precision, device))
    optim = config.optim
    ema = moving_average(model, optim.ema) if optim.ema else None
    return State(model, build_optimiser(model, optim), ema, base_lr=optim.lr)


def training_batch(
    corpus: Corpus,
    config: TrainConfig,
    epoch: int,
    index: int,
    device: str,
    peers: Ranks = ALONE,
) -> tuple[Tensor, Tensor]:
    """Mixtures (batch, samples) and sources (batch, n_src, samples) of one step of one epoch.

    With several ranks, each gets its share of the batch.
    """
    order = torch.Generator().manual_seed(config.seed * 1_000_003 + epoch)
    shuffled = torch.randperm(len(corpus.train), generator=order)
    first = index * config.batch_size
    chosen = [int(shuffled[i % len(shuffled)]) for i in range(first, first + config.batch_size)]
    mine = peers.share(chosen)
    examples = [corpus.train.crop(epoch, i, config.data.segment_seconds) for i in mine]
    return _stack(examples, device)


def train_step(
    state: State,
    mixture: Tensor,
    sources: Tensor,
    config: TrainConfig,
    peers: Ranks = ALONE,
) -> dict[str, float]:
    """One update: estimates at every supervised depth, loss, backward, clip, step.

    A non-finite gradient skips the update, as in the released code; too many in a row raise.
    """
    if isinstance(state.model, Whole):  # its dropout must not depend on where a training resumed
        torch.manual_seed(config.seed * 1_000_003 + state.step)
    loss, by_depth, places = objective(
        state.model, mixture, sources, config, state.step, state.epoch
    )
    state.model.zero_grad(set_to_none=True)
    loss.backward()
    loss, by_depth = loss.detach(), by_depth.detach()
    peers.average(
        [*(p.grad for p in state.model.parameters() if p.grad is not None), loss, by_depth]
    )
    norm = torch.nn.utils.clip_grad_norm_(state.model.parameters(), config.optim.clip_norm)
    lr = current_lr(state, config)
    if torch.isfinite(norm):
        set_rate(state.optimiser, lr)
        state.optimiser.step()
        if state.ema is not None:
            state.ema.update_parameters(state.model)
        state.skipped = 0
    else:
        state.skipped += 1
        if state.skipped >= 10:
            who = f"{state.model.who}, " if isinstance(state.model, Whole) else ""
            raise Diverged(
                f"{who}step {state.step}: {state.skipped} updates in a row had a non-finite "
                f"gradient (loss {loss.item()}); lower optim.lr={config.optim.lr:g}"
            )
    state.step += 1
    rates = {names.TRAIN_LR: lr, names.TRAIN_GRAD_NORM: norm.item()}
    at = (f"{names.TRAIN_LOSS_AT}{place}" for place in places)
    losses = dict(zip(at, by_depth.tolist(), strict=True))
    return {names.TRAIN_LOSS: loss.item()} | rates | losses


def current_lr(state: State, config: TrainConfig) -> float:
    """The rate of the next update: the base, warmed up, halved or decayed."""
    return state.base_lr * rate_share(state.step, config)


def finish_epoch(state: State, val_loss: float, config: TrainConfig) -> None:
    """Count the epoch, keep its weights if they are among the best, halve the rate on a plateau."""
    state.epoch += 1
    if not math.isfinite(val_loss):
        raise Diverged(f"epoch {state.epoch}: validation loss is {val_loss}")
    weights = {name: tensor.detach().cpu().clone() for name, tensor in _weights(state.result)}
    ranked = sorted([*state.best, (val_loss, state.epoch, weights)], key=lambda entry: entry[:2])
    state.best = ranked[: config.average_best]
    if config.optim.schedule == "plateau":
        apply_plateau(state, val_loss, config.optim)


def apply_plateau(state: State, val_loss: float, optim: OptimConfig) -> None:
    """Multiply the base rate by `plateau_factor` after more than `plateau_patience` bad epochs.

    During warm-up the rate is not cut; before `plateau_after`, nothing is compared.
    """
    if optim.plateau_after and state.epoch <= optim.plateau_after:
        return
    if val_loss < state.plateau_best * (1 - optim.plateau_threshold):
        state.plateau_best, state.bad_epochs = val_loss, 0
        return
    state.bad_epochs += 1
    if state.bad_epochs > optim.plateau_patience:
        state.bad_epochs = 0
        if state.step >= optim.warmup_steps:
            state.base_lr *= optim.plateau_factor


def stalled(state: State, optim: OptimConfig) -> bool:
    """Whether the best epoch is so long ago that training stops early."""
    if optim.schedule != "plateau" or not state.best:
        return False
    return state.epoch - state.best[0][1] > optim.early_stop


@torch.inference_mode()
def validate(
    model: AnyNet,
    corpus: Corpus,
    config: TrainConfig,
    device: str,
    peers: Ranks = ALONE,
) -> dict[str, float]:
    """Loss and SI-SNRi (dB) over the validation mixtures, one at a time, without padding."""
    model.eval()
    losses, gains = [], []
    for i in peers.indices(len(corpus.val)):
        mixture, sources = _stack([corpus.val[i]], device)
        loss, last = validated(model, mixture, sources, config)
        losses.append(loss)
        last = reorder(last, best_permutation(last, sources))
        base = si_snr(mixture.unsqueeze(1).expand_as(sources), sources)
        gains.append((si_snr(last, sources) - base).mean())
    return {
        names.VAL_LOSS: float(peers.gather(losses, len(corpus.val)).mean()),
        names.VAL_SI_SNRI: float(peers.gather(gains, len(corpus.val)).mean()),
    }


def average(best: list[tuple[float, int, dict[str, Tensor]]]) -> dict[str, Tensor]:
    """The arithmetic mean of the kept weights, tensor by tensor."""
    states = [weights for _, _, weights in best]
    return {
        name: torch.stack([weights[name].double() for weights in states]).mean(0).to(tensor.dtype)
        for name, tensor in states[0].items()
    }


def _finish(state: State, folder: Path, stopped: str, about: Origin, peers: Ranks) -> TrainResult:
    """Write the mean of the best weights as the result."""
    state.model.load_state_dict(average(state.best))
    result = _result(state, stopped)
    training = vars(result) | {"averaged_epochs": [epoch for _, epoch, _ in state.best]}
    if peers.first:
        save_model(folder / "model.safetensors", state.model, about.updated(training=training))
    return result


def _result(state: State, stopped: str) -> TrainResult:
    best_val = state.best[0][0] if state.best else math.nan
    return TrainResult(state.step, state.epoch, best_val, round(state.seconds, 1), stopped)


def _stack(examples: list[Example], device: str) -> tuple[Tensor, Tensor]:
    mixture = torch.stack([example.mixture for example in examples])
    sources = torch.stack([example.sources for example in examples])
    return mixture.to(device), sources.to(device)


def _weights(model: AnyNet) -> list[tuple[str, Tensor]]:
    return list(model.state_dict().items())


def _event(kind: str, state: State, metrics: dict[str, float]) -> Logged:
    return {"kind": kind, "step": state.step, "epoch": state.epoch, "metrics": metrics}


class _Clock:
    """Wall time: what is due, the speed, and whether the time is up."""

    def __init__(self, state: State, max_seconds: float) -> None:
        self.state, self.max_seconds = state, max_seconds
        self.began = self.stamped = time.monotonic()
        self.last = {"log": self.began, "save": self.began}
        self.first_step_took: float | None = None
        self.paced_from = self.began, state.step

    def due(self, what: str, interval: float) -> bool:
        now = time.monotonic()
        if now - self.last[what] < interval:
            return False
        self.last[what] = now
        return True

    def step_done(self) -> None:
        """Leave the first step out of the pace, because it also opens files and sets up memory."""
        if self.first_step_took is None:
            now = time.monotonic()
            self.first_step_took = now - self.began
            self.paced_from = now, self.state.step

    def over(self) -> bool:
        return time.monotonic() - self.began >= self.max_seconds

    def stamp(self) -> None:
        """Add the time since the last stamp to the state."""
        now = time.monotonic()
        self.state.seconds += now - self.stamped
        self.stamped = now

    def speed(self, config: TrainConfig, steps_per_epoch: int) -> dict[str, float]:
        audio = config.batch_size * config.data.segment_seconds
        since, step = self.paced_from
        done = self.state.step - step
        if done == 0:  # the first step is too slow to predict the end of the training
            return {names.SPEED: audio / max(self.first_step_took or 0, 1e-9)}
        pace = (time.monotonic() - since) / done
        left = config.epochs * steps_per_epoch - self.state.step
        return {names.SPEED: audio / pace, names.SECONDS_LEFT: left * pace}
