"""Verdicts as lines for a terminal, as a Markdown table, and as counts."""

from collections.abc import Iterable, Mapping, Sequence
from typing import get_args

import numpy as np

from tisdiss.analysis.captions import escape_markdown
from tisdiss.analysis.verdict import numbers_of
from tisdiss.records.report_record import Status, Verdict


def any_failed(verdicts: Iterable[Verdict]) -> bool:
    """Whether a claim is FAIL; `tisdiss claims` then exits with code 1."""
    return any(verdict.status == "FAIL" for verdict in verdicts)


def counts(verdicts: Iterable[Verdict]) -> str:
    """The number of claims by status: "3 PASS, 1 UNDECIDED"."""
    statuses = [verdict.status for verdict in verdicts]
    parts = [
        f"{statuses.count(status)} {status}" for status in get_args(Status) if status in statuses
    ]
    return ", ".join(parts) or "no claims"


def headline(verdicts: Sequence[Verdict]) -> str:
    """The number of the paper's claims that several trainings decide.

    A claim that says the same as another (`same_as`) is not counted.
    """
    paper = [v for v in verdicts if v.kind == "paper" and not v.same_as]
    if not paper:
        return ""
    statuses = [verdict.status for verdict in paper]
    decided = statuses.count("PASS") + statuses.count("FAIL")
    return (
        f"Of the paper's {len(paper)} distinct claims about scores, several trainings decide "
        f"{decided} ({statuses.count('PASS')} PASS, {statuses.count('FAIL')} FAIL), and one "
        f"training {statuses.count('ONE TRAINING')}. Claims that repeat another, and claims about "
        "parameters or multiply-adds, are not counted."
    )


def meaning(verdicts: Iterable[Verdict], *profiles: str) -> str:
    """What the verdicts that occur mean, and how far they reach at the profiles."""
    small = [profile for profile in profiles if profile not in ("paper", "smoke")]
    occurring = {verdict.status for verdict in verdicts}
    texts = [f"{status}: {text}." for status, text in _MEANINGS.items() if status in occurring]
    if any(verdict.n_mixtures and not np.isnan(verdict.p_holm) for verdict in verdicts):
        texts.append("Holm: the p value, corrected for the number of claims.")
    if "smoke" in profiles:
        texts.append("Profile smoke shows that everything runs; its verdicts mean nothing.")
    if small:
        texts.append(
            f"At profile{'s' if len(small) > 1 else ''} {' and '.join(small)} a verdict is about "
            "this small model and corpus; it neither proves nor refutes the paper's numbers."
        )
    return " ".join(texts)


_MEANINGS: Mapping[Status, str] = {
    "PASS": "the margin is above 0, and so is its interval, if it has one",
    "FAIL": "the margin is below 0, and so is its interval, if it has one",
    "ONE TRAINING": "the result holds for these weights only; another training may reverse it",
    "UNDECIDED": "the 95 % interval contains 0, or there are too few speakers for one",
    "NOT TESTABLE HERE": "the claim needs larger models, or models that use their repetitions",
    "MISSING": "a row has no finished run",
}


def to_text(verdicts: Sequence[Verdict], profile: str) -> str:
    """The verdicts as lines for a terminal, three per claim: sentence, margin, expression."""
    lines = []
    for verdict in verdicts:
        basis = "; ".join(filter(None, [verdict.source, numbers_of(verdict), verdict.reason]))
        lines.append(f"{verdict.status:<17} {verdict.study}/{verdict.id}: {verdict.says}")
        lines += [f"{'':<17}   {line}" for line in (basis, verdict.expr)]
    studies = len({verdict.study for verdict in verdicts})
    among = f" in {studies} studies" if studies > 1 else ""
    lines += [f"{counts(verdicts)}{among}.", headline(verdicts), meaning(verdicts, profile)]
    return "\n".join(line for line in lines if line) + "\n"


def to_markdown(verdicts: Sequence[Verdict], *, with_study: bool = False) -> str:
    """The verdicts as a Markdown table."""
    first = 0 if with_study else 1
    names = ["study", "verdict", "claim", "source", "margin"][first:]
    lines = [f"| {' | '.join(names)} |", f"| {' | '.join([':--'] * len(names))} |"]
    for v in verdicts:
        margin = escape_markdown(". ".join(filter(None, [numbers_of(v), v.reason])))
        claim = f"{escape_markdown(v.says)}<br><sub>`{v.expr}`</sub>"
        cells = [v.study, f"**{v.status}**", claim, escape_markdown(v.source), margin]
        lines.append(f"| {' | '.join(cells[first:])} |")
    return "\n".join(lines) + "\n"
