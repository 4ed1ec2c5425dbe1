"""`tisdiss search`: Optuna proposes settings, and each trial is a run.

A trial is planned, trained and evaluated (on the validation mixtures, never on the test set) like
the row of a study. Settings that any study has run before therefore return their stored value at
once, and a killed search resumes, with the interrupted training. Several processes or machines can
work on one search if they share its storage and the runs folder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tisdiss.cost.planned import macs_per_second
from tisdiss.harness.plan import Plan, PlannedRun
from tisdiss.harness.plan_file import save_plan
from tisdiss.harness.planner import plan
from tisdiss.harness.runner import Outcome, Runner, StopRun
from tisdiss.harness.search_store import open_store, sign
from tisdiss.harness.tracking.live import Live
from tisdiss.machine.device import check_device
from tisdiss.records import names
from tisdiss.records.files import write_atomic
from tisdiss.records.run_folder import RunFolder, json_text, read_journal
from tisdiss.records.run_record import Event
from tisdiss.records.runs_layout import search_file
from tisdiss.records.scores import mean_by_depth
from tisdiss.study.search_file import OBJECTIVES, Params, Search, Span

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial


@dataclass(frozen=True)
class Tried:
    """A trial that ended: values are in the order of the objectives, None if it has none."""

    number: int
    state: str
    params: Params
    values: tuple[float, ...] | None
    identity: str
    note: str


def search(
    spec: Search,
    profile: str,
    *,
    runner: Runner,
    storage: str | None = None,
    trials: int | None = None,
    track: bool = True,
) -> list[Tried]:
    """Continue a search until it has its trials; returns all of them, the oldest first.

    `storage` is a database URL, or a file; None: `<runs>/searches/<name>.journal`.
    """
    check_device(runner.device)
    live = Live(runner.runs_dir, runner.say, track=track)
    with live, open_store(spec, profile, runner.runs_dir, storage, runner.say) as study:
        while len(_counted(study)) < (trials or spec.trials):
            trial = study.ask()
            with _failing(study, trial, runner.say):
                _Trial(spec, profile, runner, study, trial, live).work()
            _save(study, spec, profile, runner.runs_dir)
        _save(study, spec, profile, runner.runs_dir)  # a killed call may not have saved its last
        return tried(study)


def tried(study: Study) -> list[Tried]:
    """Every trial that has ended."""
    return [_tried(trial) for trial in study.trials if trial.state.is_finished()]


def best(results: Sequence[Tried], objectives: Sequence[str]) -> list[Tried]:
    """The trials that no other one dominates: one, or the Pareto front."""
    signs = [1 if OBJECTIVES[name] == "maximize" else -1 for name in objectives]

    def beats(one: Tried, other: Tried) -> bool:
        assert one.values and other.values
        gains = [s * (a - b) for s, a, b in zip(signs, one.values, other.values, strict=True)]
        return min(gains) >= 0 and max(gains) > 0

    complete = [trial for trial in results if trial.values]
    return [t for t in complete if not any(beats(other, t) for other in complete)]


class _Trial:
    """One proposal of settings, and its run."""

    def __init__(
        self, spec: Search, profile: str, runner: Runner, study: Study, trial: Trial, live: Live
    ):
        self.spec, self.runner, self.study, self.trial = spec, runner, study, trial
        self.live = live
        sign(trial)
        self.params = {name: _propose(trial, name, span) for name, span in spec.space.items()}
        tried = {t.number: t.user_attrs["params"] for t in study.trials if "params" in t.user_attrs}
        rows = spec.study({**tried, trial.number: self.params})
        self.plan: Plan = plan(
            [rows], profile, runs_dir=runner.runs_dir, corpora=runner.corpora, root=runner.root
        )
        (row,) = [r for r in self.plan.studies[0].rows if r.id == f"t{trial.number}"]
        self.planned = self.plan.run(row.runs[0].identity)
        self.evaluation = row.runs[0].evaluation
        trial.set_user_attr("params", self.params)
        trial.set_user_attr("identity", self.planned.identity)

    def work(self) -> None:
        """Run it, and report the result to Optuna."""
        from optuna.trial import TrialState

        save_plan(self.plan, self.runner.runs_dir)
        folder = RunFolder.of(self.runner.runs_dir, self.planned.identity)
        # The kind is for people and MLflow; a run that another study made first keeps its own.
        trial_run = self.planned.model_copy(update={"kind": "trial"})
        outcome: Outcome = "stopped"
        errors: list[Exception] = []
        if not self._is_pruned(folder):
            runner = replace(self.runner, watch=self._watch, on_error=errors.append)
            outcome = runner.run(trial_run)
        if outcome in ("done", "skipped"):
            self.study.tell(self.trial, self._values(folder))
        elif outcome == "stopped":
            self.study.tell(self.trial, state=TrialState.PRUNED)
        elif outcome == "held":  # another process will finish it, so the trial has no result
            self.study.tell(self.trial, state=TrialState.FAIL)
        else:
            reason = folder.result().reason or outcome
            if errors:  # a finished training has no reason if its evaluation fails
                reason = f"{type(errors[-1]).__name__}: {errors[-1]}"
            self.trial.set_user_attr("reason", reason)
            self.study.tell(self.trial, state=TrialState.FAIL)
        self.live.ended(self.planned.identity, outcome)
        self.runner.say(f"trial {self.trial.number}: {outcome} {_text(self.params)}")

    def _values(self, folder: RunFolder) -> list[float]:
        model = self.planned.config.model
        depth = (self.spec.n_re or model.n_re) if model.dial else 0
        means, _ = mean_by_depth(folder.evaluation(self.evaluation) / "scores.parquet")
        values = {
            names.SI_SNRI: means[depth][names.depth_metric(names.SI_SNRI)],
            names.MACS: float(macs_per_second(model, depth)),
        }
        return [values[name] for name in self.spec.objectives]

    def _is_pruned(self, folder: RunFolder) -> bool:
        """Report an unfinished run's earlier validation scores to Optuna; whether it prunes it."""
        if not self._prunes or folder.has_evaluation(self.evaluation):
            return False
        events = [e for e in read_journal(folder.journal) if _is_validated(e)]
        return any(self._report(event) for event in events)

    @property
    def _prunes(self) -> bool:
        return self.spec.prune and len(self.spec.objectives) == 1

    def _report(self, event: Event) -> bool:
        self.trial.report(event.metrics[names.VAL_SI_SNRI], event.epoch)
        return self.trial.should_prune()

    def _watch(self, planned: PlannedRun, event: Event) -> None:
        if self.runner.watch:
            self.runner.watch(planned, event)
        last = event.epoch >= planned.config.epochs
        if event.kind == names.EVENT_EPOCH and self._prunes and self._report(event) and not last:
            raise StopRun(f"pruned by {self.spec.search} at epoch {event.epoch}")


@contextmanager
def _failing(study: Study, trial: Trial, say: Callable[[str], None]) -> Iterator[None]:
    """Fail a trial whose settings contradict each other; raise if no trial had valid ones yet."""
    from optuna.trial import TrialState

    try:
        yield
    except ValueError as error:
        if "identity" in trial.user_attrs:
            raise
        has_settings = any("identity" in other.user_attrs for other in study.trials)
        if has_settings:
            trial.set_user_attr("reason", str(error))
        study.tell(trial, state=TrialState.FAIL)
        if not has_settings:
            raise
        say(f"trial {trial.number}: refused: {error}")


def _is_validated(event: Event) -> bool:
    return event.kind == names.EVENT_EPOCH and names.VAL_SI_SNRI in event.metrics


def _propose(trial: Trial, name: str, span: Span) -> Any:
    """A value of the span; numbers have three digits, so that equal settings can recur."""
    if span.low is None or span.high is None:
        return trial.suggest_categorical(name, list(span.choices or span.options))
    if isinstance(span.low, int) and isinstance(span.high, int):
        return trial.suggest_int(name, span.low, span.high, log=span.log)
    value = trial.suggest_float(name, float(span.low), float(span.high), log=span.log)
    return float(f"{value:.3g}")


# --- results of trials --------------------------------------------------------------------------


def _counted(study: Study) -> list[FrozenTrial]:
    """Trials with a result: complete, pruned, or failed for a reason of their own."""
    from optuna.trial import TrialState

    ended = study.get_trials(deepcopy=False)
    states = (TrialState.COMPLETE, TrialState.PRUNED)
    return [t for t in ended if t.state in states or "reason" in t.user_attrs]


def _tried(trial: FrozenTrial) -> Tried:
    attributes = trial.user_attrs
    values = tuple(trial.values) if trial.values and trial.state.name == "COMPLETE" else None
    identity = attributes.get("identity", "")
    params = attributes.get("params", trial.params)
    state, note = trial.state.name.lower(), attributes.get("reason", "")
    return Tried(trial.number, state, params, values, identity, note)


def _save(study: Study, spec: Search, profile: str, runs_dir: Path) -> None:
    """Write the trials to the file that analysis reads."""
    results = tried(study)
    document = {
        "search": spec.search,
        "title": spec.title,
        "profile": profile,
        "objectives": list(spec.objectives),
        "n_re": spec.n_re,
        "trials": [vars(trial) for trial in results],
        "best": [trial.number for trial in best(results, spec.objectives)],
    }
    write_atomic(search_file(runs_dir, spec.search, profile), json_text(document))


def _text(params: Params) -> str:
    return ", ".join(f"{name}={value}" for name, value in params.items())
