"""Run folders as tidy frames: all that is known of runs comes from here. Read `stats.py` next.

A plan, `runs/plans/<study>.<profile>.json`, names the rows of a study and the runs of each row;
`load_study` follows it to the run folders and returns one frame of runs and one of scores.
A report keeps these frames beside what is made from them (`PROVENANCE`, `SCORES`), and `load_saved`
reads them again: whoever has the report needs no run folders.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

METRICS = ("si_snr", "si_snri", "sdr", "sdri")
"""Scored per mixture, depth and speaker, in dB; higher is better. NaN means undefined."""

PROVENANCE, SCORES = "provenance.json", "scores.parquet"
"""Files of a report: the plan, the runs and where every number comes from; and all scores."""

USABLE = ("done", "imported")
"""States of a run whose weights are final; any other run is listed, never averaged over."""

PROVENANCE_SCHEMA = 2
_SCHEMA = 1
_PLANNED = ("row", "label", "name", "kind", "corpus", "params", "seed", "identity", "evaluation")
_FOUND = ("status", "reason", "scored", "steps", "epochs", "seconds", "test_manifest")
_CODE = ("code_hash", "commit", "dirty", "config")
_TYPES = dict.fromkeys(("steps", "epochs", "params"), "Int64") | {
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
    different ones are never compared.
    """

    plan: dict[str, Any]
    runs: pd.DataFrame
    scores: pd.DataFrame

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

    Raises ValueError when the study was never planned, when a folder holds another run than the
    plan names, or when scores of different test sets would be mixed.
    """
    runs_dir = Path(runs_dir)
    plan = _timed(runs_dir, read_plan(runs_dir, study, profile))
    planned = [(row, run) for row in plan["rows"] for run in row["runs"]]
    runs = _runs_frame([_read_run(runs_dir, row, run) for row, run in planned])
    _check_test_set(plan, runs[runs["scored"]])
    scored = [pair for pair, done in zip(planned, runs["scored"], strict=True) if done]
    parts = [_read_scores(runs_dir, *pair) for pair in scored]
    scores = pd.concat(parts, ignore_index=True) if parts else _no_scores()
    _check_mixtures(scores)
    return StudyFrames(_marked(plan, runs), runs, scores)


def load_saved(folder: Path) -> StudyFrames:
    """The frames that a report holds, equal to those that it was made from.

    Raises ValueError when there is no report, or one of a version that kept no frames.
    """
    known = read_provenance(Path(folder) / PROVENANCE)
    scores = pd.read_parquet(Path(folder) / SCORES)
    runs = _runs_frame(known["runs"])
    return StudyFrames(_marked(known["plan"], runs), runs, scores)


def read_provenance(path: Path) -> dict[str, Any]:
    """What a report says of its numbers; a ValueError where there is none that can be read."""
    study = path.parent.name
    if not path.is_file():
        raise ValueError(f"{path.parent} holds no report: `tisdiss report {study}` writes it")
    known = _read_json(path)
    if known["schema"] != PROVENANCE_SCHEMA:
        raise ValueError(
            f"{path} has schema {known['schema']}, this version reads {PROVENANCE_SCHEMA}: run "
            f"`tisdiss report {study}` again"
        )
    return known


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
    return pd.DataFrame(whole, columns=names).astype(_TYPES)


def plan_path(runs_dir: Path, study: str, profile: str) -> Path:
    """Where the plan of a study at a profile lies, once `tisdiss plan` or `run` made one."""
    return Path(runs_dir) / "plans" / f"{study}.{profile}.json"


def read_plan(runs_dir: Path, study: str, profile: str) -> dict[str, Any]:
    """The plan of a study at a profile; a ValueError names the command that makes it."""
    path = plan_path(runs_dir, study, profile)
    if not path.is_file():
        there = ", ".join(sorted(p.stem for p in path.parent.glob("*.json"))) or "none"
        raise ValueError(
            f"no plan of study {study!r} at profile {profile!r}: run "
            f"`tisdiss run {study} --profile {profile}` first; plans there are: {there}"
        )
    plan = _read_json(path)
    if plan["schema"] != _SCHEMA:
        raise ValueError(
            f"{path} has schema {plan['schema']}, this version reads {_SCHEMA}: run "
            f"`tisdiss plan {study} --profile {profile}` again"
        )
    return plan


def _timed(runs_dir: Path, plan: dict[str, Any]) -> dict[str, Any]:
    """The plan with the real-time factors of its rows, where `tisdiss time` measured them."""
    path = Path(runs_dir) / "timings" / f"{plan['study']}.{plan['profile']}.json"
    timing = _read_json(path, default={"rows": {}})
    rows = [row | _factors(timing["rows"].get(row["id"]), row) for row in plan["rows"]]
    about = {key: value for key, value in timing.items() if key != "rows"}
    return plan | {"rows": rows} | ({"timing": about} if about else {})


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


def _read_run(runs_dir: Path, row: dict, planned: dict) -> dict[str, Any]:
    """One line of the runs frame."""
    identity = planned["identity"]
    folder = runs_dir / identity[:10]
    record = {
        **{key: row.get(key) for key in ("label", "name", "kind", "params")},
        "corpus": role(row),
        **{key: planned[key] for key in ("seed", "identity", "evaluation")},
        "row": row["id"],
        "status": "missing",
    }
    if (folder / "config.json").is_file():
        _check_identity(folder / "config.json", identity)
        record["config"] = _read_json(folder / "config.json").get("train")
        environment = _read_json(folder / "environment.json", default={})
        record["code_hash"] = environment.get("code_hash")
        record |= {key: environment.get("git", {}).get(key) for key in ("commit", "dirty")}
        record |= _read_json(folder / "result.json", default={"status": "not started"})
    path = folder / "evaluations" / planned["evaluation"][:10] / "evaluation.json"
    record["scored"] = record["status"] in USABLE and path.is_file()
    if record["status"] in USABLE and not record["scored"]:
        record["status"] = "not evaluated"
    if record["scored"]:
        _check_identity(path, planned["evaluation"])
        record["test_manifest"] = _read_json(path)["test_manifest"]
    return record


def _read_scores(runs_dir: Path, row: dict, planned: dict) -> pd.DataFrame:
    folder = runs_dir / planned["identity"][:10] / "evaluations" / planned["evaluation"][:10]
    scores = _read_parquet(folder / "scores.parquet")
    repeated = scores.duplicated(["mixture_id", "slot", "n_re"])
    if repeated.any():
        first = scores[repeated].iloc[0]
        raise ValueError(
            f"{folder / 'scores.parquet'} scores mixture {first['mixture_id']!r} at "
            f"n_re={first['n_re']} more than once: delete the evaluation and run it again"
        )
    return scores.assign(
        row=row["id"],
        label=row["label"],
        corpus=role(row),
        seed=planned["seed"],
        identity=planned["identity"],
        n_re_train=row["n_re_train"],
    )


def _read_parquet(path: Path) -> pd.DataFrame:
    """Scores with every column that is read; a ValueError says how to get them anew."""
    way_out = f"delete {path.parent} and run the study again: only the evaluation is repeated"
    if not path.is_file():
        raise ValueError(f"{path} is missing: {way_out}")
    try:
        scores = pd.read_parquet(path)
    except (OSError, ValueError) as error:  # pyarrow's errors are one or the other
        raise ValueError(f"{path} cannot be read ({error}): {way_out}") from error
    wanted = ("mixture_id", "slot", "speaker", "n_re", *METRICS)
    if absent := [name for name in wanted if name not in scores]:
        raise ValueError(f"{path} lacks {', '.join(absent)}: {way_out}")
    return scores


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


def _check_identity(path: Path, identity: str) -> None:
    found = _read_json(path)["identity"]
    if found != identity:
        raise ValueError(
            f"{path} belongs to {found}, the plan asks for {identity}: plan the study again, or "
            "move the folder away"
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


def _read_json(path: Path, default: dict | None = None) -> dict[str, Any]:
    """A JSON object; `default` where the file is absent and a default is given."""
    if default is not None and not path.is_file():
        return default
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(
            f"{path} is not JSON ({error}): delete it and run the study again"
        ) from error


def _no_scores() -> pd.DataFrame:
    names = ("row", "label", "corpus", "seed", "identity", "n_re_train", "mixture_id", "slot")
    return pd.DataFrame(columns=[*names, "speaker", "n_re", *METRICS])
