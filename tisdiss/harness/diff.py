"""Differences between two runs in config, data, environment, code and scores.

Only run folders are read. Scores are the means in the journals; `analysis` tells whether their
difference is more than chance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from tisdiss.config import TrainConfig
from tisdiss.config.dotted import dotted
from tisdiss.records import names
from tisdiss.records.files import JsonObject
from tisdiss.records.identity import SHORT
from tisdiss.records.problems import nearest
from tisdiss.records.run_folder import RunFolder, matching_runs, read_journal, run_folders
from tisdiss.records.run_record import Environment, Evaluation, Event

Part = Literal["config", "data", "environment", "packages", "code", "result", "scores"]

_CODE = ("code_hash", "code_scope", "code_files", "git")
_ELSEWHERE = (*_CODE, "packages", "parent_weights", "resumed")
"""Keys of an environment that are compared in another part, or not at all."""

Facts = JsonObject
"""Values by dotted name."""


@dataclass(frozen=True)
class Difference:
    """One difference; None stands for a value that a run does not have."""

    part: Part
    what: str
    a: Any
    b: Any

    def __str__(self) -> str:
        numbers = isinstance(self.a, float) and isinstance(self.b, float)
        if self.part == "scores" and numbers:
            change = f"{self.a:.2f} -> {self.b:.2f} ({self.b - self.a:+.2f})"
            unit = names.score_unit(self.what.partition(".")[0])
            return f"scores {self.what}: {change} {unit}".rstrip()
        return f"{self.part} {self.what}: {_shown(self.a)} -> {_shown(self.b)}"


def diff(runs_dir: Path, a: str, b: str) -> list[Difference]:
    """All differences between two runs, each named by the first digits of its identity."""
    return differences(find_run(runs_dir, a), find_run(runs_dir, b))


def differences(a: RunFolder, b: RunFolder) -> list[Difference]:
    """All differences between two runs."""
    ours, theirs = _facts(a), _facts(b)
    if bool(ours["packages"]) != bool(theirs["packages"]):
        for facts in (ours, theirs):  # an earlier version kept no list
            facts["packages"] = {"number": len(facts["packages"]) or None}
    if ours["code"].get("code_scope") != theirs["code"].get("code_scope"):
        for facts in (ours, theirs):  # they cover different files, so they differ anyway
            facts["code"].pop("code_hash", None)
    return [
        Difference(part, what, ours[part].get(what), theirs[part].get(what))
        for part in ours
        for what in dict.fromkeys((*ours[part], *theirs[part]))
        if ours[part].get(what) != theirs[part].get(what)
    ]


def find_run(runs_dir: Path, digits: str) -> RunFolder:
    """The run whose identity starts with these digits; the error lists candidates."""
    matches = matching_runs(runs_dir, digits)
    if not digits or len(matches) != 1:
        problem = f"'{digits}' matches {len(matches)} runs of {runs_dir}"
        candidates = [path.name for path in matches or run_folders(runs_dir)]
        raise ValueError(f"{problem}; {nearest(digits, candidates)}")
    return RunFolder.at(matches[0])


def _facts(folder: RunFolder) -> dict[Part, Facts]:
    """The values to compare, by part and dotted name."""
    config, environment = folder.trained_config(), folder.environment() or Environment()
    facts = environment.plain()
    return {
        "config": dict(dotted(_settings(config.train.plain()))),
        "data": {
            "training": config.data_manifest,
            "parent_weights": environment.parent_weights,
            **_scored(folder),
        },
        "environment": dict(dotted({k: v for k, v in facts.items() if k not in _ELSEWHERE})),
        "packages": dict(environment.packages or {}),
        "code": dict(dotted({k: facts[k] for k in _CODE if k in facts})),
        "result": _ending(folder),
        "scores": _scores(folder),
    }


def _ending(folder: RunFolder) -> Facts:
    result = folder.result().plain()
    return {key: result.get(key) for key in ("status", "reason", "steps", "epochs", "best_val")}


def _settings(train: Facts) -> Mapping[str, Any]:
    """Settings with defaults for later ones; unchanged if they are not valid any more."""
    try:
        return TrainConfig.model_validate(train).model_dump(mode="json")
    except ValidationError:
        return train


def _scored(folder: RunFolder) -> Facts:
    """The mixtures of the latest evaluation."""
    latest = _latest(folder)
    record = (folder.scored(latest) if latest else None) or Evaluation()
    return {key: getattr(record, key) for key in ("corpus", "test_manifest", "mixtures")}


def _scores(folder: RunFolder) -> Facts:
    """Mean scores of the latest evaluation, such as si_snri.re3."""
    latest = _latest(folder)
    return {
        f"{name.rpartition('/')[2]}.re{event.step}": value
        for event in _depths(folder)
        if event.evaluation == latest
        for name, value in event.metrics.items()
    }


def _latest(folder: RunFolder) -> str | None:
    return next((event.evaluation for event in reversed(_depths(folder))), None)


def _depths(folder: RunFolder) -> list[Event]:
    return [e for e in read_journal(folder.journal) if e.kind == names.EVENT_DEPTH]


def _shown(value: Any) -> str:
    """A value as text: a hash by its first digits, None as a dash."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.6g}"
    is_hash = isinstance(value, str) and len(value) >= 40 and set(value) <= set("0123456789abcdef")
    return value[:SHORT] if is_hash else str(value)
