"""What the runs say about a claim, in numbers."""

import numpy as np

from tisdiss.analysis.units import signed
from tisdiss.records.report_record import Verdict


def numbers_of(verdict: Verdict) -> str:
    """The deciding difference, its interval and what it rests on, on one line; "" without one."""
    if np.isnan(verdict.difference):
        return ""
    shown = f"{signed(verdict.difference, verdict.unit)} {verdict.unit}"
    if not np.isnan(verdict.low):
        low, high = (signed(end, verdict.unit) for end in (verdict.low, verdict.high))
        shown += f" [{low}, {high}]"
    if not verdict.n_mixtures:
        return shown
    if not np.isnan(verdict.p_holm):
        shown += f", p {_p(verdict.p)} (Holm {_p(verdict.p_holm)})"
    over = f"{verdict.n_mixtures} mixtures, {verdict.n_speakers} speakers"
    return f"{shown}, {over}, {_seeds(verdict)}"


def _seeds(verdict: Verdict) -> str:
    """How many seeds a row has; verdicts of earlier reports know the fewest alone."""
    few, most = verdict.n_seeds, max(verdict.n_seeds, verdict.most_seeds)
    return f"{few if few == most else f'{few} to {most}'} seed{'s' if most != 1 else ''}"


def holm(verdicts: list[Verdict]) -> list[Verdict]:
    """The same with Holm's correction for all claims of a study that have a p value."""
    tested = sorted((v.p, at) for at, v in enumerate(verdicts) if not np.isnan(v.p))
    corrected, least = list(verdicts), 0.0
    for rank, (p, at) in enumerate(tested):
        least = max(least, min(1.0, (len(tested) - rank) * p))
        corrected[at] = verdicts[at].model_copy(update={"p_holm": least})
    return corrected


def _p(value: float) -> str:
    return f"{value:.2g}" if value >= 0.001 else "< 0.001"
