"""Records return the data as read, in the same order, with the keys of other versions."""

import json

import pytest
from pydantic import Field, ValidationError

from tisdiss.records.record import Number, Record


class Part(Record):
    id: str
    value: Number = 1.0


class Whole(Record):
    title: str | None = None
    parts: list[Part] = Field(default=[])


WRITTEN = (
    '{"of_another_version": {"b": 1, "a": [2]}, "parts": [{"value": 3, "new": null, "id": "x"}]}'
)


def test_keys_of_other_versions_and_the_order_of_all_survive_without_defaults():
    record = Whole.model_validate(json.loads(WRITTEN))
    assert (record.title, record.parts[0].value) == (None, 3)
    assert json.dumps(record.plain()) == WRITTEN


def test_whole_number_is_written_as_it_was_read():
    assert json.dumps(Part(id="x", value=3).plain()) == '{"id": "x", "value": 3}'
    with pytest.raises(ValidationError, match="valid number"):
        Part(id="x", value="3")


def test_update_replaces_a_value_in_its_place_and_adds_others_at_the_end():
    record = Whole.model_validate(json.loads(WRITTEN))
    part = record.parts[0].updated(value=2.5, later=True)
    assert list(part.plain().items()) == [
        ("value", 2.5),
        ("new", None),
        ("id", "x"),
        ("later", True),
    ]
    assert record.updated(parts=[part]).parts == [part]
    assert record.parts[0].value == 3


def test_update_is_held_to_the_types_of_the_record():
    with pytest.raises(ValidationError, match="valid string"):
        Part(id="x").updated(id=3)
