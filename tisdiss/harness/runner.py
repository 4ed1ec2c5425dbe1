"""One run, brought up to date in its folder.

Take its lease, write config.json and environment.json, train (which resumes by
itself), evaluate what is asked for, write result.json. A run that diverges or fails
is a row with its reason. Ctrl-C leaves a folder that resumes.
"""

from __future__ import annotations

import math
import shutil
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tisdiss.cost.formulas import training_bytes
from tisdiss.harness.corpora import Corpora
from tisdiss.harness.environment import describe_environment
from tisdiss.harness.plan import PlannedEvaluation, PlannedRun
from tisdiss.machine.device import memory_of
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
from tisdiss.study.shipped_weights import read_metadata, weights_path

MARGIN = 1.25
"""What an allocator and its workspaces need beside the tensors of a step."""

Outcome = Literal["done", "skipped", "stopped", "failed", "diverged", "held", "blocked"]
"""`skipped`: was done before. `stopped`: it was asked to stop or its time was up, it resumes.
`held`: another process has it. `blocked`: its parent has no weights."""

_NUMBERS = ("steps", "epochs", "best_val", "seconds")
"""What a result says of a training."""

Broken = Literal["failed", "diverged"]
Say = Callable[[str], None]
Watch = Callable[[PlannedRun, Event], None]


class StopRun(Exception):
    """Raised by a `watch`: leave the run as it is, to be resumed if it is ever asked for again."""


def never() -> bool:
    return False


@dataclass(frozen=True, kw_only=True)
class Runner:
    """How and where runs are executed; none of it changes a result's identity."""

    runs_dir: Path = Path("runs")
    root: Path = Path(".")
    corpora: Corpora = field(default_factory=Corpora)
    device: str = "cpu"
    threads: int | None = None
    max_seconds: float = math.inf
    """Each training is stopped, and resumes with the next call, after this time."""
    recompute: bool | None = None
    """Train with less memory and a third more products, and with equal results; None: where the
    tensors of a step would else not fit into the device's memory."""
    sharing: int = 1
    """How many processes train in the same memory."""
    again: bool = False
    """Train diverged runs again; otherwise they stay a row with their reason."""
    say: Say = print
    watch: Watch | None = None
    """Sees every event as it is logged, for a progress display; may raise StopRun."""
    on_error: Callable[[Exception], None] | None = None
    """Sees what a run failed or diverged with."""
    stop: Callable[[], bool] = never
    """Asked after each training step whether to save and leave the rest for later."""
    lease_seconds: float = LEASE_SECONDS
    """Without a sign of life for so long this process counts as hung, and may be killed."""
    train: Callable[..., Any] | None = None
    evaluate: Callable[..., Any] | None = None
    """Stand-ins for `tisdiss.train.train` and `tisdiss.evaluate.evaluate`."""

    def run(self, planned: PlannedRun) -> Outcome:
        """Bring one run up to date; never raises for what goes wrong inside it."""
        folder = RunFolder.of(self.runs_dir, planned.identity)
        asked = tuple(evaluation.identity for evaluation in planned.evaluations)
        try:
            with folder.lease(self.lease_seconds):
                if folder.state(asked) == "done" and not _lacks_weights(planned, folder):
                    self.say(f"{planned}: done before, nothing to do")
                    return "skipped"
                return self._run(planned, folder)
        except RunHeldError as error:
            self.say(f"{planned}: {error}")
            return "held"
        except (DamagedError, OSError) as error:  # or a folder that may not be written
            self.say(f"{planned}: {error}")
            return "failed"

    def _run(self, planned: PlannedRun, folder: RunFolder) -> Outcome:
        result, _ = folder.result(), folder.environment()
        if result.status == "diverged" and not self.again:
            self.say(f"{planned}: diverged before ({result.reason}); --again trains it anew")
            return "diverged"
        if result.status == "diverged":
            _start_anew(folder)
        parent = self._parent_model(planned)
        if planned.parent and parent is None:
            self.say(f"{planned}: its parent {short(planned.parent)} has no weights yet; skipped")
            return "blocked"
        try:
            self._describe(planned, folder)
            with Journal(folder.journal) as journal:
                return self._work(planned, folder, parent, journal)
        except KeyboardInterrupt:
            self.say(f"{planned}: interrupted; the same command goes on from here")
            raise
        except StopRun as reason:
            if folder.result().status not in FINAL:
                folder.write("result.json", RunResult(status="running", reason=str(reason)))
            self.say(f"{planned}: {reason}")
            return "stopped"
        except Exception as error:
            # By name, for torch is not imported just to find out that nothing was trained.
            diverged = type(error).__name__ == "Diverged"
            return self._broken(planned, folder, "diverged" if diverged else "failed", error)

    def _work(
        self, planned: PlannedRun, folder: RunFolder, parent: Path | None, journal: Journal
    ) -> Outcome:
        on_log = self._logger(planned, journal)
        if folder.result().status not in FINAL or not folder.model_file.is_file():
            if planned.kind == "weights":
                self._import(planned, folder)
            else:
                self._train(planned, folder, parent, on_log)
                if folder.result().status not in FINAL:
                    self.say(f"{planned}: stopped; the same command goes on from here")
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

    def _describe(self, planned: PlannedRun, folder: RunFolder) -> None:
        """What is asked for and where it runs; a run that resumes elsewhere lists both."""
        folder.check()
        now = describe_environment(device=self.device, threads=self.threads)
        first = folder.environment()
        if first is None:
            folder.write("environment.json", now)
        elif not any(_same_place(now, before) for before in (first, *first.resumed)):
            resumed = [*first.resumed, now]
            folder.write("environment.json", first.model_copy(update={"resumed": resumed}))
        if folder.config():
            return  # also where shipped weights are those of a run that was trained here
        folder.write("config.json", planned.asked())

    def _logger(self, planned: PlannedRun, journal: Journal) -> Callable[[Logged], None]:
        def on_log(event: Logged) -> None:
            written = journal.append(event)
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
            self.say(f"{planned}: its weights say that it was trained to the end")
            return
        folder.write("result.json", RunResult(status="running", reason=None))
        corpus = self.corpora.open(planned.config.data, planned.config.model.n_src)
        _check_manifest("training mixtures", training_manifest(corpus), planned.data_manifest)
        self.say(f"{planned}: {'goes on' if folder.journal.stat().st_size else 'starts'}")
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
        if self.recompute is not None:
            return self.recompute
        from tisdiss.machine.ranks import ranks

        config = planned.config
        share = math.ceil(config.batch_size / ranks().world)
        needed = training_bytes(config.model, config.data.segment_seconds, share)
        there = memory_of(self.device) // self.sharing
        if MARGIN * needed <= there:
            return False
        share_of = f" for each of {self.sharing}" if self.sharing > 1 else ""
        self.say(
            f"{planned}: a step would keep {needed / 2**30:.0f} GiB, {self.device} has "
            f"{there / 2**30:.0f} GiB{share_of}: recomputes instead, with equal results"
        )
        return True

    def _import(self, planned: PlannedRun, folder: RunFolder) -> None:
        """Make shipped weights a run folder like any other."""
        assert planned.file is not None
        write_atomic(folder.model_file, weights_path(planned.file, self.root).read_bytes())
        folder.write("result.json", RunResult(status="imported", reason=f"from {planned.file}"))

    def _evaluate(
        self,
        planned: PlannedRun,
        folder: RunFolder,
        asked: PlannedEvaluation,
        on_log: Callable[[Logged], None],
    ) -> None:
        """Score into a folder aside, which resumes, and takes its final name when complete."""
        from tisdiss.evaluate import JOURNAL

        corpus = self.corpora.open(asked.data, planned.config.model.n_src)
        scored = getattr(corpus, asked.config.split)
        _check_manifest("scored mixtures", scored.manifest_hash, asked.test_manifest)
        final = folder.evaluation(asked.identity)
        aside = final.with_name(f".{final.name}.partial")
        shutil.rmtree(final, ignore_errors=True)
        aside.mkdir(parents=True, exist_ok=True)
        self.say(f"{planned}: evaluates{_depths(asked)} on {corpus.source.name}")
        evaluate = self.evaluate or _core_evaluate()
        evaluate(folder.model_file, corpus, asked.config, aside, device=self.device, on_log=on_log)
        means, mixtures = mean_by_depth(aside / "scores.parquet")
        for n_re, metrics in means.items():
            on_log(
                {
                    "kind": names.EVENT_DEPTH,
                    "step": n_re,
                    "epoch": 0,
                    "metrics": metrics,
                    "evaluation": asked.identity,
                }
            )
        written = aside / "evaluation.json"
        about = read_if_there(written, Evaluation, way_out=RUN_WAY_OUT) or Evaluation()
        document = about.plain() | {
            "identity": asked.identity,
            "train_identity": planned.identity,
            "config": asked.config.model_dump(mode="json"),
            "test_manifest": asked.test_manifest,
            "corpus": corpus.source.name,
            "mixtures": mixtures,
        }
        write_atomic(written, json_text(document))
        (aside / JOURNAL).unlink(missing_ok=True)
        aside.rename(final)

    def _broken(
        self, planned: PlannedRun, folder: RunFolder, status: Broken, error: Exception
    ) -> Outcome:
        """Keep the reason beside the run; finished weights stay finished."""
        if self.on_error:
            self.on_error(error)
        reason = reason_of(error)
        write_atomic(folder.path / "error.txt", "".join(traceback.format_exception(error)))
        if folder.result().status not in FINAL:
            folder.write("result.json", RunResult(status=status, reason=reason))
        self.say(f"{planned}: {status}: {reason} (details: {folder.path / 'error.txt'})")
        return status


def reason_of(error: Exception) -> str:
    """What went wrong, in one paragraph, and a way out where there is a usual one."""
    name = type(error).__name__
    if name == "OutOfMemoryError":  # torch's, by name as above
        first = str(error).partition(". ")[0]
        return f"{name}: {first}; use --recompute, --processes N or a smaller batch_size"
    return f"{name}: {error}"


def _depths(asked: PlannedEvaluation) -> str:
    depths = ", ".join(str(n_re) for n_re in asked.config.n_re)
    return f" N_re {depths}" if depths else ""


def _check_manifest(what: str, found: str, planned: str) -> None:
    if found != planned:
        raise ValueError(
            f"the {what} changed since the plan was made ({short(planned)} then, {short(found)} "
            "now): `tisdiss run` with the study plans again"
        )


def _lacks_weights(planned: PlannedRun, folder: RunFolder) -> bool:
    """Whether a run whose scores are there, out of a report, has to be trained for its weights."""
    return planned.state == "partial" and not folder.model_file.is_file()


def _same_place(a: Environment, b: Environment) -> bool:
    """Whether two descriptions say the same, but for what came after."""
    return a.model_dump(exclude={"resumed"}) == b.model_dump(exclude={"resumed"})


def _result(status: Status, reason: str, training: Mapping[str, Any]) -> RunResult:
    return RunResult(status=status, reason=reason, **{name: training[name] for name in _NUMBERS})


def _result_of_weights(folder: RunFolder) -> RunResult | None:
    """The result of a training whose result.json was lost; None where it has to go on."""
    try:
        about = Origin.model_validate_json(read_metadata(folder.model_file)["about"])
    except (KeyError, ValueError):  # no weights yet, or none that can be read
        return None
    if about.identity != folder.identity or about.training is None:
        return None
    return _result("done", about.training.stopped, vars(about.training))


def _start_anew(folder: RunFolder) -> None:
    """Forget the checkpoints of a diverged attempt; its journal is kept under another name."""
    shutil.rmtree(folder.path / "checkpoints", ignore_errors=True)
    attempts = len(list(folder.path.glob("events.diverged-*.jsonl")))
    if folder.journal.is_file():
        folder.journal.rename(folder.path / f"events.diverged-{attempts + 1}.jsonl")
    folder.write("result.json", RunResult(status="running", reason=None))


def about_weights(planned: PlannedRun) -> Origin:
    """What a file of weights says about its origin; `shipped_weights.read_shipped` reads it."""
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
