"""A model of either kind: built of our parts (`ModelConfig`), or whole (`WholeConfig`)."""

import json
from collections.abc import Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import SerializeAsAny, ValidationInfo, WrapValidator

from tisdiss.architectures import ARCHITECTURES
from tisdiss.config.model import ModelConfig
from tisdiss.config.whole import (
    WholeConfig,
    whole_config,
    whole_model_in,
    whole_named,
    whole_names,
)
from tisdiss.contract import WHOLE_MODELS

AnyModel = ModelConfig | WholeConfig


def named(name: str, profile: str = "") -> AnyModel:
    """The model of a name: of the paper's size, or a whole model at the size of a profile.

    ValueError with an example and the nearest name.
    """
    paper = name.partition("-")[0][:3] == "sep" and name[3:4].isdigit()
    if not paper and whole_model_in(name):
        return whole_named(name, profile)
    try:
        return ModelConfig.from_name(name)
    except ValueError as error:
        near = get_close_matches(name, whole_names(), 1)
        raise ValueError(f"{error}; nearest: {near[0]}" if near else str(error)) from error


def model_from_json(text: str) -> AnyModel:
    """The model of settings as JSON; ValueError for an architecture that is not installed."""
    plain = json.loads(text)
    architecture = plain.get("architecture") if isinstance(plain, dict) else None
    if isinstance(architecture, str) and architecture not in ARCHITECTURES:
        if architecture not in WHOLE_MODELS:
            raise ValueError(
                f"no model {architecture[:60]!r} is installed; there are "
                f"{', '.join((*ARCHITECTURES, *WHOLE_MODELS))}"
            )
        return whole_config(architecture).model_validate_json(text)
    return ModelConfig.model_validate_json(text)


def _of_its_kind(value: Any, handler: Any, info: ValidationInfo) -> AnyModel:
    """Validate the settings of a model by the class of its architecture."""
    if isinstance(value, WholeConfig):
        return value
    name = value.get("architecture") if isinstance(value, Mapping) else None
    is_whole = isinstance(name, str) and name not in ARCHITECTURES and name in WHOLE_MODELS
    kind = whole_config(str(name)) if is_whole else ModelConfig
    if info.mode == "json":  # `handler` would not take a list of JSON as a tuple
        return kind.model_validate_json(json.dumps(value), strict=True)
    if is_whole:
        return kind.model_validate(value)
    model: ModelConfig = handler(value)
    return model


if TYPE_CHECKING:
    ModelField = AnyModel
else:  # a `ModelConfig` for editors and for the list of settings
    ModelField = Annotated[SerializeAsAny[ModelConfig], WrapValidator(_of_its_kind)]
