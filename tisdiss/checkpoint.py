"""Model files and training states: written whole or not at all, and never executable.

A model file is in safetensors format; its metadata suffices to rebuild the model with
`load_model(path)`. A training state is a weights-only torch file beside a file with its SHA-256; if
it is damaged, the previous state is loaded.
"""

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from tisdiss.config import AnyModel, model_from_json
from tisdiss.machine.device import check_device
from tisdiss.records.files import brief, write_atomic
from tisdiss.records.run_record import Origin
from tisdiss.shipped import check_weights
from tisdiss.whole import AnyNet, build

KEPT_STATES = 2


def save_model(path: Path, model: AnyNet, about: Origin) -> None:
    """Write weights, settings and `about` (what it was trained on) as one safetensors file."""
    # Copies, because safetensors refuses the weights that two parts share (`Residual`).
    tensors = {name: tensor.clone().contiguous() for name, tensor in model.state_dict().items()}
    metadata = {
        "format": "tisdiss-1",
        "model": model.config.model_dump_json(),
        "about": json.dumps(about.plain(), sort_keys=True),
    }
    write_atomic(path, save(tensors, metadata))


def load_model(path: Path, device: str = "cpu") -> AnyNet:
    """The model of a file written by `save_model`, in evaluation mode."""
    tensors, config, _ = read_model_file(path)
    model = build(config)
    load_weights(model, tensors, path)
    check_device(device)
    return model.to(device).eval()


def load_weights(model: AnyNet, tensors: dict[str, Tensor], path: Path) -> None:
    """Load the weights of a file into a model; ValueError unless names and shapes are equal."""
    in_model = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    in_file = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    names = in_model.keys() | in_file.keys()
    differences = sorted(n for n in names if in_model.get(n) != in_file.get(n))
    if differences:
        name = differences[0]
        raise ValueError(
            f"{path}: {len(differences)} tensors do not fit {model.config.name}, such as {name}: "
            f"{in_file.get(name, 'absent')} in the file, {in_model.get(name, 'absent')} in the "
            "model; use weights of a model with the same structure"
        )
    model.load_state_dict(tensors)


def read_model_file(path: Path) -> tuple[dict[str, Tensor], AnyModel, Origin]:
    """Weights, settings and origin of a model file; ValueError for another file."""
    path = Path(path)
    check_weights(path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path}: not a readable safetensors file ({brief(error)})") from error
    if metadata.get("format") != "tisdiss-1":
        raise ValueError(
            f"{path}: not a TISDiSS model (metadata format is {metadata.get('format')!r:.60}, "
            "'tisdiss-1' is needed)"
        )
    try:
        config = model_from_json(metadata["model"])
        return tensors, config, Origin.model_validate_json(metadata["about"])
    except (KeyError, ValueError) as error:
        raise ValueError(f"{path}: the metadata cannot be read ({brief(error)})") from error


def save_state(folder: Path, step: int, state: dict[str, Any]) -> None:
    """Write a training state and its hash; keep only the last `KEPT_STATES`."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    data = buffer.getvalue()
    path = folder / f"state-{step:08d}.pt"
    write_atomic(path, data)
    write_atomic(path.with_suffix(".sha256"), hashlib.sha256(data).hexdigest() + "\n")
    for old in _states(folder)[KEPT_STATES:]:
        _discard(old)


def load_state(folder: Path) -> tuple[dict[str, Any] | None, list[str]]:
    """The newest intact training state (None without one), and a warning for each damaged one.

    Damaged states are removed, so that they do not count among the `KEPT_STATES`.
    """
    warnings: list[str] = []
    for path in _states(folder):
        data = path.read_bytes()
        sha_file = path.with_suffix(".sha256")
        if sha_file.is_file() and sha_file.read_text().strip() == hashlib.sha256(data).hexdigest():
            return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True), warnings
        warnings.append(f"{path.name} does not match its hash; using the state before it")
        _discard(path)
    return None, warnings


def _discard(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.with_suffix(".sha256").unlink(missing_ok=True)


def _states(folder: Path) -> list[Path]:
    """The training states in a folder, newest first."""
    return sorted(folder.glob("state-*.pt"), reverse=True)
