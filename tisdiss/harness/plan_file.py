"""`runs/plans/<study>.<profile>.json`, which tells analysis the runs of each row."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from tisdiss.harness.plan import Plan, PlannedRow, StudyContent
from tisdiss.machine.alone import alone
from tisdiss.records.files import DamagedError, JsonObject, write_atomic
from tisdiss.records.plan_record import (
    PlanFile,
    PlanRun,
    ShownRow,
    StudyFile,
    read_study,
    saved_plan,
)
from tisdiss.records.run_folder import RunFolder, json_text
from tisdiss.records.runs_layout import plan_file, plan_files


def save_plan(plan: Plan, runs_dir: Path) -> list[Path]:
    """Write one file per study; returns their paths.

    A file of the same study with the same settings is merged: its finished seeds stay, and with a
    partial plan also everything that the plan leaves out. Two commands that save at once wait for
    each other, so each keeps the other's seeds.
    """
    plan.check_known()
    paths = []
    for study in plan.studies:
        path = plan_file(runs_dir, study.study, study.profile)
        whole = study.record()
        with alone(path.with_name(f".{path.stem}.lock"), f"the plan {path}"):
            if earlier := _earlier(path, Path(runs_dir), partial=plan.partial):
                whole = _merged(earlier, whole)
            whole = whole.model_copy(update={"rows": _labelled(whole.rows)})
            write_atomic(path, _text(whole))
        paths.append(path)
    return paths


def saved_plans(
    runs_dir: Path, profile: str = "*", *, damaged: Callable[[DamagedError], None]
) -> Iterator[PlanFile]:
    """All saved plans, or those at a profile; unreadable ones go to `damaged` and are left out."""
    for path in plan_files(runs_dir, profile):
        try:
            yield saved_plan(path)
        except DamagedError as error:
            damaged(error)


def _earlier(path: Path, runs_dir: Path, *, partial: bool) -> StudyFile | None:
    """The part of a saved plan that stays; nothing of a damaged one unless the new is partial."""
    if not os.path.lexists(path):
        return None
    if partial or path.is_dir():  # a folder cannot be replaced: reading it raises the error
        return read_study(path)
    with suppress(DamagedError):
        return _finished(read_study(path), runs_dir)
    return None


def _finished(plan: StudyFile, runs_dir: Path) -> StudyFile:
    """A saved plan with only its finished runs."""
    rows = [
        _with_runs(row, [run for run in row.runs if _is_done(run, runs_dir)]) for row in plan.rows
    ]
    return plan.model_copy(update={"rows": [row for row in rows if row.runs]})


def _is_done(run: PlanRun, runs_dir: Path) -> bool:
    try:
        return RunFolder.of(runs_dir, run.identity).state((run.evaluation,)) == "done"
    except DamagedError:
        return False


def _merged(before: StudyFile, now: StudyFile) -> StudyFile:
    """The plan `now` with the rows and seeds that only `before` has, if all else is equal."""
    if (before.study_hash, before.profile_hash) != (now.study_hash, now.profile_hash):
        return now
    shared = before.corpora.keys() & now.corpora.keys()
    if any(before.corpora[role].manifest != now.corpora[role].manifest for role in shared):
        return now
    rows = {row.id: row for row in before.rows}
    for row in now.rows:
        by_seed = {run.seed: run for run in (*rows.get(row.id, row).runs, *row.runs)}
        runs: dict[str, PlanRun] = {}  # shipped weights are one run, whatever the seed
        for seed in sorted(by_seed):
            runs.setdefault(by_seed[seed].identity, by_seed[seed])
        rows[row.id] = _with_runs(row, list(runs.values()))
    ordered = [rows[row_id] for row_id in now.order if row_id in rows]
    return now.model_copy(update={"rows": ordered, "corpora": before.corpora | now.corpora})


def _with_runs(row: ShownRow, runs: list[PlanRun]) -> ShownRow:
    return row.model_copy(update={"runs": runs})


def _labelled(rows: Sequence[ShownRow]) -> list[ShownRow]:
    """If two rows on one corpus would both show only their model's name, append the row id."""

    def with_id(row: ShownRow) -> str:
        return f"{row.name} ({row.id})"

    unlabelled = [row for row in rows if row.label in (row.name, with_id(row))]
    count = Counter((row.corpus, row.name) for row in unlabelled)
    ids = {row.id for row in unlabelled if count[row.corpus, row.name] > 1}
    return [
        row.model_copy(update={"label": with_id(row)}) if row.id in ids else row for row in rows
    ]


def _text(plan: StudyFile) -> str:
    """JSON with the keys in the order in which a plan and its rows are told."""
    rows = [_sorted(row.plain(), PlannedRow.model_fields) for row in plan.rows]
    head = ("schema", "study", "profile", *StudyContent.model_fields)
    return json_text(_sorted(plan.plain() | {"rows": rows}, head))


def _sorted(data: JsonObject, first: Iterable[str]) -> JsonObject:
    """The data with these keys first."""
    return {key: data[key] for key in dict.fromkeys((*first, *data)) if key in data}
