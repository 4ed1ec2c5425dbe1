"""What the runs say about a claim."""

from dataclasses import dataclass, fields, replace

import numpy as np

from tisdiss.analysis.units import signed
from tisdiss.records.report_record import Kind, ReportClaim, Status


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
    p: float = float("nan")
    """Two-sided, of the comparison that decided; NaN for what needs no score."""
    p_holm: float = float("nan")
    """The same, corrected for all claims of the study (Holm, 1979)."""
    kind: Kind = "paper"
    same_as: str = ""
    """The claim, study/id, that says the same and counts for both."""

    @classmethod
    def of(cls, claim: ReportClaim) -> "Verdict":
        """A verdict as a report holds it, where NaN is None."""
        values = {field.name: getattr(claim, field.name) for field in fields(cls)}
        values |= {name: np.nan for name, value in values.items() if value is None}
        if claim.status == "NOT SIGNIFICANT":  # the word of earlier versions
            values["status"] = "UNDECIDED"
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
        if not np.isnan(self.p_holm):
            shown += f", p {_p(self.p)} (Holm {_p(self.p_holm)})"
        return f"{shown}, {self.n_mixtures} mixtures, {self.n_speakers} speakers, {self._seeds}"

    @property
    def _seeds(self) -> str:
        """How many seeds a row has; verdicts of earlier reports know the fewest alone."""
        few, most = self.n_seeds, max(self.n_seeds, self.most_seeds)
        return f"{few if few == most else f'{few} to {most}'} seed{'s' if most != 1 else ''}"


def holm(verdicts: list[Verdict]) -> list[Verdict]:
    """The same with Holm's correction for all claims of a study that have a p value."""
    tested = sorted((v.p, at) for at, v in enumerate(verdicts) if not np.isnan(v.p))
    corrected, least = list(verdicts), 0.0
    for rank, (p, at) in enumerate(tested):
        least = max(least, min(1.0, (len(tested) - rank) * p))
        corrected[at] = replace(verdicts[at], p_holm=least)
    return corrected


def _p(value: float) -> str:
    return f"{value:.2g}" if value >= 0.001 else "< 0.001"
