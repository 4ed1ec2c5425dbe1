"""Restores finished runs from a report: writes their settings and scores to run folders.

A report has every score of its runs, so a plan does not train runs of the same identities again;
further seeds are added to them. A report has no weights: a run whose weights are needed, for a
fine-tune or another evaluation, is then trained.
"""

from __future__ import annotations

from collections.abc import Iterator
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


def runs_of(report: Path) -> dict[str, ReportRun]:
    """The scored runs of a report by identity; ValueError if the report cannot be read."""
    return {run.identity: run for run in read_report(report).runs if run.scored}


def restore(plan: Plan, report: Path, runs_dir: Path) -> list[PlannedRun]:
    """Write the plan, and the folders of its runs that a report has scores of; returns these runs.

    A run that has begun here is left unchanged. ValueError if the report cannot be read.
    """
    scored, scores = runs_of(report), read_scores(report / SCORES, REPORT_COLUMNS)
    restored = []
    for planned, evaluation in _absent(plan, runs_dir):
        run = scored.get(planned.identity)
        if run is not None and run.evaluation == evaluation.identity:
            _write(planned, evaluation, run, _own(scores, run), runs_dir)
            restored.append(planned)
    save_plan(plan, runs_dir)
    return restored


def _absent(plan: Plan, runs_dir: Path) -> Iterator[tuple[PlannedRun, PlannedEvaluation]]:
    """Runs that have never begun here, with each of their evaluations."""
    for planned in plan.runs:
        if RunFolder.of(runs_dir, planned.identity).config() is None:
            yield from ((planned, evaluation) for evaluation in planned.evaluations)


def _own(scores: pd.DataFrame, run: ReportRun) -> pd.DataFrame:
    """The scores of a run, from one of the rows that show it."""
    own = scores[(scores["identity"] == run.identity) & (scores["row"] == run.row)]
    return own.drop(columns=list(REPORT_COLUMNS))


def _write(
    planned: PlannedRun,
    evaluation: PlannedEvaluation,
    run: ReportRun,
    scores: pd.DataFrame,
    runs_dir: Path,
) -> None:
    """Write the folder of a run; the result comes last, so after a kill the run is not finished."""
    folder = RunFolder.of(runs_dir, planned.identity)
    place = folder.evaluation(evaluation.identity)
    place.mkdir(parents=True, exist_ok=True)
    write_atomic(place / SCORES, scores.to_parquet(index=False))
    about = Evaluation(
        identity=evaluation.identity,
        test_manifest=evaluation.test_manifest,
        mixtures=int(scores["mixture_id"].nunique()),
    )
    write_atomic(place / "evaluation.json", json_text(about.plain()))
    folder.write("environment.json", _environment(run))
    folder.write("config.json", planned.asked())
    fields = {
        name: getattr(run, name) for name in ("status", "reason", "steps", "epochs", "seconds")
    }
    folder.write("result.json", RunResult.model_validate(fields))


def _environment(run: ReportRun) -> Environment:
    """The environment of a run, as far as the report has it: its code."""
    return Environment(
        git=Revision(commit=run.commit, dirty=run.dirty),
        code_hash=run.code_hash,
        code_scope=run.code_scope,
        code_files=run.code_files,
    )
