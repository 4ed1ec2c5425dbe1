"""Weight files: recognising and checking one, and finding the shipped one."""

from pathlib import Path

BASE = Path("models/base.safetensors")


def base_model() -> Path:
    """The shipped base model: in the working folder, else beside the package."""
    beside = Path(__file__).resolve().parent.parent / BASE
    for path in (BASE, beside):
        if path.is_file():
            return path
    raise ValueError(
        f"{BASE}: the shipped model is missing; run from the project folder or pass --model"
    )


def is_weights(model: str | Path) -> bool:
    """Whether `model` is a weight file, not a paper name."""
    return Path(model).suffix == ".safetensors" or Path(model).is_file()


def check_weights(path: Path) -> None:
    """Raise ValueError if the model file does not exist."""
    if not path.is_file():
        raise ValueError(f"{path}: no such model file; name a .safetensors file of a finished run")
