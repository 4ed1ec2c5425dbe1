"""The corpus of a config, and the error without speech."""

from pathlib import Path

import pytest

from tisdiss.config import DataConfig
from tisdiss.data import DynamicMixtures, MixtureSet, open_corpus, synthetic

SMALL = {"train_mixtures": 6, "val_mixtures": 4, "test_mixtures": 4, "min_seconds": 0.5}
SHARED = Path(__file__).parents[3] / "shared" / "speech"


def open_small(tmp_path, speech=None, **changes):
    config = DataConfig(**({"source": "synthetic", **SMALL} | changes))
    return open_corpus(config, 2, speech=speech, cache=tmp_path / "cache")


def test_sets_have_the_asked_sizes_and_disjoint_speakers(tmp_path):
    corpus = open_small(tmp_path)
    assert [len(s) for s in (corpus.train, corpus.val, corpus.test)] == [6, 4, 4]
    heard = [{s for row in part.rows() for s in row["speakers"]} for part in
             (corpus.train, corpus.val, corpus.test)]  # fmt: skip
    assert not heard[0] & heard[1] and not heard[0] & heard[2] and not heard[1] & heard[2]


def test_dynamic_chooses_the_kind_of_training_set(tmp_path):
    assert isinstance(open_small(tmp_path).train, MixtureSet)
    dynamic = open_small(tmp_path, dynamic=True, segment_seconds=0.5).train
    assert isinstance(dynamic, DynamicMixtures)
    assert dynamic.crop(0, 0).samples == 4000


def test_longest_length_caps_validation_and_test_only(tmp_path):
    corpus = open_small(tmp_path, max_seconds=0.75)
    assert {m.samples for m in corpus.val.mixtures + corpus.test.mixtures} == {6000}
    assert max(m.samples for m in corpus.train.mixtures) > 6000


def test_manifest_is_stable_and_knows_the_settings(tmp_path):
    first = open_small(tmp_path).manifest_hash
    assert open_small(tmp_path).manifest_hash == first
    assert open_small(tmp_path, seed=1).manifest_hash != first
    assert open_small(tmp_path, dynamic=True).manifest_hash != first


def test_folder_comes_from_the_argument_or_from_the_environment(speakers, tmp_path, monkeypatch):
    options = {"source": "folder", "test_mixtures": 2, "val_mixtures": 2, "train_mixtures": 2}
    given = open_small(tmp_path, speakers, **options)
    monkeypatch.setenv("SPEECH", str(speakers))
    assert open_small(tmp_path, **options).manifest_hash == given.manifest_hash


def test_no_speech_names_the_variable_and_the_layout(tmp_path, monkeypatch):
    monkeypatch.delenv("SPEECH", raising=False)
    with pytest.raises(ValueError, match=r"set SPEECH=/path/to/it[\s\S]*alice/one\.flac"):
        open_small(tmp_path, source="folder")


def test_synthetic_source_says_that_it_is_no_speech():
    source = synthetic(6, utterances=2, seconds=0.8)
    assert source.name == "synthetic" and source.note == "synthetic sounds, no speech"
    assert {u.sex for u in source.utterances} == {"f", "m"}
    assert source.manifest_hash == synthetic(6, utterances=2, seconds=0.8).manifest_hash
    assert source.manifest_hash != synthetic(6, utterances=2, seconds=0.8, seed=1).manifest_hash


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/speech is not there")
def test_shared_speech_opens_whole(tmp_path):
    corpus = open_small(tmp_path, SHARED, source="folder", dynamic=True)
    report = corpus.source.report
    assert (report["speakers"], report["utterances"]) == (511, 2941)
    assert report["refused"] == {} and report["converted"] == {}
    assert {s: row["speakers"] for s, row in report["splits"].items()} == {
        "train": 426, "val": 56, "test": 29,
    }  # fmt: skip
