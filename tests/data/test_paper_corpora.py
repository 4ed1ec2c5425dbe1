"""Stored corpora: their sets, and the errors for wrong ones."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from tisdiss.config import DataConfig
from tisdiss.data import open_corpus

ROOT = Path("wav8k/min")


def open_it(root: Path, cache: Path, source: str = "wsj0-2mix", **changes):
    changes = {"train_set": "train-100"} | changes
    return open_corpus(DataConfig(source=source, **changes), 2, speech=root, cache=cache)


@pytest.fixture
def corpus(wsj0_2mix, tmp_path) -> Path:
    return Path(shutil.copytree(wsj0_2mix, tmp_path / "corpus"))


def test_stored_samples_come_back_exactly(wsj0_2mix, tmp_path):
    opened = open_it(wsj0_2mix, tmp_path)
    assert [len(s) for s in (opened.train, opened.val, opened.test)] == [4, 2, 3]
    example = opened.test[0]
    folder = wsj0_2mix / ROOT / "tt"
    for signal, role in ((example.mixture, "mix"), (example.sources[1], "s2")):
        stored, _ = soundfile.read(folder / role / f"{example.id}.wav", dtype="float32")
        assert torch.equal(signal, torch.from_numpy(stored))
    assert example.speakers == (example.id[:3], example.id.split("_")[2][:3])


def test_root_may_be_any_of_the_usual_folders(wsj0_2mix, tmp_path):
    hashes = {open_it(wsj0_2mix / below, tmp_path).manifest_hash for below in (".", "wav8k/min")}
    assert len(hashes) == 1


@pytest.mark.parametrize(
    ("there", "rate"), [("wav16k/min", 8000), ("wav16k/max", 16000), ("wav8k/min", 16000)]
)
def test_another_version_is_told_with_the_one_to_make(tmp_path, there, rate):
    root = tmp_path / "corpus"
    (root / there).mkdir(parents=True)
    told = (
        f"no WSJ0-2mix found in its wav{rate // 1000}k/min version; {there} is another version. "
        f"Make the {rate // 1000} kHz 'min' version: `tisdiss data prepare`"
    )
    with pytest.raises(ValueError) as refused:
        open_it(root, tmp_path, sample_rate=rate)
    assert told in str(refused.value)
    assert f"    wav{rate // 1000}k/min/{{tr,cv,tt}}/{{mix,s1,s2}}/" in str(refused.value)


def test_libri2mix_reads_both_conditions(libri_2mix, tmp_path):
    clean = open_it(libri_2mix, tmp_path, "libri2mix")
    noisy = open_it(libri_2mix, tmp_path, "libri2mix", condition="noisy")
    assert torch.equal(clean.test[0].sources, noisy.test[0].sources)
    assert not torch.equal(clean.test[0].mixture, noisy.test[0].mixture)
    assert clean.test.manifest_hash != noisy.test.manifest_hash
    assert clean.test[0].speakers == ("9201", "9202")


def test_whamr_is_the_first_channel_with_anechoic_references(whamr, tmp_path):
    example = open_it(whamr, tmp_path, "whamr").test[0]
    folder = whamr / ROOT / "tt"
    mixture, _ = soundfile.read(folder / "mix_both_reverb" / f"{example.id}.wav", dtype="float32")
    source, _ = soundfile.read(folder / "s1_anechoic" / f"{example.id}.wav", dtype="float32")
    assert np.array_equal(example.mixture.numpy(), mixture[:, 0])
    assert np.array_equal(example.sources[0].numpy(), source[:, 0])


def test_crops_are_seeded_and_cut_all_signals_alike(wsj0_2mix, tmp_path):
    train = open_it(wsj0_2mix, tmp_path).train
    crop = train.crop(3, 1, 1.0)
    assert crop.mixture.shape == (8000,) and crop.sources.shape == (2, 8000)
    assert (crop.mixture - crop.sources.sum(0)).abs().max() < 2 / 32768
    assert torch.equal(train.crop(3, 1, 1.0).mixture, crop.mixture)
    assert not torch.equal(train.crop(4, 1, 1.0).mixture, crop.mixture)


def test_crop_longer_than_the_mixture_ends_in_zeros(wsj0_2mix, tmp_path):
    train = open_it(wsj0_2mix, tmp_path).train
    crop, whole = train.crop(0, 0, 8.0), train[0]
    assert crop.samples == whole.samples and not crop.mixture[whole.samples :].any()
    assert torch.equal(crop.mixture[: whole.samples], whole.mixture)


def test_manifest_knows_the_sound_and_not_the_place(wsj0_2mix, corpus, tmp_path):
    first = open_it(wsj0_2mix, tmp_path / "a")
    moved = open_it(corpus, tmp_path / "b")
    assert moved.manifest_hash == first.manifest_hash
    path = sorted((corpus / ROOT / "tt" / "s1").iterdir())[0]
    signal, _ = soundfile.read(path, dtype="int16")
    signal[100] += 1
    soundfile.write(path, signal, 8000)
    changed = open_it(corpus, tmp_path / "b")
    assert changed.test.manifest_hash != first.test.manifest_hash
    assert changed.train.manifest_hash == first.train.manifest_hash


def test_fewer_mixtures_are_a_fixed_part_and_it_is_said(wsj0_2mix, tmp_path):
    opened = open_it(wsj0_2mix, tmp_path, train_mixtures=3, test_mixtures=2, max_seconds=1.0)
    assert [len(s) for s in (opened.train, opened.val, opened.test)] == [3, 2, 2]
    assert opened.source.note == "train: 3 of 4 stored mixtures"
    assert {m.samples for m in opened.test.mixtures} == {8000}
    assert min(m.samples for m in opened.train.mixtures) > 8000


def test_dynamic_mixing_is_stateless_and_mixes_different_speakers(wsj0_2mix, tmp_path):
    train = open_it(wsj0_2mix, tmp_path, dynamic=True, segment_seconds=1.0, train_mixtures=7).train
    assert len(train) == 7
    first = train.crop(0, 5)
    train.crop(1, 2)
    assert torch.equal(train.crop(0, 5).mixture, first.mixture)
    assert not torch.equal(train.crop(1, 5).mixture, first.mixture)
    assert len(set(first.speakers)) == 2
    assert (first.mixture - first.sources.sum(0)).abs().max() < 1e-6


def test_dynamic_noisy_libri2mix_has_the_noise_of_the_first_source(libri_2mix, tmp_path):
    train = open_it(libri_2mix, tmp_path, "libri2mix", condition="noisy", dynamic=True).train
    example = train.crop(0, 0, 2.0)
    rest = example.mixture - example.sources.sum(0)
    assert 0.001 < rest.abs().max() < example.mixture.abs().max()


def test_dynamic_mixing_needs_what_is_heard(whamr, tmp_path):
    root = Path(shutil.copytree(whamr, tmp_path / "whamr"))
    shutil.rmtree(root / ROOT / "tr" / "noise")
    with pytest.raises(ValueError, match="dynamic mixing of mix_both_reverb needs noise there too"):
        open_it(root, tmp_path, "whamr", dynamic=True)


def test_dynamic_whamr_keeps_its_references_anechoic(whamr, tmp_path):
    train = open_it(whamr, tmp_path, "whamr", dynamic=True, segment_seconds=2.0).train
    example = train.crop(0, 0)
    rest = (example.mixture - example.sources.sum(0)).numpy()
    assert np.abs(rest).max() > 0.01
    echo = np.correlate(rest[240:].astype(float), example.sources.sum(0).numpy()[160:-80], "valid")
    assert echo.shape == (1,) and echo[0] > 0  # the first reflection comes 80 samples later


def test_other_condition_is_refused_with_the_valid_ones(wsj0_2mix, tmp_path):
    with pytest.raises(ValueError, match="condition='noisy': WSJ0-2mix has clean mixtures; choose"):
        open_it(wsj0_2mix, tmp_path, condition="noisy")


def test_missing_half_is_an_error_with_the_file(corpus, tmp_path):
    lost = sorted((corpus / ROOT / "tt" / "s2").iterdir())[0]
    lost.unlink()
    with pytest.raises(ValueError, match=rf"1 files are only in one of mix and s2, .*{lost.stem}"):
        open_it(corpus, tmp_path)


@pytest.mark.parametrize("part", ["tr", "tt"])
def test_truncated_file_is_left_out_of_training_and_an_error_elsewhere(corpus, tmp_path, part):
    path = sorted((corpus / ROOT / part / "s1").iterdir())[0]
    path.write_bytes(path.read_bytes()[:9000])
    if part == "tr":
        opened = open_it(corpus, tmp_path)
        assert len(opened.train) == 3
        (row,) = opened.source.report["refused"].values()
        assert row == {"count": 1, "example": f"tr/s1/{path.name}"}
        return
    with pytest.raises(ValueError, match=r"1 of 3 test mixtures .*[\s\S]*ends earlier than"):
        open_it(corpus, tmp_path)


def test_file_of_another_rate_is_an_error(corpus, tmp_path):
    path = sorted((corpus / ROOT / "tt" / "s1").iterdir())[0]
    signal, _ = soundfile.read(path, dtype="int16")
    soundfile.write(path, signal, 16000)
    with pytest.raises(ValueError, match=r"wrong rate, 16000 Hz"):
        open_it(corpus, tmp_path)


def test_no_corpus_shows_the_layout_and_the_variable(tmp_path, monkeypatch):
    for name in ("SPEECH", "WHAMR"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValueError, match=r"no WSJ0-2mix found\.[\s\S]*\{tr,cv,tt\}/\{mix,s1,s2\}"):
        open_it(tmp_path, tmp_path)
    with pytest.raises(ValueError, match=r"set WHAMR=/path/to/it[\s\S]*mix_both_reverb"):
        open_corpus(DataConfig(source="whamr"), 2, speech=None, cache=tmp_path)


def test_its_own_variable_goes_before_speech(wsj0_2mix, tmp_path, monkeypatch):
    monkeypatch.setenv("SPEECH", str(tmp_path))
    monkeypatch.setenv("WSJ0_2MIX", str(wsj0_2mix))
    opened = open_corpus(DataConfig(source="wsj0-2mix"), 2, speech=None, cache=tmp_path)
    assert opened.source.name == "wsj0-2mix"
