"""Model files rebuild the model alone; training states are checked by hash and never executed."""

import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from tisdiss.checkpoint import (
    load_model,
    load_state,
    read_model_file,
    save_model,
    save_state,
)
from tisdiss.config import ModelConfig
from tisdiss.model import TISDiSS
from tisdiss.records.run_record import Origin


@pytest.fixture
def model(tiny) -> TISDiSS:
    torch.manual_seed(5)
    return TISDiSS.from_config(tiny("sep1x2-re1x2-l1x2+2"))


@pytest.fixture
def file(model: TISDiSS, tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    save_model(path, model, Origin(identity="abc", data_manifest="d"))
    return path


def test_a_model_file_is_enough_to_rebuild_the_model(model: TISDiSS, file: Path) -> None:
    loaded = load_model(file)
    mixture = torch.randn(1, 700)
    assert loaded.config == model.config and not loaded.training
    assert torch.equal(loaded(mixture, n_re=4), model(mixture, n_re=4))


def test_a_model_file_says_what_it_was_trained_on(model: TISDiSS, file: Path) -> None:
    tensors, config, about = read_model_file(file)
    assert tensors.keys() == model.state_dict().keys()
    assert (config, about.plain()) == (model.config, {"identity": "abc", "data_manifest": "d"})


def test_a_module_that_two_parts_share_survives(tiny, tmp_path: Path) -> None:
    model = TISDiSS.from_config(tiny("sep1x2-re1x2-l1+2", re_residual=True))
    assert model.separator.residual is model.reconstructor.residual
    save_model(tmp_path / "m.safetensors", model, Origin())
    loaded, mixture = load_model(tmp_path / "m.safetensors"), torch.randn(1, 700)
    assert loaded.separator.residual is loaded.reconstructor.residual
    assert torch.equal(loaded(mixture), model(mixture))


def refused(path: Path, content: bytes, message: str) -> None:
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{path.name}: .*{message}"):
        load_model(path)


def test_a_truncated_model_file_is_refused(file: Path) -> None:
    content = file.read_bytes()
    for size in (0, 5, 100, len(content) - 1):
        refused(file, content[:size], "not a readable safetensors file")


def test_a_pickle_is_refused_and_not_executed(tmp_path: Path, capfd) -> None:
    class Shouts:
        def __reduce__(self) -> tuple:
            return print, ("executed",)

    path = tmp_path / "model.safetensors"
    refused(path, pickle.dumps(Shouts()), "not a readable safetensors file")
    torch.save({"weight": torch.zeros(1)}, path)
    refused(path, path.read_bytes(), "not a readable safetensors file")
    assert "executed" not in capfd.readouterr().out


def test_weights_of_another_program_are_refused(tmp_path: Path) -> None:
    path, tensors = tmp_path / "other.safetensors", {"weight": torch.zeros(2)}
    refused(path, save(tensors), r"not a TISDiSS model \(metadata format is None, 'tisdiss-1' is")
    refused(path, save(tensors, {"format": "pt"}), "metadata format is 'pt'")


def test_metadata_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    path, tensors = tmp_path / "m.safetensors", {"weight": torch.zeros(2)}
    ours = {"format": "tisdiss-1", "about": "{}"}
    message = "the metadata cannot be read"
    refused(path, save(tensors, ours), message)
    refused(path, save(tensors, {**ours, "model": "{"}), message)
    refused(path, save(tensors, {**ours, "model": '{"n_src": 1}'}), message)


def test_weights_of_another_structure_are_refused(tmp_path: Path, tiny) -> None:
    config: ModelConfig = tiny("sep1x2-re1x2")
    metadata = {"format": "tisdiss-1", "about": "{}", "model": config.model_dump_json()}
    state = TISDiSS.from_config(config).state_dict()
    path = tmp_path / "m.safetensors"
    more = {**state, "extra": torch.zeros(3)}
    message = r"1 tensors do not fit .* such as extra: \(3,\) in the file, absent in the model"
    refused(path, save(more, metadata), message)
    wide = {**state, "encoder.conv.bias": torch.zeros(9)}
    message = r"encoder.conv.bias: \(9,\) in the file, \(8,\) in the model"
    refused(path, save(wide, metadata), message)


@pytest.mark.parametrize("name", ["absent.safetensors", "."])
def test_a_missing_model_file_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"no such model file; name a \.safetensors file"):
        load_model(tmp_path / name)


def test_a_device_that_is_not_there_is_named(file: Path) -> None:
    for device in ("gpu", "meta", "mps", "xla", "cpu:0", "cuda:", "cuda:-1", "CUDA", ""):
        with pytest.raises(ValueError, match="cannot be used here; use cpu, cuda or cuda:N"):
            load_model(file, device)


STATE = {"step": 3, "best": [(-1.5, 2, {"w": torch.arange(3.0)})], "model": {"w": torch.ones(2)}}


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    save_state(tmp_path, 3, STATE)
    loaded, complaints = load_state(tmp_path)
    assert not complaints and loaded is not None
    assert loaded["step"] == 3 and loaded["best"][0][:2] == (-1.5, 2)
    assert torch.equal(loaded["best"][0][2]["w"], torch.arange(3.0))


def test_without_states_there_is_none(tmp_path: Path) -> None:
    assert load_state(tmp_path / "nothing") == (None, [])


def test_the_last_two_states_are_kept(tmp_path: Path) -> None:
    for step in (9, 10, 100):
        save_state(tmp_path, step, {"step": step})
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [f"state-{step:08d}.{end}" for step in (10, 100) for end in ("pt", "sha256")]
    loaded, _ = load_state(tmp_path)
    assert loaded == {"step": 100}


def test_a_damaged_state_does_not_count_as_kept(tmp_path: Path) -> None:
    """Otherwise the state before it, the only good one, would be thrown out by the next save."""
    save_state(tmp_path, 1, {"step": 1})
    save_state(tmp_path, 2, {"step": 2})
    (tmp_path / "state-00000002.pt").write_bytes(b"torn")
    loaded, complaints = load_state(tmp_path)
    assert loaded == {"step": 1}
    assert complaints == ["state-00000002.pt does not match its hash; using the state before it"]
    save_state(tmp_path, 3, {"step": 3})
    assert sorted(path.stem for path in tmp_path.glob("*.pt")) == [
        "state-00000001",
        "state-00000003",
    ]


def test_a_state_cannot_carry_code(tmp_path: Path) -> None:
    """Even with a hash that is right, only plain values and tensors are read."""

    class Evil:
        def __reduce__(self) -> tuple:
            return print, ("executed",)

    save_state(tmp_path, 1, {"model": Evil()})
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        load_state(tmp_path)


def test_metadata_is_plain_json(file: Path) -> None:
    size = int.from_bytes(file.read_bytes()[:8], "little")
    header = json.loads(file.read_bytes()[8 : 8 + size])
    assert json.loads(header["__metadata__"]["model"])["n_re"] == 2
    assert json.loads(header["__metadata__"]["about"])["identity"] == "abc"
