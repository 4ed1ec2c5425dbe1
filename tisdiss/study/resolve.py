"""Resolves a row at a profile into configs.

Later settings override earlier ones: defaults, `lengths` of the row's recipe, the profile, its
corpus for the row, the study's base (or, for a fine-tune, the parent's model and the profile's
`finetune`), the row's `model`, `set` of its recipe, its own `set`, what the profile sets for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from tisdiss.architectures import groups_unused_by
from tisdiss.config import (
    AnyModel,
    DataConfig,
    EvalConfig,
    ModelConfig,
    TrainConfig,
    WholeConfig,
    named,
)
from tisdiss.cost.planned import is_counted, parameters
from tisdiss.limits import MAX_PARAMETERS
from tisdiss.records import names
from tisdiss.records.expression import Cell, leaves, parse
from tisdiss.records.problems import Problem
from tisdiss.study.overrides import Settings, about_model, override, override_problems
from tisdiss.study.profiles import (
    DEFAULT_CORPUS,
    AskedEvaluation,
    Profile,
    is_weights_path,
    load_profiles,
)
from tisdiss.study.recipes import recipe_named
from tisdiss.study.shipped_weights import read_model
from tisdiss.study.words import Row, Study


def resolve_training(
    study: Study, row: Row, profile: Profile, *, seed: int, parent: AnyModel | None = None
) -> TrainConfig:
    """The training of a row. `parent` is the model whose weights start it, None from scratch.

    `profile` is `study.at(name)`, with the study's adjustments. For a row that uses another study's
    row, `study` and `row` are those of `study.origin(row)`.
    """
    role, recipe = profile.role(row.corpus or study.corpus), recipe_named(row.recipe)
    settings = {**recipe.lengths, **profile.set, **role.set}
    own = {**recipe.set, **row.set, **profile.rows.get(row.id, {})}
    # The row's values replace the profile's first, because the structure that the name states may
    # not allow the profile's values.
    settings |= {path: own[path] for path in settings if path in own}
    config = _config_of(profile, settings, row.model or study.base, seed)
    if parent is not None:
        model = _renamed(parent, row.model, profile) if row.model else parent
        config = override(config.model_copy(update={"model": model}), profile.finetune)
    config = override(config, own)
    if isinstance(config.model, ModelConfig):
        _check_groups(config.model)
    check_rate(config.model, config.data)
    if not is_counted(config.model):  # the planner checks those, because counting takes seconds
        check_size(config.model)
    if parent is not None:
        config.model.check_fine_tune(parent)
    return config


def _check_groups(model: ModelConfig) -> None:
    """Refuse a row that sets, say, `model.grid` for another model; a profile may set it for all."""
    for group, owner in groups_unused_by(model.entry).items():
        if getattr(model, group) != ModelConfig.model_fields[group].default:
            raise ValueError(
                f"model.{group}: {model.name} has no block of {owner}; drop these settings, or "
                f"take a model such as {owner}-sep6x1-l1"
            )


def check_rate(model: AnyModel, data: DataConfig) -> None:
    """Raise ValueError unless model and data have the same sample rate."""
    if data.sample_rate != model.sample_rate:
        raise ValueError(
            f"data.sample_rate={data.sample_rate}: the model works at {model.sample_rate} "
            f"Hz; set data.sample_rate and {model.rate_setting} to the same"
        )


def check_size(model: AnyModel) -> None:
    """Refuse a model that is too large, although each setting is in its range."""
    count = parameters(model)
    if count > MAX_PARAMETERS:
        raise ValueError(
            f"{model.name} would have {count:.1e} parameters; at most {MAX_PARAMETERS:.0e} are "
            "allowed, so set smaller widths, kernels or numbers of blocks"
        )


def resolve_weights(profile: Profile, name: str, *, seed: int) -> TrainConfig | None:
    """The training of `weights:<name>` at a profile; None for a shipped file."""
    meaning = profile.meaning(name)
    return _config_of(profile, _default(profile), meaning.train, seed) if meaning.train else None


def resolve_evaluation(
    profile: Profile, model: AnyModel | None = None, n_sep: int | None = None
) -> EvalConfig:
    """The depths and mixtures of a study at a profile, `study.at(name)`.

    A model without a dial has no N_re and is scored at its trained depth only, and any model only
    at depths it can run, else at its trained one. `n_sep` is the
    row's; it is left out if it is that of training.
    """
    evaluation = override(AskedEvaluation(), profile.evaluate).model_dump()
    if model is not None:
        can = [n_re for n_re in evaluation["n_re"] if n_re in model.dial]
        evaluation["n_re"] = tuple(can or ([model.n_re] if model.dial else ()))
        model.with_n_sep(n_sep)
    if model is not None and n_sep is not None:
        evaluation["n_sep"] = n_sep if n_sep != model.n_sep else None
    return EvalConfig(**evaluation)


def resolve_data(profile: Profile, corpus: str) -> DataConfig:
    """The data of a corpus at a profile, for shipped weights."""
    return override(TrainConfig(), {**profile.set, **profile.role(corpus).set}).data


def _default(profile: Profile) -> Settings:
    return {**profile.set, **profile.role(DEFAULT_CORPUS).set}


def _config_of(profile: Profile, settings: Settings, name: str, seed: int) -> TrainConfig:
    """The training of a model with a profile's settings, of which it takes those of its kind."""
    whole = named(name, profile.name)
    if isinstance(whole, WholeConfig):
        config = override(TrainConfig(model=whole), about_model(settings, whole))
        return config.model_copy(update={"seed": seed})
    config = override(TrainConfig(), about_model(settings, TrainConfig().model))
    return config.model_copy(update={"model": _renamed(config.model, name, profile), "seed": seed})


def _renamed(model: AnyModel, name: str, profile: Profile) -> AnyModel:
    """The model that a name means, with all that the name does not state from another one."""
    new = named(name, profile.name)
    if isinstance(new, ModelConfig) and isinstance(model, ModelConfig):
        return model.renamed(name)
    return new


def check_rows(study: Study, places: list[int]) -> list[Problem]:
    """The problems of resolving the rows at each profile; `places` are their indices in the file.

    A problem that only some profiles have names them.
    """
    by_rule: dict[str, tuple[Problem, list[str]]] = {}
    for name in load_profiles():
        for problem in _check_at(study, name, places):
            by_rule.setdefault(repr(problem), (problem, []))[1].append(name)
    return [
        problem if len(names) == len(load_profiles()) else _only_at(problem, names)
        for problem, names in by_rule.values()
    ]


def _only_at(problem: Problem, names: list[str]) -> Problem:
    return replace(problem, rule=f"{problem.rule} (at profile {', '.join(names)})")


def _check_at(study: Study, profile_name: str, places: list[int]) -> list[Problem]:
    problems: list[Problem] = []
    for row, index in zip(study.rows, places, strict=True):
        owner, origin = study.origin(row)
        try:
            parent = _parent_model(study, row, profile_name)
        except ValueError:
            continue  # its parent's row has the mistake
        try:
            model = _model_of(owner, origin, owner.at(profile_name), parent)
            if model is not None:
                model.with_n_sep(row.n_sep)
            _check_shown_depths(study, row, study.at(profile_name), model)
        except ValidationError as error:
            problems += override_problems(error, row.set, ("rows", index, "set"))
        except ValueError as error:
            problems.append(Problem(("rows", index), row.id, str(error)))
    return problems


def _parent_model(study: Study, row: Row, profile_name: str) -> AnyModel | None:
    """The model that a row starts from.

    Weights that a profile names, and those of a missing file, are assumed to be the study's base.
    """
    study, row = study.origin(row)
    if row.parent is None:
        return None
    profile = study.at(profile_name)
    if row.parent.startswith("weights:"):
        name = row.parent.removeprefix("weights:")
        if is_weights_path(name) and Path(name).is_file():
            return read_model(Path(name))
        trained = resolve_weights(profile, name, seed=0)
        return (trained or _config_of(profile, _default(profile), study.base, 0)).model
    owner, parent = study.origin(study.row(row.parent))
    above = _parent_model(owner, parent, profile_name)
    return _model_of(owner, parent, owner.at(profile_name), above)


def _model_of(study: Study, row: Row, profile: Profile, parent: AnyModel | None) -> AnyModel | None:
    if row.published or row.weights:
        return parent
    return resolve_training(study, row, profile, seed=0, parent=parent).model


def _check_shown_depths(study: Study, row: Row, profile: Profile, model: AnyModel | None) -> None:
    """Refuse a row with depths in `at` that are not scored."""
    shown = study.shown(row).at or ()
    if shown and model is not None and not model.dial:
        raise ValueError(f"at={list(shown)}: {model.name} has no reconstructor to repeat; drop it")
    scored = resolve_evaluation(profile, model).n_re
    for n_re in shown:
        if n_re not in scored:
            raise ValueError(f"at={list(shown)}: N_re = {n_re} is not among `evaluate:` n_re")


def check_claims(study: Study, places: list[int]) -> list[Problem]:
    """Claims about depths that no profile scores; `places` are their indices in the file."""
    return [
        Problem(("claims", index, "expr"), study.claims[k].expr, rule)
        for k, index in enumerate(places)
        for rule in dict.fromkeys(_unscored(study, study.claims[k].expr))
    ]


def _unscored(study: Study, expr: str) -> Iterator[str]:
    for leaf in (leaf for part in parse(expr) for leaf in leaves(part)):
        if not isinstance(leaf, Cell):
            continue
        row = study.row(leaf.row)
        if row.published:
            yield from _unquoted(row, leaf)
        elif rule := _unmeasured(study, leaf.metric):
            yield rule
        elif not any(_scores(study, row, leaf.n_re, name) for name in load_profiles()):
            n_re = f"N_re = {', '.join(map(str, leaf.n_re))}"
            depths = n_re if leaf.n_re else "its trained depth"
            yield f"row '{row.id}' is not scored at {depths}; add it to `evaluate:` n_re"


def check_shown(study: Study) -> list[Problem]:
    """A score to show that no profile computes."""
    rule = _unmeasured(study, study.show.y)
    return [Problem(("show", "y"), study.show.y, rule)] if rule else []


def _unmeasured(study: Study, score: str) -> str:
    """Why no profile computes a score; "" if one does."""
    measure = names.measure_of(score)
    asked = (resolve_evaluation(study.at(name)).quality for name in load_profiles())
    if measure not in names.QUALITY or any(measure in quality for quality in asked):
        return ""
    return f"{score} is not computed: add `quality: [{measure}]` to `evaluate:`"


def _unquoted(row: Row, cell: Cell) -> Iterator[str]:
    for name in [f"{cell.metric}.re{n_re}" for n_re in cell.n_re] or [cell.metric]:
        if name not in row.published:
            yield f"row '{row.id}' quotes no {name}; it has {', '.join(row.published)}"


def _scores(study: Study, row: Row, n_re: tuple[int, ...], profile_name: str) -> bool:
    """Whether a profile scores a row at all depths of `n_re`, or at its trained depth if empty."""
    owner, origin = study.origin(row)
    try:
        parent = _parent_model(study, row, profile_name)
        model = _model_of(owner, origin, owner.at(profile_name), parent)
    except ValueError:
        return True  # the row itself has the mistake
    if model is None or not model.dial:
        return not n_re
    return {*(n_re or (model.n_re,))} <= {*resolve_evaluation(study.at(profile_name), model).n_re}
