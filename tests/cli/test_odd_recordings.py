"""`tisdiss separate` on recordings that are unusual, damaged or none: a line each, others go on."""

import errno
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from tisdiss import recordings
from tisdiss.checkpoint import save_model
from tisdiss.model import TISDiSS
from tisdiss.records.run_record import Origin
from tisdiss.sound import decode
from tisdiss.wave import read_wave

Run = Callable[..., tuple[int, str, str]]
SAMPLES = 900
NOISE = 0.1 * np.random.default_rng(0).standard_normal(SAMPLES)
ODD: dict[str, dict] = {
    "one sample": {"data": NOISE[:1]},
    "silent": {"data": 0 * NOISE},
    "8 bits": {"subtype": "PCM_U8"},
    "192 kHz": {"samplerate": 192_000},
    "7 channels": {"data": np.stack([NOISE] * 7, 1)},
    "-a dash": {},
    "new\nline": {},
    os.fsdecode(b"latin \xe4"): {},
    "a.b": {},
    "[red]brackets": {},
}


@pytest.fixture
def model_file(tiny, tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    torch.manual_seed(0)
    save_model(path, TISDiSS.from_config(tiny("sep1x1-re1x1-l1")), Origin())
    return path


def write(path: Path, data: np.ndarray = NOISE, samplerate: int = 8000, **more: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    with path.open("wb") as file:  # soundfile takes no name that is not Unicode
        soundfile.write(file, data, samplerate, format="WAV", **more)
    return path


def test_what_is_only_unusual_is_separated(tisdiss: Run, model_file: Path, tmp_path: Path) -> None:
    for name, how in ODD.items():
        write(tmp_path / "in" / f"{name}.wav", **how)
    out = tmp_path / "out"
    code, said, errors = tisdiss("separate", tmp_path / "in", "-o", out, "--model", model_file)
    assert (code, errors) == (0, ""), errors
    wanted = {f"{name}_speaker{j}.wav" for name in ODD for j in (1, 2)}
    assert set(os.listdir(out)) == wanted
    for name, how in ODD.items():
        samples, rate = read_wave(out / f"{name}_speaker1.wav")
        assert len(samples) == len(how.get("data", NOISE)) and rate == how.get("samplerate", 8000)
        assert bool(samples.any()) == (name not in ("silent",))
    assert f"{tmp_path}/in/new\\nline.wav (0.1 s)" in said and "latin \\udce4.wav (" in said
    assert "[red]brackets.wav (" in said
    assert "the model works at 8000 Hz: estimates have nothing above 4000 Hz" in said


def damaged(folder: Path) -> dict[str, str]:
    """Files that cannot be separated, and what is said."""
    write(folder / "nan.wav", np.array([0.1, np.nan, 0.1]), subtype="FLOAT")
    write(folder / "no samples.wav", NOISE[:0])
    write(folder / "cut.wav").write_bytes((folder / "cut.wav").read_bytes()[:1000])
    (folder / "empty.wav").touch()
    (folder / "new\nline.mp3").write_text("no sound\n" * 400)
    (folder / "gone.wav").symlink_to(folder / "nowhere.wav")
    write(folder / "locked.wav")
    return {
        "cut.wav": "ends earlier than its header says",
        "empty.wav": "empty",
        "gone.wav": "no such sound file",
        "locked.wav": "cannot be read: Permission denied",
        "nan.wav": "NaN or infinite samples",
        "new\\nline.mp3": "corrupt or no audio",
        "no samples.wav": "empty",
    }


def test_what_is_damaged_is_a_line_each_and_the_others_go_on(
    tisdiss: Run, model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in").mkdir()
    wanted = damaged(tmp_path / "in")
    write(tmp_path / "in" / "good.wav")
    real = decode.frames_of

    def refused(path: Path) -> object:
        if path.name == "locked.wav":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(decode, "frames_of", refused)
    out = tmp_path / "out"
    code, _, errors = tisdiss("separate", tmp_path / "in", "-o", out, "--model", model_file)
    *lines, last = errors.splitlines()
    assert code == 2 and last == f"{len(wanted)} of {len(wanted) + 1} files could not be separated"
    assert len(lines) == len(wanted)
    for name, message in wanted.items():
        (line,) = [line for line in lines if line.startswith(f"error: {tmp_path}/in/{name}: ")]
        assert message in line
    assert sorted(os.listdir(out)) == ["good_speaker1.wav", "good_speaker2.wav"]


def test_a_full_disk_leaves_nothing_behind(
    tisdiss: Run, model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(recordings._Raw, "fill", full)
    sound, out = write(tmp_path / "talk.wav"), tmp_path / "out"
    code, _, errors = tisdiss("separate", sound, "-o", out, "--model", model_file)
    assert (code, errors) == (2, f"error: {out}: cannot be written: No space left on device\n")
    assert os.listdir(out) == []


class Evil:
    def __init__(self, flag: Path) -> None:
        self.flag = flag

    def __reduce__(self) -> tuple:
        return (os.system, (f"touch '{self.flag}'",))


@pytest.mark.parametrize("name", ["evil.pth", "evil.safetensors", "evil"])
def test_a_model_that_is_a_program_is_not_run(tisdiss: Run, tmp_path: Path, name: str) -> None:
    flag, model, out = tmp_path / "flag", tmp_path / name, tmp_path / "out"
    model.write_bytes(pickle.dumps({"separator.x": Evil(flag)}))
    (tmp_path / "config.yaml").write_text("separator_conf: {emb_dim: 8, n_heads: 2}\n")
    sound = write(tmp_path / "talk.wav")
    code, _, errors = tisdiss("separate", sound, "-o", out, "--model", model)
    assert code == 2 and errors.startswith("error: ") and str(model) in errors, errors
    assert not flag.exists() and not out.exists()
