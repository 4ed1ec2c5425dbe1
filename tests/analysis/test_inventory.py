"""Our files in a folder are replaced and deleted; the user's only if forced."""

import subprocess
import threading
from pathlib import Path

import pytest

from tisdiss.analysis import inventory
from tisdiss.analysis.inventory import LIST, ForeignFileError, write_own

THEIRS = "of the user"


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir() if path.name != LIST}


def test_what_was_written_is_replaced_and_what_is_not_made_again_goes(tmp_path):
    write_own(tmp_path, {"a": "1", "b": "1", "c": "1"})
    (tmp_path / "d").write_text(THEIRS)
    write_own(tmp_path, {"a": "2"}, clears={"a", "b", "d"})
    assert contents(tmp_path) == {"a": "2", "c": "1", "d": THEIRS}


def test_the_list_is_one_that_sha256sum_checks(tmp_path):
    write_own(tmp_path, {"a": "1", "b c": "2"})
    command = ["sha256sum", "--strict", "--check", LIST]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "a: OK\nb c: OK\n"


@pytest.mark.parametrize(
    ("prepare", "told"),
    [
        (lambda file: file.write_text(THEIRS), "a is not ours"),
        (lambda file: file.symlink_to("nowhere"), "a is not ours"),
        (lambda file: file.mkdir(), "a is a folder"),
        (lambda file: file.with_name(LIST).write_text("0" * 64 + "  a\n"), f"{LIST} is not ours"),
    ],
)
def test_what_is_in_the_way_is_named_before_anything_is_written(tmp_path, prepare, told):
    prepare(tmp_path / "a")
    with pytest.raises(ForeignFileError, match=f"/{told}: nothing was written"):
        write_own(tmp_path, {"b": "1", "a": "1"})
    assert not (tmp_path / "b").exists()


def test_an_edited_file_is_the_users_until_it_holds_our_bytes_again(tmp_path):
    write_own(tmp_path, {"a": "1", "b": "1"})
    for name in ("a", "b"):
        (tmp_path / name).write_text(THEIRS)
    with pytest.raises(ForeignFileError, match="a was edited since: "):
        write_own(tmp_path, {"a": "2"}, clears={"a", "b"})
    assert contents(tmp_path) == {"a": THEIRS, "b": THEIRS}
    (tmp_path / "a").write_text("1")
    write_own(tmp_path, {"a": "2"}, clears={"a", "b"})
    assert contents(tmp_path) == {"a": "2", "b": THEIRS}


def test_force_replaces_what_is_in_the_way_and_removes_nothing(tmp_path):
    for name in ("a", "b", LIST):
        (tmp_path / name).write_text(THEIRS)
    write_own(tmp_path, {"a": "1"}, clears={"a", "b"}, force=True)
    assert contents(tmp_path) == {"a": "1", "b": THEIRS}
    (tmp_path / "c").mkdir()
    with pytest.raises(ForeignFileError, match="c is a folder"):
        write_own(tmp_path, {"c": "1"}, force=True)


def test_equal_bytes_are_nobodys_loss(tmp_path):
    (tmp_path / "a").write_text("1")
    write_own(tmp_path, {"a": "1"})
    assert contents(tmp_path) == {"a": "1"}


def test_a_file_where_the_folder_should_be_is_named(tmp_path):
    (tmp_path / "a").write_text(THEIRS)
    with pytest.raises(ForeignFileError, match="/a is a file, not a folder"):
        write_own(tmp_path / "a" / "b", {"c": "1"})


def test_after_a_kill_in_the_middle_the_next_one_goes_on(tmp_path, monkeypatch):
    write_own(tmp_path, {"a": "1", "b": "1"})
    write = inventory.write_atomic

    def killed(path, data):
        if path.name == "b":
            raise KeyboardInterrupt
        write(path, data)

    monkeypatch.setattr(inventory, "write_atomic", killed)
    with pytest.raises(KeyboardInterrupt):
        write_own(tmp_path, {"a": "2", "b": "2"})
    monkeypatch.undo()
    assert contents(tmp_path) == {"a": "2", "b": "1"}
    write_own(tmp_path, {"a": "3", "b": "3"})
    assert contents(tmp_path) == {"a": "3", "b": "3"}


def test_writers_at_the_same_time_wait_for_one_another(tmp_path):
    texts = [str(number) for number in range(12)]
    works = [threading.Thread(target=write_own, args=(tmp_path, {"a": text})) for text in texts]
    for work in works:
        work.start()
    for work in works:
        work.join()
    assert write_own(tmp_path, {"a": "last"}) == [tmp_path / "a"]
