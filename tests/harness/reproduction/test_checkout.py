"""The code of a run comes back from git: its commit and what was not committed."""

import subprocess
from types import SimpleNamespace

import pytest

from tisdiss.harness.reproduction.checkout import rebuilt_code
from tisdiss.records.revision import CODE_SCOPE, code_hash, file_hashes
from tisdiss.records.run_folder import RunFolder
from tisdiss.records.run_record import Environment
from tisdiss.records.uncommitted import uncommitted


def git(folder, *words):
    who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def package(tmp_path):
    """A committed package."""
    folder = tmp_path / "project" / "tisdiss"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "train.py").write_text("from tisdiss.rate import lr\n")
    (folder / "rate.py").write_text("lr = 1\n")
    git(folder.parent, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "All")
    return folder


@pytest.fixture
def ran(package, tmp_path):
    """A run of the package as it is now; its folder."""

    def run(**changes):
        folder = RunFolder.of(tmp_path / "runs", "ab" * 32)
        folder.path.mkdir(parents=True, exist_ok=True)
        found = uncommitted.__wrapped__(package)
        environment = {
            "git": {"commit": git(package, "rev-parse", "HEAD"), "dirty": bool(found.patch)}
            | {"changes": found.record.plain()},
            "code_hash": code_hash.__wrapped__(package),
            "code_scope": CODE_SCOPE,
            "code_files": file_hashes(package),
        }
        if found.patch:
            (folder.path / found.record.file).write_bytes(found.patch)
        folder.write("environment.json", Environment.model_validate(environment | changes))
        return folder

    return run


@pytest.fixture
def rebuild(package, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr("tisdiss.harness.reproduction.checkout.code_hash", code_hash.__wrapped__)
    scratch = tmp_path / "scratch"
    scratch.mkdir()

    def call(folder, *, present=False):
        made = rebuilt_code(
            folder, scratch, present=present, say=said.append, note=said.append, package=package
        )
        return SimpleNamespace(root=made.path, about=made.about, said=said)

    return call


def test_the_code_is_that_of_then_with_what_was_not_committed(package, ran, rebuild):
    commit = git(package, "rev-parse", "HEAD")
    (package / "rate.py").write_text("lr = 2\n")
    (package / "new.py").write_text("new = 1\n")
    folder = ran()
    (package / "new.py").unlink()
    git(package, "commit", "-qam", "Another rate")
    (package / "rate.py").write_text("lr = 3\n")
    made = rebuild(folder)
    assert (made.root / "tisdiss" / "rate.py").read_text() == "lr = 2\n"
    assert (made.root / "tisdiss" / "new.py").read_text() == "new = 1\n"
    patch = folder.environment().git.changes.file
    assert made.about == f"commit {commit[:10]} with {patch}"
    assert made.said == [f"checks out {made.about}"]
    assert git(made.root, "rev-parse", "HEAD") == commit
    assert rebuild(folder).said == made.said, "it is there already"
    assert not git(package, "worktree", "list").splitlines()[1:], (
        "the user's repository is as it was"
    )


def test_files_that_are_not_as_then_are_named(package, ran, rebuild):
    (package / "rate.py").write_text("lr = 2\n")
    folder = ran(git={"commit": git(package, "rev-parse", "HEAD"), "dirty": True})
    assert rebuild(folder).said == [
        f"the run kept no uncommitted changes, and had some: commit "
        f"{folder.environment().git.commit[:10]} alone is used",
        f"checks out commit {folder.environment().git.commit[:10]}",
        "the rebuilt code differs from the run's in rate.py",
    ]


def test_changes_that_were_too_large_are_named(package, ran, rebuild):
    commit = git(package, "rev-parse", "HEAD")
    changes = {"file": None, "left_out": ["tisdiss/big.py"]}
    folder = ran(git={"commit": commit, "dirty": True, "changes": changes})
    assert "did not keep the uncommitted changes of tisdiss/big.py" in rebuild(folder).said[0]


def test_a_commit_that_is_not_here_is_told(package, ran, rebuild):
    folder = ran(git={"commit": "0" * 40, "dirty": False})
    made = rebuild(folder)
    assert made.root == package.parent and "equal by its hash" in made.about
    assert "commit 0000000000 is not in this repository" in made.said[0]
    (package / "rate.py").write_text("lr = 2\n")
    with pytest.raises(
        ValueError, match=r"run ababababab: commit 0000000000 is not in this.*--this"
    ):
        rebuild(folder)
    assert rebuild(folder, present=True).root == package.parent


def test_an_installed_package_serves_if_it_is_the_same(package, ran, rebuild):
    folder = ran()
    (package.parent / ".git").rename(package.parent / "no git")
    (package.parent / "numpy.py").touch()
    made = rebuild(folder)
    assert [path.name for path in made.root.iterdir()] == ["tisdiss"], "nothing beside it"
    assert "this package is not a checkout" in made.said[0]
    (package / "rate.py").write_text("lr = 2\n")
    with pytest.raises(ValueError, match=r"not a checkout.*differs from the run's \(hash"):
        rebuild(folder)


PATCH = """\
diff --git a/{name} b/{name}
new file mode {mode}
--- /dev/null
+++ b/{name}
@@ -0,0 +1 @@
+x
"""


@pytest.mark.parametrize(
    ("name", "mode", "problem"),
    [
        ("../outside.py", "100644", "is not a file of tisdiss/; nothing was applied"),
        ("tisdiss/../../outside.py", "100644", "git apply failed|is not a file of tisdiss/"),
        ("setup.py", "100644", "'setup.py' is not a file of tisdiss/; nothing was applied"),
        ("tisdiss/link.py", "120000", "makes a symbolic link; nothing was applied"),
        ("tisdiss/rate.py", "100644", "git apply failed.*already exists"),
    ],
)
def test_a_patch_that_does_not_apply_or_leads_elsewhere_is_refused(
    ran, rebuild, tmp_path, name, mode, problem
):
    folder = ran()
    git_part = folder.environment().git.updated(changes={"file": "uncommitted-x.patch"})
    folder.write("environment.json", folder.environment().updated(git=git_part.plain()))
    (folder.path / "uncommitted-x.patch").write_text(PATCH.format(name=name, mode=mode))
    with pytest.raises(ValueError, match=problem):
        rebuild(folder)
    assert not list(tmp_path.rglob("outside.py")) and not list(tmp_path.rglob("setup.py"))


@pytest.mark.parametrize(
    ("file", "problem"),
    [("gone.patch", "changes are missing"), ("../a.patch", "is not a file of the run folder")],
)
def test_a_patch_that_is_not_there_is_told(ran, rebuild, file, problem):
    folder = ran()
    git_part = folder.environment().git.updated(changes={"file": file})
    folder.write("environment.json", folder.environment().updated(git=git_part.plain()))
    with pytest.raises(ValueError, match=problem):
        rebuild(folder)
