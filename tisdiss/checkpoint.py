"""Weights on disk: whole or absent, checked by hash, never executable.

A model file is safetensors whose metadata rebuilds the model alone: `load_model(path)`. A training
state is a weights-only torch file beside its SHA-256; a damaged one is passed over for the one
before it.
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

from tisdiss.config import ModelConfig
from tisdiss.machine.device import check_device
from tisdiss.model import TISDiSS
from tisdiss.records.files import brief, write_atomic
from tisdiss.records.run_record import Origin
from tisdiss.shipped import check_weights

KEPT_STATES = 2


def save_model(path: Path, model: TISDiSS, about: Origin) -> None:
    """Write weights, settings and `about` (what it was trained on) as one safetensors file."""
    # Copies, for the format refuses tensors that two parts share, as residual modules may.
    tensors = {name: tensor.clone().contiguous() for name, tensor in model.state_dict().items()}
    metadata = {
        "format": "tisdiss-1",
        "model": model.config.model_dump_json(),
        "about": json.dumps(about.plain(), sort_keys=True),
    }
    write_atomic(path, save(tensors, metadata))


def load_model(path: Path, device: str = "cpu") -> TISDiSS:
    """The model of a file written by `save_model`, in evaluation mode."""
    tensors, config, _ = read_model_file(path)
    model = TISDiSS.from_config(config)
    load_weights(model, tensors, path)
    check_device(device)
    return model.to(device).eval()


def load_weights(model: TISDiSS, tensors: dict[str, Tensor], path: Path) -> None:
    """Fill a model with the weights of a file; ValueError unless all names and shapes are equal."""
    ours = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    theirs = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    wrong = sorted(n for n in ours.keys() | theirs.keys() if ours.get(n) != theirs.get(n))
    if wrong:
        raise ValueError(
            f"{path}: {len(wrong)} tensors do not fit {model.config.name}, such as {wrong[0]}: "
            f"{theirs.get(wrong[0], 'absent')} in the file, {ours.get(wrong[0], 'absent')} in the "
            "model; take a file of the same structure"
        )
    model.load_state_dict(tensors)


def read_model_file(path: Path) -> tuple[dict[str, Tensor], ModelConfig, Origin]:
    """Weights, settings and notes of a model file; ValueError where it is not one."""
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
            f"{path}: no TISDiSS model (metadata format is {metadata.get('format')!r:.60}, "
            "'tisdiss-1' is needed)"
        )
    try:
        config = ModelConfig.model_validate_json(metadata["model"])
        return tensors, config, Origin.model_validate_json(metadata["about"])
    except (KeyError, ValueError) as error:
        raise ValueError(f"{path}: metadata that cannot be read ({brief(error)})") from error


def save_state(folder: Path, step: int, state: dict[str, Any]) -> None:
    """Write a training state and its hash; the last two are kept."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    data = buffer.getvalue()
    path = folder / f"state-{step:08d}.pt"
    write_atomic(path, data)
    write_atomic(path.with_suffix(".sha256"), hashlib.sha256(data).hexdigest() + "\n")
    for old in _states(folder)[KEPT_STATES:]:
        _discard(old)


def load_state(folder: Path) -> tuple[dict[str, Any] | None, list[str]]:
    """The newest intact training state, None without one, and what was wrong with newer ones.

    Those are removed, lest they count as states that are kept.
    """
    complaints: list[str] = []
    for path in _states(folder):
        data = path.read_bytes()
        mark = path.with_suffix(".sha256")
        if mark.is_file() and mark.read_text().strip() == hashlib.sha256(data).hexdigest():
            return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True), complaints
        complaints.append(f"{path.name} does not match its hash; using the state before it")
        _discard(path)
    return None, complaints


def _discard(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.with_suffix(".sha256").unlink(missing_ok=True)


def _states(folder: Path) -> list[Path]:
    """Newest first."""
    return sorted(folder.glob("state-*.pt"), reverse=True)
