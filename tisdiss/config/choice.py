"""A setting that is one of the names in a table."""

from collections.abc import Callable, Iterable
from typing import Any

from pydantic.json_schema import JsonSchemaValue
from pydantic_core import PydanticKnownError, core_schema


class OneOf:
    """`Annotated[str, OneOf(names)]` is a Literal whose names are read at validation."""

    def __init__(self, names: Callable[[], Iterable[str]]) -> None:
        self.names = names

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(self._check)

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> JsonSchemaValue:
        return {"enum": list(self.names()), "type": "string"}

    def _check(self, value: object) -> str:
        names = list(self.names())
        if isinstance(value, str) and value in names:
            return value
        *others, last = map(repr, names)
        raise PydanticKnownError("literal_error", {"expected": f"{', '.join(others)} or {last}"})
