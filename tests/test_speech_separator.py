"""One line to a separator: from each place that weights come from, and what it does with sound."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import yaml
from released_settings import TINY

import tisdiss
from tisdiss.checkpoint import load_model, save_model
from tisdiss.model import TISDiSS
from tisdiss.records.run_record import Origin
from tisdiss.released import build, export
from tisdiss.separate import separate
from tisdiss.shipped import base_model

IDENTITY = "0123456789" + "a" * 54
RELEASED = {"separator_conf": TINY}


@pytest.fixture(scope="module")
def model(tiny) -> TISDiSS:
    torch.manual_seed(0)
    return TISDiSS.from_config(tiny("sep1x2-re1x2-l1+2")).eval()


@pytest.fixture
def weights(model: TISDiSS, tmp_path: Path) -> Path:
    save_model(tmp_path / "model.safetensors", model, Origin())
    return tmp_path / "model.safetensors"


@pytest.fixture(scope="module")
def sound() -> np.ndarray:
    return 0.1 * np.random.default_rng(0).standard_normal(1600).astype(np.float32)


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    ours, theirs = one.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


def test_the_shipped_model_is_loaded_by_its_name():
    separator = tisdiss.load()
    assert same(separator.model, load_model(base_model()))
    assert (separator.sample_rate, separator.n_src) == (8000, 2)
    assert repr(separator) == f"SpeechSeparator({separator.model.config.name}, 8000 Hz, cpu)"


def test_a_file_of_weights_is_loaded_by_its_path(model, weights):
    assert same(tisdiss.load(weights).model, model)


def test_a_run_is_loaded_by_its_first_digits(model, weights, tmp_path):
    folder = tmp_path / "runs" / IDENTITY[:10]
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"identity": IDENTITY}))
    with pytest.raises(ValueError, match=r"no such model file"):
        tisdiss.load("0123", runs_dir=tmp_path / "runs")
    (folder / "model.safetensors").write_bytes(weights.read_bytes())
    for digits in ("0123", IDENTITY):
        assert same(tisdiss.load(digits, runs_dir=tmp_path / "runs").model, model)
    with pytest.raises(ValueError, match=r"'basa': neither a file of weights .* 'base'"):
        tisdiss.load("basa", runs_dir=tmp_path / "runs")


def test_a_released_checkpoint_is_loaded_with_the_recipe_beside_it(tmp_path):
    torch.manual_seed(0)
    released = build(RELEASED)
    torch.save(export(released), tmp_path / "valid.loss.best.pth")
    with pytest.raises(ValueError, match=r"config\.yaml: no such file"):
        tisdiss.load(tmp_path / "valid.loss.best.pth")
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(RELEASED))
    assert same(tisdiss.load(tmp_path / "valid.loss.best.pth").model, released)
    (tmp_path / "config.yaml").rename(tmp_path / "recipe.yaml")
    separator = tisdiss.load(tmp_path / "valid.loss.best.pth", config=tmp_path / "recipe.yaml")
    assert same(separator.model, released)


def test_a_recipe_without_settings_is_refused(tmp_path):
    (tmp_path / "x.pth").write_bytes(b"")
    (tmp_path / "config.yaml").write_text("just text")
    with pytest.raises(ValueError, match=r"config\.yaml: holds no settings, but str"):
        tisdiss.load(tmp_path / "x.pth")


def test_files_and_samples_give_the_same_estimates(weights, sound, tmp_path):
    separator = tisdiss.load(weights)
    soundfile.write(tmp_path / "talk.wav", sound, 16000, subtype="FLOAT")
    expected = separate(separator.model, sound, 16000, n_re=3)
    assert torch.equal(separator.separate(sound, 16000, n_re=3), expected)
    assert torch.equal(separator.separate(str(tmp_path / "talk.wav"), n_re=3), expected)
    assert expected.shape == (2, 1600)


def test_passes_through_the_separator_are_a_part_of_the_depth(weights, sound):
    separator = tisdiss.load(weights)
    once, twice, trained = (separator.separate(sound, 8000, n_sep=n) for n in (1, 2, None))
    assert torch.equal(twice, trained) and not torch.allclose(once, trained)
    depths = dict(separator.repetitions(sound, 8000, n_re=(1, 2), n_sep=1))
    torch.testing.assert_close(depths[2], once)


def test_repetitions_are_the_depths_of_one_pass(weights, sound):
    separator = tisdiss.load(weights)
    depths = dict(separator.repetitions(sound, 8000))
    assert list(depths) == list(range(1, 11))
    torch.testing.assert_close(depths[4], separator.separate(sound, 8000, n_re=4))


def test_anytime_goes_as_deep_as_it_pays(weights, sound):
    separator = tisdiss.load(weights)
    estimates, n_re = separator.anytime(sound, 8000, seconds=1e-9)
    assert n_re == 1
    torch.testing.assert_close(estimates, separator.separate(sound, 8000, n_re=1))
    assert separator.anytime(sound, 8000, seconds=1e9, n_re=4)[1] == 4
    assert separator.anytime(sound, 8000, budget=1e-9)[1] == 1
    assert separator.anytime(sound, 8000, budget=1e9, n_re=4)[1] == 4
    with pytest.raises(ValueError, match=r"give seconds=\.\.\., settled_db=\.\.\. or budget="):
        separator.anytime(sound, 8000)


def test_speakers_are_found_on_request(weights, monkeypatch):
    separator = tisdiss.load(weights)
    silence = np.zeros(800, dtype=np.float32)
    assert separator.separate(silence, 8000).shape == (2, 800)
    assert separator.separate(silence, 8000, find_speakers=True).shape == (0, 800)
    assert separator.anytime(silence, 8000, budget=1.0, find_speakers=True)[0].shape == (0, 800)


def test_samples_need_a_rate_and_files_have_one(weights, sound):
    separator = tisdiss.load(weights)
    with pytest.raises(ValueError, match=r"separate\(samples, sample_rate=16000\)"):
        separator.separate(sound)
    with pytest.raises(ValueError, match=r"talk\.wav has its own rate"):
        separator.separate("talk.wav", 8000)
    with pytest.raises(ValueError, match="n_sep=0"):
        separator.separate(sound, 8000, n_sep=0)


def test_another_device_is_asked_for_by_name(weights):
    separator = tisdiss.load(weights)
    assert separator.to("cpu") is separator
    with pytest.raises(ValueError, match="cuda"):
        separator.to("cuda:99")
