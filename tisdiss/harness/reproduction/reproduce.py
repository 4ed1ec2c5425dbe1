"""Makes a finished run again from its own record, and compares weights and scores.

The code (`checkout.py`) and the packages (`packages.py`) of the run come back in a scratch folder,
where a worker of that code trains and evaluates into a run folder of its own. Only the identity's
settings and data are asked for, so a run needs neither its study nor its plan.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tisdiss.harness.corpora import Corpora
from tisdiss.harness.diff import Difference, differences, find_run
from tisdiss.harness.estimate import duration
from tisdiss.harness.launch import POLL_SECONDS, launch
from tisdiss.harness.plan import Plan, PlannedRun
from tisdiss.harness.reproduction.agreement import (
    Agreement,
    Verdict,
    compare_scores,
    compare_weights,
    worst,
)
from tisdiss.harness.reproduction.causes import causes
from tisdiss.harness.reproduction.checkout import Rebuilt, Say, rebuilt_code
from tisdiss.harness.reproduction.packages import rebuilt_python
from tisdiss.harness.reproduction.replica import Replica, replicas
from tisdiss.harness.reproduction.scratch import check_room, claimed, remove
from tisdiss.harness.runner import Outcome, Runner, Watch
from tisdiss.harness.worker import command_line
from tisdiss.machine.device import check_device
from tisdiss.machine.folders import REPRODUCED
from tisdiss.machine.lease import LEASE_SECONDS, is_held
from tisdiss.records import names
from tisdiss.records.files import write_atomic
from tisdiss.records.identity import short, training_manifest
from tisdiss.records.run_folder import RunFolder

Launch = Callable[..., dict[str, Outcome]]


@dataclass(frozen=True, kw_only=True)
class How:
    """How a run is made again; by default as its record says."""

    here: bool = False
    """With the present packages."""
    this_code: bool = False
    """With the present code."""
    evaluate_only: bool = False
    """Score the kept weights, without training."""
    chain: bool = False
    """Make the runs again that its weights come from, instead of taking their kept weights."""
    device: str | None = None
    threads: int | None = None
    scratch: Path | None = None
    keep: bool = False
    """Whether the scratch folder stays."""

    @property
    def note(self) -> dict[str, object]:
        """The options that a scratch folder belongs to."""
        plain = ("here", "this_code", "evaluate_only", "chain", "device", "threads")
        return {name: getattr(self, name) for name in plain}


@dataclass(frozen=True)
class Reproduction:
    """The comparison of a run with itself, made again."""

    run: str
    model: str
    verdict: Verdict
    agreements: list[Agreement]
    causes: list[Difference]
    """Facts that differ, the likeliest cause first."""
    code: str
    packages: str
    parent: str | None
    """Where the weights come from that it starts with."""
    notes: list[str]
    """What the record lacks and what was used instead."""
    scratch: Path | None
    """The scratch folder, if it stays."""


def reproduce(
    runs_dir: Path,
    digits: str,
    how: How,
    *,
    corpora: Corpora,
    say: Say,
    watch: Watch | None = None,
    start: Launch = launch,
) -> Reproduction:
    """Make the run again whose identity starts with these digits, and compare.

    The same call goes on after an interruption. ValueError or OSError if the run is unknown or not
    finished, or if its code, packages, parent or data cannot be had. `start` launches; for tests.
    """
    notes: list[str] = []

    def note(text: str) -> None:
        notes.append(text)
        say(text)

    folder = find_run(runs_dir, digits)
    chain = replicas(
        runs_dir,
        folder,
        chain=how.chain,
        evaluate_only=how.evaluate_only,
        corpora=corpora,
        say=note,
    )
    *_, last = chain
    if changed := _changed_data(chain, corpora):
        return _compared(last, folder, how, notes, None, changed)
    for each in chain:
        check_device(how.device or each.device)
    scratch = (how.scratch or REPRODUCED / short(folder.identity)).absolute()
    check_room(scratch, folder.model_file.stat().st_size if folder.model_file.is_file() else 0)
    with claimed(scratch, {"identity": folder.identity, **how.note}):
        made = _Making(chain, how, scratch, corpora, note, say, watch).work(start)
        result = _compared(last, folder, how, notes, made, [])
    if result.verdict == "different" or how.keep:
        return replace(result, scratch=scratch)
    remove(scratch)
    return result


def _changed_data(chain: Sequence[Replica], corpora: Corpora) -> list[Difference]:
    """The mixtures that are not those of the run; raises where a corpus cannot be opened."""
    changed = []
    for each in chain:
        if each.trains:
            corpus = corpora.open(each.planned.config.data, each.planned.config.model.n_src)
            then, now = each.planned.data_manifest, training_manifest(corpus)
            changed += [Difference("data", "training", then, now)] if then != now else []
        for asked in each.planned.evaluations:
            corpus = corpora.open(asked.data, each.planned.config.model.n_src)
            then, now = asked.test_manifest, getattr(corpus, asked.config.split).manifest_hash
            changed += [Difference("data", "test_manifest", then, now)] if then != now else []
    return changed


@dataclass(frozen=True)
class _Made:
    """What was made again, and from what."""

    runs_dir: Path
    code: Rebuilt
    python: Rebuilt


@dataclass(frozen=True)
class _Making:
    """The runs of a chain on their way, in a scratch folder."""

    chain: Sequence[Replica]
    how: How
    scratch: Path
    corpora: Corpora
    note: Say
    say: Say
    watch: Watch | None

    @property
    def runs_dir(self) -> Path:
        return self.scratch / "runs"

    def work(self, start: Launch) -> _Made:
        """Rebuild code and packages, and bring all runs of the chain up to date."""
        parts = {each.planned.identity: self._rebuilt(each) for each in self.chain}
        self._await_earlier()
        for each in self.chain:
            each.copy_into(self.runs_dir)
        seconds = sum(each.seconds for each in self.chain)
        self.say(f"makes it again: about {duration(seconds)}, if this machine is as fast and idle")
        *_, last = self.chain
        runs = tuple(each.planned for each in self.chain)
        outcomes = start(
            Plan(profile="again", runs=runs, studies=()),
            runner=self._runner(last),
            processes=max(each.processes for each in self.chain),
            track=False,
            command=self._command(parts),
        )
        for planned in runs:
            self._check(planned, outcomes[planned.identity])
        return _Made(self.runs_dir, *parts[last.planned.identity])

    def _await_earlier(self) -> None:
        """Wait for the workers of an earlier call that was killed: they save and end."""
        locks = [RunFolder.of(self.runs_dir, run.planned.identity).lock_file for run in self.chain]
        until, told = time.monotonic() + LEASE_SECONDS, False
        while any(map(is_held, locks)) and time.monotonic() < until:
            if not told:
                self.say("waits for a worker of an earlier call to save and end")
            told = True
            time.sleep(POLL_SECONDS)

    def _rebuilt(self, replica: Replica) -> tuple[Rebuilt, Rebuilt]:
        how, kept = self.how, replica.kept
        code = rebuilt_code(kept, self.scratch, present=how.this_code, say=self.say, note=self.note)
        python = rebuilt_python(
            kept, code.path, self.scratch, here=how.here, say=self.say, note=self.note
        )
        return code, python

    def _runner(self, replica: Replica) -> Runner:
        return Runner(
            runs_dir=self.runs_dir,
            corpora=self.corpora,
            device=self.how.device or replica.device,
            threads=self.how.threads or replica.threads,
            say=self.say,
            watch=self.watch,
        )

    def _command(
        self, parts: Mapping[str, tuple[Rebuilt, Rebuilt]]
    ) -> Callable[[Path, PlannedRun, Path], list[str]]:
        """Command lines of workers: each with the code and the packages of its run."""
        by_identity = {each.planned.identity: each for each in self.chain}

        def command(_: Path, planned: PlannedRun, code_file: Path) -> list[str]:
            replica = by_identity[planned.identity]
            code, python = parts[planned.identity]
            plan = self.scratch / f"plan-{planned.code}.json"
            write_atomic(plan, replica.plan_text)
            runner = self._runner(replica)
            line = command_line(plan, planned, runner, code_file, replica.processes)
            line[0] = str(python.path)
            line += ["--parent", str(os.getpid())] if replica.processes == 1 else []
            return [*self._surroundings(code), *line]

        return command

    def _surroundings(self, code: Rebuilt) -> list[str]:
        """A command that starts another one where only the code of the run is found."""
        own = "" if not self.how.here else os.environ.get("PYTHONPATH", "")
        path = os.pathsep.join(filter(None, (str(code.path.resolve()), own)))
        outside = [word for name in ("PYTHONHOME", "VIRTUAL_ENV") for word in ("-u", name)]
        return ["env", *outside, f"PYTHONPATH={path}", "PYTHONSAFEPATH=1"]

    def _check(self, planned: PlannedRun, outcome: Outcome) -> None:
        if outcome in ("done", "skipped"):
            return
        folder = RunFolder.of(self.runs_dir, planned.identity)
        if outcome == "stopped":
            raise ValueError(f"{planned.code}: stopped; the same command continues from here")
        held = "another process works on it" if outcome == "held" else outcome
        reason = folder.result().reason or held
        raise ValueError(
            f"{planned.code} could not be made again: {reason} (details: "
            f"{folder.path / 'output.log'})"
        )


def _compared(
    replica: Replica,
    folder: RunFolder,
    how: How,
    notes: list[str],
    made: _Made | None,
    changed: list[Difference],
) -> Reproduction:
    """The verdict; without anything made, the data that changed are its reason."""
    agreements, facts = [], changed
    if made:
        again = RunFolder.of(made.runs_dir, folder.identity)
        agreements = _agreements(replica, folder, again)
        facts = causes(differences(folder, again))
    return Reproduction(
        run=folder.identity,
        model=replica.planned.name,
        verdict=worst(agreements) if made else "different",
        agreements=agreements,
        causes=facts,
        code=made.code.about if made else "not needed: nothing was made again",
        packages=made.python.about if made else "not needed: nothing was made again",
        parent=replica.parent,
        notes=notes,
        scratch=None,
    )


def _agreements(replica: Replica, folder: RunFolder, again: RunFolder) -> list[Agreement]:
    updates = (folder.result().steps or 1) if replica.trains else 1
    found = []
    if replica.trains and folder.model_file.is_file():
        found.append(compare_weights(folder.model_file, again.model_file, updates=updates))
    for asked in replica.planned.evaluations:
        ours, theirs = (each.evaluation(asked.identity) / names.SCORES for each in (folder, again))
        found.append(compare_scores(ours, theirs, short(asked.identity), updates=updates))
    return found
