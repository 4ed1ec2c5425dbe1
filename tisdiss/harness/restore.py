"""Restores finished runs from a report: writes their settings and scores to run folders.

A report has every score of its runs, so a plan does not train runs of the same identities again;
further seeds are added to them. A report has no weights: a run whose weights are needed, for a
fine-tune or another evaluation, is then trained.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tisdiss.harness.plan import Plan, PlannedEvaluation, PlannedRun
from tisdiss.harness.plan_file import save_plan
from tisdiss.records.files import write_atomic
from tisdiss.records.names import REPORT_COLUMNS, SCORES
from tisdiss.records.report_record import ReportRun, read_report
from tisdiss.records.run_folder import RunFolder, json_text
from tisdiss.records.run_record import Environment, Evaluation, Revision, RunResult
from tisdiss.records.scores import read_scores

if TYPE_CHECKING:
    import pandas as pd


Scored = tuple[PlannedEvaluation, ReportRun]
"""An evaluation of a plan, and the line of a report that has its scores."""


def runs_of(report: Path) -> dict[tuple[str, str], ReportRun]:
    """The scored runs of a report by the identities of run and evaluation.

    ValueError if the report cannot be read.
    """
    runs = read_report(report).runs
    return {(run.identity, run.evaluation): run for run in runs if run.scored}


def restore(plan: Plan, report: Path, runs_dir: Path) -> list[PlannedRun]:
    """Write the plan, and the folders of its runs that a report has scores of; returns these runs.

    A run that has begun here is left unchanged. ValueError if the report cannot be read.
    """
    scored, scores = runs_of(report), read_scores(report / SCORES, REPORT_COLUMNS)
    restored = []
    for planned, found in _absent(plan, scored, runs_dir):
        _write(planned, found, scores, runs_dir)
        restored.append(planned)
    save_plan(plan, runs_dir)
    return restored


def _absent(
    plan: Plan, scored: Mapping[tuple[str, str], ReportRun], runs_dir: Path
) -> Iterator[tuple[PlannedRun, list[Scored]]]:
    """Runs that have never begun here, with each of their evaluations that a report has."""
    for planned in plan.runs:
        lines = (
            (each, scored.get((planned.identity, each.identity))) for each in planned.evaluations
        )
        found = [(each, run) for each, run in lines if run is not None]
        if found and RunFolder.of(runs_dir, planned.identity).config() is None:
            yield planned, found


def _own(scores: pd.DataFrame, run: ReportRun) -> pd.DataFrame:
    """The scores of an evaluation, from one of the rows that show it."""
    own = scores[(scores["identity"] == run.identity) & (scores["row"] == run.row)]
    return own.drop(columns=list(REPORT_COLUMNS))


def _write(planned: PlannedRun, found: list[Scored], scores: pd.DataFrame, runs_dir: Path) -> None:
    """Write the folder of a run; the result comes last, so after a kill the run is not finished."""
    folder = RunFolder.of(runs_dir, planned.identity)
    for evaluation, line in found:
        _write_evaluation(folder, evaluation, _own(scores, line))
    _, run = found[0]
    folder.write("environment.json", _environment(run))
    folder.write("config.json", planned.asked())
    fields = {
        name: getattr(run, name) for name in ("status", "reason", "steps", "epochs", "seconds")
    }
    folder.write("result.json", RunResult.model_validate(fields))


def _write_evaluation(
    folder: RunFolder, evaluation: PlannedEvaluation, scores: pd.DataFrame
) -> None:
    place = folder.evaluation(evaluation.identity)
    place.mkdir(parents=True, exist_ok=True)
    write_atomic(place / SCORES, scores.to_parquet(index=False))
    about = Evaluation(
        identity=evaluation.identity,
        test_manifest=evaluation.test_manifest,
        mixtures=int(scores["mixture_id"].nunique()),
    )
    write_atomic(place / "evaluation.json", json_text(about.plain()))


def _environment(run: ReportRun) -> Environment:
    """The environment of a run, as far as the report has it: its code."""
    return Environment(
        git=Revision(commit=run.commit, dirty=run.dirty),
        code_hash=run.code_hash,
        code_scope=run.code_scope,
        code_files=run.code_files,
    )
