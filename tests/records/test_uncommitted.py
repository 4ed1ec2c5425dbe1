"""The patch of a run: sources that are not committed, and nothing else."""

import subprocess

import pytest

from tisdiss.records.uncommitted import uncommitted

SECRET = "PASSWORD=1234"


def git(folder, *words):
    who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    return subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True).stdout


@pytest.fixture
def package(tmp_path):
    """A committed package inside a larger repository."""
    folder = tmp_path / "work" / "project" / "tisdiss"
    (folder / "data").mkdir(parents=True)
    for name in ("train.py", "gone.py", "data/mix.py"):
        (folder / name).write_text(f"'''{name}'''\n")
    (folder.parents[1] / "notes.py").write_text("1\n")
    (folder / ".gitignore").write_text("ignored.py\n")
    git(folder.parents[1], "init", "-q")
    git(folder, "add", "-A", "..", "../../notes.py")
    git(folder, "commit", "-qm", "All")
    return folder


def changes(package, **options):
    return uncommitted.__wrapped__(package, **options)


def test_a_clean_package_has_no_patch(package):
    found = changes(package)
    assert (found.patch, found.left_out) == (b"", ())
    assert found.record.plain() == {"file": None}


def test_changed_new_and_deleted_sources_come_back_from_the_patch(package, tmp_path):
    (package / "train.py").write_text("lr = 2\n")
    (package / "gone.py").unlink()
    (package / "data" / "ne\u00fc.py").write_text("no newline at the end")
    (package / "empty.py").touch()
    git(package, "add", "train.py")  # whether staged or not
    found = changes(package)
    assert found.record.file.startswith("uncommitted-") and not found.left_out
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", str(package.parents[1]), str(clone))
    (tmp_path / "a.patch").write_bytes(found.patch)
    git(clone, "apply", str(tmp_path / "a.patch"))
    again = {p.relative_to(clone): p.read_bytes() for p in clone.rglob("*.py")}
    top = package.parents[1]
    assert again == {p.relative_to(top): p.read_bytes() for p in top.rglob("*.py")}


def test_settings_data_notes_and_ignored_files_never_get_into_it(package):
    for name in (".env", "data/speech.wav", "ignored.py", ".hidden.py", "data/key.pem"):
        (package / name).write_text(SECRET)
    for name in ("../../notes.py", "../../new.py", "../.env"):
        (package / name).write_text(SECRET)
    (package / "link.py").symlink_to("../.env")
    found = changes(package)
    assert found.patch == b"" and found.left_out == ("project/tisdiss/link.py",)


def test_a_patch_ends_where_it_is_too_long_and_says_so(package):
    (package / "a.py").write_text("a = 1\n")
    (package / "b.py").write_text("b = 1\n" * 1000)
    (package / "train.py").write_text("c = 1\n")
    found = changes(package, most=1000)
    assert found.record.plain()["left_out"] == ["project/tisdiss/b.py"]
    assert b"a = 1" in found.patch and b"c = 1" in found.patch and b"b = 1" not in found.patch


def test_a_users_settings_of_git_do_not_change_its_form(package, monkeypatch, tmp_path):
    (package / "train.py").write_text("lr = 2\n")
    plain = changes(package).patch
    (tmp_path / "gitconfig").write_text(
        "[diff]\nnoprefix = true\nmnemonicPrefix = true\ncontext = 0\nexternal = false\n"
        "[color]\nui = always\n"
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "gitconfig").rename(tmp_path / ".gitconfig")
    assert changes(package).patch == plain and b"a/project/tisdiss/train.py" in plain


def test_without_a_repository_nothing_is_known(tmp_path):
    assert changes(tmp_path) is None
