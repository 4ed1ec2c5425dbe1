"""The provenance of every number in a report: `why("table3:l3:si_snri")`.

The name of a score is study:row:score.re<depth>; without a depth it is at the trained depth. The
name of a size is study:row:params, that of a verdict study:claim:<id>. `numbers.tex` uses the same
names.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import pandas as pd

from tisdiss.analysis.captions import covered, source_of
from tisdiss.analysis.cell import split_cell
from tisdiss.analysis.frames import run_records
from tisdiss.analysis.places import check_reported
from tisdiss.analysis.results import Results
from tisdiss.analysis.stats import LEVEL
from tisdiss.analysis.verdict import numbers_of
from tisdiss.config.dotted import dotted
from tisdiss.machine.folders import KEPT_REPORTS
from tisdiss.records.expression import parse, rows_of
from tisdiss.records.files import JsonObject
from tisdiss.records.identity import short
from tisdiss.records.names import score_label, score_unit
from tisdiss.records.plan_record import QuotedRow, ShownRow, StudyFile
from tisdiss.records.report_record import (
    PROVENANCE_SCHEMA,
    ReportCell,
    ReportFile,
    ReportRun,
    RunLine,
    Verdict,
    read_report,
)
from tisdiss.records.revision import CODE_SCOPE, in_history


@dataclass(frozen=True)
class RunOrigin:
    """A run behind a number."""

    run: ReportRun
    settings: JsonObject
    """The settings in which the study's runs differ."""
    code_changed: bool | None
    """Whether the code changed since the run; None if that cannot be compared."""


@dataclass(frozen=True)
class Answer:
    """The runs, the plan and the claims behind a number or a verdict of a report."""

    cell: str
    plan: StudyFile
    runs: list[RunOrigin]
    claims: list[Verdict]
    row: ShownRow | None = None
    """None for a quoted number and for a verdict."""
    numbers: ReportCell | None = None
    """The score; None for anything else."""
    quoted: str = ""
    """A quoted number with its source."""

    @property
    def value(self) -> str:
        """The number with its interval and unit; empty for a verdict."""
        if self.numbers is not None:
            (low, high), metric = self.numbers.interval, self.cell.split(":")[2].partition(".")[0]
            span = "" if low is None else f" [{low:.2f}, {high:.2f}]"
            return f"{self.numbers.mean:.2f}{span} {score_unit(metric)} {score_label(metric)}"
        return f"{self.row.params:,} parameters" if self.row else self.quoted


def provenance(results: Results) -> ReportFile:
    """The content of provenance.json: cells "<row>.<score>.re<n>", claims, plan and runs."""
    frames = results.frames
    scored = frames.runs[frames.runs["scored"].astype(bool)]
    by_row = dict(tuple(scored.groupby("row", sort=False)))
    cells = {}
    for line in pd.concat(list(results.curves.values())).to_dict("records"):
        runs = by_row[line["row"]]
        cells[f"{line['row']}.{line['metric']}.re{line['n_re']}"] = ReportCell(
            mean=number(line["mean"]),
            interval=[number(line["low"]), number(line["high"])],
            seed_sd=number(line["seed_sd"]),
            n_mixtures=int(line["n_mixtures"]),
            n_speakers=int(line["n_speakers"]),
            n_missing=int(line["n_missing"]),
            seeds=runs["seed"].tolist(),
            evaluations=runs["evaluation"].tolist(),
            runs=runs["identity"].tolist(),
        )
    over = covered(results.curve)
    return ReportFile.model_validate(
        {
            "schema": PROVENANCE_SCHEMA,
            "interval": {"level": LEVEL, "method": "crossed speakers", "over": over},
            "undefined_scores": frames.undefined,
            "analysis_hash": _analysis_hash(),
            "cells": cells,
            "claims": [_rounded(verdict) for verdict in results.verdicts],
            "plan": results.plan,
            "runs": [reported_run(line) for line in run_records(frames)],
        }
    )


def reported_run(line: RunLine) -> ReportRun:
    """A run with its planned steps, and whether its commit is in the local Git history."""
    before = line.commit_in_history if isinstance(line, ReportRun) else None
    now = in_history(line.commit) if line.commit else None
    return ReportRun.model_validate(
        line.plain()
        | {
            "planned_steps": line.config.steps if line.config else None,
            "commit_in_history": before if now is None else now,
        }
    )


def why(cell: str, *, reports: Path = KEPT_REPORTS, code_hash: str | None = None) -> Answer:
    """The value, runs, config, data and code behind a number or a verdict of a report.

    `cell` is study:row:score, study:row:score.re5, study:row:params or study:claim:<id>.
    `code_hash` is the hash of the current code (`tisdiss.records.revision.code_hash()`). With it,
    each run says whether the code changed since; None if the run's hash covers other files
    (`revision.CODE_SCOPE`). ValueError names the nearest cell if there is no such cell.
    """
    study, row, score = split_cell(cell)
    check_reported(cell, Path(reports), study)
    report = read_report(Path(reports) / study)
    if row == "claim":
        return _why_claim(cell, report, score, code_hash)
    return _why_number(cell, report, row, score, code_hash)


def _why_number(
    cell: str, report: ReportFile, row: str, score: str, code_hash: str | None
) -> Answer:
    plan = report.plan
    rows = {planned.id: planned for planned in plan.rows}
    others = {quoted.id: quoted for quoted in plan.published}
    claims = [claim for claim in report.claims if row in rows_of(parse(claim.expr))]
    if row in others:
        return Answer(cell, plan, [], claims, quoted=_quoted(cell, others[row], score))
    if row not in rows:
        raise ValueError(f"{cell}: no row {row!r}{_nearest(row, rows)}")
    runs = _runs(report, [row], code_hash)
    if score == "params":
        return Answer(cell, plan, runs, claims, rows[row])
    depth = score if ".re" in score else f"{score}.re{rows[row].n_re_train}"
    if f"{row}.{depth}" not in report.cells:
        raise ValueError(f"{cell}: no such number{_nearest(f'{row}.{depth}', report.cells)}")
    numbers = report.cells[f"{row}.{depth}"]
    return Answer(f"{plan.study}:{row}:{depth}", plan, runs, claims, rows[row], numbers)


def _quoted(cell: str, row: QuotedRow, score: str) -> str:
    numbers = {"params" if name == "params_m" else name: n for name, n in row.published.items()}
    if score not in numbers:
        raise ValueError(f"{cell}: the source does not report it{_nearest(score, numbers)}")
    unit = "M" if score == "params" else score_unit(score.partition(".")[0])
    return f"{numbers[score]:g} {unit}, reported by others: {source_of(row)}"


def _why_claim(cell: str, report: ReportFile, claim: str, code_hash: str | None) -> Answer:
    claims = {claim.id: claim for claim in report.claims}
    if claim not in claims:
        raise ValueError(f"{cell}: no claim {claim!r}{_nearest(claim, claims)}")
    rows = rows_of(parse(claims[claim].expr))
    return Answer(cell, report.plan, _runs(report, rows, code_hash), [claims[claim]])


def _runs(report: ReportFile, rows: Iterable[str], code_hash: str | None) -> list[RunOrigin]:
    settings = differing_settings(report.runs)
    return [
        RunOrigin(reported_run(run), settings[run.identity], _code_changed(run, code_hash))
        for run in report.runs
        if run.row in rows
    ]


def _code_changed(run: RunLine, code_hash: str | None) -> bool | None:
    if code_hash is None or run.code_scope != CODE_SCOPE:
        return None
    return run.code_hash != code_hash


def why_text(answer: Answer) -> str:
    """The answer of `why` as lines for a terminal."""
    lines = [f"{answer.cell} = {answer.value}" if answer.value else answer.cell]
    if answer.row is not None:
        lines += _about(answer, answer.row)
    lines.append(f"  profile   {answer.plan.profile}, study hash {short(answer.plan.study_hash)}")
    for origin in answer.runs:
        lines += _run_lines(origin)
    for verdict in answer.claims:
        basis = "; ".join(filter(None, [verdict.source, numbers_of(verdict), verdict.reason]))
        shown = [f"{verdict.status}: {verdict.says or verdict.expr}", basis, verdict.expr]
        lines += [
            f"  {head:<10}{text}" for head, text in zip(("claim", "", ""), shown, strict=True)
        ]
    return "\n".join(lines) + "\n"


def _about(answer: Answer, row: ShownRow) -> list[str]:
    lines = [f"  row       {row.label} ({row.name}), trained at N_re = {row.n_re_train}"]
    if numbers := answer.numbers:
        runs = sum(origin.run.scored for origin in answer.runs)
        lines.append(
            f"  over      {numbers.n_mixtures} mixtures, {numbers.n_speakers} speakers, "
            f"{runs} run{'s' if runs != 1 else ''}; {numbers.n_missing} scores undefined"
        )
    corpus = answer.plan.scored_on[row.role]
    lines.append(f"  corpus    {corpus.source}, manifest {short(corpus.manifest or '')}")
    if row.paper:
        quoted = ", ".join(f"{name} {value}" for name, value in row.paper.items())
        lines.append(f"  paper     {quoted}")
    return lines


def differing_settings(runs: Iterable[RunLine]) -> dict[str, JsonObject]:
    """The settings in which the runs of a study differ, by identity: {"model.n_re": 6, ...}."""
    flat = {run.identity: dict(dotted(run.config.plain() if run.config else {})) for run in runs}
    keys = dict.fromkeys(key for settings in flat.values() for key in settings)
    differ = [k for k in keys if len({str(settings.get(k)) for settings in flat.values()}) > 1]
    return {identity: {k: flat[identity].get(k) for k in differ} for identity in flat}


def number(value: float) -> float | None:
    """A value rounded to six decimals, the same on all machines; None for NaN."""
    return None if pd.isna(value) else round(float(value), 6)


def _nearest(name: str, names: Iterable[str]) -> str:
    near = get_close_matches(name, list(names), n=1, cutoff=0.3)
    if near:
        return f"; the nearest is {near[0]!r}"
    return f"; there are: {', '.join(names) or 'none'}"


def _run_lines(origin: RunOrigin) -> list[str]:
    run = origin.run
    settings = ", ".join(f"{key}={value}" for key, value in origin.settings.items())
    changed = {None: "", True: ", CHANGED SINCE", False: ", unchanged"}[origin.code_changed]
    if run.code_scope != CODE_SCOPE:
        changed = " (hash of other files: not comparable)"
    if not run.scored:
        return [f"  run       {short(run.identity)} seed {run.seed}: {run.status}"]
    return [
        f"  run       {short(run.identity)} seed {run.seed}: {run.status}{_steps(run)}, "
        f"evaluation {short(run.evaluation)}",
        f"            code {short(run.code_hash or 'unknown')}{changed}",
        f"            {origin_text(run)}",
        f"            test set {short(run.test_manifest or '')}",
        f"            config {settings or 'the same in all runs'}",
    ]


def _steps(run: ReportRun) -> str:
    return "" if run.steps is None else f", {run.steps} steps{other_steps(run)}"


def other_steps(run: ReportRun) -> str:
    """A note if a training that ran all its epochs took another number of steps than planned."""
    planned = run.planned_steps
    ended = run.reason == "epochs" and run.steps is not None
    return f" (its settings say {planned})" if ended and planned not in (None, run.steps) else ""


def origin_text(run: ReportRun) -> str:
    """The commit of a run, with uncommitted changes and later commits, in a few words."""
    if not run.commit:
        return "commit not known"
    changes = {None: "changes not known", True: "with changes that were not kept", False: ""}
    later = [commit[:10] for commit in (run.later_commits or "").split(", ") if commit]
    parts = [
        f"commit {run.commit[:10]}",
        "not in this history" if run.commit_in_history is False else "",
        changes[run.dirty],
        f"went on at {', '.join(later)}" if later else "",
    ]
    return ", ".join(filter(None, parts))


def _rounded(verdict: Verdict) -> Verdict:
    values = {name: getattr(verdict, name) for name in Verdict.model_fields}
    return Verdict.model_validate(
        {key: number(value) if isinstance(value, float) else value for key, value in values.items()}
    )


def _analysis_hash() -> str:
    """The hash of the code of `analysis/`, which computes the numbers."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"\0".join(source.read_bytes() for source in sources)).hexdigest()
