"""Each rule about a file's sound, one by one."""

import numpy as np
import pytest

from tisdiss.data.audio import active_rms, decode, is_silent, quantise
from tisdiss.sound.decode import Refused

RATE = 8000
TONE = 0.25 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)


def test_sixteen_bit_recording_survives_unchanged(write):
    signal = np.rint(TONE * 32768) / 32768
    decoded = decode(write("a/x.flac", signal), RATE)
    assert np.array_equal(decoded.pcm * 2.0 ** (decoded.exponent - 15), signal)
    assert decoded.converted == ()


def test_channels_are_averaged(write):
    left, right = np.rint(TONE * 32768) / 32768, np.zeros(RATE)
    decoded = decode(write("a/x.wav", np.stack([left, right], 1)), RATE)
    assert np.allclose(decoded.pcm * 2.0 ** (decoded.exponent - 15), left / 2, atol=2**-16)
    assert decoded.converted == ("several channels: their mean was taken",)


@pytest.mark.parametrize("rate", [16000, 44100, 6000])
def test_other_rate_is_resampled(write, rate):
    tone = 0.25 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)
    decoded = decode(write("a/x.wav", tone, rate), RATE)
    signal = decoded.pcm * 2.0 ** (decoded.exponent - 15)
    assert len(signal) == RATE
    assert np.abs(signal - TONE)[400:-400].max() < 2e-3
    assert decoded.converted == (f"{rate} Hz: resampled to 8000 Hz",)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_not_finite_samples_are_refused(write, bad):
    signal = TONE.copy()
    signal[100] = bad
    with pytest.raises(Refused, match="NaN or infinite"):
        decode(write("a/x.wav", signal, subtype="FLOAT"), RATE)


def test_silence_is_refused(write):
    with pytest.raises(Refused, match=r"peak is below 0\.0001"):
        decode(write("a/x.wav", TONE * 1e-5, subtype="FLOAT"), RATE)


def test_a_click_in_near_silence_is_refused(write):
    click = np.zeros(RATE)
    click[4000] = 0.01
    with pytest.raises(Refused, match="active level is below -60 dBFS"):
        decode(write("a/x.wav", click), RATE)


def test_too_short_is_refused_after_resampling(write):
    with pytest.raises(Refused, match=r"shorter than 0\.5 s"):
        decode(write("a/x.wav", np.tile(TONE, 2)[: 2 * RATE * 49 // 100], 16000), RATE)


def test_no_samples_and_no_bytes_are_empty(write, tmp_path):
    with pytest.raises(Refused, match=r"^empty$"):
        decode(write("a/x.wav", np.zeros(0)), RATE)
    (tmp_path / "y.wav").touch()
    with pytest.raises(Refused, match=r"^empty$"):
        decode(tmp_path / "y.wav", RATE)


def test_text_with_an_audio_name_is_corrupt(tmp_path):
    (tmp_path / "x.flac").write_text("this is no audio" * 100)
    with pytest.raises(Refused, match="corrupt"):
        decode(tmp_path / "x.flac", RATE)


@pytest.mark.parametrize("suffix", ["flac", "wav", "aiff"])
def test_a_file_cut_in_half_is_corrupt(write, suffix):
    path = write(f"a/x.{suffix}", np.tile(TONE, 4))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(Refused, match="corrupt"):
        decode(path, RATE)


def test_a_streamed_wav_without_a_length_is_whole(write):
    path = write("a/x.wav", TONE)
    raw = path.read_bytes()
    at = raw.index(b"data") + 4
    path.write_bytes(raw[:at] + b"\xff\xff\xff\xff" + raw[at + 4 :])
    assert len(decode(path, RATE).pcm) == RATE


@pytest.mark.parametrize("scale", [1e-3, 0.9999, 1.0, 3.7])
def test_quantising_keeps_the_peak_within_half_a_step(scale):
    signal = np.concatenate([TONE, -TONE]) / 0.25 * scale
    pcm, exponent = quantise(signal)
    restored = pcm * 2.0 ** (exponent - 15)
    assert np.abs(restored - signal).max() <= 2.0 ** (exponent - 15)
    assert np.abs(pcm.astype(int)).max() > 16000


def test_quantising_again_changes_nothing():
    pcm, exponent = quantise(TONE)
    again, same = quantise(pcm * 2.0 ** (exponent - 15))
    assert same == exponent and np.array_equal(again, pcm)


def test_active_level_ignores_pauses():
    speech = np.concatenate([TONE, np.zeros(3 * RATE), TONE])
    assert active_rms(speech, RATE) == pytest.approx(0.25 / np.sqrt(2), rel=1e-6)
    assert active_rms(np.zeros(RATE), RATE) == 0


def test_silence_threshold_is_minus_sixty_decibels():
    assert is_silent(TONE * 10 ** (-48.5 / 20), RATE)
    assert not is_silent(TONE * 10 ** (-44 / 20), RATE)
