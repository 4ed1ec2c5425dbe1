"""A YAML text as plain data, with the line and column of each value.

This YAML is stricter: keys are unique, `1e-3` is a number, `on`/`off`/`yes`/`no` are text, `1..10`
is the list of those integers; there are no tags and no merge keys, and size, nesting and aliases
are limited. Mistakes are collected as `Problem`s and shown all at once:
`file:line:column: 'value': rule; nearest ...`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tisdiss.records.files import JsonObject
from tisdiss.records.problems import DocumentError, Place, Problem, shown

MAX_BYTES = 256 * 1024
MAX_VALUES = 5000
MAX_DEPTH = 24
MAX_ALIASES = 64
MAX_RANGE = 1000
MAX_SHOWN = 100
"""Limit on reported mistakes; a file with more repeats one."""

UNSEEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters but tab and the end of a line
    r"\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff"  # zero width, or change of direction
    r"\ud800-\udfff\ufdd0-\ufdef\ufff9-\uffff]"  # not characters
)
"""Characters that tables, figures, terminals and databases cannot show."""

RANGE = re.compile(r"(-?\d+)\.\.(-?\d+)")


@dataclass
class Document:
    """The data of one YAML text, and the line and column of every key and value in it."""

    path: str
    data: Any = None
    values: dict[Place, tuple[int, int]] = field(default_factory=dict)
    keys: dict[Place, tuple[int, int]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def at(self, place: Place, *, at_key: bool = False) -> tuple[int, int]:
        """Line and column of a place, or of the nearest place around it that the text has."""
        while place:
            order = (self.keys, self.values) if at_key else (self.values, self.keys)
            for marks in order:
                if place in marks:
                    return marks[place]
            place, at_key = place[:-1], False
        return self.values.get((), (1, 1))

    def lines(self, problems: Iterable[Problem]) -> list[str]:
        """One line per problem, in the order of the text, each problem once."""
        located = {
            (*(p.mark or self.at(p.place, at_key=p.at_key)), shown(p.value), p.rule, p.hint)
            for p in problems
        }
        lines = [
            f"{self.path}:{line}:{column}: {value}: {rule}" + (f"; {hint}" if hint else "")
            for line, column, value, rule, hint in sorted(located)
        ]
        more = len(lines) - MAX_SHOWN
        return lines if more <= 0 else [*lines[:MAX_SHOWN], f"{self.path}: {more} more mistakes"]


def read_document(path: Path) -> Document:
    """Read a file; raises DocumentError if it cannot be read as YAML at all."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise DocumentError([f"{path}: {size} bytes: at most {MAX_BYTES} bytes are read"])
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise DocumentError([f"{path}: cannot be read: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise DocumentError([f"{path}: byte {error.start}: the file must be UTF-8"]) from error
    return parse_document(text, name=str(path))


def parse_document(text: str, *, name: str) -> Document:
    """The data of a YAML text with its places; mistakes such as duplicate keys are `problems`."""
    document = Document(path=name)
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise DocumentError([f"{name}:{line}:{column}: not YAML: {error.problem}"]) from error
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        line, column = before.count("\n") + 1, error.position - before.rfind("\n")
        where, value = f"{name}:{line}:{column}", shown(text[error.position])
        raise DocumentError([f"{where}: {value}: {_NO_SIGN}"]) from error
    except yaml.YAMLError as error:
        raise DocumentError([f"{name}: not YAML: {error}"]) from error
    if node is not None:
        document.data = _Builder(document).build(node, ())
    return document


_NO_SIGN = "no visible character; remove it"


class _Loader(yaml.SafeLoader):
    """PyYAML's reader with the scalars of YAML 1.2, and a limit on aliases."""

    def __init__(self, text: str):
        super().__init__(text)
        self.aliases = self.depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.depth > 2 * MAX_DEPTH:  # before Python's stack overflows; the builder allows less
            mark = self.peek_event().start_mark
            problem = f"more than {MAX_DEPTH} levels"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=mark)
        if self.check_event(yaml.AliasEvent):
            self.aliases += 1
            if self.aliases > MAX_ALIASES:
                mark = self.peek_event().start_mark
                raise yaml.MarkedYAMLError(
                    problem=f"more than {MAX_ALIASES} aliases", problem_mark=mark
                )
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


_TAG = "tag:yaml.org,2002:"
_SCALARS: Sequence[tuple[str, str, str]] = (
    ("null", r"~|null|Null|NULL|", "~nN"),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
)
_Loader.yaml_implicit_resolvers = {}
for _name, _pattern, _first in _SCALARS:
    _Loader.add_implicit_resolver(
        _TAG + _name,
        re.compile(rf"^(?:{_pattern})$"),
        [*_first, *([""] if _name == "null" else [])],
    )


class _Builder:
    """Turns PyYAML's nodes into plain data and records every place in the document."""

    def __init__(self, document: Document):
        self.document = document
        self.count = 0

    def build(self, node: yaml.Node, place: Place) -> Any:
        mark = (node.start_mark.line + 1, node.start_mark.column + 1)
        self.document.values[place] = mark
        self.count += 1
        if self.count > MAX_VALUES or len(place) > MAX_DEPTH:
            limit = f"{MAX_VALUES} values" if self.count > MAX_VALUES else f"{MAX_DEPTH} levels"
            where = f"{self.document.path}:{mark[0]}:{mark[1]}"
            raise DocumentError([f"{where}: too large: a file holds at most {limit}"])
        if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
            return self._mapping(node, place)
        if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
            return self._sequence(node, place)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, place)
        return self._refuse_tag(node, place)

    def _mapping(self, node: yaml.MappingNode, place: Place) -> JsonObject:
        result: JsonObject = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._problem(place, "a list or mapping", "a key must be plain text")
                continue
            key = key_node.value
            here = (*place, key)
            mark = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            if key in result:
                rule = f"this key was already given in line {self.document.keys[here][0]}"
                self.document.problems.append(Problem(here, key, rule, mark=mark))
                continue
            self.document.keys[here] = mark
            self._check_text(key, here, at_key=True)
            result[key] = self.build(value_node, here)
        return result

    def _sequence(self, node: yaml.SequenceNode, place: Place) -> list[object]:
        result: list[object] = []
        for child in node.value:
            here = (*place, len(result))
            value = self.build(child, here)
            if _is_range(child) and isinstance(value, list):
                mark = self.document.values[here]
                self.count += len(value)
                for offset in range(len(value)):
                    self.document.values[(*place, len(result) + offset)] = mark
                result.extend(value)
            else:
                result.append(value)
        return result

    def _scalar(self, node: yaml.ScalarNode, place: Place) -> Any:
        kind = node.tag.removeprefix(_TAG)
        if kind == "str":
            self._check_text(node.value, place)
            return self._range(node.value, place) if _is_range(node) else node.value
        if kind == "null":
            return None
        if kind == "bool":
            return node.value.lower() == "true"
        if kind in ("int", "float") and node.style is None:
            return self._number(node.value, place)
        return self._refuse_tag(node, place)

    def _check_text(self, text: str, place: Place, *, at_key: bool = False) -> None:
        if match := UNSEEN.search(text):
            rule = f"{shown(match[0])}: {_NO_SIGN}"
            self.document.problems.append(Problem(place, text, rule, at_key=at_key))

    def _number(self, text: str, place: Place) -> int | float | None:
        if re.fullmatch(r"[-+]?[0-9]{1,18}", text):
            return int(text)
        if re.fullmatch(r"[-+]?[0-9]+", text):
            self._problem(place, text, "a whole number has at most 18 digits")
            return None
        try:
            number = float(text)
        except ValueError:  # an explicit tag on something else, such as `!!int five`
            number = math.inf
        if not math.isfinite(number):
            self._problem(place, text, "not a finite number")
            return None
        return number

    def _range(self, text: str, place: Place) -> list[int] | None:
        match = RANGE.fullmatch(text)
        assert match is not None
        first, last = (float(end) for end in match.groups())  # float takes any number of digits
        if not first <= last < first + MAX_RANGE or last > 1e15:
            rule = f"a range a..b needs a <= b and at most {MAX_RANGE} numbers"
            self._problem(place, text, rule)
            return None
        return list(range(int(first), int(last) + 1))

    def _refuse_tag(self, node: yaml.Node, place: Place) -> None:
        self._problem(place, node.tag, "YAML tags are not used here; write the plain value")

    def _problem(self, place: Place, value: object, rule: str) -> None:
        self.document.problems.append(Problem(place, value, rule))


def _is_range(node: yaml.Node) -> bool:
    plain = isinstance(node, yaml.ScalarNode) and node.style is None
    return plain and RANGE.fullmatch(node.value) is not None


def a_dict(value: object) -> JsonObject:
    """The value if it is a mapping, else an empty one: its kind is complained about elsewhere."""
    return value if isinstance(value, dict) else {}


def a_list(value: object) -> list[object]:
    """The value if it is a list, else an empty one."""
    return value if isinstance(value, list) else []
