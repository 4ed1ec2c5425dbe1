"""The base class of records on disk, and the types of their fields.

A record class declares the required keys and the types of the known keys. Keys of other versions
are kept, and `plain` returns the data as read, in the same order.
"""

from __future__ import annotations

from math import isnan, nan
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    StringConstraints,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_serializer,
    model_validator,
)

from tisdiss.config.choice import OneOf
from tisdiss.records import names
from tisdiss.records.files import JsonObject

Digits = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z]+$")]
"""An identity, safe as a part of a path."""
Count = Annotated[int, Field(ge=0, le=2**53)]
"""A number that JSON and every database can hold."""


def _unchanged(value: Any, check: ValidatorFunctionWrapHandler) -> Any:
    check(value)
    return value


Number = Annotated[float, WrapValidator(_unchanged)]
"""A JSON number; 3 stays 3 and does not become 3.0."""

Measured = Annotated[
    float,
    BeforeValidator(lambda value: nan if value is None else value),
    PlainSerializer(lambda value: None if isnan(value) else value, return_type=float | None),
]
"""A number, or NaN for none, which is null in JSON."""

Score = Annotated[str, OneOf(names.scores)]
"""The name of a score."""


class Record(BaseModel):
    """A record or a part of one; known keys are typed, unknown keys are kept."""

    model_config = ConfigDict(extra="allow", strict=True, defer_build=True)
    _order: tuple[str, ...] = ()
    """The keys in the order of the data."""

    @model_validator(mode="wrap")
    @classmethod
    def _keep_order(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        record = handler(data)
        if isinstance(data, dict):
            record._order = tuple(data)
        return record

    @model_serializer(mode="wrap")
    def _in_order(self, handler: SerializerFunctionWrapHandler) -> JsonObject:
        values: JsonObject = handler(self)
        return {key: values[key] for key in (*self._order, *values) if key in values}

    def plain(self) -> JsonObject:
        """The data as read: without defaults, and with unknown keys."""
        return self.model_dump(exclude_unset=True)

    def updated(self, **values: Any) -> Self:
        """The record with some values replaced."""
        return type(self).model_validate(self.plain() | values)
