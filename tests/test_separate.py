"""A sound file in, one file per speaker out, at its own rate, length and scale."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from tisdiss.dial import Dial
from tisdiss.model import TISDiSS
from tisdiss.separate import check_folder, check_names, separate, separate_file, separate_with
from tisdiss.wave import read_wave, resample


@pytest.fixture(scope="module")
def model(tiny) -> TISDiSS:
    torch.manual_seed(0)
    return TISDiSS.from_config(tiny("sep1x2-re1x2-l1+2")).eval()


def noise(samples: int, level: float = 0.1) -> Tensor:
    return level * torch.randn(samples, generator=torch.Generator().manual_seed(samples))


@pytest.fixture
def sound(tmp_path: Path) -> Callable[..., Path]:
    """Writes a sound file of noise."""

    def write(name: str, samples: int, rate: int = 8000, channels: int = 1) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.stack([noise(samples).numpy()] * channels, axis=1), rate)
        return path

    return write


@pytest.mark.parametrize("samples", [1, 7, 64, 65, 500, 1601])
@pytest.mark.parametrize("rate", [8000, 16000, 11025, 44100])
def test_estimates_are_as_long_as_the_mixture(model: TISDiSS, samples: int, rate: int) -> None:
    estimates = separate(model, noise(samples), rate, n_re=1)
    assert estimates.shape == (2, samples)
    assert estimates.isfinite().all() and estimates.dtype == torch.float32


def test_at_its_own_rate_the_estimates_are_the_models(model: TISDiSS) -> None:
    mixture = noise(900)
    with torch.inference_mode():
        expected = model(mixture[None], n_re=3)[0]
    assert torch.equal(separate(model, mixture, 8000, n_re=3), expected)


def test_another_rate_is_resampled_there_and_back(model: TISDiSS) -> None:
    mixture = noise(1800)
    inner = separate(model, resample(mixture, 16000, 8000), 8000)
    assert torch.equal(separate(model, mixture, 16000), resample(inner, 8000, 16000))


def test_estimates_are_in_the_scale_of_the_mixture(model: TISDiSS) -> None:
    mixture = noise(900)
    quiet = separate(model, mixture / 1024, 8000)
    torch.testing.assert_close(1024 * quiet, separate(model, mixture, 8000), rtol=1e-3, atol=1e-5)


def test_silence_stays_silent(model: TISDiSS) -> None:
    assert not separate(model, torch.zeros(900), 44100).any()


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (44100, 2)])
def test_a_file_becomes_one_file_per_speaker(
    model: TISDiSS, sound, tmp_path: Path, rate: int, channels: int
) -> None:
    source = sound("two talkers.wav", 1500, rate, channels)
    done = separate_file(model, source, tmp_path / "new" / "out")
    names = [path.name for path in done.files]
    assert names == ["two talkers_speaker1.wav", "two talkers_speaker2.wav"]
    assert (done.n_re, done.seconds) == (2, 1500 / rate)
    expected = separate(model, read_wave(source)[0], rate)
    for path, estimate in zip(done.files, expected, strict=True):
        info = soundfile.info(path)
        assert (info.frames, info.samplerate, info.channels) == (1500, rate, 1)
        torch.testing.assert_close(read_wave(path)[0], estimate, rtol=0, atol=2**-15)


def test_depth_is_chosen_at_inference(model: TISDiSS, sound, tmp_path: Path) -> None:
    source = sound("talk.wav", 900)
    one, four = (separate_file(model, source, tmp_path / f"{n}", Dial(n_re=n)) for n in (1, 4))
    assert (one.n_re, four.n_re) == (1, 4)
    assert one.files[0].read_bytes() != four.files[0].read_bytes()


def test_a_depth_of_0_is_refused_before_anything_is_written(
    model: TISDiSS, sound, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="n_re=0: the reconstructor runs at least once"):
        separate_file(model, sound("talk.wav", 900), tmp_path / "out", Dial(n_re=0))
    assert not (tmp_path / "out").exists()


def test_a_model_without_reconstructor_says_so(tiny, sound, tmp_path: Path) -> None:
    model = TISDiSS.from_config(tiny("sep1x2-l1"))
    assert separate_file(model, sound("talk.wav", 900), tmp_path / "out").n_re == 0
    with pytest.raises(ValueError, match="n_re=3: sep1x2-l1 has no reconstructor to repeat"):
        separate_file(model, sound("talk.wav", 900), tmp_path / "out", Dial(n_re=3))


def test_a_long_file_is_separated_in_parts(model: TISDiSS) -> None:
    mixture = noise(4000)
    whole = separate(model, mixture, 8000)
    parts = separate(model, mixture, 8000, part_seconds=0.2)
    assert parts.shape == whole.shape and not torch.equal(parts, whole)
    torch.testing.assert_close(parts[:, :800], separate(model, mixture[:1600], 8000)[:, :800])


def test_the_deepest_part_tells_the_depth(model: TISDiSS) -> None:
    mixture = torch.cat([torch.zeros(1600), noise(1600)])
    dial = Dial(settled_db=500, n_re=4)
    assert separate_with(model, mixture, 8000, dial, part_seconds=0.2)[1] == 4
    assert separate_with(model, mixture[:1600], 8000, dial, part_seconds=0.2)[1] == 2


def test_parts_are_told_as_they_are_done(model: TISDiSS) -> None:
    told: list[tuple[int, int]] = []
    separate_with(
        model, noise(4000), 8000, Dial(), part_seconds=0.2, on_part=lambda *now: told.append(now)
    )
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize("below", ["", "deeper/out"])
def test_results_go_into_a_folder_not_a_file(tmp_path: Path, below: str) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(ValueError, match=r"out is a file; name a folder \(-o\)"):
        check_folder(tmp_path / "out" / below)
    check_folder(tmp_path / "new" / "folder")


@pytest.mark.parametrize("samples", [800, 1600, 1601, 2400, 2401, 5000])
def test_the_parts_of_a_long_file_share_the_time(
    model: TISDiSS, samples: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds: list[float | None] = []
    real = Dial.run
    monkeypatch.setattr(
        Dial, "run", lambda self, *given: (seconds.append(self.seconds), real(self, *given))[1]
    )
    separate_with(model, noise(samples), 8000, Dial(seconds=60.0), part_seconds=0.2)
    assert sum(each or 0 for each in seconds) == pytest.approx(60)
    assert len(seconds) == {800: 1, 1600: 1, 1601: 2, 2400: 2, 2401: 3, 5000: 6}[samples]


@pytest.mark.parametrize("others", [["b/talk.wav"], ["talk.flac"], ["x.wav", "a/talk.wav"]])
def test_files_of_one_name_would_overwrite_each_other_and_are_refused(others: list[str]) -> None:
    with pytest.raises(ValueError, match=r"2 of the files are called 'talk' .* \(-o\)"):
        check_names([Path("a/talk.wav"), *map(Path, others)])


def test_files_of_different_names_are_fine() -> None:
    check_names([Path("a/talk.wav"), Path("a/talk2.wav")])
