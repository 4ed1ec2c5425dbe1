"""Links below a folder: followed inside it, refused and counted where they leave it."""

import os
from pathlib import Path
from typing import Any

import pytest

from tisdiss.data.build.wsj0_mix import find_utterances, read_levels
from tisdiss.data.librispeech import librispeech
from tisdiss.data.noise import noise_folder
from tisdiss.data.source import Tally
from tisdiss.data.speakers import folder
from tisdiss.data.walk import AGAIN, LEAVES, LOOPS, recordings


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two files, one of them behind links to it and to its folder, and a link that loops."""
    root = tmp_path / "corpus"
    (root / "store").mkdir(parents=True)
    (root / "a").mkdir()
    (root / "a" / "own.wav").touch()
    (root / "store" / "one.wav").touch()
    (root / "a" / "file.wav").symlink_to(root / "store" / "one.wav")
    (root / "b").symlink_to(root / "store")
    (root / "a" / "again").symlink_to(root)
    return root


def test_links_are_followed_inside_the_folder(root: Path) -> None:
    refused = Tally()
    assert recordings(root, refused) == ["a/file.wav", "a/own.wav", "store/one.wav"]
    assert refused.rows == {
        LOOPS: {"count": 1, "example": "a/again"},
        AGAIN: {"count": 1, "example": "b"},
    }


def test_folders_with_links_to_each_other_are_each_read_once(tmp_path: Path) -> None:
    for i in range(9):
        (tmp_path / f"d{i}").mkdir()
        (tmp_path / f"d{i}" / "a.wav").touch()
        for k in range(9):
            (tmp_path / f"d{i}" / f"to{k}").symlink_to(tmp_path / f"d{k}")
    refused = Tally()
    assert recordings(tmp_path, refused) == [f"d{i}/a.wav" for i in range(9)]
    assert {rule: row["count"] for rule, row in refused.rows.items()} == {LOOPS: 9, AGAIN: 72}


def test_a_link_beside_its_folder_leaves_the_corpus_as_it_was(tmp_path: Path, speakers) -> None:
    before = folder(speakers, sample_rate=8000, cache=tmp_path / "cache")
    (speakers / "alias").symlink_to("g")
    after = folder(speakers, sample_rate=8000, cache=tmp_path / "cache")
    assert after.manifest_hash == before.manifest_hash
    assert after.report["refused"] == {AGAIN: {"count": 1, "example": "alias"}}


def test_a_folder_that_cannot_be_read_is_counted(root: Path, monkeypatch) -> None:
    scandir = os.scandir

    def refusing(place: Path) -> Any:
        if Path(place).name == "store":
            raise PermissionError(13, "Permission denied")
        return scandir(place)

    monkeypatch.setattr(os, "scandir", refusing)
    refused = Tally()
    assert recordings(root, refused) == ["a/file.wav", "a/own.wav"]
    assert "a folder that cannot be read: Permission denied" in refused.rows


def test_wsj0_and_its_lists_may_be_links(tmp_path: Path, make_wsj0, wsj0_rows, lists) -> None:
    make_wsj0(tmp_path / "disc", wsj0_rows[:1])
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "wsj0").symlink_to(tmp_path / "disc")
    (tmp_path / "disc" / "round").symlink_to(tmp_path)
    (tmp_path / "here" / "lists").symlink_to(lists / "wsj0-mix")
    assert find_utterances(tmp_path / "here").keys() == find_utterances(tmp_path / "disc").keys()
    assert read_levels(tmp_path / "here") == read_levels(lists / "wsj0-mix")


def test_the_folder_itself_may_be_a_link(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    assert recordings(tmp_path / "link", Tally()) == recordings(root, Tally())


@pytest.mark.parametrize("target", ["outside", "outside/one.wav", "nowhere/one.wav"])
def test_links_that_leave_the_folder_are_counted(root: Path, tmp_path: Path, target: str) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "one.wav").touch()
    before = recordings(root, Tally())
    (root / "z.wav").symlink_to(tmp_path / target)
    refused = Tally()
    assert recordings(root, refused) == before
    assert refused.rows[LEAVES] == {"count": 1, "example": "z.wav"}


def test_speakers_that_are_links_to_elsewhere_are_told(tmp_path: Path, write) -> None:
    write("a/0.wav")
    write("b/0.wav")
    links = tmp_path / "links"
    links.mkdir()
    for name in "ab":
        (links / name).symlink_to(tmp_path / "speakers" / name)
    message = r"no recordings[\s\S]*2 refused: a symbolic link that leaves the folder \(such as a\)"
    with pytest.raises(ValueError, match=message):
        folder(links, sample_rate=8000, cache=tmp_path / "cache")


def test_librispeech_of_links(tmp_path: Path, write) -> None:
    home = tmp_path / "speakers" / "LibriSpeech"
    for speaker in range(8):
        write(f"real/{speaker}.flac")
        chapter = home / "dev-clean" / f"{100 + speaker}" / "7"
        chapter.mkdir(parents=True)
        (chapter / f"{100 + speaker}-7-0000.flac").symlink_to(
            tmp_path / "speakers" / "real" / f"{speaker}.flac"
        )
    with pytest.raises(ValueError, match=r"no LibriSpeech\. 8 refused: a symbolic link"):
        librispeech(home, sample_rate=8000, cache=tmp_path / "cache")
    (tmp_path / "speakers" / "real").rename(home / "real")
    for link in home.glob("dev-clean/*/*/*.flac"):
        link.unlink()
        link.symlink_to(home / "real" / f"{int(link.parts[-3]) - 100}.flac")
    source = librispeech(home, sample_rate=8000, cache=tmp_path / "cache")
    assert len(source.utterances) == 8 and not source.report["refused"]


def test_noise_of_links_is_told(tmp_path: Path, write) -> None:
    write("street.wav")
    (tmp_path / "noise").mkdir()
    (tmp_path / "noise" / "one.wav").symlink_to(tmp_path / "speakers" / "street.wav")
    with pytest.raises(ValueError, match="1 refused: a symbolic link that leaves the folder"):
        noise_folder(tmp_path / "noise", "train", sample_rate=8000, cache=tmp_path / "cache")
