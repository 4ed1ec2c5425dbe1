"""`tisdiss separate`: files, depths, mistakes."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile
import torch

from tisdiss import separate
from tisdiss.checkpoint import save_model
from tisdiss.model import TISDiSS
from tisdiss.records.run_record import Origin
from tisdiss.wave import write_wav

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def model_file(tiny, tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    save_model(path, TISDiSS.from_config(tiny("sep1x2-re1x2-l1+2")), Origin())
    return path


def test_separate_writes_a_file_per_speaker_and_says_where(
    tisdiss: Run, model_file: Path, tmp_path: Path
) -> None:
    sounds = [tmp_path / "one.wav", tmp_path / "two.wav"]
    for sound in sounds:
        write_wav(sound, 0.1 * torch.randn(1600), 16000)
    code, out, errors = tisdiss(
        "separate", *sounds, "-o", tmp_path / "out", "--n-re", 5, "--model", model_file
    )
    assert (code, errors) == (0, "")
    names = [f"{stem}_speaker{j}.wav" for stem in ("one", "two") for j in (1, 2)]
    assert sorted(os.listdir(tmp_path / "out")) == names
    assert all(soundfile.info(tmp_path / "out" / name).frames == 1600 for name in names)
    assert re.search(rf"{sounds[0]} \(0.1 s\) at N_re = 5 in \d+\.\d s:\n", out)
    assert all(str(tmp_path / "out" / name) in out for name in names)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--n-re", 0], "Invalid value for '--n-re'"),
        (["--settled", -30], "-30: give a number above 0"),
        (["--within", 0], "0: give a number above 0"),
        (["--device", "gpu"], "device='gpu' cannot be used here"),
    ],
)
def test_separate_refuses_what_cannot_be_done(
    tisdiss: Run, model_file: Path, tmp_path: Path, options: list, message: str
) -> None:
    write_wav(tmp_path / "talk.wav", 0.1 * torch.randn(900), 8000)
    out = tmp_path / "out"
    code, _, errors = tisdiss(
        "separate", tmp_path / "talk.wav", "-o", out, "--model", model_file, *options
    )
    assert code == 2 and message in errors and not out.exists()


def test_separate_names_a_file_that_cannot_be_read(
    tisdiss: Run, model_file: Path, tmp_path: Path
) -> None:
    code, _, errors = tisdiss("separate", tmp_path / "absent.wav", "--model", model_file)
    assert (code, errors) == (2, f"error: {tmp_path / 'absent.wav'}: no such sound file\n")


def test_separate_goes_on_after_a_file_that_cannot_be_read(
    tisdiss: Run, model_file: Path, tmp_path: Path
) -> None:
    write_wav(tmp_path / "talk.wav", 0.1 * torch.randn(900), 8000)
    (tmp_path / "text.wav").write_text("no sound")
    sounds = [tmp_path / "text.wav", tmp_path / "talk.wav"]
    code, _, errors = tisdiss(
        "separate", *sounds, "-o", tmp_path / "out", "--within", 1e-9, "--model", model_file
    )
    assert code == 2
    assert f"error: {sounds[0]}: corrupt or no audio" in errors
    assert errors.endswith("1 of 2 files could not be separated\n")
    assert sorted(os.listdir(tmp_path / "out")) == ["talk_speaker1.wav", "talk_speaker2.wav"]


def test_separate_says_when_one_pass_takes_longer_than_allowed(
    tisdiss: Run, model_file: Path, tmp_path: Path
) -> None:
    write_wav(tmp_path / "talk.wav", 0.1 * torch.randn(900), 8000)
    words = ["separate", tmp_path / "talk.wav", "-o", tmp_path / "out", "--model", model_file]
    late, in_time = (tisdiss(*words, "--within", seconds)[1] for seconds in (1e-9, 1000))
    assert re.search(r"at N_re = 1 in \d+\.\d s, over the 1e-09 s of --within:", late)
    assert "--within" not in in_time


@pytest.mark.parametrize("limit", [["--within", 1000], []], ids=["within", "no limit"])
def test_a_time_limit_does_not_count_what_is_loaded_first(
    tisdiss: Run, model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: list
) -> None:
    write_wav(tmp_path / "talk.wav", 0.1 * torch.randn(900), 8000)
    began: list[str] = []

    def noted(name: str) -> Callable[..., object]:
        real = getattr(separate, name)
        return lambda *words, **more: began.append(name) or real(*words, **more)  # type: ignore[func-returns-value]

    for name in ("warm_up", "separate_file"):
        monkeypatch.setattr(separate, name, noted(name))
    words = ["separate", tmp_path / "talk.wav", "-o", tmp_path / "out", "--model", model_file]
    assert tisdiss(*words, *limit)[0] == 0
    assert began == [*(["warm_up"] if limit else []), "separate_file"]
