"""Identities of runs: equal identities mean the same weights, or the same scores.

The *train identity* covers everything that determines the weights: the resolved training config,
the training and validation mixtures, and the parent of a fine-tune. The *evaluation identity*
covers a train identity, the rule that selects the checkpoint, the evaluation config and the scored
mixtures. So a new depth or a larger test set never requires training.

The hash is over resolved settings, not over differences from defaults. A field with
`json_schema_extra={"identity": False}` is left out. A field added after runs exist carries
`{"since": value}`, the value that all earlier runs had, and is left out while it has that value:
old runs keep their identity. Defaults do not change once runs exist; a test pins some identities.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Protocol

from pydantic import BaseModel

from tisdiss.config import EvalConfig, TrainConfig
from tisdiss.records.files import JsonObject

SCHEMA = 1
CHECKPOINT_RULE = "final"
"""The rule that selects the checkpoint: `model.safetensors`, the mean of the best checkpoints."""

SHORT = 10
"""Number of hex digits in messages and folder names; files have all 64."""

_EVALUATION_ONLY = frozenset({"data.test_mixtures"})
"""Settings of a training config that only determine what is scored."""

_IN_ANY_ORDER = frozenset({"model.losses"})
"""Lists that mean the same in any order."""


class HasManifest(Protocol):
    """A set of mixtures, or anything else that a hash identifies."""

    @property
    def manifest_hash(self) -> str: ...


class CorpusLike(Protocol):
    """The attributes of a `tisdiss.data.Corpus` that an identity needs."""

    @property
    def train(self) -> HasManifest: ...
    @property
    def val(self) -> HasManifest: ...


def train_identity(config: TrainConfig, data_manifest: str) -> str:
    """64 hex digits; equal for runs that would give the same weights. Includes `config.parent`."""
    semantic = canonical(config)
    parent = semantic.pop("parent", None)
    return sha256_of({"schema": SCHEMA, "train": semantic, "data": data_manifest, "parent": parent})


def evaluation_identity(trained: str, config: EvalConfig, test_manifest: str) -> str:
    """64 hex digits; equal for evaluations that would give the same scores."""
    return sha256_of(
        {
            "schema": SCHEMA,
            "train": trained,
            "checkpoint": CHECKPOINT_RULE,
            "evaluate": canonical(config),
            "test": test_manifest,
        }
    )


def training_manifest(corpus: CorpusLike) -> str:
    """The hash of the training and validation mixtures, without the test mixtures."""
    return sha256_of({"train": corpus.train.manifest_hash, "val": corpus.val.manifest_hash})


def canonical(config: BaseModel, prefix: str = "") -> JsonObject:
    """The settings that an identity covers, as plain data."""
    plain = config.model_dump(mode="json")
    result: JsonObject = {}
    for name, info in type(config).model_fields.items():
        extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
        path, value = prefix + name, getattr(config, name)
        if extra.get("identity") is False or path in _EVALUATION_ONLY:
            continue
        if "since" in extra and plain[name] == extra["since"]:
            continue
        if isinstance(value, BaseModel):
            result[name] = canonical(value, f"{path}.")
        else:
            result[name] = sorted(plain[name]) if path in _IN_ANY_ORDER else plain[name]
    return result


def sha256_of(data: Any) -> str:
    """The hash of plain data, independent of key order; ValueError for NaN and infinity."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def short(identity: str) -> str:
    """The first digits of an identity, for messages and folder names."""
    return identity[:SHORT]
