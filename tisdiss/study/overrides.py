"""Dotted overrides, such as {"model.n_re": 6}, on the frozen configs of `tisdiss.config`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from tisdiss.config import TrainConfig
from tisdiss.records.problems import Place, Problem, literal_hint, nearest, rule_of

ConfigT = TypeVar("ConfigT", bound=BaseModel)
Settings = dict[str, object]
"""Dotted settings as a file gives them, such as {"optim.lr": 1e-4}."""

NOT_SET_BY_HAND = {
    "parent": "use `init_from:` of the row",
    "seed": "use `seeds:` of the study",
}
"""Fields of TrainConfig that other keys of a study determine."""


@cache
def settable(model: type[BaseModel]) -> tuple[str, ...]:
    """Every dotted path of a config that an override may name."""
    return tuple(path for path in _leaves(model, "") if path not in NOT_SET_BY_HAND)


def _leaves(model: type[BaseModel], prefix: str) -> list[str]:
    paths: list[str] = []
    for name, info in model.model_fields.items():
        inner = info.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            paths += _leaves(inner, f"{prefix}{name}.")
        else:
            paths.append(prefix + name)
    return paths


def check_keys(keys: Mapping[str, object], model: type[BaseModel], at: Place) -> list[Problem]:
    """A problem for each key that is not a settable path of the config."""
    problems = []
    for key in keys:
        if key in settable(model):
            continue
        parts = [path for path in settable(model) if path.startswith(f"{key}.")]
        if key in NOT_SET_BY_HAND and model is TrainConfig:
            problem = Problem((*at, key), key, "cannot be set here", NOT_SET_BY_HAND[key], True)
        elif parts:
            hint = f"set its parts: {', '.join(parts[:4])}{', ...' if len(parts) > 4 else ''}"
            problem = Problem((*at, key), key, "this is a group of settings", hint, True)
        else:
            hint = nearest(key, settable(model))
            problem = Problem((*at, key), key, "unknown setting", hint, True)
        problems.append(problem)
    return problems


def value_problems(
    changes: Mapping[str, object], model: type[BaseModel], at: Place
) -> list[Problem]:
    """Unknown keys and values of the wrong type or range; combinations are checked later."""
    problems = check_keys(changes, model, at)
    unknown = {problem.place[-1] for problem in problems}
    valid = {key: value for key, value in changes.items() if key not in unknown}
    try:
        override(model(), valid)
    except ValidationError as error:
        single = [e for e in error.errors() if ".".join(map(str, e["loc"])) not in _groups(model)]
        problems += [_override_problem(details, valid, at) for details in single]
    return problems


def _groups(model: type[BaseModel]) -> set[str]:
    """The dotted paths of groups of settings; "" is the whole config."""
    parents = (path.split(".")[:-1] for path in _leaves(model, ""))
    return {".".join(parts[:n]) for parts in parents for n in range(len(parts) + 1)}


def override(config: ConfigT, changes: Mapping[str, object]) -> ConfigT:
    """The config with dotted changes; raises pydantic's ValidationError."""
    data = config.model_dump(mode="json")
    for path, value in changes.items():
        group = data
        *groups, last = path.split(".")
        for name in groups:
            group = group[name]
        group[last] = value
    return validated(type(config), data)


def validated(model: type[ConfigT], data: Mapping[str, object]) -> ConfigT:
    """A config from plain data; '3' and true are not accepted as numbers."""
    return model.model_validate_json(json.dumps(data), strict=True)


def override_problems(
    error: ValidationError, changes: Mapping[str, object], at: Place
) -> list[Problem]:
    """The problems of overrides at a place, each at the key that caused it."""
    return [_override_problem(details, changes, at) for details in error.errors(include_url=False)]


def _override_problem(details: Any, changes: Mapping[str, object], at: Place) -> Problem:
    path = ".".join(str(part) for part in details["loc"])
    key = _cause(path, changes)
    if key is None:
        return Problem(at, path or "settings", rule_of(details))
    rule = f"{key}: {rule_of(details)}"
    if details["type"] == "literal_error":
        return Problem((*at, key), details["input"], rule, literal_hint(details))
    return Problem((*at, key), changes[key], rule)


def _cause(path: str, changes: Mapping[str, object]) -> str | None:
    """The override that set the value at a path, or the last one inside the group at that path."""
    for key in changes:
        if path == key or path.startswith(f"{key}."):
            return key
    inside = [key for key in changes if not path or key.startswith(f"{path}.")]
    return inside[-1] if inside else None
