"""What a fine-tune takes from its parent, and which parents are refused."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tisdiss import train as loop
from tisdiss.checkpoint import read_model_file, save_model
from tisdiss.config import ModelConfig, OptimConfig
from tisdiss.model import TISDiSS
from tisdiss.records.run_record import Origin


@pytest.fixture
def parent(tiny, tmp_path: Path) -> Callable[..., Path]:
    """Writes a model file with known weights."""

    def write(config: ModelConfig) -> Path:
        torch.manual_seed(99)
        path = tmp_path / f"{config.name}.safetensors"
        save_model(path, TISDiSS.from_config(config), Origin())
        return path

    return write


def test_fine_tuning_starts_from_the_parents_weights_alone(tiny, tiny_training, parent) -> None:
    file = parent(tiny("sep1x2-re1x3-l1+3"))
    config = tiny_training(model=tiny("sep1x2-re1x6-l1x2+6"), optim=OptimConfig(lr=1e-4))
    state = loop.start(config, file, "cpu")
    weights = read_model_file(file)[0]
    assert all(torch.equal(weights[k], v) for k, v in state.model.state_dict().items())
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
    with pytest.raises(ValueError, match=r"cannot start from .* no residual module"):
        loop.start(tiny_training(model=tiny("sep1x2-re1x3")), file, "cpu")
