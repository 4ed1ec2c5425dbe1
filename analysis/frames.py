"""Run folders as tidy frames: all that is known of runs comes from here. Read `stats.py` next.

A plan, `runs/plans/<study>.<profile>.json`, names the rows of a study and the runs of each row;
`load_study` follows it to the run folders and returns one frame of runs and one of scores.
A report keeps these frames beside what is made from them (`PROVENANCE`, `SCORES`), and `load_saved`
reads them again: whoever has the report needs no run folders.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tisdiss.analysis.cell import METRICS
from tisdiss.analysis.places import PROVENANCE, SCORES, check_planned, check_report, plan_path
from tisdiss.records.files import DamagedError, read_object
from tisdiss.records.plan_record import StudyFile, Timing
from tisdiss.records.plan_record import read_plan as read_plan_file
from tisdiss.records.reading import checked, read_record
from tisdiss.records.report_record import ReportFile
from tisdiss.records.run_record import RUN_FILES, RUN_WAY_OUT
from tisdiss.records.scores import read_scores

USABLE = ("done", "imported")
"""States of a run whose weights are final; any other run is listed, never averaged over."""

PROVENANCE_SCHEMA = 2
_SCHEMA = 1
_PLANNED = ("row", "label", "name", "kind", "corpus", "params", "seed", "identity", "evaluation")
_FOUND = ("status", "reason", "scored", "steps", "epochs", "seconds", "test_manifest")
_COMMIT = ("commit", "later_commits", "dirty")
_CODE = ("code_hash", "code_scope", *_COMMIT, "config")
_SAID = ("slot", "speaker", "sex", "mixture_si_snr", *METRICS)
"""What every table and figure reads of scores, beside mixture and depth."""
_ADDED = ("row", "label", "corpus", "seed", "identity", "n_re_train")
_TYPES = dict.fromkeys(("steps", "epochs", "params", "code_scope"), "Int64") | {
    "seconds": "Float64",
    "dirty": "boolean",
}


@dataclass(frozen=True)
class StudyFrames:
    """A study as it stands on disk.

    `plan` is the study's, with `scored_seeds` in every row that misses runs.
    `runs` has one line per planned run: row, label, seed, identity, status, steps, seconds, params
    and so on; `scored` says whether its scores are in. `scores` has one line per mixture, depth
    and speaker of every scored run, with row, label, corpus, seed, identity and n_re_train added.
    `corpus` is the part that a corpus plays in the study, such as "clean"; rows that are scored on
    different ones are never compared. `problems` are files that could not be read: what they tell
    of is left out, a run of theirs is "damaged".
    """

    plan: dict[str, Any]
    runs: pd.DataFrame
    scores: pd.DataFrame
    problems: tuple[str, ...] = ()

    @property
    def incomplete(self) -> list[str]:
        """Rows that miss at least one planned run, in plan order: no claim is decided on them."""
        whole = self.runs.groupby("row")["scored"].all()
        return [row["id"] for row in self.plan["rows"] if not whole.get(row["id"], False)]

    @property
    def undefined(self) -> dict[str, int]:
        """How many scores are not finite, by metric; they count as missing, never as a number."""
        return {m: int((~np.isfinite(self.scores[m])).sum()) for m in METRICS if m in self.scores}


def load_study(runs_dir: Path, study: str, profile: str) -> StudyFrames:
    """Everything that the run folders hold about a study at one profile.

    A run of which a file cannot be read, or whose folder holds another run than the plan names, is
    "damaged" and listed like one that is missing. Raises ValueError when the study was never
    planned, its plan cannot be read, or scores of different test sets would be mixed.
    """
    runs_dir, problems = Path(runs_dir), list[str]()
    plan = _timed(runs_dir, read_plan(runs_dir, study, profile), problems)
    planned = [(row, run) for row in plan["rows"] for run in row["runs"]]
    found = [_read_run(runs_dir, row, run, problems) for row, run in planned]
    runs = _runs_frame([record for record, _ in found])
    _check_test_set(plan, runs[runs["scored"]])
    parts = [scores for _, scores in found if scores is not None]
    scores = pd.concat(parts, ignore_index=True) if parts else _no_scores()
    _check_mixtures(scores)
    return StudyFrames(_marked(plan, runs), runs, scores, tuple(dict.fromkeys(problems)))


def load_saved(folder: Path) -> StudyFrames:
    """The frames that a report holds, equal to those that it was made from.

    Raises ValueError when there is no report, or one of a version that kept no frames.
    """
    folder = Path(folder)
    known = read_provenance(folder / PROVENANCE)
    try:
        scores = read_scores(folder / SCORES, (*_SAID, *_ADDED))
    except DamagedError as error:
        said = str(error).partition(": delete ")[0]
        raise DamagedError(f"{said}: {_report_again(known['plan'])}") from error
    runs = _runs_frame(known["runs"])
    return StudyFrames(_marked(known["plan"], runs), runs, scores)


def read_provenance(path: Path) -> dict[str, Any]:
    """What a report says of its numbers; a ValueError where there is none that can be read."""
    study = path.parent.name
    way_out = f"run `tisdiss report {study}` again"
    check_report(path.parent)
    known = read_object(path, way_out=way_out)
    _check_schema(known, PROVENANCE_SCHEMA, path, way_out)
    checked(known, ReportFile, where=str(path), way_out=way_out)
    return known


def _check_schema(found: dict[str, Any], wanted: int, path: Path, way_out: str) -> None:
    if found.get("schema") != wanted:
        told = f"{path} has schema {found.get('schema')}, this version reads {wanted}"
        raise DamagedError(f"{told}: {way_out}")


def _report_again(plan: dict[str, Any]) -> str:
    return f"run `tisdiss report {plan['study']} --profile {plan['profile']}` again"


def run_records(frames: StudyFrames) -> list[dict[str, Any]]:
    """The frame of runs as `load_saved` reads it again; what is not known is None."""
    return [
        {str(key): None if _unknown(value) else value for key, value in run.items()}
        for run in frames.runs.astype(object).to_dict("records")
    ]


def _unknown(value: Any) -> bool:
    return not isinstance(value, dict) and bool(pd.isna(value))


def _runs_frame(records: list[dict[str, Any]]) -> pd.DataFrame:
    names = (*_PLANNED, *_FOUND, *_CODE)
    whole = [{name: run.get(name) for name in names} for run in records]
    for run in whole:
        if run["commit"] is None:  # nothing is known of changes to it; early versions wrote False
            run["dirty"] = None
    return pd.DataFrame(whole, columns=names).astype(_TYPES)


def read_plan(runs_dir: Path, study: str, profile: str) -> dict[str, Any]:
    """The plan of a study at a profile; a ValueError names the command that makes it."""
    check_planned(runs_dir, study, profile)
    path = plan_path(runs_dir, study, profile)
    plan = read_plan_file(path)
    command = f"tisdiss run {study} --profile {profile}"
    _check_schema(plan, _SCHEMA, path, f"`{command}` writes it anew, finished runs are kept")
    return read_plan_file(path, StudyFile)


def _timed(runs_dir: Path, plan: dict[str, Any], problems: list[str]) -> dict[str, Any]:
    """The plan with the real-time factors of its rows, where `tisdiss time` measured them."""
    name = f"{plan['study']}.{plan['profile']}.json"
    command = f"`tisdiss time {plan['study']} --profile {plan['profile']}`"
    way_out = f"delete it, or measure again with {command}; no factor is shown"
    try:
        timing = read_record(Path(runs_dir) / "timings" / name, Timing, way_out=way_out)
    except FileNotFoundError:
        return plan
    except DamagedError as error:
        problems.append(str(error))
        return plan
    rows = [row | _factors(timing["rows"].get(row["id"]), row) for row in plan["rows"]]
    about = {key: value for key, value in timing.items() if key != "rows"}
    return plan | {"rows": rows, "timing": about}


def _factors(timed: dict[str, Any] | None, row: dict[str, Any]) -> dict[str, Any]:
    """None where the row had another run when it was timed."""
    known = timed and timed["identity"] in [run["identity"] for run in row["runs"]]
    return {"rtf": timed["rtf"]} if timed and known else {}


def _marked(plan: dict[str, Any], runs: pd.DataFrame) -> dict[str, Any]:
    """The plan with the seeds that are scored, in every row that misses some."""
    scored = runs[runs["scored"].astype(bool)]
    rows = []
    for row in plan["rows"]:
        there = scored["seed"][scored["row"] == row["id"]].tolist()
        whole = len(there) == len(row["runs"])
        rows.append(row if whole else row | {"scored_seeds": there})
    return plan | {"rows": rows}


def _read_run(
    runs_dir: Path, row: dict, planned: dict, problems: list[str]
) -> tuple[dict[str, Any], pd.DataFrame | None]:
    """One line of the runs frame, and the scores of the run; a run with a bad file has none."""
    record = {
        **{key: row.get(key) for key in ("label", "name", "kind", "params")},
        "corpus": role(row),
        **{key: planned[key] for key in ("seed", "identity", "evaluation")},
        "row": row["id"],
        "status": "missing",
        "scored": False,
    }
    folder = runs_dir / planned["identity"][:10]
    try:
        found = _read_records(folder, planned)
        scores = _read_scores(folder, row, planned) if found.get("scored") else None
        return record | found, scores
    except DamagedError as error:
        problems.append(f"row {row['id']}, seed {planned['seed']}: {error}")
        told = str(error).replace(f"{runs_dir}/", "")
        return record | {"status": "damaged", "reason": told}, None


def _read_records(folder: Path, planned: dict) -> dict[str, Any]:
    """What the run's own files say of it; nothing where it was never begun."""
    config = _read(folder / "config.json")
    if not config:
        return {}
    _check_identity(folder / "config.json", config, planned["identity"])
    environment = _read(folder / "environment.json")
    first, *later = [told.get("git", {}) for told in (environment, *environment.get("resumed", []))]
    record = {"status": "not started"} | _read(folder / "result.json")
    record |= {"config": config.get("train"), "commit": first.get("commit")}
    record |= {key: environment.get(key) for key in ("code_hash", "code_scope")}
    record["dirty"] = _any_dirty([first, *later])
    commits = dict.fromkeys(git.get("commit") for git in later)
    record["later_commits"] = ", ".join(c for c in commits if c and c != record["commit"])
    path = _evaluation(folder, planned) / "evaluation.json"
    evaluation = _read(path, "identity", "test_manifest") if record["status"] in USABLE else {}
    record["scored"] = bool(evaluation)
    if evaluation:
        _check_identity(path, evaluation, planned["evaluation"])
        record["test_manifest"] = evaluation["test_manifest"]
    elif record["status"] in USABLE:
        record["status"] = "not evaluated"
    return record


def _any_dirty(revisions: list[dict[str, Any]]) -> bool | None:
    """Whether any part of a run was made with changed files; None where that is not known."""
    flags = [git.get("dirty") for git in revisions]
    return True if True in flags else None if None in flags else False


def _evaluation(folder: Path, planned: dict) -> Path:
    return folder / "evaluations" / planned["evaluation"][:10]


def _read(path: Path, *needs: str) -> dict[str, Any]:
    """A record of a run, {} where it is absent."""
    try:
        return read_record(path, RUN_FILES[path.name], way_out=RUN_WAY_OUT, needs=needs)
    except FileNotFoundError:
        return {}


def _read_scores(folder: Path, row: dict, planned: dict) -> pd.DataFrame:
    path = _evaluation(folder, planned) / SCORES
    scores = read_scores(path, _SAID)
    repeated = scores.duplicated(["mixture_id", "slot", "n_re"])
    if repeated.any():
        first = scores[repeated].iloc[0]
        raise DamagedError(
            f"{path} scores mixture {first['mixture_id']!r} at "
            f"n_re={first['n_re']} more than once: delete {path.parent} and run the study again"
        )
    return scores.assign(
        row=row["id"],
        label=row["label"],
        corpus=role(row),
        seed=planned["seed"],
        identity=planned["identity"],
        n_re_train=row["n_re_train"],
    )


def role(row: dict[str, Any]) -> str:
    """Which of the study's corpora a row is scored on; empty where a study has only one."""
    return row.get("corpus") or ""


def planned_seeds(row: dict[str, Any]) -> list[int]:
    """The seeds that a row is to have, in order."""
    return sorted(run["seed"] for run in row["runs"])


def scored_seeds(row: dict[str, Any]) -> list[int]:
    """The seeds that a row is averaged over, in order."""
    return sorted(row.get("scored_seeds", planned_seeds(row)))


def is_torn(row: dict[str, Any]) -> bool:
    """Whether a row has some of its runs but not all; it is shown with those it has."""
    return bool(row.get("scored_seeds"))


def corpora(plan: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Every corpus that rows are scored on: its role and what the plan says of it."""
    said = plan.get("corpora") or {}
    used = dict.fromkeys(role(row) for row in plan["rows"])
    return [(name, said.get(name) or plan["corpus"]) for name in used]


def is_comparison(plan: dict[str, Any]) -> bool:
    """Whether a study is one of the paper's tables rather than a figure."""
    return (plan.get("show") or {}).get("figure") == "table"


def _check_identity(path: Path, found: dict[str, Any], identity: str) -> None:
    if found.get("identity") != identity:
        raise DamagedError(
            f"{path} belongs to {found.get('identity')}, the plan asks for {identity}: move "
            "that folder away and run the study again"
        )


def _check_test_set(plan: dict, scored: pd.DataFrame) -> None:
    """Scores of a corpus must come from one test set, the plan's where the plan states it."""
    for name, corpus in corpora(plan):
        sets = {
            f"row {run['row']!r}, seed {run['seed']}": run["test_manifest"]
            for run in scored[scored["corpus"] == name].to_dict("records")
        }
        if "test_manifest" in corpus:
            sets = {"the plan": corpus["test_manifest"]} | sets
        for where, manifest in sets.items():
            first = next(iter(sets))
            if manifest != sets[first]:
                raise ValueError(
                    f"scores of different test sets cannot be compared: {first} has "
                    f"{sets[first]}, {where} has {manifest}; evaluate both on the same set"
                )


def _check_mixtures(scores: pd.DataFrame) -> None:
    """Every run must score the same mixtures, or their means would not be comparable."""
    for _, frame in scores.groupby("corpus"):
        by_run = {str(run): set(part["mixture_id"]) for run, part in frame.groupby("identity")}
        for run, mixtures in by_run.items():
            first = next(iter(by_run))
            if mixtures != by_run[first]:
                odd = sorted(mixtures ^ by_run[first])
                raise ValueError(
                    f"runs {first[:10]} and {run[:10]} scored different mixtures ({len(odd)} "
                    f"differ, first {odd[0]!r}): evaluate both on the same number of mixtures"
                )


def _no_scores() -> pd.DataFrame:
    return pd.DataFrame(columns=[*_ADDED, "mixture_id", "n_re", *_SAID])
