"""`runs/plans/<study>.<profile>.json`: from it analysis knows which runs make which row."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from tisdiss.harness.plan import Plan
from tisdiss.records.files import DamagedError, write_atomic
from tisdiss.records.plan_record import StudyFile, plan_files, read_plan
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
        document = study.document()
        if kept := _kept(path, Path(runs_dir), partial=plan.partial):
            document = _laid_over(kept, document)
        document["rows"] = _told_apart(document["rows"])
        write_atomic(path, json_text(document))
        paths.append(path)
    return paths


def saved_plans(
    runs_dir: Path, profile: str = "*", *, damaged: Callable[[DamagedError], None]
) -> Iterator[dict[str, Any]]:
    """All saved plans, or those at a profile; those that cannot be read are told and left out."""
    for path in plan_files(runs_dir, profile):
        try:
            yield read_plan(path)
        except DamagedError as error:
            damaged(error)


def _kept(path: Path, runs_dir: Path, *, partial: bool) -> dict[str, Any] | None:
    """What of a saved plan stays; a damaged one is written anew where the new plan is whole."""
    if not os.path.lexists(path):
        return None
    if partial or path.is_dir():  # which nothing can replace
        return read_plan(path, StudyFile)
    with suppress(DamagedError):
        return _finished(read_plan(path, StudyFile), runs_dir)
    return None


def _finished(plan: dict[str, Any], runs_dir: Path) -> dict[str, Any]:
    """A saved plan with its finished runs alone."""
    rows = [
        row | {"runs": [run for run in row["runs"] if _is_done(run, runs_dir)]}
        for row in plan["rows"]
    ]
    return plan | {"rows": [row for row in rows if row["runs"]]}


def _is_done(run: dict[str, Any], runs_dir: Path) -> bool:
    try:
        return RunFolder.of(runs_dir, run["identity"]).state((run["evaluation"],)) == "done"
    except DamagedError:
        return False


def _laid_over(before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """The plan `now` with the rows and seeds that only `before` names, if all else is the same."""
    if any(before.get(key) != now[key] for key in ("study_hash", "profile_hash")):
        return now
    heard, hears = _manifests(before), _manifests(now)
    if any(heard[role] != hears[role] for role in heard.keys() & hears.keys()):
        return now
    rows = {row["id"]: row for row in before["rows"]}
    for row in now["rows"]:
        known = {run["seed"]: run for run in rows.get(row["id"], row)["runs"]}
        known |= {run["seed"]: run for run in row["runs"]}
        runs: dict[str, Any] = {}  # shipped weights are one run, whatever the seed
        for seed in sorted(known):
            runs.setdefault(known[seed]["identity"], known[seed])
        rows[row["id"]] = row | {"runs": list(runs.values())}
    corpora = before.get("corpora", {}) | now.get("corpora", {})
    ordered = [rows[row_id] for row_id in now["order"] if row_id in rows]
    return now | {"rows": ordered, "corpora": corpora}


def _manifests(plan: dict[str, Any]) -> dict[str, Any]:
    """What was heard, by role."""
    return {role: corpus.get("manifest") for role, corpus in plan.get("corpora", {}).items()}


def _told_apart(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row that is only called like its model gets its id, too, if another of its corpus is."""

    def with_id(row: dict[str, Any]) -> str:
        return f"{row['name']} ({row['id']})"

    bare = [row for row in rows if row["label"] in (row["name"], with_id(row))]
    count = Counter((row["corpus"], row["name"]) for row in bare)
    alike = [row["id"] for row in bare if count[row["corpus"], row["name"]] > 1]
    return [row | {"label": with_id(row)} if row["id"] in alike else row for row in rows]
