"""Exact resume: stopped, killed or damaged trainings end with the very same weights."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tisdiss.checkpoint import load_state, read_model_file
from tisdiss.config import OptimConfig, TrainConfig
from tisdiss.data import Corpus
from tisdiss.train import train

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
    """The resumed training would count other steps than its settings say."""
    train(tiny_training(epochs=2, steps_per_epoch=steps), corpus, tmp_path)
    with pytest.raises(ValueError, match=rf"state is at step {2 * steps} in epoch 3, where an"):
        train(tiny_training(steps_per_epoch=2 if steps == 5 else 4), corpus, tmp_path)
