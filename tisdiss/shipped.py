"""What comes with the package, and files of weights: which is meant, and whether it is there."""

import os
from pathlib import Path
from pkgutil import resolve_name

from tisdiss.machine.folders import HOME, RUNS
from tisdiss.records.problems import nearest
from tisdiss.records.run_folder import RunFolder, matching_runs, run_folders

SHIPPED = Path(__file__).resolve().parent / "shipped_files"
"""Studies and models of the package; in a checkout, links to its folders."""
SHIPPED_STUDIES = SHIPPED / "studies"
BASE = Path("models/base.safetensors")

RELEASED = (".pth", ".pt", ".ckpt", ".bin")
"""Suffixes of checkpoints of the released code and of other tools."""

TRACKED = ("runs:/", "models:/")
"""Beginnings of MLflow's addresses of weights."""
FETCH = "tisdiss.harness.tracking.registry.fetched"
"""Finds the file of such an address; by name, because MLflow is no part of the core. Without a
colon, which would make it a part of the code that trains (`records/revision.py`)."""


def shipped(path: str | Path) -> Path:
    """A file of the project's folder if it is there, else the one that comes with the package."""
    return HOME / path if (HOME / path).is_file() else SHIPPED / path


def base_model() -> Path:
    """The shipped base model: in the project's folder, else in the package."""
    return shipped(BASE)


def is_weights(model: str | Path) -> bool:
    """Whether `model` is a weight file, not a paper name."""
    return Path(model).suffix == ".safetensors" or Path(model).is_file()


def check_weights(path: Path) -> None:
    """Raise ValueError if the model file does not exist."""
    if not path.is_file():
        raise ValueError(f"{path}: no such model file; name a .safetensors file of a finished run")


def weights_of(source: str | Path, runs_dir: Path = RUNS) -> Path:
    """The file of weights that "base", a path, or the first digits of a run's identity mean.

    So does an address in MLflow, such as models:/tisdiss@best. Raises ValueError if there is no
    such file, ConnectionError if MLflow's store fails.
    """
    if source == "base":
        return base_model()
    if str(source).startswith(TRACKED):
        fetched: Path = resolve_name(FETCH)(str(source), runs_dir)
        return fetched
    path = Path(source)
    if path.suffix not in (".safetensors", *RELEASED) and not os.path.lexists(path):
        path = _weights_of_run(str(source), runs_dir)
    check_weights(path)
    return path


def _weights_of_run(digits: str, runs_dir: Path) -> Path:
    matches = matching_runs(runs_dir, digits)
    if not digits or len(matches) != 1:
        runs = [path.name for path in run_folders(runs_dir)]
        raise ValueError(
            f"{digits!r}: neither a file of weights nor the first digits of one run in {runs_dir}; "
            f"{nearest(digits, ['base', *runs])}"
        )
    return RunFolder.at(matches[0]).model_file


def recipe_of(weights: Path, config: str | Path | None) -> Path | None:
    """The config.yaml of a released checkpoint: `config`, else the one beside the weights.

    None for weights of ours, which hold their settings. Raises ValueError if it is missing.
    """
    if config is None and weights.suffix not in RELEASED:
        return None
    recipe = Path(config) if config is not None else weights.parent / "config.yaml"
    if not recipe.is_file():
        raise ValueError(
            f"{recipe}: no such file; name the checkpoint's config.yaml by --config (in Python, "
            "config=)"
        )
    return recipe
