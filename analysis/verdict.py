"""The numbers of a verdict as text, and Holm's correction of the p values."""

import numpy as np

from tisdiss.analysis.units import signed
from tisdiss.records.report_record import Verdict


def numbers_of(verdict: Verdict) -> str:
    """The deciding difference, its interval and its basis on one line; "" without a difference."""
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
    """The number of seeds per row; verdicts of earlier reports have only the smallest number."""
    few, most = verdict.n_seeds, max(verdict.n_seeds, verdict.most_seeds)
    return f"{few if few == most else f'{few} to {most}'} seed{'s' if most != 1 else ''}"


def holm(verdicts: list[Verdict]) -> list[Verdict]:
    """The verdicts with Holm's correction over all claims that have a p value."""
    p_values = sorted((v.p, at) for at, v in enumerate(verdicts) if not np.isnan(v.p))
    corrected, least = list(verdicts), 0.0
    for rank, (p, at) in enumerate(p_values):
        least = max(least, min(1.0, (len(p_values) - rank) * p))
        corrected[at] = verdicts[at].model_copy(update={"p_holm": least})
    return corrected


def _p(value: float) -> str:
    return f"{value:.2g}" if value >= 0.001 else "< 0.001"
