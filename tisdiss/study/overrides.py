"""Dotted overrides, such as {"model.n_re": 6}, on the frozen configs of `tisdiss.config`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from tisdiss.config import AnyModel, TrainConfig, WholeConfig
from tisdiss.config.whole import group_of, settings_of, whole_named
from tisdiss.contract import WHOLE_MODELS
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
    return paths + [path for name in WHOLE_MODELS if model is TrainConfig for path in _own(name)]


def _own(architecture: str) -> list[str]:
    """The dotted settings of a whole model."""
    return _leaves(settings_of(architecture), f"model.{group_of(architecture)}.")


def about_model(changes: Settings, model: AnyModel) -> Settings:
    """The changes without those that are about another model than this one, or of another kind."""
    groups = {f"model.{group_of(name)}.": name for name in WHOLE_MODELS}

    def fits(path: str) -> bool:
        owner = next((name for group, name in groups.items() if path.startswith(group)), None)
        whole = isinstance(model, WholeConfig)
        return owner == model.architecture if owner or (whole and path[:6] == "model.") else True

    return {path: value for path, value in changes.items() if fits(path)}


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
    for config, of_kind in _by_kind(valid, model):
        try:
            override(config, of_kind)
        except ValidationError as error:
            problems += _single(error, of_kind, model, at)
    return problems


def _by_kind(changes: Settings, model: type[BaseModel]) -> Iterator[tuple[BaseModel, Settings]]:
    """A config for each kind of model, and the changes that it takes."""
    if model is not TrainConfig:
        yield model(), changes
        return
    plain = about_model(changes, TrainConfig().model)
    yield TrainConfig(), plain
    own = {path: value for path, value in changes.items() if path not in plain}
    for name in WHOLE_MODELS:
        whole = whole_named(name)
        if mine := about_model(own, whole):
            yield TrainConfig(model=whole), mine


def _single(
    error: ValidationError, changes: Settings, model: type[BaseModel], at: Place
) -> list[Problem]:
    single = [e for e in error.errors() if ".".join(map(str, e["loc"])) not in _groups(model)]
    return [_override_problem(details, changes, at) for details in single]


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
            if name not in group:
                raise _unknown(path, config)
            group = group[name]
        group[last] = value
    return validated(type(config), data)


def _unknown(path: str, config: BaseModel) -> ValueError:
    """The error for a setting that models of another kind have."""
    model = getattr(config, "model", None)
    ours = [path for path in _leaves(type(config), "") if path.startswith("model.")]
    paths = _own(model.architecture) if isinstance(model, WholeConfig) else ours
    name = getattr(model, "name", type(config).__name__)
    return ValueError(f"{path}: {name} has no such setting; {nearest(path, paths)}")


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
