"""The code of a run: the files that its hash covers, and the history of its commit."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tisdiss.records.revision import PACKAGE, code_files, code_hash, git_revision, in_history
from tisdiss.records.run_record import Revision

ROOT = PACKAGE.parent
LOADED = """
import sys
import tisdiss.train, tisdiss.evaluate
for name, module in sys.modules.items():
    if name.split(".")[0] == "tisdiss":
        print(module.__file__)
"""

SOURCES = {"data/prompts.py", "data/librispeech.py"}
ARCHITECTURES = ("tf_gridnet", "tf_locoformer", "fla_tf_locoformer")
SEPREFORMER = {
    f"sepreformer/{name}" for name in ("__init__", "model", "blocks", "attention", "losses")
}
BASELINES = {f"baselines/{name}.py" for name in ("__init__", *ARCHITECTURES, *SEPREFORMER)}
SETTINGS = {"config/sepreformer.py", "config/sepreformer_loss.py"}


def test_the_hash_covers_what_training_and_evaluation_load_and_little_more():
    """More are only those that a kind of corpus, model or score imports when it is made."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = {Path(line).relative_to(PACKAGE).as_posix() for line in done.stdout.split()}
    covered = set(code_files())
    on_demand = {*SOURCES, *BASELINES, *SETTINGS, "splitter.py", "quality.py"}
    assert loaded <= covered and covered - loaded <= on_demand
    assert {"train.py", "model.py", "data/dynamic.py"} <= loaded and covered >= BASELINES
    words = ("harness/", "cli", "__main__", "data/doctor", "data/download", "separate")
    assert not [name for name in covered if name.startswith(words)]


@pytest.fixture
def package(tmp_path):
    """A package of a few files in a repository of its own."""
    files = {
        "__init__.py": "",
        "train.py": "from tisdiss.layers import part\n",
        "evaluate.py": "def f():\n    from tisdiss import data\n",
        "layers.py": "from tisdiss.kinds import KINDS\npart = 1\n",
        "kinds.py": "KINDS = {'a': 'tisdiss.made:build'}\n",
        "made.py": "def build(): ...\n",
        "data/__init__.py": "from tisdiss.data.inner import more\n",
        "data/inner.py": "more = 2\n",
        "cli.py": "'''Words.'''\n",
        "data/cli_words.py": "'''Words.'''\n",
    }
    folder = tmp_path / "project" / "tisdiss"
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    git(folder.parent, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "All")
    return folder


def git(folder, *words):
    who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("layers.py", True),
        ("data/inner.py", True),  # imported inside a function
        ("data/__init__.py", True),
        ("made.py", True),  # named in a table
        ("cli.py", False),
        ("data/cli_words.py", False),
    ],
)
def test_only_imported_files_change_the_hash(package, name, counts):
    before = code_hash.__wrapped__(package)
    (package / name).write_text("part = more = 3\n")
    assert (code_hash.__wrapped__(package) != before) == counts


def test_a_commit_is_told_with_whether_files_differ(package):
    commit = git(package, "rev-parse", "HEAD")
    assert git_revision(package) == Revision(commit=commit, dirty=False)
    (package / "notes.txt").write_text("no code")
    assert git_revision(package).dirty is False
    (package / "new.py").write_text("")
    assert git_revision(package).dirty is True
    (package / "new.py").unlink()
    (package / "train.py").write_text("")
    assert git_revision(package).dirty is True


def test_what_git_does_not_know_is_not_told(package, tmp_path, monkeypatch):
    """An installed package in somebody's repository, none at all, no git, another's GIT_DIR."""
    nothing = Revision(commit=None, dirty=None)
    installed = package.parent / ".venv" / "tisdiss"
    shutil.copytree(package, installed)
    (package.parent / ".gitignore").write_text(".venv\n")
    assert git_revision(installed) == nothing and in_history("abc", installed) is None
    (tmp_path / "alone").mkdir()
    assert git_revision(tmp_path / "alone") == nothing
    commit = git(package, "rev-parse", "HEAD")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "alone"))
    assert git_revision(package).commit == commit
    monkeypatch.setenv("PATH", "")
    assert git_revision(package) == nothing


def test_a_commit_that_was_replaced_is_not_in_the_history(package):
    lost = git(package, "rev-parse", "HEAD")
    assert in_history(lost, package) is True
    in_history.cache_clear()
    git(package, "commit", "-q", "--amend", "-m", "Other words")
    assert in_history(lost, package) is False and in_history("0" * 40, package) is False


def test_commits_that_shipped_files_name_are_there_or_said_to_be_lost():
    if in_history("HEAD") is None or in_history("0" * 40) is None:
        pytest.skip("no whole history at hand")
    texts = (ROOT / "models" / "README.md", ROOT / "docs" / "training-log.md")
    card = "\n".join(path.read_text() for path in texts)
    named = set(re.findall(r"[Cc]ommit ([0-9a-f]{10})", card))
    for path in sorted(ROOT.glob("reports/*/provenance.json")):
        runs = json.loads(path.read_text())["runs"]
        named |= {run["commit"][:10] for run in runs if run["commit"]}
    lost = {commit for commit in named if in_history(commit) is False}
    told = set(re.findall(r"([0-9a-f]{10})[^.]*?,\s(?:is )?not in this\s+history", card))
    assert len(named) > 5 and lost <= told
