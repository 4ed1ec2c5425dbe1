"""The weights that come with the project."""

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
