"""What every record on disk is made of: types of its fields, and the shape they belong to.

A record is read as plain data, so that keys of other versions stay; the shape says which keys it
must have and of which type the known ones are.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
)

from tisdiss.config.choice import OneOf
from tisdiss.records import names

Digits = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z]+$")]
"""An identity: it becomes a part of a path."""
Count = Annotated[int, Field(ge=0, le=2**53)]
"""At most what JSON and databases of every kind hold."""


Score = Annotated[str, OneOf(names.scores)]
"""The name of a score."""


class Record(BaseModel):
    """A record or a part of one: what is named has its type, what is not is kept."""

    model_config = ConfigDict(extra="allow", strict=True, defer_build=True)


def plain(record: Record) -> dict[str, Any]:
    """A record as JSON has it: with what was said, and without what was not."""
    return record.model_dump(mode="python", exclude_unset=True)
