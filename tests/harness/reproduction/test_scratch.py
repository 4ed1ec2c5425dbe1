"""Scratch folders: whose they are, and what may be deleted."""

import json
import sys

import pytest

from tisdiss.harness.reproduction import scratch as module
from tisdiss.harness.reproduction.scratch import (
    called,
    check_room,
    claimed,
    is_ready,
    remove,
    set_ready,
)
from tisdiss.records.files import DamagedError

NOTE = {"identity": "ab", "here": True, "threads": None}


def test_a_folder_goes_on_with_the_same_options_alone(tmp_path):
    place = tmp_path / "new" / "scratch"
    for _ in range(2):
        with claimed(place, NOTE):
            assert json.loads((place / "reproduce.json").read_text()) == NOTE
    with (
        pytest.raises(ValueError, match=r"other options \(here: True, now False\); delete it"),
        claimed(place, NOTE | {"here": False}),
    ):
        pass


def test_two_at_once_are_refused(tmp_path):
    with (
        claimed(tmp_path, NOTE),
        pytest.raises(ValueError, match=r"the reproduction in .* is held by process"),
        claimed(tmp_path, NOTE),
    ):
        pass


def test_files_of_others_are_left_alone(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(ValueError, match="has files of yours"), claimed(tmp_path, NOTE):
        pass
    with (
        pytest.raises(ValueError, match="is not a folder"),
        claimed(tmp_path / "thesis.tex", NOTE),
    ):
        pass
    with pytest.raises(DamagedError, match="left alone"):
        remove(tmp_path)
    assert (tmp_path / "thesis.tex").exists()


def test_our_own_folder_is_removed(tmp_path):
    place = tmp_path / "scratch"
    with claimed(place, NOTE):
        (place / "runs").mkdir()
    remove(place)
    assert not place.exists()


def test_a_part_counts_when_it_is_complete(tmp_path):
    part = tmp_path / "code-1"
    part.mkdir()
    assert not is_ready(part)
    set_ready(part)
    assert is_ready(part)
    part.rmdir()
    assert not is_ready(part)


def test_a_disk_without_room_is_told_before_anything_starts(tmp_path, monkeypatch):
    check_room(tmp_path / "new" / "scratch", 1000)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: type("D", (), {"free": 10**7}))
    with pytest.raises(OSError, match=r"10 MB are free, 267 MB are needed: .*--scratch"):
        check_room(tmp_path / "new" / "scratch", 10**7)


def test_a_command_that_fails_gives_its_message(tmp_path):
    say = "import sys; sys.exit({!r})"
    script = [sys.executable, "-S", "-c"]
    assert called([*script, "print(3)"], "x", env={}) == "3\n"
    with pytest.raises(ValueError, match=r"^it failed: no such package$"):
        called([*script, say.format("no such\n package")], "it failed", env={})
    with pytest.raises(OSError, match=r"it failed: .* name a place with --scratch"):
        called([*script, say.format("No space left on device")], "it failed", env={})
