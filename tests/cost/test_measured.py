"""Costs of a model, against a closed form."""

from pathlib import Path

import pytest
import torch

from tisdiss.checkpoint import save_model
from tisdiss.config import BlockConfig, CodecConfig, ModelConfig
from tisdiss.cost.measured import macs_by_part, profile
from tisdiss.model import TISDiSS
from tisdiss.records.run_record import Origin

BLOCK = BlockConfig(channels=8, attention_dim=8, n_heads=1, ffn_hidden=(12, 12))
CONFIG = ModelConfig(block=BLOCK, codec=CodecConfig(n_fft=32, hop=16))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    save_model(path, TISDiSS.from_config(CONFIG), Origin())
    return path


def test_codec_and_splitter_cost_their_taps() -> None:
    frames, bins = 8000 // 16 + 1, 17
    macs = macs_by_part(TISDiSS.from_config(CONFIG), 1.0)
    assert macs["encoder"] == frames * bins * 9 * 2 * 8
    assert macs["decoder"] == 2 * macs["encoder"]
    hidden = 2 * 8 * 2
    assert macs["splitter"] == frames * bins * 9 * (8 * 2 * hidden + hidden * 16)


def test_each_repetition_costs_the_same(file: Path) -> None:
    profiled = profile(file, seconds=0.2, n_re=(1, 2, 3), repeats=1)
    one, two, three = (profiled.macs_by_n_re[n] for n in (1, 2, 3))
    assert two - one == three - two == profiled.macs_by_part["reconstructor"] // CONFIG.n_re


def test_a_model_file_is_profiled(file: Path) -> None:
    profiled = profile(file, seconds=0.2, n_re=(1, 3), repeats=1)
    assert profiled.parameters == sum(p.numel() for p in TISDiSS.from_config(CONFIG).parameters())
    assert profiled.macs == profiled.macs_by_n_re[3]
    assert profiled.real_time_factor > 0 and profiled.threads == torch.get_num_threads()


def test_a_name_that_is_neither_file_nor_model_is_an_error() -> None:
    with pytest.raises(ValueError, match="sep"):
        profile("nonsense")


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf"), 1e9])
def test_there_must_be_audio_to_measure(seconds: float) -> None:
    with pytest.raises(ValueError, match="s of audio: give more than 0"):
        profile("sep1x2-re1x3-l1+3", seconds=seconds)


def test_a_missing_file_is_not_taken_for_a_model_name() -> None:
    with pytest.raises(ValueError, match=r"none\.safetensors: no such model file"):
        profile("none.safetensors")
