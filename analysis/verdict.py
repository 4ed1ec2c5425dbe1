"""Verdicts: the rule of PASS, FAIL and UNDECIDED, Holm's correction, and the numbers as text.

`claims.py` applies the rule, and has those of ONE TRAINING, NOT TESTABLE HERE and MISSING.
"""

import numpy as np

from tisdiss.analysis.compare import Comparison
from tisdiss.analysis.stats import LEVEL
from tisdiss.analysis.units import signed
from tisdiss.records.report_record import Status, Verdict


def decided(comparisons: list[Comparison]) -> tuple[Status, Comparison]:
    """The status, and the comparison that decided it: the one that is least above 0."""
    corrected = 1 - (1 - LEVEL) / len(comparisons)  # Bonferroni
    highs = [comparison.ends(corrected)[1] for comparison in comparisons]
    if min(highs) < 0:
        return "FAIL", comparisons[highs.index(min(highs))]
    lows = {at: one.ends(LEVEL)[0] for at, one in enumerate(comparisons)}
    least = min(lows, key=lambda at: (lows[at], comparisons[at].mean))
    return ("PASS" if lows[least] > 0 else "UNDECIDED"), comparisons[least]


def numbers_of(verdict: Verdict) -> str:
    """The deciding difference, its interval and its basis on one line; "" without a difference."""
    if np.isnan(verdict.difference):
        return ""
    shown = f"{signed(verdict.difference, verdict.unit)} {verdict.unit}".rstrip()
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
