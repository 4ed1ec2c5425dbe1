"""The language of claims: an expression over the rows of a study, parsed and never executed.

    row('a').si_snri(n_re=6) > row('b').si_snri(n_re=6)   a is better than b at depth 6
    row('a') > row('b') > row('c')                        SI-SNRi, each at its trained depth
    row('a').sdri - row('b').sdri > 0.5                   by a margin in dB
    row('a').si_snri(n_re=1..6) > row('b').si_snri(n_re=1..6)   on average over those depths
    approx(row('a'), row('b'), 0.1)                       less than 0.1 dB apart
    mono(row('a').si_snri, n_re=1..6)                     every further pass helps
    gain(row('a'), n_re=3..6) > gain(row('b'), n_re=3..6) depth 6 minus depth 3
    row('a') > max(row('b'), row('c'))                    above each of them; also min(...)
    spread(row('a'), row('b'), row('c')) < 0.1            best minus worst
    params(row('a')) < 0.5 * params(row('b'))             in millions; also macs(row('a'), n_re=3)
    rtf(row('a'), n_re=3) < rtf(row('b'), n_re=3)         as `tisdiss time` measured; also memory,
                                                          in MB

`and` joins several. `analysis/claims.py` decides them. Parsing needs no scores, so that a study
file can be checked before anything is trained.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import permutations
from typing import Literal

from tisdiss.records import names
from tisdiss.records.problems import shown

COUNTED = (names.PARAMS, names.MACS)
"""What a model costs by its settings."""
TIMED = (names.RTF, names.MEMORY)
"""What `tisdiss time` measures on a machine."""
MAX_CHARACTERS = 1000
MAX_NUMBER = 1e9
MAX_LEVELS = 40
"""Limit on nested brackets, signs and operators, and so on recursion over the tree."""
_RANGE = re.compile(r"\b(\d+)\.\.(\d+)\b")


@dataclass(frozen=True)
class Number:
    """A constant, in dB or millions."""

    value: float


@dataclass(frozen=True)
class Cell:
    """A mean score of a row, averaged over `n_re`; without any, at the trained depth."""

    row: str
    metric: str = names.SI_SNRI
    n_re: tuple[int, ...] = ()


@dataclass(frozen=True)
class Fact:
    """What a model costs, in millions or, for `rtf`, as a factor: known without any score."""

    name: str
    row: str
    n_re: tuple[int, ...] = ()


@dataclass(frozen=True)
class Combined:
    """Several values, combined by an operator."""

    how: Literal["+", "-", "*", "max", "min"]
    values: tuple[Value, ...]


Value = Number | Cell | Fact | Combined


@dataclass(frozen=True)
class Greater:
    """left > right; every claim consists of such comparisons."""

    left: Value
    right: Value


@dataclass(frozen=True)
class Compared:
    """left > right, or left < right, as written."""

    left: Value
    sign: Literal[">", "<"]
    right: Value

    def parts(self) -> Iterator[Greater]:
        """One per value of a max(...) on the lower side, or of a min(...) on the greater side."""
        greater, less = (self.left, self.right)[:: 1 if self.sign == ">" else -1]
        for high in _each(greater, "min"):
            for low in _each(less, "max"):
                yield Greater(high, low)


@dataclass(frozen=True)
class Within:
    """All values are less than the tolerance apart: approx(...) and spread(...) < tolerance."""

    values: tuple[Value, ...]
    tolerance: Value

    def parts(self) -> Iterator[Greater]:
        """One per ordered pair of values."""
        for high, low in permutations(self.values, 2):
            yield Greater(Combined("+", (low, self.tolerance)), high)


@dataclass(frozen=True)
class Rising:
    """Every further pass from the first to the last depth helps: mono(...)."""

    cell: Cell
    first: int
    last: int

    def parts(self) -> Iterator[Greater]:
        """One per further pass."""
        for n_re in range(self.first, self.last):
            yield Greater(_at(self.cell, n_re + 1), _at(self.cell, n_re))


Statement = Compared | Within | Rising
"""One part of a claim as written, before it becomes comparisons."""


def parse(text: str) -> tuple[Greater, ...]:
    """The comparisons of a claim, which holds if all of them hold; errors as in `statements`."""
    return tuple(part for statement in statements(text) for part in statement.parts())


def statements(text: str) -> tuple[Statement, ...]:
    """The statements of a claim, in order.

    Raises ValueError with the offending piece, the rule and what may be written instead.
    """
    if len(text) > MAX_CHARACTERS:
        raise ValueError(
            f"a claim of {len(text)} characters: at most {MAX_CHARACTERS} are allowed; split it"
        )
    source = _RANGE.sub(r"span(\1, \2)", " ".join(text.split()))
    try:
        tree = ast.parse(source, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(
            f"{shown(text)} is not an expression; one looks like "
            "row('a').si_snri(n_re=6) > row('b').si_snri(n_re=6)"
        ) from error
    if _is_deep(tree):
        raise ValueError(
            f"a claim nested more than {MAX_LEVELS} levels deep: drop brackets and signs, or split "
            "it into several"
        )
    return tuple(_statements(tree))


def _is_deep(tree: ast.AST) -> bool:
    """Whether a tree exceeds `MAX_LEVELS`; iterative, because recursion may overflow the stack."""
    level = [tree]
    for _ in range(MAX_LEVELS):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
    return bool(level)


def leaves(value: Value | Greater) -> Iterator[Number | Cell | Fact]:
    """Every number, cell and fact in a value or a comparison."""
    if isinstance(value, Greater):
        yield from leaves(value.left)
        yield from leaves(value.right)
    elif isinstance(value, Combined):
        for part in value.values:
            yield from leaves(part)
    else:
        yield value


def rows_of(parts: tuple[Greater, ...]) -> list[str]:
    """The ids of the rows that a claim is about, in order of appearance."""
    rows = (leaf.row for part in parts for leaf in leaves(part) if not isinstance(leaf, Number))
    return list(dict.fromkeys(rows))


def _statements(node: ast.expr) -> Iterator[Statement]:
    if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And):
        for value in node.values:
            yield from _statements(value)
    elif isinstance(node, ast.Compare):
        sides = [node.left, *node.comparators]
        for left, operator, right in zip(sides, node.ops, sides[1:], strict=False):
            yield _comparison(left, operator, right)
    elif _function_name(node) == "approx":
        left, right, tolerance = _arguments(node, 3)
        if _number(tolerance) <= 0:
            raise _error(tolerance, "the tolerance of approx(a, b, tolerance) must be above 0")
        yield Within((_value(left), _value(right)), _value(tolerance))
    elif _function_name(node) == "mono":
        cell, (first, last) = _over_depths(node)
        yield Rising(cell, first, last)
    else:
        raise _error(node, "a claim compares with > or <, or is approx(...) or mono(...)")


def _comparison(left: ast.expr, operator: ast.cmpop, right: ast.expr) -> Statement:
    if not isinstance(operator, ast.Gt | ast.Lt):
        raise _error(right, "only > and < are allowed; for equality write approx(a, b, 0.1)")
    sign: Literal[">", "<"] = ">" if isinstance(operator, ast.Gt) else "<"
    less, greater = (left, right)[:: 1 if sign == "<" else -1]
    if _function_name(less) == "spread":
        return Within(tuple(_value(part) for part in _several(less)), _value(greater))
    return Compared(_value(left), sign, _value(right))


def _each(value: Value, how: str) -> tuple[Value, ...]:
    """The values of a `how` ("max" or "min"), or the value itself if it is something else."""
    return value.values if isinstance(value, Combined) and value.how == how else (value,)


_WITHOUT_DEPTH = ("row", "approx", "max", "min", "spread", "span")


def _value(node: ast.expr) -> Value:
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _operation(node)
    if isinstance(node, ast.Constant | ast.UnaryOp):
        return Number(_number(node))
    function = _function_name(node)
    if function in _FUNCTIONS:
        return _FUNCTIONS[function](node)
    return _cell(node)


_OPERATORS: dict[type[ast.operator], Literal["+", "-", "*"]] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
}


def _operation(node: ast.BinOp) -> Value:
    values = _value(node.left), _value(node.right)
    how = _OPERATORS[type(node.op)]
    if how == "*" and not any(isinstance(value, Number) for value in values):
        raise _error(node, "one side of a product must be a plain number")
    return Combined(how, values)


def _several(node: ast.expr) -> list[ast.expr]:
    arguments = _arguments(node)
    if len(arguments) < 2:
        raise _error(node, f"{_function_name(node)}(...) takes two or more values")
    return arguments


def _extreme(node: ast.expr) -> Value:
    how: Literal["max", "min"] = "max" if _function_name(node) == "max" else "min"
    return Combined(how, tuple(_value(part) for part in _several(node)))


def _misplaced(node: ast.expr) -> Value:
    raise _error(node, f"{_function_name(node)}(...) stands alone, such as spread(...) < 0.1")


def _gain(node: ast.expr) -> Value:
    cell, (first, last) = _over_depths(node)
    return Combined("-", (_at(cell, last), _at(cell, first)))


def _fact(node: ast.expr) -> Value:
    cell = _cell(_arguments(node, 1)[0])
    return Fact(str(_function_name(node)), cell.row, _depths(node) or cell.n_re)


_FUNCTIONS: dict[str | None, Callable[[ast.expr], Value]] = {
    "max": _extreme,
    "min": _extreme,
    "spread": _misplaced,
    "approx": _misplaced,
    "mono": _misplaced,
    "gain": _gain,
    **dict.fromkeys((*COUNTED, *TIMED), _fact),
}


def _cell(node: ast.expr) -> Cell:
    """row('a'), row('a').si_snri or row('a').si_snri(n_re=6)."""
    depths: tuple[int, ...] = ()
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        _arguments(node, 0)
        depths = _depths(node)
        node = node.func
    metric = names.SI_SNRI
    if isinstance(node, ast.Attribute):
        metric, node = node.attr, node.value
        if metric not in names.scores():
            raise ValueError(f"{metric!r} is not a score; choose from {', '.join(names.scores())}")
    if _function_name(node) != "row":
        raise _error(node, "a value is a number, row('id').metric(n_re=6), or a function of them")
    name = _arguments(node, 1)[0]
    if not (isinstance(name, ast.Constant) and isinstance(name.value, str)):
        raise _error(name, "a row is named in quotes, such as row('l1+3')")
    return Cell(name.value, metric, depths)


def _over_depths(node: ast.expr) -> tuple[Cell, tuple[int, int]]:
    """The cell and the first and last depth of mono(...) or gain(...)."""
    cell, depths = _cell(_arguments(node, 1)[0]), _depths(node)
    if len(depths) < 2 or cell.n_re:
        raise _error(
            node, f"{_function_name(node)}(row('a').si_snri, n_re=1..6) needs its own range"
        )
    return cell, (depths[0], depths[-1])


def _at(cell: Cell, n_re: int) -> Cell:
    return Cell(cell.row, cell.metric, (n_re,))


def _depths(node: ast.expr) -> tuple[int, ...]:
    """The depths of n_re=6 or n_re=1..6; empty without n_re."""
    assert isinstance(node, ast.Call)
    if not node.keywords:
        return ()
    if len(node.keywords) > 1 or node.keywords[0].arg != "n_re":
        raise _error(node, "the only keyword is n_re=, such as n_re=6 or n_re=1..6")
    value = node.keywords[0].value
    ends = _arguments(value, 2) if _function_name(value) == "span" else [value, value]
    first, last = (end.value if isinstance(end, ast.Constant) else None for end in ends)
    if type(first) is not int or type(last) is not int or not 0 <= first <= last <= 1000:
        raise _error(value, "n_re is a number of passes, or a range a..b with a <= b")
    return tuple(range(first, last + 1))


def _number(node: ast.expr) -> float:
    sign = -1 if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) else 1
    operand = node.operand if isinstance(node, ast.UnaryOp) and sign == -1 else node
    if not (isinstance(operand, ast.Constant) and type(operand.value) in (int, float)):
        raise _error(node, "a plain number is needed here")
    if not abs(operand.value) <= MAX_NUMBER:  # type: ignore[arg-type]
        raise ValueError(f"a number of a claim is at most {MAX_NUMBER:g}, in dB or millions")
    return sign * float(operand.value)  # type: ignore[arg-type]


def _function_name(node: ast.expr) -> str | None:
    is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    return node.func.id if is_call else None  # type: ignore[attr-defined]


def _arguments(node: ast.expr, count: int | None = None) -> list[ast.expr]:
    assert isinstance(node, ast.Call)
    if count is not None and len(node.args) != count:
        raise _error(node, f"{count} values are needed here, not {len(node.args)}")
    if node.keywords and _function_name(node) in _WITHOUT_DEPTH:
        raise _error(
            node, f"{_function_name(node)}(...) takes no keyword; n_re= belongs to the score"
        )
    return node.args


def _error(node: ast.expr, rule: str) -> ValueError:
    text = re.sub(r"span\((\d+), (\d+)\)", r"\1..\2", ast.unparse(node))
    return ValueError(f"{text if len(text) <= 100 else f'{text[:97]}...'}: {rule}")
