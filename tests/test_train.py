"""The loop: events, averaging, early stop, batches, and trainings that go wrong."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tisdiss import train as loop
from tisdiss.checkpoint import load_state, read_model_file
from tisdiss.config import OptimConfig, TrainConfig
from tisdiss.data import Corpus, MixtureSet, fixed_set
from tisdiss.kernels import modes
from tisdiss.machine.device import set_precision
from tisdiss.metrics import improvements
from tisdiss.model import TISDiSS
from tisdiss.records.run_record import Origin
from tisdiss.train import Diverged, State, train

Training = Callable[..., TrainConfig]


def test_events_have_the_names_of_the_schema(tiny_training, tiny, corpus, tmp_path: Path) -> None:
    events: list[dict] = []
    config = tiny_training(model=tiny("sep1x2-re1x2-l1x2+2"), epochs=2)
    train(config, corpus, tmp_path, on_log=events.append)
    assert [(e["kind"], e["step"], e["epoch"]) for e in events] == [
        ("train", 1, 0),
        ("epoch", 2, 1),
        ("epoch", 4, 2),
    ]
    metrics = events[0]["metrics"]
    assert set(metrics) == {
        *(f"train/{name}" for name in ("loss", "lr", "grad_norm")),
        *(f"train/loss.{depth}" for depth in ("sep1", "split2", "re1", "last")),
        "speed/audio_seconds_per_second",
    }
    depths = [metrics[f"train/loss.{depth}"] for depth in ("sep1", "split2", "re1", "last")]
    assert metrics["train/loss"] == pytest.approx(sum(depths) / 4, rel=1e-5)
    assert set(events[1]["metrics"]) == {"val/loss", "val/si_snri", "train/lr"}


def test_the_time_left_leaves_out_the_slow_first_step(
    tiny_training, corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    took = iter([100.0, *[2.0] * 9])

    def step(state: State, *_: object) -> dict[str, float]:
        now[0] += next(took)
        state.step += 1
        return {}

    monkeypatch.setattr("tisdiss.train.time.monotonic", lambda: now[0])
    monkeypatch.setattr("tisdiss.train.train_step", step)
    monkeypatch.setattr("tisdiss.train.LOG_SECONDS", 2.0)
    events: list[dict] = []
    config = tiny_training(epochs=1, steps_per_epoch=10)
    train(config, corpus, tmp_path, on_log=events.append)
    seen = [(e["step"], e["metrics"].get("speed/seconds_left")) for e in events[:-1]]
    assert seen == [(1, None), *((n, 2.0 * (10 - n)) for n in range(2, 11))]


def test_the_result_says_what_made_it(tiny_training, corpus, tmp_path: Path) -> None:
    result = train(tiny_training(epochs=3), corpus, tmp_path, about=Origin(identity="abc"))
    about = read_model_file(tmp_path / "model.safetensors")[2]
    assert about.identity == "abc"
    assert about.training.best_val == result.best_val
    saved, _ = load_state(tmp_path / "checkpoints")
    assert about.training.averaged_epochs == [epoch for _, epoch, _ in saved["best"]]


def test_the_result_is_the_mean_of_the_best_epochs(
    tiny_training, corpus, tmp_path: Path, validation
) -> None:
    validation(-1.0, -3.0, -2.0, -0.5)
    kept: list[dict] = []
    config = tiny_training()

    def keep(event: dict) -> None:
        if event["kind"] == "epoch":
            kept.append(load_state(tmp_path / "checkpoints")[0]["model"])

    train(config, corpus, tmp_path, on_log=keep)
    weights, _, about = read_model_file(tmp_path / "model.safetensors")
    assert about.training.averaged_epochs == [2, 3]
    for name, tensor in weights.items():
        torch.testing.assert_close(tensor, (kept[1][name] + kept[2][name]) / 2)
    assert any(not torch.equal(weights[name], kept[1][name]) for name in weights)


def test_training_stops_early_and_stays_stopped(
    tiny_training, corpus, tmp_path: Path, validation
) -> None:
    config = tiny_training(epochs=9, optim=OptimConfig(early_stop=2, warmup_steps=1))
    validation(-1, -5, -4, -5, -3)  # an equal loss is no better: epoch 2 stays the best
    result = train(config, corpus, tmp_path)
    assert (result.epochs, result.best_val, result.stopped) == (5, -5, "early")
    again = train(config, corpus, tmp_path)  # no sixth validation: it would raise
    assert (again.epochs, again.stopped) == (5, "early")


def test_validated_and_kept_are_the_averaged_weights(tiny_training, corpus, tmp_path: Path) -> None:
    config = tiny_training(optim=OptimConfig(warmup_steps=0, ema=0.9), epochs=1, steps_per_epoch=3)
    state, expected = loop.start(config, None, "cpu"), {}
    for step in range(3):
        loop.train_step(state, *loop.training_batch(corpus, config, 0, step, "cpu"), config)
        kept = (1 + step) / (10 + step) if step else 0
        for name, tensor in state.model.named_parameters():
            expected[name] = kept * expected.get(name, 0) + (1 - kept) * tensor.detach().clone()
    events: list[dict] = []
    train(config, corpus, tmp_path, on_log=events.append)
    weights = read_model_file(tmp_path / "model.safetensors")[0]
    for name, tensor in expected.items():
        torch.testing.assert_close(weights[name], tensor)
    ours = loop.validate(state.result, corpus, config, "cpu")["val/loss"]
    assert events[-1]["metrics"]["val/loss"] == ours
    assert ours != loop.validate(state.model, corpus, config, "cpu")["val/loss"]


def broken_state(tiny_training: Training) -> tuple[State, TrainConfig]:
    config = tiny_training()
    state = loop.start(config, None, "cpu")
    with torch.no_grad():
        state.model.encoder.conv.weight[0, 0, 0, 0] = math.nan
    return state, config


def test_an_update_with_a_non_finite_gradient_is_skipped(tiny_training, corpus) -> None:
    state, config = broken_state(tiny_training)
    before = {name: tensor.clone() for name, tensor in state.model.state_dict().items()}
    batch = loop.training_batch(corpus, config, 0, 0, "cpu")
    metrics = loop.train_step(state, *batch, config)
    assert math.isnan(metrics["train/grad_norm"])
    assert (state.step, state.skipped) == (1, 1) and not state.optimiser.state
    torch.testing.assert_close(state.model.state_dict(), before, rtol=0, atol=0, equal_nan=True)
    with torch.no_grad():
        state.model.encoder.conv.weight.nan_to_num_()
    loop.train_step(state, *batch, config)
    assert state.skipped == 0 and state.optimiser.state


def test_ten_skipped_updates_in_a_row_end_the_training(tiny_training, corpus) -> None:
    state, config = broken_state(tiny_training)
    batch = loop.training_batch(corpus, config, 0, 0, "cpu")
    for _ in range(9):
        loop.train_step(state, *batch, config)
    reason = r"10 updates in a row had a non-finite gradient \(loss nan\); lower optim.lr=0.001"
    with pytest.raises(Diverged, match=reason):
        loop.train_step(state, *batch, config)


def test_a_validation_loss_that_is_not_finite_ends_the_training(
    tiny_training, corpus, tmp_path: Path, validation
) -> None:
    validation(-1.0, math.nan)
    with pytest.raises(Diverged, match="epoch 2: validation loss is nan"):
        train(tiny_training(), corpus, tmp_path)
    assert not (tmp_path / "model.safetensors").exists()


def test_validation_scores_the_trained_depth_over_the_mixture(tiny_training, corpus) -> None:
    config = tiny_training()
    state = loop.start(config, None, "cpu")
    metrics = loop.validate(state.model, corpus, config, "cpu")
    assert metrics["val/loss"] == pytest.approx(-_mean_si_snr(state.model, corpus), abs=1e-3)
    assert not any(parameter.requires_grad is False for parameter in state.model.parameters())


def _mean_si_snr(model: TISDiSS, corpus: Corpus) -> float:
    values = []
    for example in (corpus.val[i] for i in range(len(corpus.val))):
        with torch.no_grad():
            estimates = model(example.mixture[None])
        scores = improvements(estimates, example.sources[None], example.mixture[None])
        values.append(scores["si_snr"].mean())
    return float(torch.stack(values).mean())


@pytest.fixture(scope="module")
def fixed(corpus: Corpus) -> Corpus:
    """Seven fixed training mixtures."""
    mixtures: MixtureSet = fixed_set(
        corpus.source,
        "train",
        n_mixtures=7,
        n_src=2,
        gain_db=2.5,
        min_seconds=0.2,
        max_seconds=0.2,
        seed=0,
    )
    return Corpus(corpus.source, mixtures, corpus.val, corpus.test, corpus.config)


def test_an_epoch_shows_every_mixture_in_a_new_order(tiny_training, fixed: Corpus) -> None:
    config = tiny_training(batch_size=3)
    data = config.data.model_copy(update={"segment_seconds": 0.2})  # whole mixtures
    config = config.model_copy(update={"data": data})

    def seen(epoch: int) -> list[int]:
        batches = [loop.training_batch(fixed, config, epoch, i, "cpu")[0] for i in range(3)]
        whole = [fixed.train[i].mixture for i in range(7)]
        return [
            next(i for i, wave in enumerate(whole) if torch.equal(row, wave))
            for row in torch.cat(batches)
        ]

    first, second = seen(0), seen(1)
    assert sorted(first[:7]) == sorted(second[:7]) == list(range(7))
    assert first[7:] == first[:2] and first != second  # the last batch is filled from the front
    assert seen(0) == first


def test_a_batch_is_the_sum_of_its_sources(tiny_training, corpus) -> None:
    mixture, sources = loop.training_batch(corpus, tiny_training(), 3, 1, "cpu")
    assert mixture.shape == (2, 800) and sources.shape == (2, 2, 800)
    torch.testing.assert_close(mixture, sources.sum(1))


def test_precision_is_a_setting_of_the_whole_process() -> None:
    for precision in ("tf32", "bf16", "float32"):
        set_precision(precision)
        assert torch.backends.cuda.matmul.allow_tf32 is (precision != "float32")
        assert torch.backends.cudnn.allow_tf32 is (precision != "float32")


@pytest.mark.parametrize("pays", [True, False])
def test_auto_rounds_products_where_that_pays(
    tiny_training, monkeypatch: pytest.MonkeyPatch, pays: bool
) -> None:
    monkeypatch.setattr(modes, "bf16_pays", lambda device: pays)
    rounds = {
        precision: loop.start(tiny_training(precision=precision), None, "cpu").model.splitter.bf16
        for precision in ("float32", "tf32", "bf16", "auto")
    }
    assert rounds == {"float32": False, "tf32": False, "bf16": True, "auto": pays}


@pytest.mark.parametrize(
    ("amx", "avx512", "compiled", "pays"),
    [
        (True, False, True, True),
        (False, True, True, True),
        (False, False, True, False),
        (True, True, False, False),
    ],
)
def test_bfloat16_pays_where_a_cpu_and_the_routines_have_it(
    monkeypatch: pytest.MonkeyPatch, amx: bool, avx512: bool, compiled: bool, pays: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512)
    monkeypatch.setattr(modes, "library", lambda: object() if compiled else None)
    assert modes.bf16_pays("cpu") is pays


def test_training_in_bfloat16_follows_that_in_float32(tiny_training) -> None:
    torch.manual_seed(0)
    sources = torch.randn(2, 2, 800).cumsum(-1)
    sources = (sources - sources.mean(-1, keepdim=True)) / sources.std(-1, keepdim=True)
    losses = {}
    for precision in ("float32", "bf16"):
        config = tiny_training(precision=precision, optim=OptimConfig(warmup_steps=5))
        state = loop.start(config, None, "cpu")
        losses[precision] = [
            loop.train_step(state, sources.sum(1), sources, config)["train/loss"] for _ in range(40)
        ]
        grads = [p.grad for p in state.model.parameters()]
        assert {grad.dtype for grad in grads} == {torch.float32}
    assert losses["bf16"] != losses["float32"]  # it does round
    assert losses["float32"][-1] < losses["float32"][0] - 5
    assert abs(losses["bf16"][-1] - losses["float32"][-1]) < 1
