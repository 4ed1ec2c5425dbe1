"""Released checkpoints become our model files and come back, bit for bit."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from released_settings import SMALL
from torch import Tensor

from tisdiss.checkpoint import load_model, read_model_file, save_model
from tisdiss.config import ModelConfig
from tisdiss.convert import export_released, import_released
from tisdiss.model import TISDiSS
from tisdiss.records.run_record import Origin
from tisdiss.released import build, export

SETTINGS = {
    "separator_conf": SMALL
    | {"repeat_residual_module": True, "encoder_decoder": False, "spliter_loss": True}
}


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    """Released names with random values."""
    torch.manual_seed(0)
    return export(build(SETTINGS))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(SETTINGS))
    return tmp_path / "config.yaml"


def prefixed(weights: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in weights.items()}


def held(weights: dict[str, Tensor]) -> dict[str, tuple[Any, str]]:
    """Checkpoints of several tools, each with what is said of it."""
    other = {"loss.window": torch.ones(3)}
    bare = {name.removeprefix("separator."): tensor for name, tensor in weights.items()}
    return {
        "plain": (weights, ""),
        "DataParallel": (prefixed(weights, "module."), "'module.' was stripped from their names"),
        "Lightning": (
            {"state_dict": prefixed(weights, "model.") | other},
            "the weights are in 'state_dict'; 'model.' was stripped from their names; other "
            "tensors were left out: 1, such as 'loss.window'",
        ),
        "both": (
            {"model": prefixed(weights, "net.module.")},
            "the weights are in 'model'; 'module.' and 'net.' was stripped from their names",
        ),
        "bare": (bare, ""),
    }


@pytest.mark.parametrize("tool", held({}))
def test_a_checkpoint_becomes_a_model_file_with_its_settings(
    tool: str, weights: dict[str, Tensor], config: Path, tmp_path: Path
) -> None:
    content, said = held(weights)[tool]
    torch.save(content, tmp_path / "theirs.pth")
    converted = import_released(tmp_path / "theirs.pth", config, tmp_path / "ours.safetensors")
    assert converted.note == said
    model = load_model(tmp_path / "ours.safetensors")
    assert model.config == build(SETTINGS).config
    back = export(model)
    assert all(torch.equal(back[name], weights[name]) for name in weights)


def test_equal_weights_have_one_identity_in_every_wrapper(
    weights: dict[str, Tensor], config: Path, tmp_path: Path
) -> None:
    def identity(content: object) -> tuple[str | None, str | None]:
        torch.save(content, tmp_path / "x.pth")
        import_released(tmp_path / "x.pth", config, tmp_path / "x.safetensors")
        about = read_model_file(tmp_path / "x.safetensors")[2]
        return about.identity, about.imported

    plain, wrapped = identity(weights), identity(prefixed(weights, "module."))
    assert plain[0] == wrapped[0] and plain[1] != wrapped[1]
    changed = {name: tensor + (tensor.ndim == 4) for name, tensor in weights.items()}
    assert identity(changed)[0] != plain[0]


def test_two_sets_of_weights_are_not_chosen_from(
    weights: dict[str, Tensor], config: Path, tmp_path: Path
) -> None:
    two = prefixed(weights, "model.") | prefixed(weights, "ema.")
    torch.save({"state_dict": two}, tmp_path / "x.ckpt")
    with pytest.raises(ValueError, match=r"that fit, state_dict, model\.\S+ state_dict, ema"):
        import_released(tmp_path / "x.ckpt", config, tmp_path / "x.safetensors")
    assert not (tmp_path / "x.safetensors").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("just text", "holds no settings, but str"),
        ("a: !!python/object/apply:os.system [true]", "not YAML of plain values"),
        ("separator: convtasnet", "the released separators are tflocoformer, tisdiss"),
    ],
)
def test_a_recipe_that_says_nothing_known_is_refused(
    weights: dict[str, Tensor], tmp_path: Path, text: str, message: str
) -> None:
    torch.save(weights, tmp_path / "x.pth")
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(ValueError, match=message):
        import_released(tmp_path / "x.pth", tmp_path / "config.yaml", tmp_path / "x.safetensors")


@pytest.mark.parametrize("kind", ["conv2d", "mel-linear", "bands-conv1d", "tiger"])
def test_export_and_import_give_back_every_bit(tiny, kind: str, tmp_path: Path) -> None:
    codec = {"kind": kind, "n_fft": 256, "hop": 128}
    torch.manual_seed(0)
    model = TISDiSS.from_config(
        ModelConfig.model_validate(tiny("sep1x2-re1x3-l1+3").model_dump() | {"codec": codec})
    )
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    save_model(tmp_path / "ours.safetensors", model, Origin())
    theirs, settings = export_released(tmp_path / "ours.safetensors", tmp_path / "out" / "x.pth")
    assert settings == tmp_path / "out" / "config.yaml"
    back = import_released(theirs, settings, tmp_path / "back.safetensors").model
    assert back.config == model.config
    one, other = model.state_dict(), load_model(tmp_path / "back.safetensors").state_dict()
    assert one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)
