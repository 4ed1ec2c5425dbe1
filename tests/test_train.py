"""The loop: exact resume, rates, averaging, fine-tune start, and trainings that go wrong."""

import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tisdiss import train as loop
from tisdiss.checkpoint import load_state, read_model_file, save_model
from tisdiss.config import ModelConfig, OptimConfig, TrainConfig
from tisdiss.data import Corpus, MixtureSet, fixed_set
from tisdiss.machine.device import set_precision
from tisdiss.metrics import improvements
from tisdiss.model import TISDiSS
from tisdiss.train import Diverged, State, train

Training = Callable[..., TrainConfig]
STEPS = 8
"""Of `tiny_training`: four epochs of two steps."""


def same(one: Any, other: Any) -> bool:
    """Whether two nested states are equal to the last bit; wall time does not count."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(
            same(one[key], other[key]) for key in one if key != "seconds"
        )
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def results(folder: Path) -> tuple[dict, Any]:
    """Weights of the model file, and the last training state."""
    return read_model_file(folder / "model.safetensors")[0], load_state(folder / "checkpoints")[0]


OPTIMS = {
    "paper": OptimConfig(warmup_steps=3),
    "levers": OptimConfig(warmup_steps=3, kind="muon", schedule="decay", ema=0.9),
}


@pytest.fixture(scope="module", params=OPTIMS)
def optim(request: pytest.FixtureRequest) -> OptimConfig:
    return OPTIMS[request.param]


@pytest.fixture(scope="module")
def straight(optim: OptimConfig, tiny_training: Training, corpus: Corpus, tmp_path_factory) -> Path:
    """A training that nothing interrupts."""
    folder = tmp_path_factory.mktemp("straight")
    result = train(tiny_training(optim=optim), corpus, folder)
    assert (result.steps, result.epochs, result.stopped) == (STEPS, 4, "epochs")
    return folder


@pytest.mark.parametrize("optim", ["paper"], indirect=True)
def test_two_and_two_epochs_are_four(straight, tiny_training, corpus, tmp_path: Path) -> None:
    train(tiny_training(epochs=2), corpus, tmp_path)
    result = train(tiny_training(epochs=4), corpus, tmp_path)
    assert result.steps == STEPS
    assert same(results(tmp_path), results(straight))


def test_recomputing_changes_nothing(
    straight, optim, tiny_training, corpus, tmp_path: Path
) -> None:
    train(tiny_training(optim=optim), corpus, tmp_path, recompute=True)
    assert same(results(tmp_path), results(straight))


def test_a_training_stopped_after_every_step_ends_the_same(
    straight, optim, tiny_training, corpus, tmp_path: Path
) -> None:
    config = tiny_training(optim=optim)
    stops = [train(config, corpus, tmp_path, max_seconds=0)]
    while stops[-1].stopped == "time":
        assert not (tmp_path / "model.safetensors").exists()
        stops.append(train(config, corpus, tmp_path, max_seconds=0))
    assert [stop.steps for stop in stops] == [*range(1, STEPS + 1), STEPS]
    assert same(results(tmp_path), results(straight))


def test_a_training_that_is_asked_to_stop_saves_its_step(
    straight, optim, tiny_training, corpus, tmp_path: Path
) -> None:
    answers = iter([False, False, True])
    result = train(tiny_training(optim=optim), corpus, tmp_path, stop=lambda: next(answers))
    saved, _ = load_state(tmp_path / "checkpoints")
    assert (result.stopped, result.steps, saved["step"]) == ("time", 3, 3)
    train(tiny_training(optim=optim), corpus, tmp_path)
    assert same(results(tmp_path), results(straight))


KILLED = """
import sys
from pathlib import Path
import torch
from tisdiss import train as loop
from tisdiss.config import TrainConfig
from tisdiss.data import open_corpus

torch.set_num_threads(int(sys.argv[3]))
loop.SAVE_SECONDS = loop.LOG_SECONDS = 0.0
config = TrainConfig.model_validate_json(sys.argv[1])
corpus = open_corpus(config.data, 2, speech=None, cache=Path("unused"))
loop.train(config, corpus, Path(sys.argv[2]), on_log=lambda event: print(event["step"], flush=True))
"""


def test_a_killed_training_ends_the_same(
    straight, optim, tiny_training, corpus, tmp_path: Path
) -> None:
    config = tiny_training(optim=optim)
    arguments = [config.model_dump_json(), str(tmp_path), str(torch.get_num_threads())]
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, *arguments], stdout=subprocess.PIPE, text=True
    ) as process:
        for line in process.stdout:
            if int(line) == 5:
                process.kill()
                break
        process.wait()
    saved, _ = load_state(tmp_path / "checkpoints")
    assert process.returncode == -9 and 3 <= saved["step"] < STEPS
    train(config, corpus, tmp_path)
    assert same(results(tmp_path), results(straight))


@pytest.mark.parametrize("optim", ["paper"], indirect=True)
@pytest.mark.parametrize("damage", ["flipped", "cut", "no hash"])
def test_a_damaged_state_is_passed_over_with_a_warning(
    straight, tiny_training, corpus, tmp_path: Path, damage: str
) -> None:
    train(tiny_training(epochs=2), corpus, tmp_path)
    older, newest = sorted((tmp_path / "checkpoints").glob("*.pt"))
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    if damage == "no hash":
        newest.with_suffix(".sha256").unlink()
    else:
        newest.write_bytes(content if damage == "flipped" else content[:-100])
    events: list[dict] = []
    train(tiny_training(), corpus, tmp_path, on_log=events.append)
    assert events[0]["kind"] == "warning" and events[0]["step"] == int(older.stem[6:])
    assert f"{newest.name} does not match its hash; using the state before it" in events[0]["text"]
    assert same(results(tmp_path), results(straight))


@pytest.mark.parametrize("steps", [1, 5])
def test_the_state_of_a_training_with_other_epochs_is_refused(
    tiny_training, corpus, tmp_path: Path, steps: int
) -> None:
    """It would count other steps than its settings say."""
    train(tiny_training(epochs=2, steps_per_epoch=steps), corpus, tmp_path)
    with pytest.raises(ValueError, match=rf"state is at step {2 * steps} in epoch 3, where an"):
        train(tiny_training(steps_per_epoch=2 if steps == 5 else 4), corpus, tmp_path)


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
    result = train(tiny_training(epochs=3), corpus, tmp_path, about={"identity": "abc"})
    about = read_model_file(tmp_path / "model.safetensors")[2]
    assert about["identity"] == "abc"
    assert about["training"]["best_val"] == result.best_val
    saved, _ = load_state(tmp_path / "checkpoints")
    assert about["training"]["averaged_epochs"] == [epoch for _, epoch, _ in saved["best"]]


@pytest.fixture
def validation(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets the validation losses of the coming epochs."""

    def losses(*values: float) -> None:
        coming = iter(values)
        monkeypatch.setattr(
            loop, "validate", lambda *_: {"val/loss": next(coming), "val/si_snri": 0.0}
        )

    return losses


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
    assert about["training"]["averaged_epochs"] == [2, 3]
    for name, tensor in weights.items():
        torch.testing.assert_close(tensor, (kept[1][name] + kept[2][name]) / 2)
    assert not same(weights, kept[1])


def test_training_stops_early_and_stays_stopped(
    tiny_training, corpus, tmp_path: Path, validation
) -> None:
    config = tiny_training(epochs=9, optim=OptimConfig(early_stop=2, warmup_steps=1))
    validation(-1, -5, -4, -5, -3)  # an equal loss is no better: epoch 2 stays the best
    result = train(config, corpus, tmp_path)
    assert (result.epochs, result.best_val, result.stopped) == (5, -5, "early")
    again = train(config, corpus, tmp_path)  # no sixth validation: it would raise
    assert (again.epochs, again.stopped) == (5, "early")


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


def plateau(losses: list[float], step: int = 100, **settings: Any) -> list[float]:
    """Base rates after each epoch."""
    state, optim, rates = state_at(step), OptimConfig(warmup_steps=10, **settings), []
    for loss in losses:
        loop.apply_plateau(state, loss, optim)
        rates.append(state.base_lr)
    return rates


def test_the_rate_halves_at_the_fourth_epoch_that_is_not_better() -> None:
    assert plateau([-5, -4, -4, -4, -4, -4]) == [1, 1, 1, 1, 0.5, 0.5]
    assert plateau([-5, -4, -4, -4, -6, -4, -4, -4, -4]) == [1] * 8 + [0.5]
    assert plateau([3.0, 3.0], plateau_patience=0, plateau_factor=0.1) == [1, 0.1]


def test_a_slightly_worse_negative_loss_counts_as_better_as_released() -> None:
    assert plateau([-10.0] + [-9.9995 + 5e-4 * i for i in range(9)]) == [1] * 10


def test_a_cut_in_the_warm_up_has_no_effect() -> None:
    assert plateau([-5, *[-4] * 4], step=9) == [1] * 5
    assert plateau([-5, *[-4] * 4], step=10)[-1] == 0.5


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


@pytest.fixture
def parent(tiny, tmp_path: Path) -> Callable[..., Path]:
    """Writes a model file with known weights."""

    def write(config: ModelConfig) -> Path:
        torch.manual_seed(99)
        path = tmp_path / f"{config.name}.safetensors"
        save_model(path, TISDiSS.from_config(config), {})
        return path

    return write


def test_fine_tuning_starts_from_the_parents_weights_alone(tiny, tiny_training, parent) -> None:
    file = parent(tiny("sep1x2-re1x3-l1+3"))
    config = tiny_training(model=tiny("sep1x2-re1x6-l1x2+6"), optim=OptimConfig(lr=1e-4))
    state = loop.start(config, file, "cpu")
    assert same(dict(state.model.state_dict()), read_model_file(file)[0])
    assert (state.step, state.base_lr, len(state.optimiser.state)) == (0, 1e-4, 0)
    assert state.model.config.n_re == 6


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"n_heads": 1},
            r"differ in model.block.n_heads \(1 there, 2 here\); only passes and",
        ),
        ({"mask": True}, r"they differ in model.mask \(True there, False here\)"),
        ({"codec": {"hop": 32}}, r"model.codec.hop \(32 there, 64 here\)"),
    ],
)
def test_a_parent_of_another_structure_is_refused(
    tiny, tiny_training, parent, changes: dict, message: str
) -> None:
    file = parent(tiny("sep1x2-re1x3", **changes))
    with pytest.raises(ValueError, match=f"sep1x2-re1x3-l1.3 cannot start from .*{message}"):
        loop.start(tiny_training(model=tiny("sep1x2-re1x3")), file, "cpu")


def test_a_parent_without_the_residual_module_is_refused(tiny, tiny_training, parent) -> None:
    """A model of one separator pass has none, so more passes cannot start from it."""
    file = parent(tiny("sep1x1-re1x3"))
    with pytest.raises(ValueError, match=r"cannot start from .* there is no residual module"):
        loop.start(tiny_training(model=tiny("sep1x2-re1x3")), file, "cpu")


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
    monkeypatch.setattr(loop, "bf16_pays", lambda device: pays)
    rounds = {
        precision: loop.start(tiny_training(precision=precision), None, "cpu").model.splitter.bf16
        for precision in ("float32", "tf32", "bf16", "auto")
    }
    assert rounds == {"float32": False, "tf32": False, "bf16": True, "auto": pays}


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
