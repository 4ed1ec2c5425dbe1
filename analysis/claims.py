"""The sentences of the paper, decided: PASS, FAIL, NOT SIGNIFICANT or MISSING.

A claim is an expression over rows (`tisdiss/records/expression.py` says what it may be). Each of
its comparisons is a quantity that must be above 0, for example the difference of two rows. Under
the paired bootstrap of `stats.py` (same utterances, clustered by speaker)

* PASS: the 95 % interval of every comparison lies above 0;
* FAIL: that of one lies below 0; where there are several comparisons, at a level that allows for
  having looked at all of them (Bonferroni);
* NOT SIGNIFICANT: neither, or too few speakers for an interval;
* MISSING: runs or depths are missing, or the claim is about decibels that only the paper's own
  corpus and size can give.

An utterance whose score is undefined in one of the rows is left out of all of them, and counted. A
PASS or FAIL of few speakers says so, because their interval is too narrow (`stats.py`).

A number that others reported is a constant here: nothing is paired with it, and the interval is
that of our own row.

So `approx(a, b, tolerance)` passes where the whole interval of a - b lies within the tolerance.
Where a maximum stands for its best row, the best row is the one whose mean is best.
"""

import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tisdiss.analysis.captions import FEW_SPEAKERS, escape_markdown, pretty
from tisdiss.analysis.frames import StudyFrames, load_study, role
from tisdiss.analysis.places import plan_path
from tisdiss.analysis.sentence import compared, labels, sentence
from tisdiss.analysis.stats import LEVEL, Paired, interval, paired_draws
from tisdiss.analysis.units import signed, unit_of
from tisdiss.records.expression import (
    Cell,
    Combined,
    Fact,
    Greater,
    Number,
    Value,
    leaves,
    parse,
    rows_of,
)
from tisdiss.records.files import DamagedError

if TYPE_CHECKING:
    from tisdiss.study.words import Study

Status = Literal["PASS", "FAIL", "NOT SIGNIFICANT", "MISSING"]
_SEED = 0
_Key = tuple[str, int, str]
_ByRole = dict[str, tuple[Paired, dict[_Key, np.ndarray]]]
_FEW = "few speakers"


@dataclass(frozen=True)
class Verdict:
    """A claim and what the runs say about it.

    `difference`, `low` and `high` are of the comparison that decided: how far it is above 0, in
    `unit`. They are NaN where nothing could be computed. `reason` says why there is no decision,
    and with what reserve one is to be read.
    """

    study: str
    id: str
    expr: str
    source: str
    status: Status
    reason: str = ""
    difference: float = float("nan")
    low: float = float("nan")
    high: float = float("nan")
    unit: str = "dB"
    n_mixtures: int = 0
    n_speakers: int = 0
    n_seeds: int = 0
    says: str = ""
    """The claim as a sentence; verdicts of earlier reports have none."""
    most_seeds: int = 0
    """Of the row that has most, where `n_seeds` is of the one that has fewest."""

    @classmethod
    def from_json(cls, known: dict[str, Any]) -> "Verdict":
        """A verdict as a report's provenance holds it, where NaN is null."""
        names = [field.name for field in fields(cls) if field.name in known]
        values: dict[str, Any] = {k: np.nan if known[k] is None else known[k] for k in names}
        return cls(**values)

    @property
    def numbers(self) -> str:
        """The deciding difference, its interval and what it rests on, on one line."""
        if np.isnan(self.difference):
            return ""
        shown = f"{signed(self.difference, self.unit)} {self.unit}"
        if not np.isnan(self.low):
            shown += f" [{signed(self.low, self.unit)}, {signed(self.high, self.unit)}]"
        if not self.n_mixtures:
            return shown
        return f"{shown}, {self.n_mixtures} mixtures, {self.n_speakers} speakers, {self._seeds}"

    @property
    def _seeds(self) -> str:
        """How many seeds a row has; verdicts of earlier reports know the fewest alone."""
        few, most = self.n_seeds, max(self.n_seeds, self.most_seeds)
        return f"{few if few == most else f'{few} to {most}'} seed{'s' if most != 1 else ''}"


def claims(
    studies: Sequence[str],
    profile: str,
    runs_dir: Path,
    *,
    warn: Callable[[str], object] = warnings.warn,
) -> list[Verdict]:
    """Every claim of the studies, decided from the run folders at a profile.

    A study that was never planned at that profile, or whose plan cannot be read, has its claims
    read from `studies/` and listed as MISSING. `warn` hears of every file that cannot be read.
    """
    from tisdiss.study.load import find_studies  # pydantic is slow to load

    verdicts = []
    for study in studies:
        name = Path(study).stem  # or a file, as everywhere
        reason = f"run `tisdiss run {study} --profile {profile}` first"
        if os.path.lexists(plan_path(runs_dir, name, profile)):
            try:
                frames = load_study(runs_dir, name, profile)
            except DamagedError as error:
                reason = "its plan cannot be read"
                warn(str(error))
            else:
                verdicts += decide(frames)
                for problem in frames.problems:
                    warn(problem)
                continue
        verdicts += unplanned(find_studies([study])[0], reason)
    return verdicts


def decide(frames: StudyFrames) -> list[Verdict]:
    """Every claim of one study, in the order of its file."""
    return [_Claim(frames, claim).verdict() for claim in frames.plan.get("claims") or ()]


def any_failed(verdicts: Iterable[Verdict]) -> bool:
    """Whether a claim is contradicted: what `tisdiss claims` ends with exit code 1 for."""
    return any(verdict.status == "FAIL" for verdict in verdicts)


def counts(verdicts: Iterable[Verdict]) -> str:
    """How many passed, failed and so on: "3 PASS, 1 NOT SIGNIFICANT"."""
    order: tuple[Status, ...] = ("PASS", "FAIL", "NOT SIGNIFICANT", "MISSING")
    statuses = [verdict.status for verdict in verdicts]
    found = [f"{statuses.count(status)} {status}" for status in order if status in statuses]
    return ", ".join(found) or "no claims"


def meaning(*profiles: str) -> str:
    """What verdicts at some profiles can and cannot mean; empty for the paper's."""
    small = [profile for profile in profiles if profile not in ("paper", "smoke")]
    said = []
    if "smoke" in profiles:
        said.append("Profile smoke shows that everything runs; its verdicts mean nothing.")
    if small:
        said.append(
            f"At profile{'s' if len(small) > 1 else ''} {' and '.join(small)} a verdict is about "
            "this small model and corpus: PASS says that the paper's ordering shows here too, FAIL "
            "that it does not; neither proves nor refutes the paper's numbers. With 1 seed the "
            "interval is over test speakers alone: another training may turn the verdict."
        )
    return " ".join(said)


def reserve(verdicts: Iterable[Verdict]) -> str:
    """What the reserve means under which some are decided, in one sentence; empty if none is."""
    if not any(_FEW in verdict.reason.split("; ") for verdict in verdicts):
        return ""
    return (
        f"{_FEW.capitalize()}: with fewer than {FEW_SPEAKERS} test speakers the interval is too "
        "narrow (it held the truth in 78 % of simulated cases with 5), so other voices may turn "
        "the verdict."
    )


def to_text(verdicts: Sequence[Verdict], profile: str) -> str:
    """The list as lines for a terminal, three per claim: sentence, margin, expression."""
    lines = []
    for verdict in verdicts:
        said = "; ".join(filter(None, [verdict.source, verdict.numbers, verdict.reason]))
        lines.append(f"{verdict.status:<15} {verdict.study}/{verdict.id}: {verdict.says}")
        lines += [f"{'':<15}   {line}" for line in (said, verdict.expr)]
    studies = len({verdict.study for verdict in verdicts})
    among = f" in {studies} studies" if studies > 1 else ""
    lines += [f"{counts(verdicts)}{among}.", *filter(None, [meaning(profile), reserve(verdicts)])]
    return "\n".join(lines) + "\n"


def to_markdown(verdicts: Sequence[Verdict], *, with_study: bool = False) -> str:
    """The list as a pipe table."""
    first = 0 if with_study else 1
    names = ["study", "verdict", "claim", "source", "margin"][first:]
    lines = [f"| {' | '.join(names)} |", f"| {' | '.join([':--'] * len(names))} |"]
    for v in verdicts:
        said = escape_markdown(". ".join(filter(None, [v.numbers, v.reason])))
        claim = f"{escape_markdown(v.says)}<br><sub>`{v.expr}`</sub>"
        cells = [v.study, f"**{v.status}**", claim, escape_markdown(v.source), said]
        lines.append(f"| {' | '.join(cells[first:])} |")
    return "\n".join(lines) + "\n"


def unplanned(study: "Study", reason: str) -> list[Verdict]:
    """The claims of a study of which there are no runs: all MISSING, for a reason."""
    named = {row.id: pretty(study.label(row)) for row in study.rows}
    return [
        Verdict(
            *(study.study, claim.id, claim.expr, claim.source),
            "MISSING",
            reason,
            says=sentence(claim.says, claim.expr, named),
        )
        for claim in study.claims
    ]


class _NotYetError(Exception):
    """Why a claim cannot be decided from what there is."""


class _Claim:
    """One claim over the frames of its study."""

    def __init__(self, frames: StudyFrames, claim: dict[str, Any]) -> None:
        self.frames = frames
        self.head = frames.plan["study"], claim["id"], claim["expr"], claim["source"]
        self.named = labels(frames.plan)
        self.says = sentence(claim.get("says"), claim["expr"], self.named)
        self.parts = parse(claim["expr"])
        self.rows = {row["id"]: row for row in frames.plan["rows"]}
        self.published = {row["id"]: row for row in frames.plan.get("published") or ()}

    def verdict(self) -> Verdict:
        """Decide, or say why it cannot be decided."""
        try:
            self._check_decidable()
            by_role = self._by_role()
            columns = {key: column for role in by_role.values() for key, column in role[1].items()}
            found = [self._above_zero(part, columns) for part in self.parts]
        except _NotYetError as reason:
            return Verdict(*self.head, "MISSING", str(reason), says=self.says)
        status, at = _decided(found, [not self._keys(part) for part in self.parts])
        paired = by_role[self._role(at)][0] if self._keys(self.parts[at]) else None
        low, high = interval(found[at][1:]) if len(found[at]) > 1 else (np.nan, np.nan)
        said = [*self._which(at, paired), *_few(status, by_role), *self._left_out(by_role)]
        unit = unit_of(self.parts[at])
        return Verdict(
            *self.head,
            status,
            "; ".join(said),
            difference=float(found[at][0] * unit.per_value),
            low=float(low * unit.per_value),
            high=float(high * unit.per_value),
            unit=unit.name,
            says=self.says,
            n_mixtures=paired.n_mixtures if paired else 0,
            n_speakers=paired.n_speakers if paired else 0,
            n_seeds=min(paired.n_seeds) if paired else 0,
            most_seeds=max(paired.n_seeds) if paired else 0,
        )

    def _check_decidable(self) -> None:
        named = rows_of(self.parts)
        if unknown := [row for row in named if row not in self.rows | self.published]:
            raise _NotYetError(f"{len(unknown)} of its {len(named)} rows are not planned")
        level = any(_is_level(part) for part in self.parts)
        if (level or set(named) & set(self.published)) and self.frames.plan["profile"] != "paper":
            raise _NotYetError(
                "about the paper's own decibels or sizes, so decided at profile paper only"
            )
        torn = [row for row in named if row in self.frames.incomplete and self._scored(row)]
        if torn:
            raise _NotYetError(f"runs are missing of {', '.join(map(self._name, torn))}")

    def _name(self, row: str) -> str:
        return f'"{self.named[row]}"'

    def _scored(self, row: str) -> bool:
        """Whether the claim is about scores of a row, rather than what it costs."""
        cells = (leaf for part in self.parts for leaf in leaves(part))
        return any(isinstance(leaf, Cell) and leaf.row == row for leaf in cells)

    def _keys(self, part: Greater) -> list[_Key]:
        """The scores (row, n_re, metric) that a comparison needs."""
        return [
            (leaf.row, n_re, leaf.metric)
            for leaf in leaves(part)
            if isinstance(leaf, Cell) and leaf.row in self.rows
            for n_re in self._depths(leaf)
        ]

    def _depths(self, leaf: Cell | Fact) -> tuple[int, ...]:
        return leaf.n_re or (self.rows[leaf.row]["n_re_train"],)

    def _corpora(self, part: Greater) -> set[str]:
        """The corpora of all scores that a comparison names, our own and quoted ones."""
        rows = self.rows | self.published
        return {role(rows[leaf.row]) for leaf in leaves(part) if isinstance(leaf, Cell)}

    def _role(self, at: int) -> str:
        """The corpus that a comparison is about."""
        return role(self.rows[self._keys(self.parts[at])[0][0]])

    def _by_role(self) -> _ByRole:
        """All scores that the claim needs, corpus by corpus, each with its draws."""
        wanted: dict[str, dict[_Key, None]] = {}
        for part in self.parts:
            if len(self._corpora(part)) > 1:
                raise _NotYetError("compares scores on different corpora")
            for key in self._keys(part):
                wanted.setdefault(role(self.rows[key[0]]), {})[key] = None
        return {name: self._paired(list(keys)) for name, keys in wanted.items()}

    def _paired(self, keys: list[_Key]) -> tuple[Paired, dict[_Key, np.ndarray]]:
        scores = self.frames.scores
        scores = scores[scores["row"].isin({row for row, _, _ in keys})]
        there = set(zip(scores["row"], scores["n_re"], strict=True))
        if absent := [(row, n_re) for row, n_re, _ in keys if (row, n_re) not in there]:
            row, n_re = absent[0]
            raise _NotYetError(f"{self._name(row)} is not evaluated at N_re = {n_re}")
        paired = paired_draws(scores, keys, rng=np.random.default_rng(_SEED))
        if paired.n_mixtures == 0:
            rows = " and ".join(map(self._name, dict.fromkeys(row for row, _, _ in keys)))
            raise _NotYetError(f"no mixture has a defined score in all of {rows}")
        return paired, dict(zip(keys, _columns(paired), strict=True))

    def _above_zero(self, part: Greater, columns: dict[_Key, np.ndarray]) -> Any:
        """What must be above 0: the estimate, then its draws."""
        return np.atleast_1d(self._value(part.left, columns) - self._value(part.right, columns))

    def _value(self, value: Value, columns: dict[_Key, np.ndarray]) -> Any:
        if isinstance(value, Number):
            return value.value
        if isinstance(value, Fact):
            return self._fact(value)
        if isinstance(value, Combined):
            return _combined(value, [self._value(part, columns) for part in value.values])
        if value.row in self.published:
            return self._quoted(value)
        keys = [(value.row, n_re, value.metric) for n_re in self._depths(value)]
        return np.mean([columns[key] for key in keys], axis=0)

    def _quoted(self, cell: Cell) -> float:
        """What others reported; a depth of its own where they give one."""
        numbers = self.published[cell.row]["published"]
        names = [f"{cell.metric}.re{n_re}" for n_re in cell.n_re] or [cell.metric]
        if not all(name in numbers for name in names):
            raise _NotYetError(f"no published {names[0]} of {self._name(cell.row)}")
        return float(np.mean([numbers[name] for name in names]))

    def _fact(self, fact: Fact) -> float:
        if fact.row in self.published:
            found = self.published[fact.row]["published"].get(f"{fact.name}_m")
        else:
            found = cost(self.rows[fact.row], fact.name, self._depths(fact)[-1])
        if found is None:
            raise _NotYetError(f"{fact.name} of {self._name(fact.row)} are not known")
        return found

    def _left_out(self, by_role: _ByRole) -> list[str]:
        """How many utterances of a corpus do not count, and in which rows they are undefined."""
        said = []
        for paired, columns in by_role.values():
            cells = zip(columns, paired.n_missing, strict=True)
            rows = dict.fromkeys(self._name(row) for (row, _, _), missing in cells if missing)
            if rows:
                share = f"{paired.n_left_out} of {paired.n_utterances} utterances left out"
                said.append(f"{share}, undefined in {', '.join(rows)}")
        return said

    def _which(self, at: int, paired: Paired | None) -> list[str]:
        """Which of several comparisons decided, if any can."""
        if paired and not len(paired.drawn):
            return ["too few speakers for an interval"]
        if len(self.parts) == 1:
            return []
        which = compared(self.parts[at], self.named)
        return [f"comparison {at + 1} of {len(self.parts)}: {which}"]


def cost(row: dict[str, Any], name: str, n_re: int) -> float | None:
    """Millions of parameters, or of multiply-adds per second of audio at a depth, if planned."""
    if name == "params":
        return None if row.get("params") is None else row["params"] / 1e6
    found = (row.get("macs") or {}).get(str(n_re))
    return None if found is None else found / 1e6


def _few(status: Status, by_role: _ByRole) -> list[str]:
    """That a decision rests on an interval of few speakers."""
    few = any(paired.n_speakers < FEW_SPEAKERS for paired, _ in by_role.values())
    return [_FEW] if few and status in ("PASS", "FAIL") else []


def _columns(paired: Paired) -> np.ndarray:
    """(cell, 1 + draws): the estimate of a cell, then its draws, so that both go one way."""
    drawn = paired.drawn[np.isfinite(paired.drawn).all(axis=1)]
    return np.vstack([paired.means, drawn]).T


def _combined(value: Combined, parts: list[Any]) -> Any:
    match value.how:
        case "+":
            return parts[0] + parts[1]
        case "-":
            return parts[0] - parts[1]
        case "*":
            return parts[0] * parts[1]
        case "max":
            return max(parts, key=_estimate)
        case "min":
            return min(parts, key=_estimate)


def _estimate(values: Any) -> float:
    return float(np.atleast_1d(values)[0])


def _decided(found: list[np.ndarray], exact: list[bool]) -> tuple[Status, int]:
    """The status, and which comparison decided it: the one that is least above 0."""
    narrow = 1 - (1 - LEVEL) / len(found)
    lows = [_end(values, LEVEL, 0, known) for values, known in zip(found, exact, strict=True)]
    highs = [_end(values, narrow, 1, known) for values, known in zip(found, exact, strict=True)]
    if any(high < 0 for high in highs):
        return "FAIL", int(np.argmin(highs))
    least = min(range(len(found)), key=lambda at: (lows[at], found[at][0]))
    return ("PASS" if all(low > 0 for low in lows) else "NOT SIGNIFICANT"), least


def _end(values: np.ndarray, level: float, side: int, exact: bool) -> float:
    """An end of the interval; what needs no score is simply above 0 or not."""
    if exact:
        return float(values[0]) if values[0] > 0 else -np.inf
    if len(values) == 1:  # too few speakers: nothing is known
        return (-np.inf, np.inf)[side]
    return float(interval(values[1:], level)[side])


def _is_level(part: Greater) -> bool:
    """Whether scores or sizes are held against a plain number, rather than against each other."""
    left, right = _linear(part.left), _linear(part.right)
    weight, constant = left[0] - right[0], left[1] - right[1]
    return abs(weight) > 1e-9 and constant != 0


def _linear(value: Value) -> tuple[float, float]:
    """How often a value counts our own numbers, and the constant that it adds."""
    if isinstance(value, Number):
        return 0.0, value.value
    if not isinstance(value, Combined):
        return 1.0, 0.0
    parts = [_linear(part) for part in value.values]
    if value.how in "+-":
        sign = 1 if value.how == "+" else -1
        return parts[0][0] + sign * parts[1][0], parts[0][1] + sign * parts[1][1]
    if value.how == "*":
        factor = next(part.value for part in value.values if isinstance(part, Number))
        other = parts[1] if isinstance(value.values[0], Number) else parts[0]
        return factor * other[0], factor * other[1]
    return parts[0]
