"""Mistakes in a file, described for people: the value, the rule, the nearest valid name."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

LIKE = 0.6
"""Least similarity, from 0 to 1, of a name that is suggested."""
MAX_COMPARED = 600
"""Limit on the number of names, and on their length, for a comparison."""

Place = tuple[str | int, ...]
"""The keys and list positions that lead to a value, e.g. ("rows", 2, "id")."""


class DocumentError(ValueError):
    """All mistakes of one or more documents, one line each."""

    def __init__(self, lines: Iterable[str]):
        self.lines = tuple(lines)
        super().__init__("\n".join(self.lines))


@dataclass(frozen=True)
class Problem:
    """One mistake: its place, the value, the rule it breaks and, if known, the way out."""

    place: Place
    value: object
    rule: str
    hint: str = ""
    at_key: bool = False
    """Point at the key of the place, not at its value."""
    mark: tuple[int, int] | None = None
    """Line and column, if the place does not determine them (a duplicate key)."""


def shown(value: object) -> str:
    """The value for an error message, shortened, in single quotes if it is text."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def nearest(value: object, valid: Iterable[str]) -> str:
    """A hint: the valid name most similar to the value, or a list of names if none is similar.

    Dotted names are also compared by their last part, so 'n_ree' finds 'model.n_re'.
    """
    names, text = sorted(set(valid)), str(value)
    if len(names) <= MAX_COMPARED and len(text) <= MAX_COMPARED:
        best = max(names, key=lambda name: _similarity(text, name), default=None)
        if best is not None and _similarity(text, best) >= LIKE:
            return f"nearest valid name: '{best}'"
    return f"valid names: {', '.join(names[:12])}{', ...' if len(names) > 12 else ''}"


def _similarity(text: str, name: str) -> float:
    """From 0 to 1; may be 0 if below LIKE."""
    return max(_ratio(text, name), 0.97 * _ratio(_last(text), _last(name)))


def _ratio(text: str, name: str) -> float:
    """The ratio of difflib, or 0 if the letter counts alone put it below LIKE."""
    shared = (_letters(text) & _letters(name)).total()
    if 2 * shared < LIKE * (len(text) + len(name)):
        return 0.0
    return difflib.SequenceMatcher(None, text, name).ratio()


@lru_cache(maxsize=4096)
def _letters(name: str) -> Counter[str]:
    return Counter(name)


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def problems_of(error: ValidationError, model: type[BaseModel], at: Place = ()) -> list[Problem]:
    """Pydantic's errors about the data at a place, in our words."""
    details = [d for d in error.errors(include_url=False) if not _is_consequence(d)]
    return [_problem(d, model, at) for d in details]


def sentences(error: ValidationError) -> list[str]:
    """Pydantic's errors about values that are not from a file, one line each."""
    return [
        ": ".join(filter(None, (".".join(map(str, d["loc"])), shown(d["input"]), rule_of(d))))
        for d in error.errors(include_url=False)
    ]


def _is_consequence(details: Any) -> bool:
    """Whether a list is too short only because its items are wrong, which is another error."""
    return details["type"] == "too_short" and bool(details["input"])


def _problem(details: Any, model: type[BaseModel], at: Place) -> Problem:
    place: Place = (*at, *details["loc"])
    if place[-1:] == ("[key]",):
        return Problem(place[:-1], details["input"], rule_of(details), at_key=True)
    match details["type"]:
        case "extra_forbidden":
            hint = nearest(place[-1], _fields(model, details["loc"][:-1]))
            return Problem(place, place[-1], "unknown key", hint, at_key=True)
        case "missing":
            return Problem(place, place[-1], "this key is missing")
        case "literal_error":
            return Problem(place, details["input"], rule_of(details), literal_hint(details))
    return Problem(place, details["input"], rule_of(details))


def literal_hint(details: Any) -> str:
    """The hint for a value that is not one of those that pydantic lists."""
    choices = details["ctx"]["expected"].replace(" or ", ", ").replace("'", "").split(", ")
    return nearest(details["input"], choices)


def rule_of(details: Any) -> str:
    """The rule a value broke, from one of pydantic's error records."""
    text = details["msg"].removeprefix("Value error, ").removeprefix(f"{details['input']!r}: ")
    text = re.sub(r"(String|Input|Tuple|List|Dictionary) should", "must", text)
    return text.replace(" after validation", "")


def _fields(model: type[BaseModel], loc: Place) -> list[str]:
    """The keys allowed at a place inside a pydantic model."""
    kind: Any = model
    for part in loc:
        kind = _inner(kind, part)
    return list(kind.model_fields) if _is_model(kind) else []


def _inner(kind: Any, part: str | int) -> Any:
    """The type of one field of a model, or of one item of a list or mapping."""
    if _is_model(kind):
        return kind.model_fields[part].annotation if part in kind.model_fields else None
    items = [item for item in get_args(kind) if item not in (Ellipsis, type(None))]
    return items[-1] if items else None


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
