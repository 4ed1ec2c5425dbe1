"""What a row means at a profile: words in, resolved configs out.

The order, later wins: defaults, the profile, the study's base (or, for a fine-tune, the parent's
model and the profile's `finetune`), the row's `model`, the row's `set`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import BaseModel, ValidationError

from tisdiss.config import EvalConfig, ModelConfig, TrainConfig
from tisdiss.harness.overrides import override, override_problems
from tisdiss.harness.problems import Problem
from tisdiss.harness.profiles import Profile, load_profiles

if TYPE_CHECKING:
    from tisdiss.harness.study import Row, Study

FREE_IN_A_FINE_TUNE = frozenset({"n_sep", "n_re", "losses", "decode_sep", "decode_re"})
"""Model settings that need no other parameters than the parent has."""


def resolve_training(
    study: Study, row: Row, profile: Profile, *, seed: int, parent: ModelConfig | None = None
) -> TrainConfig:
    """The training of a row. `parent` is the model whose weights start it, None from scratch.

    `profile` is the one the study sees, `study.at(name)`.
    """
    config = _from_scratch(profile, row.model or study.base, seed)
    if parent is not None:
        model = parent.renamed(row.model) if row.model else parent
        config = override(config.model_copy(update={"model": model}), profile.finetune)
    config = override(config, row.set)
    if parent is not None:
        _check_same_parameters(parent, config.model)
    return config


def resolve_weights(profile: Profile, name: str, *, seed: int) -> TrainConfig | None:
    """The training that makes `weights:<name>` at a profile; None if they are a shipped file."""
    meaning = profile.meaning(name)
    return _from_scratch(profile, meaning.train, seed) if meaning.train else None


def resolve_evaluation(profile: Profile) -> EvalConfig:
    """The depths and mixtures of a study at a profile, `study.at(name)`."""
    return override(EvalConfig(), profile.evaluate)


def _from_scratch(profile: Profile, name: str, seed: int) -> TrainConfig:
    config = override(TrainConfig(), profile.set)
    return config.model_copy(update={"model": config.model.renamed(name), "seed": seed})


def _check_same_parameters(parent: ModelConfig, child: ModelConfig) -> None:
    for path, ours, theirs in _differences(parent, child, "model."):
        if path.removeprefix("model.") not in FREE_IN_A_FINE_TUNE:
            raise ValueError(
                f"{path}={theirs}: the weights it starts from have {path}={ours}, and a fine-tune "
                "keeps their parameters; drop the setting or train from scratch"
            )


def _differences(one: BaseModel, other: BaseModel, prefix: str) -> list[tuple[str, object, object]]:
    found: list[tuple[str, object, object]] = []
    for name in type(one).model_fields:
        ours, theirs = getattr(one, name), getattr(other, name)
        if isinstance(ours, BaseModel):
            found += _differences(ours, theirs, f"{prefix}{name}.")
        elif ours != theirs:
            found.append((prefix + name, ours, theirs))
    return found


def check_rows(study: Study, places: list[int]) -> list[Problem]:
    """What goes wrong when the rows are resolved at each profile; `places` are rows in the file.

    A problem that not all profiles have names those that do.
    """
    found: dict[str, tuple[Problem, list[str]]] = {}
    for name in load_profiles():
        for problem in _check_at(study, name, places):
            found.setdefault(repr(problem), (problem, []))[1].append(name)
    return [
        problem if len(names) == len(load_profiles()) else _only_at(problem, names)
        for problem, names in found.values()
    ]


def _only_at(problem: Problem, names: list[str]) -> Problem:
    return replace(problem, rule=f"{problem.rule} (at profile {', '.join(names)})")


def _check_at(study: Study, profile_name: str, places: list[int]) -> list[Problem]:
    problems: list[Problem] = []
    profile = study.at(profile_name)
    for row, index in zip(study.rows, places, strict=True):
        try:
            parent = _parent_model(study, row, profile)
        except ValueError:
            continue  # its parent's row has the mistake
        try:
            _model_of(study, row, profile, parent)
        except ValidationError as error:
            problems += override_problems(error, row.set, ("rows", index, "set"))
        except ValueError as error:
            problems.append(Problem(("rows", index), row.id, str(error)))
    return problems


def _parent_model(study: Study, row: Row, profile: Profile) -> ModelConfig | None:
    """The model a row starts from, with shipped weights taken to be the study's base."""
    if row.parent is None:
        return None
    if row.parent.startswith("weights:"):
        trained = resolve_weights(profile, row.parent.removeprefix("weights:"), seed=0)
        return (trained or _from_scratch(profile, study.base, 0)).model
    parent = study.row(row.parent)
    return _model_of(study, parent, profile, _parent_model(study, parent, profile))


def _model_of(
    study: Study, row: Row, profile: Profile, parent: ModelConfig | None
) -> ModelConfig | None:
    if row.published or row.weights:
        return parent
    return resolve_training(study, row, profile, seed=0, parent=parent).model
