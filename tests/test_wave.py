"""Sound files in and out."""

import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from tisdiss.wave import read_wave, resample, write_wav


def tone(rate: int, seconds: float = 0.5, hertz: float = 440.0) -> torch.Tensor:
    time = torch.arange(round(rate * seconds), dtype=torch.float64) / rate
    return (0.5 * torch.sin(2 * math.pi * hertz * time)).float()


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_common_formats_are_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"tone.{suffix}"
    soundfile.write(path, tone(16000).numpy(), 16000)
    wave, rate = read_wave(path)
    assert rate == 16000 and wave.dtype == torch.float32
    middle = wave[2000:6000]
    assert middle.square().mean().sqrt() == pytest.approx(0.5 / math.sqrt(2), rel=0.05)


def test_channels_are_averaged(tmp_path: Path) -> None:
    path = tmp_path / "stereo.wav"
    soundfile.write(path, np.array([[0.5, 0.25], [-0.5, 0.5]]), 8000, subtype="FLOAT")
    assert read_wave(path)[0].tolist() == [0.375, 0.0]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent.wav", None, "no such sound file"),
        ("text.wav", b"hello", "cannot be decoded; use WAV, FLAC, OGG or MP3"),
        ("empty.wav", b"", "empty"),
        ("samples.raw", b"\0\0\0\0", "cannot be decoded; use WAV, FLAC, OGG or MP3"),
        (".", None, "is a folder; name the sound files in it"),
    ],
)
def test_what_is_no_sound_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes | None, message: str
) -> None:
    monkeypatch.setenv("PATH", "")  # with ffmpeg, its message is shown
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_wave(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_samples_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    path = tmp_path / "nan.wav"
    soundfile.write(path, np.array([0.0, value]), 8000, subtype="FLOAT")
    with pytest.raises(ValueError, match="NaN or infinite samples"):
        read_wave(path)


def test_a_file_without_samples_is_refused(tmp_path: Path) -> None:
    write_wav(tmp_path / "none.wav", torch.zeros(0), 8000)
    with pytest.raises(ValueError, match=r"none\.wav: empty"):
        read_wave(tmp_path / "none.wav")


def test_a_written_wave_comes_back_to_16_bits(tmp_path: Path) -> None:
    wave = tone(8000)
    write_wav(tmp_path / "tone.wav", wave, 8000)
    assert soundfile.info(tmp_path / "tone.wav").subtype == "PCM_16"
    torch.testing.assert_close(read_wave(tmp_path / "tone.wav")[0], wave, rtol=0, atol=2**-15)


def test_only_what_exceeds_full_scale_is_scaled_down(tmp_path: Path) -> None:
    for peak, written in ((1.0, 1.0), (1.5, 0.9), (40.0, 0.9)):
        write_wav(tmp_path / "loud.wav", torch.tensor([peak, -peak / 2, 0.0]), 8000)
        back = read_wave(tmp_path / "loud.wav")[0].tolist()
        assert back == pytest.approx([written, -written / 2, 0.0], abs=2**-14)


RATES = [(16000, 8000), (44100, 8000), (8000, 44100), (44101, 8000), (8000, 44101)]
"""The last two have no common divisor."""


@pytest.mark.parametrize(("rate", "wanted"), RATES)
@pytest.mark.parametrize("hertz", [440.0, 3000.0, 3800.0])
def test_resampling_keeps_pitch_level_and_duration(rate: int, wanted: int, hertz: float) -> None:
    resampled = resample(tone(rate, hertz=hertz), rate, wanted)
    expected = tone(wanted, hertz=hertz)
    assert resampled.dtype == torch.float32
    assert len(resampled) == -(-round(rate / 2) * wanted // rate)
    inner = slice(wanted // 10, min(len(expected), len(resampled)) - wanted // 10)
    torch.testing.assert_close(resampled[inner], expected[inner], rtol=0, atol=5e-4)


@pytest.mark.parametrize("rate", [16000, 44100, 16001])
@pytest.mark.parametrize("hertz", [4200.0, 6000.0])
def test_resampling_removes_what_the_lower_rate_cannot_hold(rate: int, hertz: float) -> None:
    resampled = resample(tone(rate, hertz=hertz), rate, 8000)
    assert resampled[400:-400].abs().max() < 5e-4


@pytest.mark.parametrize("rate", [16000, 16001])
def test_resampling_acts_on_the_last_axis(rate: int) -> None:
    waves = torch.stack([tone(rate), -tone(rate)])
    together = resample(waves, rate, 8000)
    torch.testing.assert_close(together[0], resample(waves[0], rate, 8000), rtol=0, atol=1e-6)
    assert resample(waves, 8000, 8000) is waves
