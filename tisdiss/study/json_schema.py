"""The JSON Schema of study files, for completion in editors."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaValue

from tisdiss.config import TrainConfig
from tisdiss.config.whole import group_of, whole_config
from tisdiss.contract import WHOLE_MODELS
from tisdiss.study.document import RANGE
from tisdiss.study.overrides import settable
from tisdiss.study.profiles import (
    AskedEvaluation,
    load_profiles,
)
from tisdiss.study.words import Study


def study_schema() -> JsonSchemaValue:
    """The JSON Schema of a study file, for editors; ranges such as 1..10 are allowed in lists."""
    schema = Study.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    row, adjustments = schema["$defs"]["Row"], schema["$defs"]["Adjustments"]
    row["properties"]["set"] |= _dotted_schema(TrainConfig)
    for key in ("set", "finetune"):
        adjustments["properties"][key] |= _dotted_schema(TrainConfig)
    adjustments["properties"]["rows"]["additionalProperties"] = _dotted_schema(TrainConfig)
    for place in (adjustments, schema):
        place["properties"]["evaluate"] |= _dotted_schema(AskedEvaluation)
    schema["properties"]["profiles"]["propertyNames"] = {"enum": list(load_profiles())}
    return _with_ranges(schema)


def _dotted_schema(model: type[BaseModel]) -> JsonSchemaValue:
    """An object whose keys are the dotted settings of a config."""
    of_group = {f"model.{group_of(name)}.": whole_config(name) for name in WHOLE_MODELS}

    def at(path: str) -> JsonSchemaValue:
        for group, kind in of_group.items():
            if path.startswith(group):
                return _schema_at(kind, path.removeprefix("model."))
        return _schema_at(model, path)

    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {path: at(path) for path in settable(model)},
    }


def _schema_at(model: type[BaseModel], path: str) -> JsonSchemaValue:
    """The schema of one setting."""
    part = model.model_json_schema()
    groups = part.get("$defs", {})
    for name in path.split("."):
        part = part["properties"][name]
        if "$ref" in part:
            part = groups[part["$ref"].rpartition("/")[2]]
    return part


def _with_ranges(schema: Any) -> Any:
    """The schema with `a..b` allowed for, and in, every list of integers."""
    if isinstance(schema, list):
        return [_with_ranges(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: _with_ranges(value) for key, value in schema.items()}
    if schema.get("type") == "array" and schema.get("items", {}).get("type") == "integer":
        span = {"type": "string", "pattern": RANGE.pattern}
        outer = {key: schema.pop(key) for key in ("default", "description") if key in schema}
        schema["items"] = {"anyOf": [schema["items"], span]}
        return {**outer, "anyOf": [schema, span]}
    return schema
