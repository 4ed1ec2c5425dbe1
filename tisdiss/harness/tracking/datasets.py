"""The mixtures of a run as MLflow's datasets: training, validation and test.

A digest is the beginning of the hash of the mixtures' sound, so that equal digests mean equal
mixtures. Runs of earlier versions have one hash for training and validation together.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from tisdiss.records import names
from tisdiss.records.identity import short
from tisdiss.records.run_folder import RunFolder
from tisdiss.records.run_record import TrainedConfig


class Data(NamedTuple):
    """A set of mixtures; the last three are JSON as MLflow's pages read it."""

    context: str
    name: str
    digest: str
    source: str
    schema: str
    profile: str


def datasets_of(
    folder: RunFolder, config: TrainedConfig, params: Mapping[str, str], evaluation: str | None
) -> list[Data]:
    """The mixtures of a run, and those of its latest evaluation if there is one."""
    return [_data(part, params) for part in _parts(folder, config, evaluation)]


class _Part(NamedTuple):
    """Mixtures with one purpose: the hash of their sound, and their number if it is known."""

    context: str
    manifest: str
    mixtures: int | None = None
    corpus: str | None = None
    """None: the source that the model was trained on."""


def _parts(folder: RunFolder, config: TrainedConfig, evaluation: str | None) -> Iterator[_Part]:
    if data := folder.data():
        yield _Part(names.DATA_TRAIN, data.train.manifest, data.train.mixtures)
        yield _Part(names.DATA_VAL, data.val.manifest, data.val.mixtures)
    else:
        yield _Part(names.DATA_TRAIN, config.data_manifest)
        yield _Part(names.DATA_VAL, config.data_manifest)
    scored = folder.scored(evaluation) if evaluation else None
    split = ((scored and scored.config) or {}).get("split", "test")
    if scored and scored.test_manifest and split == "test":
        yield _Part(names.DATA_TEST, scored.test_manifest, scored.mixtures, scored.corpus)


def _data(part: _Part, params: Mapping[str, str]) -> Data:
    """The mixtures with their full hash as their source, as MLflow has no kind for sound."""
    source = params.get("data.source", "")
    settings = {
        key: params[f"data.{key}"]
        for key in ("source", "sample_rate", "condition", "seed")
        if f"data.{key}" in params
    }
    profile = {"mixtures": part.mixtures, "n_src": params.get("model.n_src")}
    return Data(
        part.context,
        names.dataset(part.corpus or source, part.context),
        short(part.manifest),
        json.dumps({"tags": {"manifest": part.manifest, **settings}}),
        json.dumps({"mlflow_colspec": [_sound("mixture", 1), _sound("sources", 2)]}),
        json.dumps({key: value for key, value in profile.items() if value is not None}),
    )


def _sound(name: str, dimensions: int) -> dict[str, object]:
    """Samples, (samples,) or (n_src, samples), as MLflow describes an array."""
    spec = {"dtype": "float32", "shape": [-1] * dimensions}
    return {"name": name, "type": "tensor", "tensor-spec": spec}
