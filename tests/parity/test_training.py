"""Eight updates and a plateau schedule of the released trainer, step by step."""

import json

import measure
import pytest
import torch

from tisdiss.config import OptimConfig, TrainConfig
from tisdiss.released import tisdiss as espnet
from tisdiss.train import State, apply_plateau, current_lr, start, train_step


@pytest.fixture(scope="module")
def trace() -> tuple[State, list[dict], list[dict], measure.Arrays, list[str]]:
    """The state after the updates, our log and the released one, arrays, released key order."""
    meta, arrays = measure.read(measure.GOLDEN / "train_trace_open.npz")
    optim = OptimConfig(
        lr=meta["lr"],
        betas=meta["betas"],
        eps=meta["eps"],
        weight_decay=meta["weight_decay"],
        clip_norm=meta["grad_clip"],
        warmup_steps=meta["warmup_steps"],
        first_step="full",
    )
    config = TrainConfig(model=espnet.model_config(meta), optim=optim)
    state = start(config, None, "cpu")
    espnet.load(state.model, {key: arrays[f"init/{key}"] for key in meta["keys"]})
    mixture, sources = torch.as_tensor(arrays["mix"]), torch.as_tensor(arrays["refs"])
    ours = [train_step(state, mixture, sources, config) for _ in meta["trace"]]
    return state, ours, meta["trace"], arrays, meta["keys"]


def test_the_first_update_runs_at_the_full_rate_as_released(trace) -> None:
    _, ours, released, _, _ = trace
    rates = [log["train/lr"] for log in ours]
    assert rates == pytest.approx([entry["lr_used"] for entry in released], rel=1e-12)
    assert rates[:3] == pytest.approx([1e-3, 2e-4, 4e-4])


def test_losses_of_every_update_agree(trace) -> None:
    """Rounding differs from processor to processor, and AdamW carries it from step to step."""
    _, ours, released, _, _ = trace
    for step, (mine, theirs) in enumerate(zip(ours, released, strict=True)):
        stats, near = theirs["stats"], 1e-4 if step < 2 else 5e-3
        assert mine["train/loss"] == pytest.approx(theirs["loss"], abs=near)
        assert mine["train/loss.last"] == pytest.approx(stats["si_snr_loss_mainloss"], abs=near)


def test_gradient_norms_before_clipping_agree(trace) -> None:
    _, ours, released, _, _ = trace
    norms = [log["train/grad_norm"] for log in ours]
    assert norms == pytest.approx([entry["grad_norm"] for entry in released], rel=1e-2)


def test_weights_after_the_updates_agree(trace) -> None:
    """All but the decoder's bias: it adds impulses where the window is zero, so its gradient is
    rounding noise, which AdamW scales up to full steps."""
    state, _, _, arrays, keys = trace
    weights = espnet.export(state.model)
    assert list(weights) == keys
    for key, absolute, signed in zip(
        keys, arrays["final_abs_sums"], arrays["final_sums"], strict=True
    ):
        if key != "separator.reconstructor_deconv.bias":
            ours = weights[key].double()
            assert ours.abs().sum().item() == pytest.approx(absolute, rel=1e-4), key
            assert ours.sum().item() == pytest.approx(signed, abs=1e-4 * max(absolute, 1)), key


def test_the_papers_ramp_starts_with_the_first_update(trace) -> None:
    state = State(trace[0].model, trace[0].optimiser, base_lr=1e-3)
    assert current_lr(state, TrainConfig(optim=OptimConfig(warmup_steps=5))) == pytest.approx(2e-4)


def test_plateau_rule_follows_the_released_traces(trace) -> None:
    golden = json.loads((measure.GOLDEN / "scheduler_open.json").read_text())
    optim = OptimConfig(
        lr=golden["base_lr"],
        warmup_steps=golden["warmup_steps"],
        plateau_factor=golden["factor"],
        plateau_patience=golden["patience"],
        plateau_threshold=golden["threshold"],
        first_step="full",
    )
    for case in golden["cases"]:
        state = State(trace[0].model, trace[0].optimiser, base_lr=optim.lr)
        rates = []
        for loss in case["val_loss"]:
            state.step += golden["steps_per_epoch"]
            apply_plateau(state, loss, optim)
            rates.append(current_lr(state, TrainConfig(optim=optim)))
        assert rates == pytest.approx(case["lr_after_epoch"], rel=1e-12)
