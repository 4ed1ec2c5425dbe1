"""The recipe of Libri2Mix: lists, gains, noise."""

from pathlib import Path

import numpy as np
import pytest
from scipy.signal import resample_poly

from tisdiss.data.build.libri2mix import mixture_of, read_list
from tisdiss.data.layouts import LIBRI2MIX
from tisdiss.sound.decode import Refused, read_sound

TEST = LIBRI2MIX.parts[3]
OFFICIAL = Path(__file__).parents[4] / "shared" / "metadata" / "libri2mix"


def made(rows, tmp_path, make_librispeech, mode="min"):
    speech, noise = make_librispeech(tmp_path, rows)
    return dict(mixture_of(rows[0], speech, noise, 8000, mode))


def test_sources_are_the_recordings_times_their_gains(tmp_path, lists, make_librispeech):
    rows = read_list(lists / "libri2mix", TEST, noisy=False)[:1]
    signals = made(rows, tmp_path, make_librispeech)
    assert list(signals) == ["s1", "s2", "mix_clean"]
    recording, _ = read_sound(tmp_path / "LibriSpeech" / rows[0].files[0])
    expected = resample_poly(recording[:, 0] * rows[0].gains[0], 8000, 16000)
    assert signals["s1"] == pytest.approx(expected[: len(signals["s1"])], abs=1e-6)
    assert np.array_equal(signals["mix_clean"], signals["s1"] + signals["s2"])


def test_short_noise_is_repeated_without_a_seam(tmp_path, lists, make_librispeech):
    rows = read_list(lists / "libri2mix", TEST, noisy=True)[:1]
    signals = made(rows, tmp_path, make_librispeech)
    assert list(signals) == ["s1", "s2", "noise", "mix_both", "mix_clean"]
    parts = np.abs(signals["noise"][: len(signals["noise"]) // 2000 * 2000]).reshape(-1, 2000)
    assert parts.max(axis=1).min() > 0.5 * parts.max()
    total = signals["s1"] + signals["s2"] + signals["noise"]
    assert signals["mix_both"] == pytest.approx(total, abs=1e-6)


def test_max_mode_is_as_long_as_the_longest(tmp_path, lists, make_librispeech):
    rows = read_list(lists / "libri2mix", TEST, noisy=False)[:1]
    shorter = made(rows, tmp_path, make_librispeech)
    longer = made(rows, tmp_path, make_librispeech, "max")
    assert len(longer["mix_clean"]) > len(shorter["mix_clean"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("test-clean/9201", "../9201"), r"row 2: source_1_path '\.\./9201.*' is not a path below"),
        ((",0.24,", ",loud,"), r"row 2: source_1_gain 'loud' is not a positive number"),
        (("_9202-22-0000", "_9201-22-0000"), r"row 2: '.*' does not name different speakers"),
        (("source_2_gain", "gain"), r"has no column 'source_2_gain'"),
    ],
)
def test_wrong_row_is_named(tmp_path, lists, change, message):
    text = (lists / "libri2mix" / "libri2mix_test-clean.csv").read_text()
    assert change[0] in text
    (tmp_path / "libri2mix_test-clean.csv").write_text(text.replace(*change))
    with pytest.raises(ValueError, match=message):
        read_list(tmp_path, TEST, noisy=False)


def test_recording_of_another_rate_is_refused_by_name(tmp_path, lists, make_librispeech):
    import soundfile

    rows = read_list(lists / "libri2mix", TEST, noisy=False)[:1]
    speech, _ = make_librispeech(tmp_path, rows)
    soundfile.write(speech / rows[0].files[1], np.zeros(4000), 8000)
    with pytest.raises(Refused, match=r"9202-22-0000\.flac: 8000 Hz, and the recipe needs 16000"):
        dict(mixture_of(rows[0], speech, None, 8000, "min"))


@pytest.mark.skipif(not OFFICIAL.is_dir(), reason="../shared/metadata is not there")
@pytest.mark.parametrize(("k", "count"), [(1, 13900), (2, 3000), (3, 3000)])
def test_official_lists_are_read_whole(k, count):
    assert len(read_list(OFFICIAL, LIBRI2MIX.parts[k], noisy=True)) == count


@pytest.mark.skipif(not OFFICIAL.is_dir(), reason="../shared/metadata is not there")
def test_first_official_row_is_built_at_its_paths(tmp_path, make_librispeech):
    rows = read_list(OFFICIAL, TEST, noisy=True)[:1]
    signals = made(rows, tmp_path, make_librispeech)
    assert (tmp_path / "LibriSpeech/test-clean/4077/13754/4077-13754-0001.flac").exists()
    assert rows[0].name == "4077-13754-0001_5142-33396-0065" and len(signals) == 5
