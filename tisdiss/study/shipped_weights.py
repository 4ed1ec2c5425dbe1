"""Shipped and imported weights: a safetensors file whose metadata has the settings of its model
and, for a training of ours, the run that made it.
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
from pathlib import Path
from typing import BinaryIO

from pydantic import ValidationError

from tisdiss.config import AnyModel, TrainConfig, model_from_json
from tisdiss.records.files import brief, sha256_of_file
from tisdiss.records.run_record import Origin
from tisdiss.shipped import SHIPPED
from tisdiss.study.overrides import validated

MAX_HEADER_BYTES = 16 * 1024 * 1024


def weights_path(file: str, root: Path) -> Path:
    """A shipped file in the project folder `root`, else in the package."""
    own = root / file
    return own if own.is_file() or not (SHIPPED / file).is_file() else SHIPPED / file


def read_shipped(path: Path) -> tuple[str, TrainConfig, str]:
    """Train identity, config and data manifest of a weights file, from its header.

    Weights without a run in their metadata are identified by the hash of their content.
    """
    metadata = read_metadata(path)
    try:
        about = Origin.model_validate_json(metadata.get("about", "{}"))
        config = _config(metadata, about)
    except (KeyError, ValueError, ValidationError) as error:
        raise ValueError(f"{path}: not weights of a TISDiSS model ({brief(error)})") from error
    return about.identity or sha256_of_file(path), config, about.data_manifest or ""


def identity_in(content: bytes, path: Path) -> str:
    """The train identity, as `read_shipped` gives it, of bytes that were read from a file."""
    try:
        about = Origin.model_validate_json(_metadata(io.BytesIO(content), path).get("about", "{}"))
    except ValidationError as error:
        raise ValueError(f"{path}: not weights of a TISDiSS model ({brief(error)})") from error
    return about.identity or hashlib.sha256(content).hexdigest()


def read_model(path: Path) -> AnyModel:
    """The settings of the model in a weights file, from its header."""
    try:
        return model_from_json(read_metadata(path)["model"])
    except (KeyError, ValueError, ValidationError) as error:
        raise ValueError(f"{path}: not weights of a TISDiSS model ({brief(error)})") from error


def _config(metadata: dict[str, str], about: Origin) -> TrainConfig:
    if about.train is not None:
        return validated(TrainConfig, about.train.plain())
    return TrainConfig(model=model_from_json(metadata["model"]))


def same_tensors(one: Path, other: Path) -> bool:
    """Whether two files hold the same bytes after their headers, whose order may differ."""
    return _after_header(one) == _after_header(other)


def _after_header(path: Path) -> bytes:
    content = path.read_bytes()
    return content[8 + int.from_bytes(content[:8], "little") :]


def read_metadata(path: Path) -> dict[str, str]:
    """The metadata of a safetensors file."""
    if not path.is_file():
        raise ValueError(f"{path}: no such weights file; `weights:` of a row or profile names it")
    with path.open("rb") as file:
        return _metadata(file, path)


def _metadata(file: BinaryIO, path: Path) -> dict[str, str]:
    head = file.read(8)
    size = struct.unpack("<Q", head)[0] if len(head) == 8 else 0
    text = file.read(size) if 0 < size <= MAX_HEADER_BYTES else b""
    try:
        return dict(json.loads(text).get("__metadata__", {}))
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{path}: not a safetensors file") from error
