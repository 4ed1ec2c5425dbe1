"""Reads records; a DamagedError gives the file, the key, the value, the rule and the way out."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import (
    BaseModel,
    TypeAdapter,
    ValidationError,
)

from tisdiss.records.files import DamagedError, JsonObject, read_json, read_object
from tisdiss.records.problems import problems_of, shown
from tisdiss.records.record import Digits

Shape = TypeVar("Shape", bound=BaseModel)


def read_if_there(
    path: Path, shape: type[Shape], *, way_out: str, needs: tuple[str, ...] = ()
) -> Shape | None:
    """A record; None if there is no file. Other errors as in `read_as`."""
    try:
        return read_as(path, shape, way_out=way_out, needs=needs)
    except FileNotFoundError:
        return None


def read_as(path: Path, shape: type[Shape], *, way_out: str, needs: tuple[str, ...] = ()) -> Shape:
    """A record with the keys of its shape and those in `needs`.

    Raises DamagedError if the file does not have them, FileNotFoundError if there is none.
    """
    content = read_object(path, way_out=way_out, needs=needs)
    return checked(content, shape, where=str(path), way_out=way_out)


def read_digits(path: Path, *, way_out: str) -> tuple[str, ...]:
    """A list of identities; errors as in `read_as`."""
    try:
        return tuple(_DIGITS.validate_python(read_json(path, way_out=way_out), strict=True))
    except ValidationError as error:
        rule = error.errors(include_url=False)[0]["msg"]
        raise DamagedError(f"{path}: not a list of identities ({rule}); {way_out}") from None


def checked(content: Any, shape: type[Shape], *, where: str, way_out: str) -> Shape:
    """Data as a record of this shape; DamagedError gives the first mistake."""
    try:
        return shape.model_validate(content)
    except OverflowError as error:
        raise DamagedError(f"{where}: {error}; {way_out}") from None
    except ValidationError as error:
        first, *more = problems_of(error, shape)
        rest = f" (and {len(more)} more)" if more else ""
        place = ".".join(map(str, first.place))
        if first.rule == "this key is missing":
            problem = f"the key '{place}' is missing"
        else:
            problem = f"{place} = {shown(first.value)}: {first.rule}" if place else first.rule
        raise DamagedError(f"{where}: {problem}{rest}; {way_out}") from None


def check_schema(content: JsonObject, schema: int, path: Path, way_out: str) -> None:
    """Raise DamagedError if the content of a file is of another version."""
    if content.get("schema") != schema:
        problem = f"{path} has schema {content.get('schema')}, this version reads {schema}"
        raise DamagedError(f"{problem}: {way_out}")


_DIGITS = TypeAdapter(list[Digits])
