"""What an installed package holds beside its modules: studies, models, templates, profiles."""

import fnmatch
import os
import tomllib
from pathlib import Path

import pytest

from tisdiss.shipped import BASE, SHIPPED, base_model

ROOT = Path(__file__).resolve().parents[1]
PATTERNS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"][
    "package-data"
]["tisdiss"]


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
