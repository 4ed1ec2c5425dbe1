"""Settings of whole models (`tisdiss.contract`), each in a group with the model's name.

A `WholeConfig` has the properties that `ModelConfig` has and the harness asks for. No torch here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from pkgutil import resolve_name
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationError, create_model

from tisdiss.config.model import ModelConfig
from tisdiss.config.numbers import Config
from tisdiss.contract import WHOLE_MODELS, WholeModel
from tisdiss.plugins import PluginError


class WholeConfig(Config):
    """A whole model; a subclass for each has the group of its settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    architecture: str
    variant: Annotated[str, Field(json_schema_extra={"identity": False})] = ""
    """The part of the name after the architecture; its settings are in the group."""

    def __hash__(self) -> int:
        return hash(self.model_dump_json())

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self.architecture, self.model_dump_json())

    @property
    def entry(self) -> WholeModel:
        """The entry of this architecture in the table."""
        return WHOLE_MODELS[self.architecture]

    @property
    def settings(self) -> Any:
        """The model's own settings, a `Config` with `n_src` and `sample_rate`."""
        return getattr(self, group_of(self.architecture))

    @property
    def name(self) -> str:
        """The architecture, with the variant if it is one, such as "sepreformer-base"."""
        return "-".join(filter(None, (self.architecture, self.variant)))

    @property
    def n_src(self) -> int:
        """J: speakers to separate."""
        return int(self.settings.n_src)

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return int(self.settings.sample_rate)

    @property
    def rate_setting(self) -> str:
        """The dotted setting of the sample rate."""
        return f"model.{group_of(self.architecture)}.sample_rate"

    @property
    def least_samples(self) -> int:
        """Samples that a mixture needs at least."""
        return 1

    @property
    def dial(self) -> Sequence[int]:
        """The depths that can be scored, ascending; empty without a dial."""
        return tuple(depth for depth in getattr(self.settings, "depths", ()) if depth >= 1)

    @property
    def n_re(self) -> int:
        """The trained depth, which is the deepest; 0 without a dial."""
        return max(self.dial, default=0)

    @property
    def n_sep(self) -> int:
        """Always 1: the model has only one dial."""
        return 1

    def check_depth(self, n_sep: int | None, n_re: int | None) -> tuple[int, int]:
        """(1, n_re) with the trained depth for None; ValueError for a depth it cannot run."""
        if n_sep not in (None, 1):
            raise ValueError(f"n_sep={n_sep}: {self.name} has no separator to repeat; leave it out")
        if n_re is None or n_re == self.n_re:
            return 1, self.n_re
        if not self.dial:
            raise ValueError(f"n_re={n_re}: {self.name} has one depth; leave n_re out")
        if n_re not in self.dial:
            depths = ", ".join(map(str, self.dial))
            raise ValueError(f"n_re={n_re}: {self.name} runs to the depths {depths}")
        return 1, n_re

    def with_n_sep(self, n_sep: int | None) -> WholeConfig:
        """This model; `n_sep` is None or 1."""
        self.check_depth(n_sep, None)
        return self

    def at_inference(self) -> WholeConfig:
        """The model without what only training uses."""
        return self

    def check_fine_tune(self, parent: Config) -> None:
        """Refuse a parent with other weights; the settings of `WholeModel.free` may differ."""
        if not isinstance(parent, WholeConfig) or parent.architecture != self.architecture:
            raise ValueError(
                f"{self.name} cannot start from {getattr(parent, 'name', parent)}: it is another "
                "architecture; train it from scratch"
            )
        ours, theirs = self.settings.model_dump(), parent.settings.model_dump()
        diffs = [
            f"{key} ({theirs[key]} there, {ours[key]} here)"
            for key in ours
            if ours[key] != theirs[key] and key not in self.entry.free
        ]
        if diffs:
            raise ValueError(
                f"{self.name} cannot start from {parent.name}: they differ in {', '.join(diffs)}; "
                "train it from scratch"
            )


def group_of(architecture: str) -> str:
    """The group of a whole model's settings, in dotted settings after `model.`."""
    return architecture.replace("-", "_")


def whole_config(architecture: str) -> type[WholeConfig]:
    """The settings class of a whole model; PluginError if its package does not keep the contract.

    The class has one field more than `WholeConfig`: the group of settings.
    """
    return _class_of(architecture, WHOLE_MODELS[architecture].settings)


def _again(architecture: str, text: str) -> WholeConfig:
    """A model in another process, where its class has to be made first."""
    return whole_config(architecture).model_validate_json(text)


def settings_of(architecture: str) -> type[Config]:
    """The class of a whole model's own settings."""
    return type(whole_config(architecture)(architecture=architecture).settings)


@cache
def _class_of(architecture: str, path: str) -> type[WholeConfig]:
    who = WHOLE_MODELS.of(architecture)
    if group_of(architecture) in {*ModelConfig.model_fields, *dir(WholeConfig)}:
        raise PluginError(f"{who}: '{architecture}' is a setting that models have; rename it")
    try:
        kind = resolve_name(path)
    except Exception as error:
        fault = f"{type(error).__name__}: {error}"
        raise PluginError(f"{who}: its settings {path} cannot be imported ({fault})") from error
    if not (isinstance(kind, type) and issubclass(kind, Config)):
        raise PluginError(f"{who}: its settings {path} are no tisdiss.config.Config")
    try:
        default = kind()
        if missing := [name for name in ("n_src", "sample_rate") if not hasattr(default, name)]:
            raise PluginError(f"{who}: its settings {path} have no {' and no '.join(missing)}")
    except ValidationError as error:
        raise PluginError(f"{who}: a setting of {path} has no valid default ({error})") from error
    fields: dict[str, Any] = {
        "architecture": (Literal[architecture], architecture),
        group_of(architecture): (kind, default),
    }
    return create_model(f"{kind.__name__}Whole", __base__=WholeConfig, **fields)


def whole_names() -> list[str]:
    """The names of all whole models with their variants."""
    return [
        name
        for architecture, entry in WHOLE_MODELS.items()
        for name in (architecture, *(f"{architecture}-{variant}" for variant in entry.variants))
    ]


def whole_model_in(name: str) -> str | None:
    """The whole model that a name is about; None for a paper name."""
    found = [each for each in WHOLE_MODELS if name == each or name.startswith(f"{each}-")]
    return max(found, key=len, default=None)


def whole_named(name: str, profile: str = "") -> WholeConfig:
    """The whole model of a name such as "sepreformer-base", at the size of a profile.

    ValueError with the names that there are.
    """
    architecture = whole_model_in(name)
    if architecture is None:
        raise ValueError(f"{name!r} is no model; there are {', '.join(whole_names())}")
    entry, variant = WHOLE_MODELS[architecture], name[len(architecture) + 1 :]
    if name != architecture and variant not in entry.variants:
        near = get_close_matches(name, whole_names(), 1) or [", ".join(whole_names())]
        raise ValueError(f"{name[:60]!r} is not a model name; nearest: {near[0]}")
    kind = whole_config(architecture)
    changes = {**entry.variants.get(variant, {}), **entry.sizes.get(profile, {})}
    own = _with(kind(architecture=architecture).settings, changes)
    try:
        return kind.model_validate(
            {"architecture": architecture, "variant": variant, group_of(architecture): own}
        )
    except ValidationError as error:
        who = WHOLE_MODELS.of(architecture)
        raise PluginError(f"{who}: its settings at profile {profile!r}: {error}") from error


def whole_around(settings: Config) -> WholeConfig:
    """The whole model of some settings; ValueError if no model has such settings."""
    for name in WHOLE_MODELS:
        if settings_of(name) is type(settings):
            plain = {"architecture": name, group_of(name): settings.model_dump()}
            return whole_config(name).model_validate(plain)
    raise ValueError(f"{type(settings).__name__}: no whole model has these settings")


def _with(settings: Config, changes: Mapping[str, object]) -> dict[str, Any]:
    return settings.model_dump() | dict(changes)
