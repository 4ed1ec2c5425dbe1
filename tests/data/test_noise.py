"""Kinds of noise: spectra, speakers of babble, and the split of recordings."""

import numpy as np
import pytest

from tisdiss.data import Source, synthetic
from tisdiss.data.draw import Draw
from tisdiss.data.noise import Babble, Either, SpeechShaped, noise_folder, open_noise


@pytest.fixture(scope="module")
def crowd() -> Source:
    """Enough speakers in each split for babble."""
    return synthetic(60, utterances=2, seconds=0.8)


def spectrum(signal: np.ndarray) -> np.ndarray:
    power = np.abs(np.fft.rfft(signal[: len(signal) // 256 * 256].reshape(-1, 256))) ** 2
    mean = power.mean(axis=0).reshape(-1)[:128].reshape(16, 8).mean(axis=1)
    return 10 * np.log10(mean / mean.max())


def test_gaussian_noise_has_unit_variance_and_is_seeded():
    drawn = Draw("n").normal(40001)
    assert abs(drawn.mean()) < 0.02 and drawn.std() == pytest.approx(1, abs=0.02)
    assert len(drawn) == 40001 and np.array_equal(Draw("n").normal(40001), drawn)
    assert abs((drawn**4).mean() - 3) < 0.15


def test_speech_shaped_noise_has_the_spectrum_of_speech(voices):
    noise = SpeechShaped(voices).samples(Draw("x"), 80000, ())
    speech = np.concatenate([voices.read(u) for u in voices.split("train")])
    loud = spectrum(speech) > -25
    assert np.abs(spectrum(noise) - spectrum(speech))[loud].max() < 4
    assert spectrum(noise).min() < -15


def test_babble_is_of_speakers_outside_the_mixture(crowd, monkeypatch):
    heard = []
    read = Source.read

    def spy(self, utterance, *arguments):
        heard.append(utterance)
        return read(self, utterance, *arguments)

    monkeypatch.setattr(Source, "read", spy)
    speakers = [u.speaker for u in crowd.split("test")][::2]
    babble = Babble(crowd, "test", 2)
    for k in range(20):
        assert babble.samples(Draw(k), 12000, speakers[:2]).shape == (12000,)
    assert heard and {u.split for u in heard} == {"test"}
    assert not {u.speaker for u in heard} & set(speakers[:2])


def test_babble_without_others_names_the_way_out(voices):
    message = r"needs 3 speakers beside the 2 .* 'test' of synthetic has 2\. Set noise: speech-"
    with pytest.raises(ValueError, match=message):
        Babble(voices, "test", 2)


def test_mixed_noise_is_of_both_kinds(crowd):
    class Kind:
        def __init__(self, value):
            self.value = value

        def samples(self, draw, count, speakers):
            return np.full(count, self.value)

    drawn = {Either(Kind(1), Kind(2)).samples(Draw(k), 3, ())[0] for k in range(20)}
    assert drawn == {1, 2}


def test_folder_with_split_names_keeps_its_splits(write, tmp_path):
    for split in ("tr", "cv", "tt"):
        for k in range(2):
            write(f"{split}/{k}.wav")
    root, cache = tmp_path / "speakers", tmp_path / "cache"
    noise = noise_folder(root, "val", sample_rate=8000, cache=cache)
    assert noise.names == ["cv/0.wav", "cv/1.wav"]
    assert noise.samples(Draw(1), 20000, ()).shape == (20000,)


def test_folder_without_split_names_is_split_by_hash(write, tmp_path):
    for k in range(10):
        write(f"street/{k}.wav")
    root, cache = tmp_path / "speakers", tmp_path / "cache"
    names = [
        set(noise_folder(root, split, sample_rate=8000, cache=cache).names)
        for split in ("train", "val", "test")
    ]
    assert [len(n) for n in names] == [8, 1, 1] and len(set.union(*names)) == 10


def test_manifest_of_recordings_knows_their_sound(write, tmp_path):
    write("tr/0.wav")
    root, cache = tmp_path / "speakers", tmp_path / "cache"
    first = noise_folder(root, "train", sample_rate=8000, cache=cache).manifest()
    write("tr/0.wav", np.full(8000, 0.1) * np.sin(np.arange(8000)))
    assert noise_folder(root, "train", sample_rate=8000, cache=cache).manifest() != first


def test_no_noise_shows_the_layout(voices, tmp_path):
    options = {"n_src": 2, "cache": tmp_path}
    with pytest.raises(ValueError, match=r"set NOISE=/path/to/noise[\s\S]*noise/street/one\.wav"):
        open_noise("folder", voices, "train", folder=None, **options)
    with pytest.raises(ValueError, match="holds no recordings of noise"):
        open_noise("folder", voices, "train", folder=tmp_path, **options)
