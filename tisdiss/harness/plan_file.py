"""`runs/plans/<study>.<profile>.json`: from it analysis knows which runs make which row."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from tisdiss.harness.plan import Plan, PlannedRow, StudyContent
from tisdiss.records.files import DamagedError, JsonObject, write_atomic
from tisdiss.records.plan_record import (
    PlanFile,
    PlanRun,
    ShownRow,
    StudyFile,
    plan_files,
    read_study,
    saved_plan,
)
from tisdiss.records.run_folder import RunFolder, json_text


def save_plan(plan: Plan, runs_dir: Path) -> list[Path]:
    """Write one file per study; returns their paths.

    It is laid over the file of the same study at the same settings: seeds that are finished stay,
    and all that a partial plan does not name.
    """
    plan.check_known()
    paths = []
    for study in plan.studies:
        path = Path(runs_dir) / "plans" / f"{study.study}.{study.profile}.json"
        whole = study.record()
        if kept := _kept(path, Path(runs_dir), partial=plan.partial):
            whole = _laid_over(kept, whole)
        whole = whole.model_copy(update={"rows": _labelled(whole.rows)})
        write_atomic(path, _text(whole))
        paths.append(path)
    return paths


def saved_plans(
    runs_dir: Path, profile: str = "*", *, damaged: Callable[[DamagedError], None]
) -> Iterator[PlanFile]:
    """All saved plans, or those at a profile; those that cannot be read are told and left out."""
    for path in plan_files(runs_dir, profile):
        try:
            yield saved_plan(path)
        except DamagedError as error:
            damaged(error)


def _kept(path: Path, runs_dir: Path, *, partial: bool) -> StudyFile | None:
    """What of a saved plan stays; a damaged one is written anew where the new plan is whole."""
    if not os.path.lexists(path):
        return None
    if partial or path.is_dir():  # which nothing can replace
        return read_study(path)
    with suppress(DamagedError):
        return _finished(read_study(path), runs_dir)
    return None


def _finished(plan: StudyFile, runs_dir: Path) -> StudyFile:
    """A saved plan with its finished runs alone."""
    rows = [
        _with_runs(row, [run for run in row.runs if _is_done(run, runs_dir)]) for row in plan.rows
    ]
    return plan.model_copy(update={"rows": [row for row in rows if row.runs]})


def _is_done(run: PlanRun, runs_dir: Path) -> bool:
    try:
        return RunFolder.of(runs_dir, run.identity).state((run.evaluation,)) == "done"
    except DamagedError:
        return False


def _laid_over(before: StudyFile, now: StudyFile) -> StudyFile:
    """The plan `now` with the rows and seeds that only `before` names, if all else is the same."""
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
    """If two rows of a corpus would show only their model's name, each label gets the row's id."""

    def with_id(row: ShownRow) -> str:
        return f"{row.name} ({row.id})"

    bare = [row for row in rows if row.label in (row.name, with_id(row))]
    count = Counter((row.corpus, row.name) for row in bare)
    alike = {row.id for row in bare if count[row.corpus, row.name] > 1}
    return [
        row.model_copy(update={"label": with_id(row)}) if row.id in alike else row for row in rows
    ]


def _text(plan: StudyFile) -> str:
    """JSON with the keys in the order in which a plan and its rows are told."""
    rows = [_sorted(row.plain(), PlannedRow.model_fields) for row in plan.rows]
    head = ("schema", "study", "profile", *StudyContent.model_fields)
    return json_text(_sorted(plan.plain() | {"rows": rows}, head))


def _sorted(data: JsonObject, first: Iterable[str]) -> JsonObject:
    """The data with these keys first."""
    return {key: data[key] for key in dict.fromkeys((*first, *data)) if key in data}
