"""A claim as a sentence: its study's own wording, or one made from its expression and row labels.

A sentence without N_re is about the trained depth.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tisdiss.analysis.captions import cited, on_corpus, pretty, row_label
from tisdiss.analysis.units import Unit, unit_of
from tisdiss.records import names
from tisdiss.records.expression import (
    COUNTED,
    Cell,
    Combined,
    Compared,
    Fact,
    Greater,
    Number,
    Rising,
    Statement,
    Value,
    Within,
    statements,
)
from tisdiss.records.names import score_label
from tisdiss.records.plan_record import StudyFile

Labels = Mapping[str, str]
"""The labels of rows, by id."""

Score = Cell | Fact
"""A score or a cost of a row."""

_COSTS = {
    names.PARAMS: "parameters",
    names.MACS: "multiply-adds",
    names.RTF: "processing time",
    names.MEMORY: "peak memory",
}


def labels(plan: StudyFile) -> dict[str, str]:
    """The labels of every row of a plan, also of quoted rows."""
    others = {row.id: cited(row) + on_corpus(row, plan) for row in plan.published}
    return others | {row.id: row_label(row, plan, marked=False) for row in plan.rows}


def sentence(says: str | None, expr: str, named: Labels) -> str:
    """The sentence of a claim."""
    if says:
        return pretty(says)
    text = "; ".join(_Words(named, _unit(one)).of(one) for one in statements(expr))
    return f"{text[0].upper()}{text[1:]}."


def compared(part: Greater, named: Labels) -> str:
    """One comparison of a claim, without a full stop; for a tolerance, the two values."""
    one = Compared(part.left, ">", part.right)
    words = _Words(named, _unit(one))
    match part.left:
        case Combined("+", (low, Number())):
            return words.both(part.right, low)
    return words.of(one)


def _unit(statement: Statement) -> Unit:
    return unit_of(next(iter(statement.parts())))


@dataclass(frozen=True)
class _Words:
    """Words for quantities in one unit."""

    named: Labels
    unit: Unit

    def of(self, statement: Statement) -> str:
        match statement:
            case Rising():
                span = f"from N_re = {statement.first} to {statement.last}"
                return f"every further pass raises {self._value(statement.cell)}, {span}"
            case Within():
                return self._within(statement)
            case Compared():
                return self._compared(statement)

    def both(self, one: Value, other: Value) -> str:
        """Two values as one noun phrase."""
        return self._all([one, other])

    def _within(self, statement: Within) -> str:
        tolerance = self._value(statement.tolerance)
        match statement.values:
            case (value, Number() as aim):
                return f"{self._value(value)} is within {tolerance} of {self._value(aim)}"
        differ = "differs" if _same_measure(statement.values) else "differ"
        return f"{self._all(statement.values)} {differ} by less than {tolerance}"

    def _compared(self, statement: Compared) -> str:
        subjects, objects = _sides(statement)
        if cells := _same_measure((*subjects, *objects)):
            return self._against(cells[: len(subjects)], statement.sign, cells[len(subjects) :])
        if text := self._gain_sentence(statement) or self._excess_sentence(statement):
            return text
        how = "above" if statement.sign == ">" else "below"
        return f"{self._all(subjects, each=True)} is {how} {self._all(objects, each=True)}"

    def _against(self, subjects: Sequence[Score], sign: str, objects: Sequence[Score]) -> str:
        """The comparison of rows by one measure."""
        more = ("more", "fewer") if _is_counted(subjects[0]) else ("a higher", "a lower")
        how = f"has {more[sign == '<']} {_measure(subjects[0])} than"
        rows, depth = self._named([*subjects, *objects])
        cut = len(subjects)
        return f"{_each(rows[:cut])} {how} {_each(rows[cut:])}{depth}"

    def _gain_sentence(self, statement: Compared) -> str:
        """The gain or loss of a row by further passes; "" for another comparison."""
        gain = _gain(statement.left)
        if gain is None or statement.right != Number(0.0):
            return ""
        how = "gains" if statement.sign == ">" else "loses"
        return f"{self._name(gain.row)} {how} {gain.measure} {gain.span}"

    def _excess_sentence(self, statement: Compared) -> str:
        """A difference of two rows, compared with a number; "" for another comparison."""
        match statement.left, statement.right:
            case Combined("-", (Cell() as a, Cell() as b)), Number(value) if value > 0:
                if a.row != b.row and a.metric == b.metric:
                    (first, second), depth = self._named([a, b])
                    more = "more" if statement.sign == ">" else "less"
                    how = f"{more} than {self._value(statement.right)}"
                    return f"{first} is {how} above {second} in {_measure(a)}{depth}"
        return ""

    def _value(self, value: Value) -> str:
        """A value as a noun phrase."""
        if isinstance(value, Number):
            return self.unit.amount(value.value)
        if isinstance(value, Cell | Fact) or _gain(value):
            return self._all([value])
        if value.how in ("max", "min"):
            how = "highest" if value.how == "max" else "lowest"
            return self._all(value.values, which=f"{how} ")
        if value.how == "*":
            factor, other = sorted(value.values, key=lambda part: not isinstance(part, Number))
            assert isinstance(factor, Number)
            return f"{factor.value:g} times {self._bracketed(other)}"
        how = {"+": "plus", "-": "minus"}[value.how]
        return f" {how} ".join(self._bracketed(part) for part in value.values)

    def _bracketed(self, value: Value) -> str:
        is_sum = isinstance(value, Combined) and value.how in "+-" and not _gain(value)
        return f"({self._value(value)})" if is_sum else self._value(value)

    def _all(self, values: Sequence[Value], *, each: bool = False, which: str = "") -> str:
        """Several values as one noun phrase; what all of them share is stated once."""
        listed = _each if each else _listed
        if cells := _same_measure(values):
            rows, depth = self._named(cells)
            return f"the {which}{_noun(cells[0])} of {listed(rows)}{depth}"
        gains = [gain for gain in map(_gain, values) if gain]
        if len(gains) == len(values) and len({(g.measure, g.span) for g in gains}) == 1:
            rows = [self._name(gain.row) for gain in gains]
            return f"the {which}gain in {gains[0].measure} of {listed(rows)} {gains[0].span}"
        nouns = [self._value(value) for value in values]
        return f"the {which}of {_listed(nouns)}" if which else listed(nouns)

    def _named(self, cells: Sequence[Score]) -> tuple[list[str], str]:
        """The names of the cells' rows, and their common depth; else each name has its own."""
        depths = {cell.n_re for cell in cells}
        if len(depths) == 1:
            return [self._name(cell.row) for cell in cells], _at(depths.pop())
        return [self._name(cell.row) + _at(cell.n_re) for cell in cells], ""

    def _name(self, row: str) -> str:
        return f'"{self.named.get(row, row)}"'


def _sides(statement: Compared) -> tuple[tuple[Value, ...], tuple[Value, ...]]:
    """The two sides of a comparison; above a maximum means above each of its values."""
    least, most = ("min", "max") if statement.sign == ">" else ("max", "min")
    return _several(statement.left, least), _several(statement.right, most)


def _several(value: Value, how: str) -> tuple[Value, ...]:
    return value.values if isinstance(value, Combined) and value.how == how else (value,)


def _same_measure(values: Sequence[Value]) -> list[Score]:
    """The values if all are of one measure; else an empty list."""
    cells = [value for value in values if isinstance(value, Cell | Fact)]
    same = len(cells) == len(values) and len(set(map(_measure, cells))) == 1
    return cells if same else []


def _measure(value: Score) -> str:
    return score_label(value.metric) if isinstance(value, Cell) else _COSTS[value.name]


def _noun(value: Score) -> str:
    return f"number of {_measure(value)}" if _is_counted(value) else _measure(value)


def _is_counted(value: Score) -> bool:
    """Whether a value takes "more" and "fewer", rather than "higher" and "lower"."""
    return isinstance(value, Fact) and value.name in COUNTED


@dataclass(frozen=True)
class _Gain:
    """The difference between a row's scores at two depths."""

    row: str
    measure: str
    span: str


def _gain(value: Value) -> _Gain | None:
    match value:
        case Combined("-", (Cell(row, metric, (last,)), Cell(other, same, (first,)))):
            if (row, metric) == (other, same):
                return _Gain(row, score_label(metric), f"from N_re = {first} to {last}")
    return None


def _at(depths: tuple[int, ...]) -> str:
    if len(depths) > 1:
        return f" on average over N_re = {depths[0]} to {depths[-1]}"
    return f" at N_re = {depths[0]}" if depths else ""


def _each(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"each of {_listed(names)}"


def _listed(names: Sequence[str]) -> str:
    """a, b and c."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
