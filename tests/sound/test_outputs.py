"""Which recordings are meant, what their outputs are called, and what is refused before work."""

import os
from pathlib import Path

import pytest

from tisdiss.sound.outputs import (
    Source,
    check_folder,
    check_sources,
    check_targets,
    shown,
    sources_of,
    speaker_file,
)


def touched(folder: Path, *names: str) -> list[Path]:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return [folder / name for name in names]


@pytest.mark.parametrize("below", ["", "deeper/out"])
def test_results_go_into_a_folder_not_a_file(tmp_path: Path, below: str) -> None:
    touched(tmp_path, "out")
    with pytest.raises(ValueError, match=r"out is a file; name a folder \(-o\)"):
        check_folder(tmp_path / "out" / below)
    check_folder(tmp_path / "new" / "folder")


@pytest.mark.parametrize("others", [["b/talk.wav"], ["talk.flac"], ["x.wav", "talk.ogg"]])
def test_files_of_one_name_would_overwrite_each_other_and_are_refused(
    others: list[str], tmp_path: Path
) -> None:
    files = touched(tmp_path, "talk.wav", *others)
    with pytest.raises(ValueError, match=r"2 of the files are called 'talk' .* \(-o\)"):
        check_sources(sources_of(files, tmp_path / "out"))
    with pytest.raises(ValueError, match=r"2 of the files are called 'talk'"):
        check_sources(sources_of(files[:1] * 2, tmp_path / "out"))


def test_sources_are_files_that_are_there(tmp_path: Path) -> None:
    check_sources(sources_of(touched(tmp_path, "talk.wav", "talk2.wav"), tmp_path / "out"))
    with pytest.raises(ValueError, match=r"none\.wav: no such sound file"):
        sources_of([tmp_path / "none.wav"], tmp_path / "out")
    os.mkfifo(tmp_path / "live.wav")
    with pytest.raises(ValueError, match=r"live\.wav: a pipe or device; pass it as standard input"):
        sources_of([tmp_path / "live.wav"], tmp_path / "out")


def test_a_folder_stands_for_its_sound_files_in_a_stable_order(tmp_path: Path) -> None:
    touched(
        tmp_path,
        *("b.wav", "a/talk.FLAC", "a/b/film.mp4", "a/talk.two.ogg", "B.mp3"),
        *("notes.txt", ".hidden.wav", ".trash/x.wav", "out/b_speaker1.wav"),
    )
    found = sources_of([tmp_path], tmp_path / "out")
    names = ["B", "b", "a/talk", "a/talk.two", "a/b/film"]
    assert [str(source.name) for source in found] == names
    assert found[2].path == tmp_path / "a/talk.FLAC"
    check_sources(found)
    assert speaker_file(found[3].name, Path("out"), 2) == Path("out/a/talk.two_speaker2.wav")


def test_a_folder_without_sound_is_named(tmp_path: Path) -> None:
    touched(tmp_path, "notes.txt", "out/b_speaker1.wav")
    with pytest.raises(ValueError, match="no sound file in this folder"):
        sources_of([tmp_path], tmp_path / "out")


def test_a_result_never_replaces_an_input(tmp_path: Path) -> None:
    both = sources_of(touched(tmp_path, "meeting.wav", "meeting_speaker1.wav"), tmp_path / "out")
    with pytest.raises(ValueError, match=r"meeting_speaker1\.wav is an input"):
        check_targets(both, tmp_path, 2, force=True)
    link = tmp_path / "out" / "meeting_speaker2.wav"
    link.parent.mkdir()
    link.symlink_to(tmp_path / "meeting.wav")
    with pytest.raises(ValueError, match=r"meeting_speaker2\.wav is an input"):
        check_targets(both[:1], link.parent, 2, force=True)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("two talkers.wav", "two talkers.wav"),
        ("é\n\t\x1b[31m.wav", "é\\n\\t\\x1b[31m.wav"),
        (os.fsdecode(b"\xff.wav"), "\\udcff.wav"),
    ],
)
def test_any_name_is_shown_on_one_line(tmp_path: Path, name: str, line: str) -> None:
    assert shown(name) == line
    (path,) = touched(tmp_path, name)
    assert Source(path, Path(name)).label == f"{tmp_path}/{line}"
    with pytest.raises(ValueError) as caught:
        check_sources(sources_of([path, path], tmp_path / "out"))
    assert len(str(caught.value).splitlines()) == 1
