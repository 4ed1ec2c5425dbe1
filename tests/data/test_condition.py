"""Noisy and reverberant mixtures: references without delay, SNRs as drawn, seeded."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tisdiss.config import DataConfig
from tisdiss.data import open_corpus, synthetic
from tisdiss.data.audio import active_rms
from tisdiss.data.condition import Acoustics
from tisdiss.data.convolution import STEP, convolved
from tisdiss.data.draw import Draw
from tisdiss.data.noise import SpeechShaped
from tisdiss.metrics import si_snr

pytest.importorskip("pyroomacoustics", reason="the package pyroomacoustics is not installed")

SMALL = {
    "source": "synthetic", "train_mixtures": 4, "val_mixtures": 2, "test_mixtures": 4,
    "min_seconds": 0.5, "noise": "speech-shaped", "rooms": 4, "t60_seconds": (0.15, 0.3),
}  # fmt: skip
ELSEWHERE = """
import hashlib, sys
from pathlib import Path
from tisdiss.config import DataConfig
from tisdiss.data import open_corpus
config = DataConfig.model_validate_json(sys.argv[1])
corpus = open_corpus(config, 2, speech=None, cache=Path(sys.argv[2]))
print(corpus.manifest_hash, hashlib.sha256(corpus.test[1].mixture.numpy().tobytes()).hexdigest())
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


def open_small(cache, n_src=2, **changes):
    return open_corpus(DataConfig(**(SMALL | changes)), n_src, speech=None, cache=cache)


def lag(signal: np.ndarray, reference: np.ndarray) -> int:
    """Where the phase correlation is largest, in samples."""
    samples = 2 * len(signal)
    cross = np.fft.rfft(signal, samples) * np.conj(np.fft.rfft(reference, samples))
    best = int(np.argmax(np.fft.irfft(cross / np.maximum(np.abs(cross), 1e-9))))
    return best if best < len(signal) else best - samples


@pytest.mark.parametrize("condition", ["noisy", "reverberant", "noisy-reverberant"])
def test_references_are_those_of_the_clean_condition(cache, condition):
    clean, heard = open_small(cache).test, open_small(cache, condition=condition).test
    for i in range(len(clean)):
        one, other = clean[i], heard[i]
        scale = other.sources.abs().max() / one.sources.abs().max()
        assert torch.allclose(other.sources, one.sources * scale, atol=1e-6)
        assert one.speakers == other.speakers
        assert not torch.allclose(other.mixture, one.mixture * scale, atol=1e-3)


def test_reverberant_sources_have_no_delay_against_their_references(cache):
    rooms = open_small(cache, condition="reverberant").test.acoustics.rooms
    source = synthetic(2, utterances=1, seconds=1.0)
    dry = np.stack([source.read(u)[:6000] for u in source.utterances])
    silent = np.zeros_like(dry)
    for k in range(len(rooms)):
        for j in range(2):
            alone = silent.copy()
            alone[j] = dry[j]
            mixture, sources = Acoustics(8000, rooms).apply(Draw(k), alone, ("a", "b"))
            assert lag(mixture, sources[j]) == 0


def test_reverberation_lowers_the_mixture_below_the_clean_one(cache):
    level = {}
    for condition in ("clean", "reverberant", "noisy-reverberant"):
        mixtures = open_small(cache, condition=condition).test
        examples = [mixtures[i] for i in range(len(mixtures))]
        level[condition] = np.mean([si_snr(e.mixture, e.sources).mean() for e in examples])
    assert level["noisy-reverberant"] < level["reverberant"] < level["clean"] - 0.5


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 10.0])
def test_noise_lies_at_the_stated_level(voices, snr_db):
    sources = np.stack([voices.read(u)[:8000] for u in voices.split("train")[::4][:2]])
    acoustics = Acoustics(8000, None, SpeechShaped(voices), (snr_db, snr_db))
    mixture, scaled = acoustics.apply(Draw("snr"), sources.copy(), ())
    noise = mixture - scaled.sum(0)
    loudest = max(active_rms(s, 8000) for s in scaled)
    assert 20 * np.log10(loudest / np.sqrt(np.mean(noise**2))) == pytest.approx(snr_db, abs=0.01)


def test_loud_result_is_brought_to_a_peak_of_one(voices):
    sources = np.full((2, 4000), 0.4, np.float32)
    acoustics = Acoustics(8000, None, SpeechShaped(voices), (-20.0, -20.0))
    mixture, scaled = acoustics.apply(Draw("loud"), sources, ())
    assert np.abs(mixture).max() == pytest.approx(1, abs=1e-6) and scaled.max() < 0.4


def plain_processor() -> str:
    """The processor features that numpy uses here beyond its baseline."""
    from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

    return " ".join(name for name in __cpu_dispatch__ if __cpu_features__.get(name))


def test_manifest_and_sound_are_equal_in_another_process_on_a_plain_processor(cache, tmp_path):
    config = DataConfig(**SMALL, condition="noisy-reverberant")
    corpus = open_corpus(config, 2, speech=None, cache=cache)
    sound = hashlib.sha256(corpus.test[1].mixture.numpy().tobytes()).hexdigest()
    other = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, config.model_dump_json(), str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": "7"}
        | {"NPY_DISABLE_CPU_FEATURES": plain_processor()},
    )
    assert other.stdout.split() == [corpus.manifest_hash, sound]


def test_convolution_is_exact():
    draw = Draw("convolution")
    signal, response = draw.normal(400), 0.2 * draw.normal(60)
    whole = [[round(float(v) / STEP) for v in values] for values in (signal, response)]
    result = convolved(signal, response)
    for n in (0, 30, 59, 200, 399, 458):
        terms = (b * whole[0][n - k] for k, b in enumerate(whole[1]) if 0 <= n - k < 400)
        assert sum(terms) == result[n] / STEP**2


def test_manifest_knows_every_setting(cache):
    first = open_small(cache, condition="noisy-reverberant").test.manifest_hash
    for change in ({"snr_db": (-6.0, 2.0)}, {"t60_seconds": (0.15, 0.2)}, {"seed": 1}):
        changed = open_small(cache, condition="noisy-reverberant", **change)
        assert changed.test.manifest_hash != first


def test_crops_do_not_depend_on_order_or_worker(cache):
    train = open_small(cache, condition="noisy-reverberant", dynamic=True).train
    loader = torch.utils.data.DataLoader(Crops(train), batch_size=None, num_workers=2)
    for i, mixture in enumerate(loader):
        assert torch.equal(mixture, train.crop(0, i, 0.5).mixture)
    assert not torch.equal(train.crop(1, 0, 0.5).mixture, train.crop(0, 0, 0.5).mixture)


class Crops(torch.utils.data.Dataset):
    def __init__(self, train):
        self.train = train

    def __len__(self):
        return len(self.train)

    def __getitem__(self, i):
        return self.train.crop(0, i, 0.5).mixture


def test_three_speakers_in_one_room(cache):
    config = DataConfig(
        **(SMALL | {"val_mixtures": 1, "test_mixtures": 1}), condition="reverberant"
    )
    source = synthetic(20, utterances=2, seconds=0.8)
    from tisdiss.data.corpus import _acoustics  # the source is given here
    from tisdiss.data.mixture import fixed_set

    acoustics = _acoustics(config, source, "test", 3, None, cache)
    mixtures = fixed_set(
        source, "train", n_mixtures=2, n_src=3, gain_db=2.5, min_seconds=0.5, max_seconds=None,
        seed=0, acoustics=acoustics,
    )  # fmt: skip
    assert mixtures[0].sources.shape[0] == 3 and len(set(mixtures[0].speakers)) == 3


def test_settings_added_later_do_not_change_old_manifests(cache):
    from tisdiss.data.corpus import _settings

    old = {"source", "sample_rate", "gain_db", "segment_seconds", "min_seconds", "max_seconds"}
    old |= {"dynamic", "train_mixtures", "val_mixtures", "test_mixtures", "seed"}
    assert set(_settings(DataConfig())) == old
    assert set(_settings(DataConfig(condition="noisy"))) == old | {"condition"}


def test_condition_stands_in_the_note(cache):
    note = open_small(cache, condition="noisy-reverberant").source.note
    assert note == (
        "synthetic sounds, no speech; simulated rooms, T60 0.15-0.3 s,"
        " speech-shaped noise, SNR -6 to 3 dB"
    )
