"""Claims, decided from runs. A claim is an expression over rows (`tisdiss/records/expression.py`).

A claim consists of comparisons. Each is a quantity that must be above 0, for example the difference
of two rows, with the interval of `stats.py`: paired by mixture, and by seed if rows have the same
seeds. The status of a claim is one of these:

* PASS: the 95 % interval of every comparison lies above 0.
* FAIL: the interval of one comparison lies below 0; with several comparisons, the intervals are
  widened for multiple testing (Bonferroni).
* ONE TRAINING: PASS or FAIL, but a row has one seed. The result holds for these weights only; how
  much another training of the same recipe would differ is unknown.
* UNDECIDED: neither PASS nor FAIL. The reason gives the side that the mean is on, and the
  difference that the test would have found in 80 % of cases.
* NOT TESTABLE HERE: the claim is about decibels that need the paper's own corpus and size, or about
  depth although the models hardly use theirs (`_check_depth_is_used`).
* MISSING: runs or depths are missing.

An utterance whose score is undefined in one of the rows is left out of all of them, and counted. A
quoted number is a constant: nothing is paired with it, and the interval is that of our own row.
`approx(a, b, tolerance)` passes if the whole interval of a - b lies within the tolerance. A maximum
takes the value and the interval of the row with the highest mean.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from tisdiss.analysis.compare import (
    Comparison,
    Score,
    combined,
    depth_weights,
    has_tolerance,
    is_level,
    kind_of,
    seeds,
)
from tisdiss.analysis.depth_gain import LEAST_GAIN, MOST_WORSE, depth_gain, repeated
from tisdiss.analysis.frames import StudyFrames
from tisdiss.analysis.sentence import compared, labels, sentence
from tisdiss.analysis.stats import Estimate, Paired, paired
from tisdiss.analysis.units import signed, unit_of
from tisdiss.analysis.verdict import decided, holm
from tisdiss.records import names
from tisdiss.records.expression import (
    TIMED,
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
from tisdiss.records.names import measure_of, score_label
from tisdiss.records.plan_record import ClaimPart, ShownRow
from tisdiss.records.report_record import Status, Verdict

_Key = tuple[str, int, str]
_ByRole = dict[str, tuple[Paired, dict[_Key, Estimate]]]


def decide(frames: StudyFrames) -> list[Verdict]:
    """Every claim of one study, in the order of its file."""
    return holm([_Claim(frames, claim).verdict() for claim in frames.plan.claims])


def evidence(frames: StudyFrames) -> list[list[Comparison]]:
    """The comparisons of each claim, in the order of `decide`; [] if scores are missing.

    Claims that are not testable here have their comparisons, too.
    """
    return [_Claim(frames, claim).comparisons() for claim in frames.plan.claims]


class _Undecidable(Exception):
    """A claim cannot be decided from the available runs; the message is the reason."""

    status: Status = "MISSING"


class _NotTestable(_Undecidable):
    """No run of this size and corpus can decide a claim; the message is the reason."""

    status: Status = "NOT TESTABLE HERE"


class _Claim:
    """One claim over the frames of its study."""

    def __init__(self, frames: StudyFrames, claim: ClaimPart) -> None:
        self.frames = frames
        self.claim = claim
        self.labels = labels(frames.plan)
        self.parts = parse(claim.expr)
        self.rows = {row.id: row for row in frames.plan.rows}
        self.published = {row.id: row for row in frames.plan.published}

    def verdict(self) -> Verdict:
        """The verdict; its `reason` says why a claim cannot be decided."""
        try:
            self._check_decidable()
            by_role = self._by_role()
            self._check_depth_is_used()
            comparisons = [self._compared(part, by_role) for part in self.parts]
        except _Undecidable as reason:
            return self._verdict(reason.status, str(reason))
        status, deciding = decided(comparisons)
        reasons = [*self._caveats(status, deciding, comparisons), *self._left_out(by_role)]
        if status in ("PASS", "FAIL") and min(seeds(comparisons), default=2) == 1:
            status = "ONE TRAINING"
        unit, (low, high) = unit_of(deciding.part), deciding.interval
        keys = self._keys(deciding.part)
        of_scores = by_role[self._role(deciding.part)][0] if keys else None
        return self._verdict(
            status,
            "; ".join(reasons),
            difference=float(deciding.mean * unit.per_value),
            low=float(low * unit.per_value),
            high=float(high * unit.per_value),
            unit=unit.name,
            n_mixtures=of_scores.n_mixtures if of_scores else 0,
            n_speakers=of_scores.n_speakers if of_scores else 0,
            n_seeds=min(of_scores.n_seeds) if of_scores else 0,
            most_seeds=max(of_scores.n_seeds) if of_scores else 0,
            p=deciding.p,
        )

    def comparisons(self) -> list[Comparison]:
        """All comparisons of the claim; [] if a row is not planned or a score is missing."""
        if not set(rows_of(self.parts)) <= self.rows.keys() | self.published.keys():
            return []
        try:
            by_role = self._by_role()
            return [self._compared(part, by_role) for part in self.parts]
        except _Undecidable:
            return []

    def _verdict(self, status: Status, reason: str, **numbers: Any) -> Verdict:
        return Verdict(
            study=self.frames.plan.study,
            id=self.claim.id,
            expr=self.claim.expr,
            source=self.claim.source,
            status=status,
            reason=reason,
            says=sentence(self.claim.says, self.claim.expr, self.labels),
            kind=kind_of(self.claim.source, self.parts),
            same_as=self.claim.same_as or "",
            **numbers,
        )

    def _check_decidable(self) -> None:
        rows = rows_of(self.parts)
        if unknown := [row for row in rows if row not in {*self.rows, *self.published}]:
            verb = "is" if len(unknown) == 1 else "are"
            raise _Undecidable(f"{len(unknown)} of its {len(rows)} rows {verb} not planned")
        if not self.frames.plan.at_paper:
            self._check_needs_no_level(rows)
        torn = [row for row in rows if row in self.frames.incomplete and self._scored(row)]
        if torn:
            raise _Undecidable(f"runs are missing of {', '.join(map(self._name, torn))}")

    def _check_needs_no_level(self, rows: Sequence[str]) -> None:
        """Refuse claims about levels in dB that need the paper's corpus and size."""
        if set(rows) & set(self.published) or any(is_level(part) for part in self.parts):
            raise _NotTestable(
                "it is about the paper's own decibels or sizes, so it is decided at profile paper "
                "only"
            )
        ours = kind_of(self.claim.source, self.parts) == "ours"
        if not ours and any(self._keys(part) and has_tolerance(part) for part in self.parts):
            raise _NotTestable(
                "its tolerance in dB is meant for scores as high as the paper's, so it is decided "
                "at profile paper only"
            )

    def _check_depth_is_used(self) -> None:
        """Refuse to compare depths of a model that gains little from its repetitions."""
        for row in dict.fromkeys(row for part in self.parts for row in self._of_depth(part)):
            found = depth_gain(self.frames.scores, row, self.rows[row].n_re_train)
            if found is None or found.uses_depth:
                continue
            gain = signed(found.gain.mean, "dB")
            raise _NotTestable(
                f"{self._name(row)} gains {gain} dB from N_re = 1 to {found.trained}, where "
                f"{found.worse:.0%} of the mixtures score lower; claims about depth are tested on "
                f"models that gain more than {LEAST_GAIN} dB, with less than {MOST_WORSE:.0%} of "
                "the mixtures scoring lower"
            )

    def _of_depth(self, part: Greater) -> list[str]:
        """The rows of a comparison between different depths; [] if all depths are equal.

        The depth is the number of blocks (m_re) times the number of repetitions (N_re). Only depths
        of one architecture are compared: those of another are other things.
        """
        weights = depth_weights(part, self._depths)
        by_depth: dict[str, dict[int, float]] = defaultdict(lambda: defaultdict(float))
        for (row, n_re), weight in weights.items():
            architecture, blocks = self._blocks(row)
            by_depth[architecture][blocks * n_re] += weight
        negative = {row for (row, _), weight in weights.items() if weight < 0}
        both = negative & {row for (row, _), weight in weights.items() if weight > 0}
        across = any(
            sum(abs(weight) > 1e-9 for weight in of_depth.values()) > 1
            for of_depth in by_depth.values()
        )
        ours = dict.fromkeys(row for row, _ in weights if row in self.rows)
        return list(ours) if both or across else []

    def _blocks(self, row: str) -> tuple[str, int]:
        """Architecture and m_re of a row; m_re is 1 without early split and for a whole model.

        A quoted row has an architecture of its own.
        """
        if row not in self.rows:
            return row, 1
        name = self.rows[row].name
        stated = repeated(name)
        return (stated.architecture, stated.m_re or 1) if stated else (name, 1)

    def _name(self, row: str) -> str:
        return f'"{self.labels[row]}"'

    def _scored(self, row: str) -> bool:
        """Whether the claim is about scores of a row, rather than its cost."""
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
        trained = self.rows[leaf.row].n_re_train if leaf.row in self.rows else 0
        return leaf.n_re or (trained,)

    def _corpora(self, part: Greater) -> set[str]:
        """The corpora of all scores in a comparison, our own and quoted ones."""
        rows = {**self.rows, **self.published}
        return {rows[leaf.row].role for leaf in leaves(part) if isinstance(leaf, Cell)}

    def _role(self, part: Greater) -> str:
        """The corpus of a comparison's scores."""
        return self.rows[self._keys(part)[0][0]].role

    def _by_role(self) -> _ByRole:
        """All scores that the claim needs, by corpus."""
        keys_of: dict[str, dict[_Key, None]] = {}
        for part in self.parts:
            if len(self._corpora(part)) > 1:
                raise _Undecidable("compares scores on different corpora")
            for key in self._keys(part):
                keys_of.setdefault(self.rows[key[0]].role, {})[key] = None
        return {role: self._paired(list(keys)) for role, keys in keys_of.items()}

    def _paired(self, keys: list[_Key]) -> tuple[Paired, dict[_Key, Estimate]]:
        scores = self.frames.scores
        scores = scores[scores["row"].isin({row for row, _, _ in keys})]
        scored = set(zip(scores["row"], scores["n_re"], strict=True))
        if absent := [(row, n_re) for row, n_re, _ in keys if (row, n_re) not in scored]:
            row, n_re = absent[0]
            raise _Undecidable(f"{self._name(row)} is not evaluated at N_re = {n_re}")
        if unknown := [metric for _, _, metric in keys if metric not in scores]:
            label, measure = score_label(unknown[0]), measure_of(unknown[0])
            raise _Undecidable(
                f"no run has {label}: add {measure} to the study's `evaluate:` quality and run it "
                "again"
            )
        cells = paired(scores, keys)
        if cells.n_mixtures == 0:
            rows = " and ".join(map(self._name, dict.fromkeys(row for row, _, _ in keys)))
            raise _Undecidable(f"no mixture has a defined score in all of {rows}")
        return cells, dict(zip(keys, cells.estimates, strict=True))

    def _compared(self, part: Greater, by_role: _ByRole) -> Comparison:
        estimates = {key: one for _, cells in by_role.values() for key, one in cells.items()}
        keys = self._keys(part)
        seeds: list[int] = []
        if keys:
            cells = by_role[self._role(part)]
            each = dict(zip(cells[1], cells[0].n_seeds, strict=True))
            seeds = [each[key] for key in keys]
        value = self._value(part.left, estimates) - self._value(part.right, estimates)
        return Comparison(part, value, min(seeds, default=0))

    def _value(self, value: Value, estimates: dict[_Key, Estimate]) -> Score:
        if isinstance(value, Number):
            return value.value
        if isinstance(value, Fact):
            return self._fact(value)
        if isinstance(value, Combined):
            return combined(value, [self._value(part, estimates) for part in value.values])
        if value.row in self.published:
            return self._quoted(value)
        depths = self._depths(value)
        total: Score = 0.0
        for n_re in depths:
            total = estimates[value.row, n_re, value.metric] + total
        return total * (1 / len(depths))

    def _quoted(self, cell: Cell) -> float:
        """The quoted number of a cell; the mean of several for several depths."""
        numbers = self.published[cell.row].published
        names = [f"{cell.metric}.re{n_re}" for n_re in cell.n_re] or [cell.metric]
        if not all(name in numbers for name in names):
            raise _Undecidable(f"no published {names[0]} of {self._name(cell.row)}")
        return float(np.mean([numbers[name] for name in names]))

    def _fact(self, fact: Fact) -> float:
        if fact.row in self.published:
            amount = self.published[fact.row].published.get(f"{fact.name}_m")
        else:
            amount = cost(self.rows[fact.row], fact.name, self._depths(fact)[-1])
        if amount is None and fact.name in TIMED:
            plan = self.frames.plan
            raise _Undecidable(
                f"{self._name(fact.row)} is not measured; run `tisdiss time {plan.study} "
                f"--profile {plan.profile}` first"
            )
        if amount is None:
            raise _Undecidable(f"{fact.name} of {self._name(fact.row)} are not known")
        return amount

    def _caveats(
        self, status: Status, deciding: Comparison, comparisons: list[Comparison]
    ) -> list[str]:
        """Notes on a verdict: too few speakers, the deciding comparison, one seed, the power."""
        texts = []
        if np.isnan(deciding.interval[0]) and deciding.n_seeds:
            texts.append("too few speakers for an interval")
        elif len(self.parts) > 1:
            at = self.parts.index(deciding.part) + 1
            which = compared(deciding.part, self.labels)
            texts.append(f"comparison {at} of {len(self.parts)}: {which}")
        if status in ("PASS", "FAIL") and min(seeds(comparisons), default=2) == 1:
            texts.append(f"these weights {status.lower()}")
        if status == "UNDECIDED" and not np.isnan(deciding.interval[0]):
            unit = unit_of(deciding.part)
            least = signed(deciding.detectable * unit.per_value, unit.name).lstrip("+")
            side = "passing" if deciding.mean > 0 else "failing"
            texts.append(
                f"the estimate is on the {side} side; a true difference of {least} {unit.name} "
                "would be found in 80 % of cases"
            )
        return texts

    def _left_out(self, by_role: _ByRole) -> list[str]:
        """The number of utterances that are left out, and the rows in which they are undefined."""
        texts = []
        for cells, estimates in by_role.values():
            pairs = zip(estimates, cells.n_missing, strict=True)
            rows = dict.fromkeys(self._name(row) for (row, _, _), missing in pairs if missing)
            if rows:
                share = f"{cells.n_left_out} of {cells.n_utterances} utterances left out"
                texts.append(f"{share}, undefined in {', '.join(rows)}")
        return texts


def cost(row: ShownRow, name: str, n_re: int) -> float | None:
    """The cost of a row at a depth in the units of claims; None if it is not known.

    Parameters, multiply-adds per second of audio, and bytes are in millions; `rtf` has no unit.
    """
    amount: float | None
    if name in (names.PARAMS, names.MEMORY):
        amount = getattr(row, name)
    else:
        amount = row.cost("rtf" if name == names.RTF else "macs").get(n_re)
    return amount if amount is None or name == names.RTF else amount / 1e6
