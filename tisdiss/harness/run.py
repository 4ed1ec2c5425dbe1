"""Executes the runs of a plan one by one, and shows them in MLflow meanwhile."""

from __future__ import annotations

from tisdiss.harness.plan import Plan
from tisdiss.harness.plan_file import save_plan
from tisdiss.harness.runner import Outcome, Runner
from tisdiss.harness.tracking.live import Live


def run(plan: Plan, *, runner: Runner, track: bool = True) -> dict[str, Outcome]:
    """Bring every run of a plan up to date; returns outcomes by identity.

    `track` shows the runs in MLflow; a failure costs one line of output.
    """
    save_plan(plan, runner.runs_dir)
    outcomes: dict[str, Outcome] = {}
    with Live(runner.runs_dir, runner.say, track=track) as live:
        for planned in plan.runs:
            if runner.stop() and planned.state != "done":
                outcomes[planned.identity] = "stopped"
                continue
            outcomes[planned.identity] = runner.run(planned)
            if outcomes[planned.identity] != "skipped":
                live.ended(planned.identity, outcomes[planned.identity])
    return outcomes
