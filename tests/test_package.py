"""What an installed package holds beside its modules: studies, models, templates, profiles."""

import fnmatch
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from tisdiss import __version__
from tisdiss.machine import folders
from tisdiss.shipped import BASE, SHIPPED, base_model

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())
PATTERNS = SETTINGS["tool"]["setuptools"]["package-data"]["tisdiss"]


def data_files() -> list[str]:
    """Every file of the package that is no module, through links, as git knows them."""
    package = ROOT / "tisdiss"
    files = [
        str((Path(folder) / name).relative_to(package))
        for folder, _, names in os.walk(package, followlinks=True)
        for name in names
        if "__pycache__" not in folder
    ]
    return sorted(name for name in files if not name.endswith((".py", ".pyc")))


@pytest.mark.parametrize("name", data_files())
def test_every_data_file_is_a_part_of_the_package(name: str) -> None:
    assert any(fnmatch.fnmatch(name, pattern) for pattern in PATTERNS)


def test_studies_and_models_are_those_of_the_project() -> None:
    for folder in ("studies", "models"):
        ours = {path.name for path in (ROOT / folder).iterdir()}
        assert {path.name for path in (SHIPPED / folder).iterdir()} == ours


def test_the_shipped_model_is_found_in_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert base_model() == SHIPPED / BASE and base_model().is_file()
    own = tmp_path / BASE
    own.parent.mkdir()
    own.write_bytes(b"mine")
    assert base_model() == BASE


def test_the_description_of_the_package_needs_no_file_beside_it() -> None:
    """A package index shows it alone: no picture, and no link to a file of the repository."""
    text = (ROOT / SETTINGS["project"]["readme"]).read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)]*)\)|(?:src|href)=\"([^\"]*)\"", text)
    assert not links and "<img" not in text


def test_versions_and_licences_agree() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = SETTINGS["project"]
    assert project["version"] == citation["version"] == __version__
    assert project["license"] == citation["license"]
    cited = citation["preferred-citation"]
    assert cited["title"] in re.sub(r"\s+", " ", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert [author["family-names"] for author in cited["authors"]] == [
        *("Feng", "Xu", "Luo", "Liu", "Li", "Yu", "Li")
    ]


def test_folders_lie_where_the_command_is_called_or_in_the_home(tmp_path: Path) -> None:
    names = ("RUNS", "CACHE", "STUDIES", "REPORTS", "SMOKE_REPORTS", "KEPT_REPORTS", "PROOF")
    here = [
        "runs",
        "cache",
        "studies",
        "build/reports",
        "build/smoke",
        "reports",
        "build/proof.pdf",
    ]
    assert [str(getattr(folders, name)) for name in names] == here
    code = f"from tisdiss.machine import folders as f\nprint(*map(str, [f.{', f.'.join(names)}]))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"TISDISS_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [str(tmp_path / path) for path in here]
