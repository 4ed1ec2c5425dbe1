"""Checks across the keys of a study file: names that do not exist, keys that exclude each other.

The checks work on raw data, so that other mistakes do not hide these.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tisdiss.config import TrainConfig
from tisdiss.records.expression import parse, rows_of
from tisdiss.records.files import JsonObject
from tisdiss.records.problems import Place, Problem, nearest
from tisdiss.study.document import a_dict, a_list
from tisdiss.study.overrides import settable, value_problems
from tisdiss.study.profiles import (
    DEFAULT_CORPUS,
    AskedEvaluation,
    check_adjustments,
    is_weights_path,
    load_profiles,
)

MAX_ANCESTORS = 20
_ALONE = {
    "use": ("model", "recipe", "set", "init_from", "weights", "published", "corpus"),
    "weights": ("model", "recipe", "set", "init_from", "published"),
    "published": ("model", "recipe", "set", "init_from", "paper", "at", "n_sep"),
    "init_from": ("recipe",),
}
"""Keys without effect in a row that has the first key: one that copies, evaluates, quotes or
fine-tunes."""


def check_study(data: JsonObject, *, stem: str) -> list[Problem]:
    """Every mistake that involves several keys; `stem` is the file's name."""
    rows = _numbered(data.get("rows"))
    problems = [
        *_check_name(data.get("study"), stem),
        *_check_ids(rows, "rows"),
        *_check_ids(_numbered(data.get("claims")), "claims"),
        *_check_corpus(data.get("corpus"), ("corpus",)),
        *_check_profiles(a_dict(data.get("profiles")), {str(row.get("id")) for _, row in rows}),
        *_check_claims(a_list(data.get("claims")), {str(row.get("id")) for _, row in rows}),
        *_check_show(a_dict(data.get("show")), {str(row.get("id")) for _, row in rows}),
        *value_problems(a_dict(data.get("evaluate")), AskedEvaluation, ("evaluate",)),
    ]
    for i, row in rows:
        problems += _check_row(row, ("rows", i))
        problems += value_problems(a_dict(row.get("set")), TrainConfig, ("rows", i, "set"))
    return [*problems, *_check_parents(rows, _weights_names(data))]


def _check_name(name: object, stem: str) -> Iterator[Problem]:
    if isinstance(name, str) and name != stem:
        rule = "a study has the name of its file"
        yield Problem(("study",), name, rule, f"write '{stem}' or rename the file")


def _check_ids(items: list[tuple[int, JsonObject]], key: str) -> Iterator[Problem]:
    places: dict[str, int] = {}
    for i, words in items:
        name = words.get("id")
        if isinstance(name, str) and name in places:
            first = f"{key.removesuffix('s')} {places[name] + 1}"
            rule = f"{first} has this id already; ids are unique in a study"
            yield Problem((key, i, "id"), name, rule)
        elif isinstance(name, str):
            places[name] = i


def _check_row(row: JsonObject, at: Place) -> Iterator[Problem]:
    if isinstance(row.get("corpus"), str):
        yield from _check_corpus(row["corpus"], (*at, "corpus"))
    for key, others in _ALONE.items():
        for other in others:
            if row.get(key) and row.get(other):
                rule = f"has no effect in a row with `{key}:`; remove one of the two"
                yield Problem((*at, other), other, rule, at_key=True)


def _check_parents(rows: list[tuple[int, JsonObject]], weights: set[str]) -> Iterator[Problem]:
    trained = {str(row.get("id")): row for _, row in rows if not row.get("published")}
    for i, row in rows:
        at, parent = ("rows", i, "init_from"), row.get("init_from")
        if isinstance(given := row.get("weights"), str):
            yield from _check_weights(given, ("rows", i, "weights"), weights)
        if not isinstance(parent, str):
            continue
        if parent.startswith("weights:") and is_weights_path(parent):
            yield from _check_weights(parent.removeprefix("weights:"), at, weights)
            continue
        parents = {*trained, *(f"weights:{name}" for name in weights)} - {str(row.get("id"))}
        if parent not in parents:
            rule = "no such row of this study, and no such weights"
            yield Problem(at, parent, rule, nearest(parent, parents))
        elif str(row.get("id")) in (ancestors := _ancestors(row, trained)):
            yield Problem(at, parent, "the rows start from each other; one must come first")
        elif len(ancestors) > MAX_ANCESTORS:
            yield Problem(at, parent, f"more than {MAX_ANCESTORS} rows start from each other")


def _check_weights(name: str, at: Place, names: set[str]) -> Iterator[Problem]:
    """A name has to be a profile's; a path must stay inside the project."""
    if not is_weights_path(name):
        if name not in names:
            yield Problem(at, name, "no profile defines these weights", nearest(name, names))
    elif Path(name).is_absolute() or ".." in Path(name).parts:
        rule = "a study names files of the project by their path from its folder"
        yield Problem(at, name, rule, "put the file there, such as models/mine.safetensors")


def _ancestors(row: JsonObject, rows: dict[str, JsonObject]) -> list[str]:
    """Ids of the rows that a row starts from, nearest first; stops after `MAX_ANCESTORS` + 1."""
    ids: list[str] = []
    parent = row.get("init_from")
    while isinstance(parent, str) and parent in rows and len(ids) <= MAX_ANCESTORS:
        ids.append(parent)
        parent = rows[parent].get("init_from")
    return ids


def _weights_names(data: JsonObject) -> set[str]:
    profiles = a_dict(data.get("profiles")).values()
    ours = [a_dict(a_dict(words).get("weights")).keys() for words in profiles]
    shared = [profile.weights.keys() for profile in load_profiles().values()]
    return {name for names in (*ours, *shared) for name in names}


def _check_corpus(role: object, at: Place) -> Iterator[Problem]:
    roles = {name for profile in load_profiles().values() for name in profile.corpora}
    if isinstance(role, str) and role not in {DEFAULT_CORPUS, *roles}:
        rule = "no profile defines this corpus"
        yield Problem(at, role, rule, nearest(role, {DEFAULT_CORPUS, *roles}))


def _check_profiles(adjustments: JsonObject, ids: set[str]) -> list[Problem]:
    problems: list[Problem] = []
    for name, words in adjustments.items():
        at: Place = ("profiles", name)
        if name not in load_profiles():
            hint = nearest(name, load_profiles())
            problems.append(Problem(at, name, "unknown profile", hint, at_key=True))
        problems += check_adjustments(words, at)
        for row in a_dict(a_dict(words).get("rows")).keys() - ids:
            hint = nearest(row, ids)
            problems.append(Problem((*at, "rows", row), row, "no such row", hint, at_key=True))
    return problems


def _check_claims(claims: list[object], ids: set[str]) -> Iterator[Problem]:
    for i, claim in enumerate(claims):
        expr, at = a_dict(claim).get("expr"), ("claims", i, "expr")
        if not isinstance(expr, str) or not expr:
            continue  # its type is checked elsewhere
        try:
            row_ids = rows_of(parse(expr))
        except ValueError as error:
            yield Problem(at, expr, str(error))
            continue
        for name in row_ids:
            if name not in ids:
                yield Problem(at, name, "no such row", nearest(name, ids))


def _check_show(show: JsonObject, ids: set[str]) -> Iterator[Problem]:
    against = show.get("against")
    if isinstance(against, str) and against not in ids:
        yield Problem(("show", "against"), against, "no such row", nearest(against, ids))
    by, valid = show.get("by"), ("row", *settable(TrainConfig))
    if isinstance(by, str) and by not in valid:
        yield Problem(("show", "by"), by, "lines differ in `row` or a setting", nearest(by, valid))


def _numbered(value: object) -> list[tuple[int, JsonObject]]:
    """The mappings of a list, with their indices."""
    return [(i, part) for i, part in enumerate(a_list(value)) if isinstance(part, dict)]
