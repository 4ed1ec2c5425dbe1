"""Reads run folders into tidy frames. Read `stats.py` next.

A plan, `runs/plans/<study>.<profile>.json`, names the rows of a study and the runs of each row.
`load_study` reads these runs and returns one frame of runs and one of scores. A report keeps both
frames (`PROVENANCE`, `SCORES`), and `load_saved` reads them again without run folders.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tisdiss.analysis.places import check_planned
from tisdiss.records.files import DamagedError
from tisdiss.records.identity import short
from tisdiss.records.names import (
    MIXTURE_SI_SNR,
    REPORT_COLUMNS,
    SCORES,
    SDR,
    SDRI,
    SI_SNR,
    SI_SNRI,
    reached,
)
from tisdiss.records.plan_record import (
    PlanRun,
    ShownRow,
    StudyFile,
    TimedRow,
    Timing,
    read_study,
    saved_plan,
)
from tisdiss.records.reading import check_schema, read_as, read_if_there
from tisdiss.records.report_record import RunLine, read_report
from tisdiss.records.run_folder import RunFolder
from tisdiss.records.run_record import (
    RUN_WAY_OUT,
    Environment,
    Evaluation,
    Revision,
    RunResult,
    SettingsPart,
)
from tisdiss.records.runs_layout import plan_file, timing_file
from tisdiss.records.scores import read_scores

USABLE = ("done", "imported")
"""States of a run whose weights are final. Other runs are listed, but have no part in a mean."""

_SCHEMA = 1
_SCORED = ("slot", "speaker", "sex", MIXTURE_SI_SNR, SI_SNR, SI_SNRI, SDR, SDRI)
"""Columns of scores that tables and figures read, besides mixture and depth."""
_TYPES = dict.fromkeys(("steps", "epochs", "params", "code_scope"), "Int64") | {
    "seconds": "Float64",
    "dirty": "boolean",
}


@dataclass(frozen=True)
class StudyFrames:
    """The plan, the runs and the scores of a study.

    `plan` has `scored_seeds` in every row with missing runs. `runs` has one line per planned run,
    with the fields of a `RunLine`; `scored` says whether `scores` holds the run. `scores` has one
    line per mixture, depth and speaker of every scored run, with row, label, corpus, seed, identity
    and n_re_train added. `corpus` is the role of a corpus in the study, such as "clean"; rows with
    different ones are never compared. `problems` has a message for each file that could not be
    read; its content is left out, and the status of its run is "damaged".
    """

    plan: StudyFile
    runs: pd.DataFrame
    scores: pd.DataFrame
    problems: tuple[str, ...] = ()

    @property
    def incomplete(self) -> list[str]:
        """Rows with missing runs, in plan order; no claim is decided on them."""
        complete = self.runs.groupby("row")["scored"].all()
        return [row.id for row in self.plan.rows if not complete.get(row.id, False)]

    @property
    def undefined(self) -> dict[str, int]:
        """The number of scores that are not finite, by metric; they count as missing."""
        return {m: int((~np.isfinite(self.scores[m])).sum()) for m in reached() if m in self.scores}


def load_study(runs_dir: Path, study: str, profile: str) -> StudyFrames:
    """The frames of a study at a profile, from its run folders.

    A run is "damaged" if one of its files cannot be read or its folder holds another run; it then
    counts as missing. Raises ValueError if the study was never planned, its plan cannot be read, or
    its runs were scored on different test sets.
    """
    runs_dir, problems = Path(runs_dir), list[str]()
    plan = _timed(runs_dir, read_plan(runs_dir, study, profile), problems)
    planned = [(row, run) for row in plan.rows for run in row.runs]
    records = [_read_run(runs_dir, row, run, problems) for row, run in planned]
    runs = _runs_frame([line for line, _ in records])
    _check_test_set(plan, runs[runs["scored"]])
    parts = [scores for _, scores in records if scores is not None]
    scores = pd.concat(parts, ignore_index=True) if parts else _no_scores()
    _check_mixtures(scores)
    return StudyFrames(_marked(plan, runs), runs, scores, tuple(dict.fromkeys(problems)))


def load_saved(folder: Path) -> StudyFrames:
    """The frames in a report, equal to those that it was made from.

    Raises ValueError if there is no report, or it is of a version that kept no frames.
    """
    folder = Path(folder)
    report = read_report(folder)
    try:
        scores = read_scores(folder / SCORES, (*_SCORED, *REPORT_COLUMNS))
    except DamagedError as error:
        problem = str(error).partition(": delete ")[0]
        raise DamagedError(f"{problem}: {_report_again(report.plan)}") from error
    runs = _runs_frame(report.runs)
    return StudyFrames(_marked(report.plan, runs), runs, scores)


def _report_again(plan: StudyFile) -> str:
    return f"run `tisdiss report {plan.study} --profile {plan.profile}` again"


def run_records(frames: StudyFrames) -> list[RunLine]:
    """The frame of runs as records for a report; unknown values are None."""
    return [
        RunLine.model_validate(
            {key: None if _is_unknown(value) else value for key, value in run.items()}
        )
        for run in frames.runs.astype(object).to_dict("records")
    ]


def _is_unknown(value: Any) -> bool:
    return not isinstance(value, SettingsPart) and bool(pd.isna(value))


def _runs_frame(lines: Sequence[RunLine]) -> pd.DataFrame:
    records = [
        # Without a commit, changes to it are unknown; early versions wrote False.
        vars(line) | ({"dirty": None} if line.commit is None else {})
        for line in lines
    ]
    return pd.DataFrame(records, columns=list(RunLine.model_fields)).astype(_TYPES)


def read_plan(runs_dir: Path, study: str, profile: str) -> StudyFile:
    """The plan of a study at a profile; without one, ValueError names the command that makes it."""
    check_planned(runs_dir, study, profile)
    path = plan_file(runs_dir, study, profile)
    command = f"tisdiss run {study} --profile {profile}"
    way_out = f"`{command}` writes it anew and keeps finished runs"
    check_schema(saved_plan(path).plain(), _SCHEMA, path, way_out)
    return read_study(path)


def _timed(runs_dir: Path, plan: StudyFile, problems: list[str]) -> StudyFile:
    """The plan with the real-time factors of its rows, if `tisdiss time` measured them."""
    path = timing_file(runs_dir, plan.study, plan.profile)
    command = f"`tisdiss time {plan.study} --profile {plan.profile}`"
    way_out = f"delete it, or measure again with {command}; no factor is shown"
    try:
        timing = read_as(path, Timing, way_out=way_out)
    except FileNotFoundError:
        return plan
    except DamagedError as error:
        problems.append(str(error))
        return plan
    rows = [_with_factors(row, timing.rows.get(row.id)) for row in plan.rows]
    about = {key: value for key, value in timing.plain().items() if key != "rows"}
    return plan.updated(rows=rows, timing=about)


def _with_factors(row: ShownRow, timed: TimedRow | None) -> ShownRow:
    """The row with its factors; unchanged if another of its runs was timed."""
    if timed is None or timed.identity not in [run.identity for run in row.runs]:
        return row
    costs = {"rtf": timed.rtf, "memory": timed.memory, "training_memory": timed.training_memory}
    return row.updated(**{name: cost for name, cost in costs.items() if cost is not None})


def _marked(plan: StudyFile, runs: pd.DataFrame) -> StudyFile:
    """The plan with `scored_seeds` in every row with missing runs."""
    scored = runs[runs["scored"].astype(bool)]
    rows = []
    for row in plan.rows:
        seeds = scored["seed"][scored["row"] == row.id].tolist()
        complete = len(seeds) == len(row.runs)
        rows.append(row if complete else row.updated(scored_seeds=seeds))
    return plan.updated(rows=rows)


def _read_run(
    runs_dir: Path, row: ShownRow, planned: PlanRun, problems: list[str]
) -> tuple[RunLine, pd.DataFrame | None]:
    """One line of the runs frame, and the scores of the run; None if a file is damaged."""
    line = RunLine(
        row=row.id,
        label=row.label,
        name=row.name,
        kind=row.kind,
        corpus=row.role,
        params=row.params,
        seed=planned.seed,
        identity=planned.identity,
        evaluation=planned.evaluation,
        status="missing",
        scored=False,
    )
    folder = RunFolder.of(runs_dir, planned.identity)
    try:
        complete = _with_files(line, folder)
        return complete, _read_scores(folder, row, planned) if complete.scored else None
    except DamagedError as error:
        problems.append(f"row {row.id}, seed {planned.seed}: {error}")
        reason = str(error).replace(f"{runs_dir}/", "")
        return line.updated(status="damaged", reason=reason), None


def _with_files(line: RunLine, folder: RunFolder) -> RunLine:
    """The line with the content of the run's files; unchanged if the run has never begun."""
    config = folder.config()
    if config is None:
        return line
    _check_identity(folder.path / "config.json", config.identity, line.identity)
    environment = folder.environment() or Environment()
    outcome = read_if_there(folder.path / "result.json", RunResult, way_out=RUN_WAY_OUT)
    result = outcome or RunResult()
    first, *later = [part.git for part in (environment, *environment.resumed)]
    commits = dict.fromkeys(git.commit for git in later)
    line = line.updated(
        status=result.status if outcome else "not started",
        reason=result.reason,
        steps=result.steps,
        epochs=result.epochs,
        seconds=result.seconds,
        config=config.train,
        code_hash=environment.code_hash,
        code_scope=environment.code_scope,
        code_files=environment.code_files,
        commit=first.commit,
        dirty=_any_dirty([first, *later]),
        later_commits=", ".join(c for c in commits if c and c != first.commit),
    )
    return _with_evaluation(line, folder) if line.status in USABLE else line


def _with_evaluation(line: RunLine, folder: RunFolder) -> RunLine:
    """The line of a finished run, with its evaluation."""
    path = folder.evaluation(line.evaluation) / "evaluation.json"
    evaluation = read_if_there(
        path, Evaluation, way_out=RUN_WAY_OUT, needs=("identity", "test_manifest")
    )
    if evaluation is None:
        return line.updated(status="not evaluated")
    _check_identity(path, evaluation.identity, line.evaluation)
    return line.updated(scored=True, test_manifest=evaluation.test_manifest)


def _any_dirty(revisions: list[Revision]) -> bool | None:
    """Whether any part of a run had uncommitted changes; None if that is not known."""
    flags = [git.dirty for git in revisions]
    return True if True in flags else None if None in flags else False


def _read_scores(folder: RunFolder, row: ShownRow, planned: PlanRun) -> pd.DataFrame:
    path = folder.evaluation(planned.evaluation) / SCORES
    scores = read_scores(path, _SCORED)
    repeated = scores.duplicated(["mixture_id", "slot", "n_re"])
    if repeated.any():
        first = scores[repeated].iloc[0]
        raise DamagedError(
            f"{path} scores mixture {first['mixture_id']!r} at "
            f"n_re={first['n_re']} more than once: delete {path.parent} and run the study again"
        )
    return scores.assign(
        row=row.id,
        label=row.label,
        corpus=row.role,
        seed=planned.seed,
        identity=planned.identity,
        n_re_train=row.n_re_train,
    )


def _check_identity(path: Path, identity: str | None, planned: str) -> None:
    if identity != planned:
        raise DamagedError(
            f"{path} belongs to {identity}, the plan asks for {planned}: move "
            "that folder away and run the study again"
        )


def _check_test_set(plan: StudyFile, scored: pd.DataFrame) -> None:
    """Check that scores of a corpus come from one test set: the plan's, if the plan states one."""
    for role, corpus in plan.scored_on.items():
        sets = {
            f"row {run['row']!r}, seed {run['seed']}": run["test_manifest"]
            for run in scored[scored["corpus"] == role].to_dict("records")
        }
        if corpus.test_manifest is not None:
            sets = {"the plan": corpus.test_manifest} | sets
        for where, manifest in sets.items():
            first = next(iter(sets))
            if manifest != sets[first]:
                raise ValueError(
                    f"scores of different test sets cannot be compared: {first} has "
                    f"{sets[first]}, {where} has {manifest}; evaluate both on the same set"
                )


def _check_mixtures(scores: pd.DataFrame) -> None:
    """Check that all runs scored the same mixtures, because other means are not comparable."""
    for _, frame in scores.groupby("corpus"):
        by_run = {str(run): set(part["mixture_id"]) for run, part in frame.groupby("identity")}
        for run, mixtures in by_run.items():
            first = next(iter(by_run))
            if mixtures != by_run[first]:
                differing = sorted(mixtures ^ by_run[first])
                raise ValueError(
                    f"runs {short(first)} and {short(run)} scored different mixtures "
                    f"({len(differing)} differ, first {differing[0]!r}): evaluate both on the same "
                    "number of mixtures"
                )


def _no_scores() -> pd.DataFrame:
    return pd.DataFrame(columns=[*REPORT_COLUMNS, "mixture_id", "n_re", *_SCORED])
