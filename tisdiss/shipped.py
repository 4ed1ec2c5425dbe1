"""Files of weights: whether there is one, and the one that comes with the project."""

from pathlib import Path

BASE = Path("models/base.safetensors")


def base_model() -> Path:
    """The shipped base model: in the working folder, else beside the package."""
    beside = Path(__file__).resolve().parent.parent / BASE
    for path in (BASE, beside):
        if path.is_file():
            return path
    raise ValueError(
        f"{BASE}: the shipped model is not here; run from the project folder or pass --model"
    )


def is_weights(model: str | Path) -> bool:
    """Whether a model is given by its file, not by its paper name."""
    return Path(model).suffix == ".safetensors" or Path(model).is_file()


def check_weights(path: Path) -> None:
    """Refuse a model file that is not there."""
    if not path.is_file():
        raise ValueError(f"{path}: no such model file; name a .safetensors file of a finished run")
