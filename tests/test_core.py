"""What works with the core packages alone, and what a missing extra is told."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import soundfile
import torch

from tisdiss.machine.extras import EXTRAS, missing, need

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ALIAS = {"psycopg2-binary": "psycopg2", "pyyaml": "yaml"}
HIDING = f"""
import sys
from importlib.machinery import PathFinder
hidden = {sorted({module for modules in EXTRAS.values() for module in modules} | {"sklearn"})}
class Core:
    @staticmethod
    def find_spec(name, path=None, target=None):
        is_hidden = name.partition(".")[0] in hidden
        return None if is_hidden else PathFinder.find_spec(name, path, target)
sys.meta_path[sys.meta_path.index(PathFinder)] = Core
from tisdiss.cli import main
def tisdiss(words):
    sys.argv = ["tisdiss", *words.split()]
    try:
        main()
    except SystemExit as ended:
        return ended.code or 0
"""
"""Hides the modules of all extras, as in an installation of the core."""


def packages(requirements: list[str]) -> set[str]:
    names = {re.match(r"[\w-]+", line)[0].lower() for line in requirements}
    return {ALIAS.get(name, name) for name in names}


def with_the_core(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", HIDING + code], cwd=folder, capture_output=True, text=True
    )


def test_the_table_of_extras_is_that_of_the_project() -> None:
    extras = PROJECT["optional-dependencies"]
    for extra, modules in EXTRAS.items():
        assert packages(extras[extra]) == set(modules) - {"jupyter_client"}, extra
    assert not packages(PROJECT["dependencies"]) & {m for ms in EXTRAS.values() for m in ms}


def test_dev_takes_every_extra_but_mysql_and_what_needs_a_compiler() -> None:
    extras = dict(PROJECT["optional-dependencies"])
    first, *others = extras.pop("dev")
    taken = re.match(r"tisdiss\[(.*)\]", first)[1].split(",")
    assert {*taken, "mysql", "quality"} == extras.keys()
    assert {*extras["quality"]} - {*others, *extras["export"]} == {"pesq"}


def test_every_declared_package_is_imported() -> None:
    text = "\n".join(path.read_text() for path in (ROOT / "tisdiss").rglob("*.py"))
    text += "\n".join(path.read_text() for path in (ROOT / "analysis").rglob("*.py"))
    spoken = {"ipykernel": "kernelspec", "psycopg2": "psycopg2", "pymysql": "pymysql"}
    requirements = [*PROJECT["dependencies"]]
    for extra, lines in PROJECT["optional-dependencies"].items():
        requirements += [] if extra == "dev" else lines
    for package in packages(requirements):
        used = re.search(rf"^\s*(import|from) {package}\b", text, re.M)
        by_name = package in spoken and spoken[package] in text
        assert used or by_name, package


def test_the_core_separates(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "talk.wav", 0.1 * torch.randn(4000).numpy(), 16000)
    code = """
assert tisdiss("separate talk.wav -o out --n-re 1") == 0
from tisdiss import load
estimates = load("base").separate("talk.wav")
assert estimates.shape == (2, 4000) and estimates.isfinite().all()
print("all")
"""
    done = with_the_core(code, tmp_path)
    assert done.stdout.endswith("all\n"), done.stderr
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {"talk_speaker1.wav", "talk_speaker2.wav"}


def test_the_core_joins_the_parts_of_a_long_recording(tmp_path: Path) -> None:
    code = """
import torch
from tisdiss.order import ByVoices
from tisdiss.stitch import stitched
wave, order = torch.randn(40000), ByVoices(8000)
def halves(part):
    return torch.stack([part, part.flip(0)])
pieces = list(stitched(halves, [wave], part=16000, overlap=4000, order=order))
assert torch.cat(pieces, -1).shape == (2, 40000)
print("all")
"""
    done = with_the_core(code, tmp_path)
    assert done.stdout.endswith("all\n"), done.stderr


@pytest.mark.slow
def test_the_core_profiles(tmp_path: Path) -> None:
    done = with_the_core('tisdiss("profile sep1x1-re1x1-l1 --seconds 0.1")', tmp_path)
    assert "GMAC for 0.1 s" in done.stdout, done.stderr


def test_the_core_plans(tmp_path: Path) -> None:
    code = """
assert tisdiss("--help") == 0
assert tisdiss("plan fig2a --profile smoke") == 0
assert tisdiss("status") == 0
"""
    done = with_the_core(code, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "4 runs at profile smoke" in done.stdout and "no study is planned in" in done.stdout


def test_a_missing_extra_is_one_line_with_its_command(tmp_path: Path) -> None:
    tracked = "export models:/tisdiss@best -o best.pth"
    for words in ("run fig2a --profile smoke", "search search_loss", "sync", "demo", tracked):
        done = with_the_core(f"sys.exit(tisdiss({words!r}))", tmp_path)
        assert done.returncode == 2 and done.stdout == ""
        package = "(mlflow|sqlalchemy|starlette)"
        line = rf"error: this needs {package}: pip install 'tisdiss\[(studies|web)\]'\n"
        assert re.fullmatch(line, done.stderr)
    assert not list(tmp_path.iterdir())


def test_what_brings_a_module() -> None:
    assert missing("mlflow.tracking") == "this needs mlflow: pip install 'tisdiss[studies]'"
    assert missing("tisdiss.nothing") is None


def test_another_way_out_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXTRAS, "rooms", ("no_such_package",))
    with pytest.raises(ValueError) as caught:
        need("rooms", "choose condition clean")
    assert str(caught.value) == (
        "this needs no_such_package: pip install 'tisdiss[rooms]', or choose condition clean"
    )


def test_the_package_is_also_a_command(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tisdiss", "--version"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout == f"tisdiss {PROJECT['version']}\n"
