"""LibriSpeech as unpacked: official splits if all parts are present, else splits by hash."""

from pathlib import Path

import pytest

from tisdiss.config import DataConfig
from tisdiss.data import open_corpus
from tisdiss.data.librispeech import librispeech

PARTS = {"train-clean-100": "90", "dev-clean": "91", "test-clean": "92"}


@pytest.fixture
def make(write, tmp_path):
    """Writes parts of a LibriSpeech of two speakers each."""

    def make_parts(*parts: str, speakers: int = 2) -> Path:
        for part in parts:
            for k in range(speakers):
                speaker = f"{PARTS[part]}{k:02d}"
                for n in range(2):
                    write(f"LibriSpeech/{part}/{speaker}/7/{speaker}-7-{n:04d}.flac")
        table = tmp_path / "speakers" / "LibriSpeech" / "SPEAKERS.TXT"
        table.write_text(
            ";ID  |SEX| SUBSET\n9000 | F | train-clean-100 | 25 | A | B\n9201 | M | x\n"
        )
        return tmp_path / "speakers"

    return make_parts


def test_official_parts_are_the_splits(make, tmp_path):
    source = librispeech(make(*PARTS), sample_rate=8000, cache=tmp_path / "cache")
    assert {u.speaker for u in source.split("val")} == {"9100", "9101"}
    assert source.report["split_rule"] == "split as listed" and source.note == ""
    assert {u.speaker: u.sex for u in source.utterances}["9000"] == "f"


def test_one_part_alone_is_split_by_speaker(make, tmp_path):
    root = make("dev-clean", speakers=8)
    source = librispeech(root / "LibriSpeech", sample_rate=8000, cache=tmp_path / "cache")
    assert "speaker-disjoint" in source.report["split_rule"]
    assert {s: len(source.split(s)) for s in ("train", "val", "test")} == {
        "train": 8, "val": 4, "test": 4,
    }  # fmt: skip


def test_config_opens_it(make, tmp_path):
    config = DataConfig(
        source="librispeech", train_mixtures=2, val_mixtures=2, test_mixtures=2, min_seconds=0.5
    )
    corpus = open_corpus(config, 2, speech=make(*PARTS), cache=tmp_path / "cache")
    assert corpus.source.name == "librispeech" and len(corpus.test) == 2


def test_absence_names_the_command(tmp_path):
    with pytest.raises(ValueError, match=r"no LibriSpeech\.[\s\S]*data download librispeech dev-"):
        librispeech(tmp_path, sample_rate=8000, cache=tmp_path / "cache")
