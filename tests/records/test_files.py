"""A file is the old one or the new one, whatever goes wrong in between."""

import os
from pathlib import Path

import pytest

from tisdiss.records import files
from tisdiss.records.files import DamagedError, read_object, write_atomic


def test_text_and_bytes_are_written_with_their_folders(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a" / "b" / "text", "λ = 1\n")
    write_atomic(tmp_path / "a" / "bytes", b"\0\xff")
    assert (tmp_path / "a" / "b" / "text").read_bytes() == "λ = 1\n".encode()
    assert (tmp_path / "a" / "bytes").read_bytes() == b"\0\xff"


def test_a_file_is_replaced_and_readable_by_others(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomic(path, "old and longer")
    write_atomic(path, "new")
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_a_failure_midway_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, error: BaseException
) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(files.os, step, fail)
    with pytest.raises(type(error)):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_the_content_is_on_the_device_before_it_has_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(
            files.os, name, lambda *a, _n=name, _r=real: (order.append(_n), _r(*a))[1]
        )
    write_atomic(tmp_path / "file", "content")
    assert order == ["fsync", "replace", "fsync"]  # of the file, its name, and its folder


def test_a_target_that_is_a_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        write_atomic(tmp_path / "folder", "x")
    assert os.listdir(tmp_path) == ["folder"]


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        (b'{"status": "do', r"not JSON \(Unterminated string.*\)"),
        (b"\xff\xfe", r"not JSON \(.*\)"),
        (b"[1]", "holds a list, not an object"),
        (b"{}", "the key 'status' is missing"),
    ],
)
def test_a_damaged_file_is_named_with_the_way_out(
    tmp_path: Path, content: bytes, wrong: str
) -> None:
    path = tmp_path / "result.json"
    path.write_bytes(content)
    with pytest.raises(DamagedError, match=rf"result\.json: {wrong}; delete it$"):
        read_object(path, way_out="delete it", needs=("status",))
    path.write_text('{"status": "done"}')
    assert read_object(path, way_out="", needs=("status",)) == {"status": "done"}
