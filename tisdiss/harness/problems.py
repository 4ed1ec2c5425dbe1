"""Mistakes in a file, as a person wants to read them: what is wrong, the rule, the nearest name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

Place = tuple[str | int, ...]
"""Where a value stands: the keys and list positions that lead to it, e.g. ("rows", 2, "id")."""


class DocumentError(ValueError):
    """All mistakes of one or more documents, one line each."""

    def __init__(self, lines: Iterable[str]):
        self.lines = tuple(lines)
        super().__init__("\n".join(self.lines))


@dataclass(frozen=True)
class Problem:
    """One mistake: where it is, the value, the rule it breaks and, if known, the way out."""

    place: Place
    value: object
    rule: str
    hint: str = ""
    at_key: bool = False
    """Point at the key of the place, not at its value."""
    mark: tuple[int, int] | None = None
    """Line and column, where the place alone does not say it (a key written twice)."""


def shown(value: object) -> str:
    """The value as an error names it, short, in single quotes if it is text."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def nearest(value: object, valid: Iterable[str]) -> str:
    """A hint: the valid name most like the value, or the list of names when none is like it.

    Dotted names are also compared by their last part, so 'n_ree' finds 'model.n_re'.
    """
    names = sorted(set(valid))
    wanted = str(value)

    def likeness(name: str) -> float:
        whole = difflib.SequenceMatcher(None, wanted, name).ratio()
        last = difflib.SequenceMatcher(None, _last(wanted), _last(name)).ratio()
        return max(whole, 0.97 * last)

    best = max(names, key=likeness, default=None)
    if best is not None and likeness(best) >= 0.6:
        return f"nearest valid name: '{best}'"
    return f"valid names: {', '.join(names[:12])}{', ...' if len(names) > 12 else ''}"


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def problems_of(error: ValidationError, model: type[BaseModel], at: Place = ()) -> list[Problem]:
    """Pydantic's complaints about the data at a place, in our words."""
    details = [d for d in error.errors(include_url=False) if not _only_follows(d)]
    return [_problem(d, model, at) for d in details]


def _only_follows(details: Any) -> bool:
    """A list that is too short only because its items are wrong, which is told already."""
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
    """The nearest of the values that pydantic says are allowed."""
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
