"""How far the runs of a plan are, from their folders alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tisdiss.harness import schema
from tisdiss.harness.folder import RunFolder, State, read_journal
from tisdiss.harness.plan import Plan, PlannedRun


@dataclass(frozen=True)
class RunStatus:
    """A run of a plan, as it stands."""

    run: PlannedRun
    state: State
    progress: str
    """Steps, epochs and the last loss, or the reason why there are none."""
    holder: str | None
    """The process that works on it now."""


def status(plan: Plan, runs_dir: Path = Path("runs")) -> list[RunStatus]:
    """One entry per run, in the plan's order."""
    return [_status(planned, RunFolder.of(runs_dir, planned.identity)) for planned in plan.runs]


def _status(planned: PlannedRun, folder: RunFolder) -> RunStatus:
    asked = tuple(evaluation.identity for evaluation in planned.evaluations)
    state = folder.state(asked)
    result = folder.read("result.json")
    if state == "failed":
        progress = f"{result['status']}: {result['reason']}"
    elif result.get("status") == "imported":
        progress = f"imported {result['reason']}"
    else:
        progress = _progress(read_journal(folder.journal), planned)
    return RunStatus(planned, state, progress, folder.holder())


def _progress(events: list[dict[str, Any]], planned: PlannedRun) -> str:
    last: dict[str, Any] = {}
    for event in events:
        if event["kind"] in ("train", "epoch"):
            last = {**last, **event, "metrics": {**last.get("metrics", {}), **event["metrics"]}}
    if not last:
        return ""
    words = [f"epoch {last['epoch']} of {planned.config.epochs}", f"step {last['step']}"]
    for name in (schema.TRAIN_LOSS, schema.VAL_SI_SNRI):
        if name in last["metrics"]:
            words.append(f"{name} {last['metrics'][name]:.2f}")
    return ", ".join(words)
