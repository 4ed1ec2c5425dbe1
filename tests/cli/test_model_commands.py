"""`tisdiss separate`: files, depths, mistakes."""

import io
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile
import torch

from tisdiss import recordings, separate
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
        (["--budget", 0], "0: give a number above 0"),
        (["--budget", 1, "--within", 1], "--budget fixes the depth: leave out --within"),
        (["--speakers", "some"], "Invalid value for '--speakers'"),
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
    words = [*words[:3], tmp_path / "other", *words[4:]]
    late, in_time = (tisdiss(*words, "--force", "--budget", n)[1] for n in (1e-9, 1e4))
    assert "at N_re = 1 " in late and "over the 1e-09 s a second of --budget:" in late
    assert "at N_re = 10 " in in_time and "--budget" not in in_time


@pytest.mark.parametrize("limit", [["--within", 1000], []], ids=["within", "no limit"])
def test_a_time_limit_does_not_count_what_is_loaded_first(
    tisdiss: Run, model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: list
) -> None:
    write_wav(tmp_path / "talk.wav", 0.1 * torch.randn(900), 8000)
    began: list[str] = []

    def noted(module: ModuleType, name: str) -> Callable[..., object]:
        real = getattr(module, name)
        return lambda *words, **more: began.append(name) or real(*words, **more)  # type: ignore[func-returns-value]

    for module, name in ((separate, "warm_up"), (recordings, "separate_file")):
        monkeypatch.setattr(module, name, noted(module, name))
    words = ["separate", tmp_path / "talk.wav", "-o", tmp_path / "out", "--model", model_file]
    assert tisdiss(*words, *limit)[0] == 0
    assert began == [*(["warm_up"] if limit else []), "separate_file"]


def test_separate_keeps_the_folders_of_a_folder(
    tisdiss: Run, model_file: Path, tmp_path: Path
) -> None:
    for name in ("b.wav", "a/two words.wav", "a/b.wav"):
        (tmp_path / "talks" / name).parent.mkdir(parents=True, exist_ok=True)
        write_wav(tmp_path / "talks" / name, 0.1 * torch.randn(900), 8000)
    (tmp_path / "talks/notes.txt").touch()
    out = tmp_path / "talks" / "out"
    for more in ([], ["--force"]):  # the outputs are never taken for inputs
        code, said, errors = tisdiss(
            "separate", tmp_path / "talks", "-o", out, "--model", model_file, *more
        )
        assert (code, errors) == (0, "")
        written = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
        stems = ("b", "a/b", "a/two words")
        assert written == {f"{stem}_speaker{j}.wav" for stem in stems for j in (1, 2)}
    assert [said.index(f"{name} (") for name in ("talks/b.wav", "a/b.wav", "two words.wav")] == (
        sorted(said.index(f"{name} (") for name in ("talks/b.wav", "a/b.wav", "two words.wav"))
    )


def test_separate_from_standard_input_to_standard_output(
    model_file: Path, tmp_path: Path, repository: Path
) -> None:
    """In a process of its own, because these are bytes."""
    write_wav(tmp_path / "talk.wav", 0.1 * torch.randn(1600), 16000)
    words = [sys.executable, "-m", "tisdiss.cli", "separate", "-", "--model", str(model_file), "-o"]

    def run(out: str, sound: bytes) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run([*words, out], input=sound, cwd=repository, capture_output=True)

    sound = (tmp_path / "talk.wav").read_bytes()
    to_file, to_pipe = run(str(tmp_path / "out"), sound), run("-", sound)
    assert b"standard input (0.1 s) at N_re = 2" in to_file.stdout
    assert sorted(os.listdir(tmp_path / "out")) == ["stdin_speaker1.wav", "stdin_speaker2.wav"]
    assert b"standard input (0.1 s) at N_re = 2" in to_pipe.stderr
    both, rate = soundfile.read(io.BytesIO(to_pipe.stdout), dtype="int16")
    assert rate == 16000 and both.shape == (1600, 2)
    for j in (1, 2):
        alone = soundfile.read(tmp_path / f"out/stdin_speaker{j}.wav", dtype="int16")[0]
        assert (both[:, j - 1] == alone).all()
    bad = run("-", b"no sound")
    assert (bad.returncode, bad.stdout) == (2, b"")
    assert bad.stderr.startswith(b"error: standard input: corrupt or no audio")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["talk.wav", "talk2.wav", "-o", "-"], "-o - takes one recording, not 2"),
        (["-", "-"], "standard input (-) is named twice"),
        (["talk.wav", "--channel", 2], "talk.wav: no channel 2; there are channels 1 to 1"),
        (["talk.wav", "talk.wav"], "2 of the files are called 'talk'"),
        (["talk.wav", "-o", "talk2.wav/out"], "talk2.wav is a file; name a folder (-o)"),
        (["talk.wav", "-o", "/proc/none"], "/proc/none: cannot be written: "),
    ],
)
def test_separate_says_in_one_line_what_it_cannot_do(
    tisdiss: Run, model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    words: list, message: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
    for name in ("talk.wav", "talk2.wav"):
        write_wav(tmp_path / name, 0.1 * torch.randn(900), 8000)
    places = [tmp_path / word if ".wav" in str(word) else word for word in words]
    where = [] if "-o" in words else ["-o", tmp_path / "out"]
    code, _, errors = tisdiss("separate", *places, *where, "--model", model_file)
    assert code == 2 and message in errors and len(errors.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_separation_that_is_asked_to_end_leaves_nothing(tmp_path: Path) -> None:
    """A scheduler and a closing terminal send SIGTERM or SIGHUP, not Ctrl-C."""
    soundfile.write(tmp_path / "long.wav", np.zeros(8000 * 3600), 8000)
    words = [sys.executable, "-m", "tisdiss", "separate", "long.wav", "-o", "out", "--n-re", "10"]
    with subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.DEVNULL) as command:
        until = time.monotonic() + 60
        while not list(tmp_path.glob("out/.separating-*/*")) and time.monotonic() < until:
            time.sleep(0.05)
        assert command.poll() is None
        command.terminate()
        assert command.wait(30) == 128 + signal.SIGTERM
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())
