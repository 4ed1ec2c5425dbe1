"""Claims, decided from runs. A claim is an expression over rows (`tisdiss/records/expression.py`).

Each of its comparisons is a quantity that must be above 0, for example the difference of two rows,
with the interval of `stats.py`: paired by mixture, and by seed where rows have the same seeds.

* PASS: the 95 % interval of every comparison lies above 0;
* FAIL: that of one lies below 0; where there are several comparisons, at a level that allows for
  having looked at all of them (Bonferroni);
* ONE TRAINING: it would be one of these, but a row has one seed: it holds for these weights, and
  says nothing of how much another training of the same recipe would differ;
* UNDECIDED: neither; with the side it leans to, and the difference that would have been found;
* NOT TESTABLE HERE: about decibels that only the paper's own corpus and size can give, or about
  depth where the models do not use theirs (`_check_depth_is_used`);
* MISSING: runs or depths are missing.

An utterance whose score is undefined in one of the rows is left out of all of them, and counted. A
number that others reported is a constant here: nothing is paired with it, and the interval is that
of our own row. So `approx(a, b, tolerance)` passes where the whole interval of a - b lies within
the tolerance. Where a maximum stands for its best row, the best row is the one whose mean is best.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from tisdiss.analysis.compare import (
    LEAST_GAIN,
    MOST_WORSE,
    Comparison,
    Score,
    combined,
    decided,
    depth_weights,
    has_tolerance,
    is_level,
    kind_of,
    seeds,
)
from tisdiss.analysis.frames import StudyFrames
from tisdiss.analysis.sentence import compared, labels, sentence
from tisdiss.analysis.stats import Estimate, Paired, paired
from tisdiss.analysis.units import signed, unit_of
from tisdiss.analysis.verdict import holm
from tisdiss.paper_names import read_name
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
from tisdiss.records.names import SI_SNRI
from tisdiss.records.plan_record import ClaimPart, ShownRow
from tisdiss.records.report_record import Status, Verdict

_Key = tuple[str, int, str]
_ByRole = dict[str, tuple[Paired, dict[_Key, Estimate]]]


def decide(frames: StudyFrames) -> list[Verdict]:
    """Every claim of one study, in the order of its file."""
    return holm([_Claim(frames, claim).verdict() for claim in frames.plan.claims])


def evidence(frames: StudyFrames) -> list[list[Comparison]]:
    """What each claim of `decide` holds against 0, testable here or not; [] where scores lack."""
    return [_Claim(frames, claim).comparisons() for claim in frames.plan.claims]


class _Undecidable(Exception):
    """Why a claim cannot be decided from what there is."""

    status: Status = "MISSING"


class _NotTestable(_Undecidable):
    """Why no run of this size and corpus could decide a claim."""

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
        """Decide, or say why it cannot be decided."""
        try:
            self._check_decidable()
            by_role = self._by_role()
            self._check_depth_is_used()
            comparisons = [self._compared(part, by_role) for part in self.parts]
        except _Undecidable as reason:
            return self._verdict(reason.status, str(reason))
        status, deciding = decided(comparisons)
        reasons = [*self._reserves(status, deciding, comparisons), *self._left_out(by_role)]
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
        """What must be above 0, as far as there are scores."""
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
            raise _Undecidable(f"{len(unknown)} of its {len(rows)} rows are not planned")
        if not self.frames.plan.at_paper:
            self._check_is_about_no_level(rows)
        torn = [row for row in rows if row in self.frames.incomplete and self._scored(row)]
        if torn:
            raise _Undecidable(f"runs are missing of {', '.join(map(self._name, torn))}")

    def _check_is_about_no_level(self, rows: Sequence[str]) -> None:
        """Refuse what only the paper's corpus and size can give."""
        if set(rows) & set(self.published) or any(is_level(part) for part in self.parts):
            raise _NotTestable(
                "about the paper's own decibels or sizes, so decided at profile paper only"
            )
        ours = kind_of(self.claim.source, self.parts) == "ours"
        if not ours and any(self._keys(part) and has_tolerance(part) for part in self.parts):
            raise _NotTestable(
                "a tolerance in dB is meant for the paper's level, so decided at profile paper only"
            )

    def _check_depth_is_used(self) -> None:
        """Refuse to compare depths of models that separate as well with one repetition."""
        for row in dict.fromkeys(row for part in self.parts for row in self._of_depth(part)):
            trained = self.rows[row].n_re_train
            scores = self.frames.scores[self.frames.scores["row"] == row]
            if trained == 1 or 1 not in set(scores["n_re"]):
                continue
            deep, once = paired(scores, [(row, trained, SI_SNRI), (row, 1, SI_SNRI)]).estimates
            gain = deep - once
            worse = float((gain.values < 0).mean())
            if gain.mean > LEAST_GAIN and worse < MOST_WORSE and not gain.interval()[0] <= 0:
                continue
            raise _NotTestable(
                f"{self._name(row)} gains {signed(gain.mean, 'dB')} dB from N_re = 1 to {trained} "
                f"and makes {worse:.0%} of the mixtures worse; a claim about depth needs models "
                f"that use it: more than {LEAST_GAIN} dB, and less than {MOST_WORSE:.0%}"
            )

    def _of_depth(self, part: Greater) -> list[str]:
        """The rows of a comparison between different depths; none of rows of equal depth.

        The depth is what the reconstructor runs: blocks (m_re) times repetitions (N_re).
        """
        weights = depth_weights(part, self._depths)
        by_depth: dict[int, float] = defaultdict(float)
        for (row, n_re), weight in weights.items():
            by_depth[self._blocks(row) * n_re] += weight
        turned = {row for (row, _), weight in weights.items() if weight < 0}
        both = turned & {row for (row, _), weight in weights.items() if weight > 0}
        across = any(abs(weight) > 1e-9 for weight in by_depth.values())
        ours = dict.fromkeys(row for row, _ in weights if row in self.rows)
        return list(ours) if both or across else []

    def _blocks(self, row: str) -> int:
        """m_re, 1 without early split and for what others reported."""
        return (read_name(self.rows[row].name).m_re if row in self.rows else 0) or 1

    def _name(self, row: str) -> str:
        return f'"{self.labels[row]}"'

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
        trained = self.rows[leaf.row].n_re_train if leaf.row in self.rows else 0
        return leaf.n_re or (trained,)

    def _corpora(self, part: Greater) -> set[str]:
        """The corpora of all scores that a comparison names, our own and quoted ones."""
        rows = {**self.rows, **self.published}
        return {rows[leaf.row].role for leaf in leaves(part) if isinstance(leaf, Cell)}

    def _role(self, part: Greater) -> str:
        """The corpus that a comparison is about."""
        return self.rows[self._keys(part)[0][0]].role

    def _by_role(self) -> _ByRole:
        """All scores that the claim needs, corpus by corpus."""
        wanted: dict[str, dict[_Key, None]] = {}
        for part in self.parts:
            if len(self._corpora(part)) > 1:
                raise _Undecidable("compares scores on different corpora")
            for key in self._keys(part):
                wanted.setdefault(self.rows[key[0]].role, {})[key] = None
        return {name: self._paired(list(keys)) for name, keys in wanted.items()}

    def _paired(self, keys: list[_Key]) -> tuple[Paired, dict[_Key, Estimate]]:
        scores = self.frames.scores
        scores = scores[scores["row"].isin({row for row, _, _ in keys})]
        there = set(zip(scores["row"], scores["n_re"], strict=True))
        if absent := [(row, n_re) for row, n_re, _ in keys if (row, n_re) not in there]:
            row, n_re = absent[0]
            raise _Undecidable(f"{self._name(row)} is not evaluated at N_re = {n_re}")
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
        """What others reported; a depth of its own where they give one."""
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

    def _reserves(
        self, status: Status, deciding: Comparison, comparisons: list[Comparison]
    ) -> list[str]:
        """What a verdict rests on: which comparison, which weights, what could be found."""
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
            leans = "pass" if deciding.mean > 0 else "fail"
            texts.append(f"leans to {leans}; {least} {unit.name} would have been found")
        return texts

    def _left_out(self, by_role: _ByRole) -> list[str]:
        """How many utterances of a corpus do not count, and in which rows they are undefined."""
        texts = []
        for cells, estimates in by_role.values():
            pairs = zip(estimates, cells.n_missing, strict=True)
            rows = dict.fromkeys(self._name(row) for (row, _, _), missing in pairs if missing)
            if rows:
                share = f"{cells.n_left_out} of {cells.n_utterances} utterances left out"
                texts.append(f"{share}, undefined in {', '.join(rows)}")
        return texts


def cost(row: ShownRow, name: str, n_re: int) -> float | None:
    """What a row costs at a depth as claims count it, or None where that is not known.

    Parameters, multiply-adds per second of audio and bytes in millions; `rtf` as it is.
    """
    amount: float | None
    if name in (names.PARAMS, names.MEMORY):
        amount = getattr(row, name)
    else:
        amount = row.cost("rtf" if name == names.RTF else "macs").get(n_re)
    return amount if amount is None or name == names.RTF else amount / 1e6
