"""Brings one run up to date in its folder.

A runner takes the run's lease, writes config.json and environment.json, trains (or resumes
training), writes result.json and does the requested evaluations. A run that diverges or fails keeps
its reason. After Ctrl-C the run can be resumed.
"""

from __future__ import annotations

import math
import shutil
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tisdiss.config import WholeConfig
from tisdiss.cost.planned import training_bytes
from tisdiss.harness.corpora import Corpora, trained_data
from tisdiss.harness.environment import describe_run
from tisdiss.harness.plan import PlannedEvaluation, PlannedRun
from tisdiss.harness.usage import Usage
from tisdiss.machine.device import memory_of
from tisdiss.machine.folders import HOME, RUNS
from tisdiss.machine.lease import LEASE_SECONDS, RunHeldError
from tisdiss.records import names
from tisdiss.records.files import DamagedError, write_atomic
from tisdiss.records.identity import short, training_manifest
from tisdiss.records.reading import read_if_there
from tisdiss.records.run_folder import Journal, RunFolder, json_text
from tisdiss.records.run_record import (
    FINAL,
    RUN_WAY_OUT,
    Environment,
    Evaluation,
    Event,
    Logged,
    Origin,
    RunResult,
    Status,
    TrainPart,
)
from tisdiss.records.scores import mean_by_depth
from tisdiss.study.shipped_weights import identity_in, read_metadata, weights_path

MARGIN = 1.25
"""Memory of a step with allocator overhead and workspaces, over that of its tensors."""

Outcome = Literal["done", "skipped", "stopped", "failed", "diverged", "held", "blocked"]
"""`skipped`: it was done before. `stopped`: by request or time limit; it can be resumed. `held`:
another process works on it. `blocked`: its parent has no weights."""

_NUMBERS = ("steps", "epochs", "best_val", "seconds")
"""The numbers of a training in its result."""

Broken = Literal["failed", "diverged"]
Say = Callable[[str], None]
Watch = Callable[[PlannedRun, Event], None]


class StopRun(Exception):
    """Raised by a `watch` to stop a run, which can be resumed later."""


def never() -> bool:
    return False


@dataclass(frozen=True, kw_only=True)
class Runner:
    """How and where runs are executed; none of it affects an identity."""

    runs_dir: Path = RUNS
    root: Path = HOME
    corpora: Corpora = field(default_factory=Corpora)
    device: str = "cpu"
    threads: int | None = None
    max_seconds: float = math.inf
    """Time limit of each training, which the next call resumes."""
    recompute: bool | None = None
    """Train with less memory and a third more products, with equal results; None: only if the
    tensors of a step would not fit into the device's memory."""
    sharing: int = 1
    """How many processes train in the same memory."""
    again: bool = False
    """Whether to train diverged runs again."""
    say: Say = print
    watch: Watch | None = None
    """Called with every logged event, for a progress display; may raise StopRun."""
    on_error: Callable[[Exception], None] | None = None
    """Called with the error that made a run fail or diverge."""
    stop: Callable[[], bool] = never
    """Called after each training step; if it returns true, the training saves and stops."""
    lease_seconds: float = LEASE_SECONDS
    """Without a heartbeat for this long, this process counts as hung and may be killed."""
    train: Callable[..., Any] | None = None
    evaluate: Callable[..., Any] | None = None
    """Stand-ins for `tisdiss.train.train` and `tisdiss.evaluate.evaluate`."""

    def run(self, planned: PlannedRun) -> Outcome:
        """Bring one run up to date; an error inside it is an outcome."""
        folder = RunFolder.of(self.runs_dir, planned.identity)
        evaluations = tuple(evaluation.identity for evaluation in planned.evaluations)
        try:
            with folder.lease(self.lease_seconds):
                if folder.state(evaluations) == "done" and not _lacks_weights(planned, folder):
                    self.say(f"{planned}: done before, nothing to do")
                    return "skipped"
                return self._run(planned, folder)
        except RunHeldError as error:
            self.say(f"{planned}: {error}")
            return "held"
        except (DamagedError, OSError) as error:  # OSError: the folder may not be written
            self.say(f"{planned}: {error}")
            return "failed"

    def _run(self, planned: PlannedRun, folder: RunFolder) -> Outcome:
        result, _ = folder.result(), folder.environment()
        if result.status == "diverged" and not self.again:
            self.say(f"{planned}: diverged before ({result.reason}); --again trains it again")
            return "diverged"
        if result.status == "diverged":
            _start_anew(folder)
        parent = self._parent_model(planned)
        if planned.parent and parent is None:
            self.say(f"{planned}: its parent {short(planned.parent)} has no weights yet; skipped")
            return "blocked"
        try:
            self._describe(planned, folder, parent)
            with Journal(folder.journal) as journal:
                return self._work(planned, folder, parent, journal)
        except KeyboardInterrupt:
            self.say(f"{planned}: interrupted; the same command continues from here")
            raise
        except StopRun as reason:
            if folder.result().status not in FINAL:
                folder.write("result.json", RunResult(status="running", reason=str(reason)))
            self.say(f"{planned}: {reason}")
            return "stopped"
        except Exception as error:
            # By name, so that torch need not be imported here.
            diverged = type(error).__name__ == "Diverged"
            return self._broken(planned, folder, "diverged" if diverged else "failed", error)

    def _work(
        self, planned: PlannedRun, folder: RunFolder, parent: Path | None, journal: Journal
    ) -> Outcome:
        on_log = self._logger(planned, folder, journal)
        if folder.result().status not in FINAL or not folder.model_file.is_file():
            if planned.kind == "weights":
                self._import(planned, folder)
            else:
                self._train(planned, folder, parent, on_log)
                if folder.result().status not in FINAL:
                    self.say(f"{planned}: stopped; the same command continues from here")
                    return "stopped"
        for evaluation in planned.evaluations:
            if not folder.has_evaluation(evaluation.identity):
                self._evaluate(planned, folder, evaluation, on_log)
        self.say(f"{planned}: done, in {folder.path}")
        return "done"

    def _parent_model(self, planned: PlannedRun) -> Path | None:
        if planned.parent is None:
            return None
        parent = RunFolder.of(self.runs_dir, planned.parent)
        ready = parent.result().status in FINAL and parent.model_file.is_file()
        return parent.model_file if ready else None

    def _describe(self, planned: PlannedRun, folder: RunFolder, parent: Path | None) -> None:
        """Write config.json and environment.json, which also lists where a run resumes."""
        folder.check()
        now = describe_run(folder, device=self.device, threads=self.threads, parent=parent)
        first = folder.environment()
        if first is None:
            folder.write("environment.json", now)
        elif not any(_same_place(now, before) for before in (first, *first.resumed)):
            resumed = [*first.resumed, now]
            folder.write("environment.json", first.model_copy(update={"resumed": resumed}))
        if folder.config():
            return  # of an earlier call, or of the run here that made the shipped weights
        folder.write("config.json", planned.asked())

    def _logger(
        self, planned: PlannedRun, folder: RunFolder, journal: Journal
    ) -> Callable[[Logged], None]:
        usage = Usage(folder.path, self.device)

        def on_log(event: Logged) -> None:
            written = journal.append(event)
            if sample := usage.event(event):
                journal.append(sample)
            if self.watch:
                self.watch(planned, written)

        return on_log

    def _train(
        self,
        planned: PlannedRun,
        folder: RunFolder,
        parent: Path | None,
        on_log: Callable[[Logged], None],
    ) -> None:
        """Train to the end, or until the time is up."""
        if result_of_weights := _result_of_weights(folder):
            folder.write("result.json", result_of_weights)
            self.say(f"{planned}: already trained; restored result.json from its weights")
            return
        folder.write("result.json", RunResult(status="running", reason=None))
        corpus = self.corpora.open(planned.config.data, planned.config.model.n_src)
        _check_manifest("training mixtures", training_manifest(corpus), planned.data_manifest)
        if not folder.journal.stat().st_size:  # a run that resumes keeps what it has
            folder.write("data.json", trained_data(corpus))
        self.say(f"{planned}: {'resumes' if folder.journal.stat().st_size else 'starts'}")
        result = (self.train or core_train(self.threads))(
            planned.config,
            corpus,
            folder.path,
            parent=parent,
            device=self.device,
            on_log=on_log,
            max_seconds=self.max_seconds,
            stop=self.stop,
            about=about_weights(planned),
            recompute=self.recomputes(planned),
        )
        status: Status = "running" if result.stopped == "time" else "done"
        folder.write("result.json", _result(status, result.stopped, vars(result)))

    def recomputes(self, planned: PlannedRun) -> bool:
        """Whether a training recomputes what its gradient needs instead of keeping it."""
        model, config = planned.config.model, planned.config
        if isinstance(model, WholeConfig) and not model.entry.recomputes:
            if self.recompute:
                self.say(f"{planned}: {model.name} cannot recompute; it keeps its activations")
            return False
        if self.recompute is not None:
            return self.recompute
        from tisdiss.machine.ranks import ranks

        share = math.ceil(config.batch_size / ranks().world)
        needed = training_bytes(config.model, config.data.segment_seconds, share)
        if needed is None:
            return False
        available = memory_of(self.device) // self.sharing
        if MARGIN * needed <= available:
            return False
        share_of = f" for each of {self.sharing}" if self.sharing > 1 else ""
        self.say(
            f"{planned}: a step would keep {needed / 2**30:.0f} GiB, {self.device} has "
            f"{available / 2**30:.0f} GiB{share_of}: recomputes instead, with equal results"
        )
        return True

    def _import(self, planned: PlannedRun, folder: RunFolder) -> None:
        """Make shipped weights a run folder like any other."""
        assert planned.file is not None
        path = weights_path(planned.file, self.root)
        content = path.read_bytes()
        if (present := identity_in(content, path)) != planned.identity:
            raise ValueError(
                f"{path}: was replaced since the plan was made (run {short(planned.identity)} "
                f"then, {short(present)} now): the same command plans again"
            )
        write_atomic(folder.model_file, content)
        folder.write("result.json", RunResult(status="imported", reason=f"from {planned.file}"))

    def _evaluate(
        self,
        planned: PlannedRun,
        folder: RunFolder,
        evaluation: PlannedEvaluation,
        on_log: Callable[[Logged], None],
    ) -> None:
        """Score into a partial folder, which can be resumed and is renamed when complete."""
        from tisdiss.evaluate import JOURNAL

        config = evaluation.config
        corpus = self.corpora.open(evaluation.data, planned.config.model.n_src)
        mixture_set = getattr(corpus, config.split)
        _check_manifest("scored mixtures", mixture_set.manifest_hash, evaluation.test_manifest)
        final = folder.evaluation(evaluation.identity)
        partial = final.with_name(f".{final.name}.partial")
        shutil.rmtree(final, ignore_errors=True)
        partial.mkdir(parents=True, exist_ok=True)
        self.say(f"{planned}: evaluates{_depths(evaluation)} on {corpus.source.name}")
        evaluate = self.evaluate or _core_evaluate()
        evaluate(folder.model_file, corpus, config, partial, device=self.device, on_log=on_log)
        means, mixtures = mean_by_depth(partial / "scores.parquet")
        for n_re, metrics in means.items():
            on_log(
                {
                    "kind": names.EVENT_DEPTH,
                    "step": n_re,
                    "epoch": 0,
                    "metrics": metrics,
                    "evaluation": evaluation.identity,
                }
            )
        record = partial / "evaluation.json"
        about = read_if_there(record, Evaluation, way_out=RUN_WAY_OUT) or Evaluation()
        document = about.plain() | {
            "identity": evaluation.identity,
            "train_identity": planned.identity,
            "config": config.model_dump(mode="json"),
            "data": evaluation.data.model_dump(mode="json"),
            "test_manifest": evaluation.test_manifest,
            "corpus": corpus.source.name,
            "mixtures": mixtures,
        }
        write_atomic(record, json_text(document))
        (partial / JOURNAL).unlink(missing_ok=True)
        partial.rename(final)

    def _broken(
        self, planned: PlannedRun, folder: RunFolder, status: Broken, error: Exception
    ) -> Outcome:
        """Save the reason in the run folder; a finished training stays finished."""
        if self.on_error:
            self.on_error(error)
        reason = reason_of(error)
        write_atomic(folder.path / "error.txt", "".join(traceback.format_exception(error)))
        if folder.result().status not in FINAL:
            folder.write("result.json", RunResult(status=status, reason=reason))
        self.say(f"{planned}: {status}: {reason} (details: {folder.path / 'error.txt'})")
        return status


def reason_of(error: Exception) -> str:
    """An error in one paragraph, with the usual way out if there is one."""
    name = type(error).__name__
    if name == "OutOfMemoryError":  # torch's, which need not be imported
        first = str(error).partition(". ")[0]
        return f"{name}: {first}; use --recompute, --processes N or a smaller batch_size"
    return f"{name}: {error}"


def _depths(evaluation: PlannedEvaluation) -> str:
    depths = ", ".join(str(n_re) for n_re in evaluation.config.n_re)
    return f" N_re {depths}" if depths else ""


def _check_manifest(mixtures: str, present: str, planned: str) -> None:
    if present != planned:
        raise ValueError(
            f"the {mixtures} changed since the plan was made ({short(planned)} then, "
            f"{short(present)} now): `tisdiss run` with the study plans again"
        )


def _lacks_weights(planned: PlannedRun, folder: RunFolder) -> bool:
    """Whether a run whose scores are there, out of a report, has to be trained for its weights."""
    return planned.state == "partial" and not folder.model_file.is_file()


def _same_place(a: Environment, b: Environment) -> bool:
    """Whether two environments are equal, apart from `resumed`."""
    return a.model_dump(exclude={"resumed"}) == b.model_dump(exclude={"resumed"})


def _result(status: Status, reason: str, training: Mapping[str, Any]) -> RunResult:
    return RunResult(status=status, reason=reason, **{name: training[name] for name in _NUMBERS})


def _result_of_weights(folder: RunFolder) -> RunResult | None:
    """The result of a finished training, from its weights; None if it is not finished."""
    try:
        about = Origin.model_validate_json(read_metadata(folder.model_file)["about"])
    except (KeyError, ValueError):  # no weights yet, or unreadable ones
        return None
    if about.identity != folder.identity or about.training is None:
        return None
    return _result("done", about.training.stopped, vars(about.training))


def _start_anew(folder: RunFolder) -> None:
    """Delete the checkpoints of a diverged attempt and rename its journal."""
    shutil.rmtree(folder.path / "checkpoints", ignore_errors=True)
    attempts = len(list(folder.path.glob("events.diverged-*.jsonl")))
    if folder.journal.is_file():
        folder.journal.rename(folder.path / f"events.diverged-{attempts + 1}.jsonl")
    folder.write("result.json", RunResult(status="running", reason=None))


def about_weights(planned: PlannedRun) -> Origin:
    """The origin of weights for their metadata; `shipped_weights.read_shipped` reads it."""
    return Origin(
        identity=planned.identity,
        data_manifest=planned.data_manifest,
        train=TrainPart.model_validate(planned.config.model_dump(mode="json")),
    )


def core_train(threads: int | None) -> Callable[..., Any]:
    import torch

    from tisdiss.train import train

    if threads is not None:
        torch.set_num_threads(threads)
    return train


def _core_evaluate() -> Callable[..., Any]:
    from tisdiss.evaluate import evaluate

    return evaluate
