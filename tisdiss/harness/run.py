"""Executes the runs of a plan one by one; each is synced to MLflow when it ends."""

from __future__ import annotations

from pathlib import Path

from tisdiss.harness.plan import Plan
from tisdiss.harness.plan_file import save_plan
from tisdiss.harness.runner import Outcome, Runner, Say
from tisdiss.records.run_record import BROKEN


def run(plan: Plan, *, runner: Runner, track: bool = True) -> dict[str, Outcome]:
    """Bring every run of a plan up to date; returns outcomes by identity.

    `track` syncs each run that ended to MLflow; a failure costs one line of output.
    """
    save_plan(plan, runner.runs_dir)
    outcomes: dict[str, Outcome] = {}
    for planned in plan.runs:
        if runner.stop() and planned.state != "done":
            outcomes[planned.identity] = "stopped"
            continue
        outcomes[planned.identity] = runner.run(planned)
        if track and outcomes[planned.identity] in ("done", "stopped", *BROKEN):
            show_in_mlflow(runner.runs_dir, planned.identity, runner.say)
    return outcomes


def show_in_mlflow(runs_dir: Path, identity: str, say: Say) -> None:
    """Sync one run to MLflow; a failure costs one line of output, never a run."""
    try:
        from tisdiss.harness.tracking import sync

        for note in sync(runs_dir, only=[identity]).notes:
            say(note)
    except Exception as error:
        first = str(error).strip().splitlines() or [type(error).__name__]
        say(f"MLflow is not up to date ({first[0]}); `tisdiss sync` brings it up to date")
