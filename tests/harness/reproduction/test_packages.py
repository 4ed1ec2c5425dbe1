"""The packages of a run: what is recorded, and what uv is asked for."""

import platform
import sys

import numpy as np
import pytest

from tisdiss.harness.reproduction.packages import (
    installed,
    locked,
    normalized,
    rebuilt_python,
    requirements,
    torch_backend,
)
from tisdiss.records.run_folder import RunFolder

UV = """\
#!/bin/sh
echo "$@" >> {log}
case "$*" in *{bad}*) echo "error: {told}" >&2; exit 2;; esac
case "$1" in venv) for place; do :; done; mkdir -p "$place/bin"; touch "$place/bin/python";; esac
"""


def test_installed_packages_have_the_versions_that_are_imported():
    found = installed()
    assert found["numpy"] == np.__version__ and "tisdiss" not in found
    assert list(found) == sorted(found) and all(name == normalized(name) for name in found)


def test_a_build_of_torch_is_told_by_its_version():
    versions = ("2.11.0", "2.11.0+cpu", "2.11.0+cu130", None)
    assert [torch_backend(version) for version in versions] == [None, "cpu", "cu130", None]


def test_a_lock_without_gpu_leaves_out_what_only_gpus_need():
    lock = "cuda-toolkit==1\nnumpy==2\nnvidia-x==3\ntorch==2.11.0\ntriton==3\n"
    assert locked(lock, backend="cpu") == "numpy==2\ntorch==2.11.0\n"
    assert locked(lock, backend=None) == lock
    assert requirements({"numpy": "2", "torch": "2.11.0+cpu"}) == "numpy==2\ntorch==2.11.0+cpu\n"


@pytest.fixture
def rebuild(tmp_path, monkeypatch):
    """Rebuilds the environment of a run with a uv that only notes how it was called."""
    folder, said, log = RunFolder.of(tmp_path / "runs", "ab" * 32), [], tmp_path / "log"
    (tmp_path / "code").mkdir()
    (tmp_path / "bin").mkdir()

    def call(*, here=False, bad="NOTHING", told="", **environment):
        uv = tmp_path / "bin" / "uv"
        uv.write_text(UV.format(log=log, bad=bad, told=told))
        uv.chmod(0o755)
        log.write_text("")
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
        folder.write("environment.json", {"python": "3.11.7", **environment})
        made = rebuilt_python(
            folder,
            tmp_path / "code",
            tmp_path / "scratch",
            here=here,
            say=said.append,
            note=said.append,
        )
        return made, log.read_text().splitlines(), said

    return call


def test_the_packages_of_then_are_installed_once(rebuild, tmp_path):
    packages = {"numpy": "2.4.5", "torch": "2.11.0+cpu"}
    made, (venv, install), said = rebuild(packages=packages)
    assert made.about == "2 packages by uv" and made.path.is_file()
    assert venv.startswith("venv --quiet --clear --no-project --python 3.11.7 ")
    place = made.path.parents[1]
    assert install.endswith(f"{place}/bin/python --torch-backend cpu -r {place}.txt")
    assert "--no-deps" in install
    assert place.with_name(f"{place.name}.txt").read_text() == "numpy==2.4.5\ntorch==2.11.0+cpu\n"
    again, calls, _ = rebuild(packages=packages)
    assert (again, calls) == (made, [])
    other, calls, _ = rebuild(packages=packages | {"numpy": "2.4.6"})
    assert other.path != made.path and len(calls) == 2
    assert len(said) == 2 and said[0].startswith("installs 2 packages with uv")


def test_a_run_without_a_list_takes_the_lock_of_its_commit(rebuild, tmp_path):
    with pytest.raises(
        ValueError, match=r"kept no list of packages, and its code has no requ.*--he"
    ):
        rebuild(torch="2.11.0+cpu")
    (tmp_path / "code" / "requirements.lock").write_text("numpy==2\ntriton==3\n")
    made, (_, install), said = rebuild(torch="2.11.0+cpu")
    assert (
        "--torch-backend cpu" in install and made.about == "the packages of requirements.lock by uv"
    )
    assert made.path.parents[1].with_suffix(".txt").read_text() == "numpy==2\n"
    assert said[0].startswith("the run kept no list of packages: those of requirements.lock")


def test_another_patch_release_of_python_is_told(rebuild):
    _, calls, said = rebuild(packages={"numpy": "2"}, bad="3.11.7", told="No interpreter")
    assert "--python 3.11 " in calls[1]
    assert said[0] == "Python 3.11.7 is not at hand: another 3.11 is used"


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"bad": "pip", "told": "dns error"}, r"uv could not install the packages \(check the net"),
        (
            {"bad": "venv", "told": "no network"},
            r"uv could not provide Python 3.11.7 .*: error: no",
        ),
        ({"local_packages": ["mine"]}, "used mine, installed from a folder .* add --here"),
    ],
)
def test_packages_that_cannot_be_had_are_told(rebuild, options, problem):
    with pytest.raises(ValueError, match=problem):
        rebuild(packages={"numpy": "2"}, **options)
    made, calls, _ = rebuild(here=True, packages={"numpy": "2"}, **options)
    assert (str(made.path), calls) == (sys.executable, [])


def test_without_uv_the_way_out_is_told(rebuild, tmp_path, monkeypatch):
    module = "tisdiss.harness.reproduction.packages"
    monkeypatch.setattr(f"{module}.shutil.which", lambda _: None)
    monkeypatch.setattr(f"{module}.sys.executable", str(tmp_path / "python"))
    with pytest.raises(ValueError, match=r"uv, .*, is not found: pip install uv, or --here"):
        rebuild(packages={"numpy": "2"}, python=platform.python_version())
