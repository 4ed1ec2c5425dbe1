"""A setting that names an entry of a table."""

from collections.abc import Mapping
from typing import Any

from pydantic_core import PydanticKnownError, core_schema


class EntryOf:
    """For `Annotated[str, EntryOf(table)]`: the keys of the table, as if they were a Literal."""

    def __init__(self, table: Mapping[str, object]) -> None:
        self.table = table

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(self._entry)

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return {"enum": list(self.table), "type": "string"}

    def _entry(self, value: object) -> str:
        if isinstance(value, str) and value in self.table:
            return value
        *others, last = map(repr, self.table)
        raise PydanticKnownError("literal_error", {"expected": f"{', '.join(others)} or {last}"})
