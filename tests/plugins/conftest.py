"""Packages that a test installs into a folder of the path, without any installer."""

import shutil
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tisdiss.contract import WHOLE_MODELS
from tisdiss.records.names import MEASURES
from tisdiss.speech_sources import SOURCES
from tisdiss.study import words
from tisdiss.study.overrides import settable

EXAMPLE = Path(__file__).resolve().parents[1] / "plugin"
assert words  # its schema names the measures that there are when it is first imported
TABLES = (WHOLE_MODELS, SOURCES, MEASURES)


def read_again() -> None:
    for table in TABLES:
        table.read_again()
    settable.cache_clear()


def describe(target: Path, name: str, points: dict[str, dict[str, str]]) -> None:
    """Write what an installer writes: the name, the version and the entry points."""
    info = target / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    groups = (f"[{g}]\n" + "".join(f"{k} = {v}\n" for k, v in p.items()) for g, p in points.items())
    (info / "entry_points.txt").write_text("\n".join(groups))


def install_example(target: Path) -> None:
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    describe(target, project["name"], project["entry-points"])
    shutil.copytree(EXAMPLE / "humming", target / "humming")


@pytest.fixture(scope="module")
def example(tmp_path_factory) -> Iterator[Path]:
    """The example package, installed; the folder that it is in."""
    target = tmp_path_factory.mktemp("example")
    install_example(target)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(target)
        read_again()
        yield target
    for name in [name for name in sys.modules if name.partition(".")[0] == "humming"]:
        del sys.modules[name]
    read_again()


@pytest.fixture
def installed(tmp_path, monkeypatch) -> Iterator[Callable[..., None]]:
    """Installs a package of one module: its name, its code, and its entry points."""

    def install(name: str, code: str, **points: dict[str, str]) -> None:
        target = tmp_path / name
        describe(target, name, {f"tisdiss.{group}": names for group, names in points.items()})
        (target / f"{name.replace('-', '_')}.py").write_text(code)
        monkeypatch.syspath_prepend(target)
        monkeypatch.delitem(sys.modules, name.replace("-", "_"), raising=False)
        read_again()

    yield install
    monkeypatch.undo()
    read_again()
