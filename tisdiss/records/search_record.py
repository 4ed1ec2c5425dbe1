"""Records of searches, which the harness writes and analysis reads."""

from __future__ import annotations

from tisdiss.records.files import JsonObject
from tisdiss.records.record import Count, Number, Record


class TrialPart(Record):
    """A trial of a search."""

    number: Count
    state: str
    params: JsonObject
    values: list[Number] | None
    identity: str


class SearchFile(Record):
    """searches/<search>.<profile>.json."""

    title: str
    profile: str
    objectives: list[str]
    trials: list[TrialPart]
    best: list[int]
