"""Weights from other projects as our model files, and ours under the released names.

`import_released` makes a model.safetensors of a released checkpoint and its config.yaml, and
`import_by_identity` does so in a folder of many; `export_released` makes both of a model of ours.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
import yaml

from tisdiss.checkpoint import load_model, save_model
from tisdiss.config.whole import whole_around
from tisdiss.model import TISDiSS
from tisdiss.records.files import sha256_of_file, write_atomic
from tisdiss.records.identity import canonical, sha256_of, short
from tisdiss.records.run_record import Origin
from tisdiss.released import export, load_with_note, recipe
from tisdiss.whole import AnyNet, Whole

MAX_RECIPE_BYTES = 1024 * 1024


class Converted(NamedTuple):
    """A model made of a released checkpoint."""

    model: AnyNet
    note: str
    """What was stripped from names or left out; "" if nothing."""


def released_model(checkpoint: Path, config: Path) -> Converted:
    """The model of a released checkpoint and its config.yaml, read weights-only.

    Raises ValueError if settings or tensors do not fit.
    """
    model, note = load_with_note(checkpoint, read_recipe(config))
    if isinstance(model, TISDiSS):
        return Converted(model, note)
    return Converted(Whole(whole_around(model.config), model), note)


def read_recipe(path: Path) -> Mapping[str, Any]:
    """The settings in a config.yaml; ValueError if it holds none."""
    if path.stat().st_size > MAX_RECIPE_BYTES:
        raise ValueError(f"{path}: larger than {MAX_RECIPE_BYTES} bytes, so not a recipe")
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        first = " ".join(str(error).split())[:200]
        raise ValueError(f"{path}: not YAML of plain values ({first})") from error
    if not isinstance(settings, dict):
        raise ValueError(f"{path}: holds no settings, but {type(settings).__name__}")
    return settings


def import_released(checkpoint: Path, config: Path, out: Path) -> Converted:
    """Write a released checkpoint as a model file of ours.

    Its identity is that of settings and weights: equal ones in another wrapper have the same.
    """
    converted, origin = _imported(checkpoint, config)
    save_model(out, converted.model, origin)
    return converted


def import_by_identity(checkpoint: Path, config: Path, folder: Path) -> tuple[Path, str]:
    """The same as `folder`/<first digits of the identity>/<name>.safetensors; and the note.

    Two checkpoints with the same file name, as the released ones have, are two files.
    """
    converted, origin = _imported(checkpoint, config)
    assert origin.identity is not None
    out = folder / short(origin.identity) / f"{checkpoint.stem}.safetensors"
    save_model(out, converted.model, origin)
    return out, converted.note


def _imported(checkpoint: Path, config: Path) -> tuple[Converted, Origin]:
    digest = sha256_of_file(checkpoint)
    converted = released_model(checkpoint, config)
    return converted, Origin(identity=identity(converted.model), imported=digest)


def identity(model: AnyNet) -> str:
    """64 hex digits; equal for models with equal settings and weights."""
    tensors = {
        name: hashlib.sha256(tensor.contiguous().numpy().tobytes()).hexdigest()
        for name, tensor in model.state_dict().items()
    }
    return sha256_of({"imported": canonical(model.config), "tensors": tensors})


def export_released(weights: Path, out: Path) -> list[Path]:
    """Write a model of ours as a checkpoint with the released names, and a config.yaml beside it.

    Returns both paths. Raises ValueError for a model that the released code does not have.
    """
    model = load_model(weights)
    if isinstance(model, Whole):
        raise ValueError(f"{weights}: {model.config.name} is not exported, only models of ours are")
    settings = yaml.safe_dump(recipe(model.config), sort_keys=False)
    buffer = io.BytesIO()
    torch.save(export(model), buffer)
    beside = out.parent / "config.yaml"
    write_atomic(out, buffer.getvalue())
    write_atomic(beside, settings)
    return [out, beside]
