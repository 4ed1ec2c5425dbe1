"""Tables of plans and status, and the progress of runs.

Progress is a bar with the time left on a terminal, and elsewhere one plain line per epoch, so that
logs stay short.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from tisdiss.config import WholeConfig
from tisdiss.cost.planned import is_counted, macs_per_second, parameters
from tisdiss.harness.estimate import (
    Basis,
    duration,
    find_basis,
    gibibytes,
    seconds,
    summary,
    two_digits,
)
from tisdiss.harness.plan import Plan, PlannedRun
from tisdiss.machine.lease import is_held
from tisdiss.records import names
from tisdiss.records.files import DamagedError
from tisdiss.records.identity import short
from tisdiss.records.plan_record import saved_plan
from tisdiss.records.problems import nearest
from tisdiss.records.run_folder import RunFolder, read_journal
from tisdiss.records.run_record import FINAL, Event
from tisdiss.records.runs_layout import plan_files, study_and_profile

WIDE = 110
"""Terminal width from which a plan shows all columns."""
STATE_STYLE = {
    "done": "green",
    "partial": "yellow",
    "failed": "red",
    "damaged": "red",
    "new": "cyan",
    "running": "bold",
}


def show_plan(plan: Plan, runs_dir: Path, console: Console) -> None:
    """Print the runs of a plan and, below, their total cost."""
    basis, wide = find_basis(plan, runs_dir), console.width >= WIDE
    console.print(plan_table(plan, basis, wide=wide))
    for line in summary(plan, basis):
        console.print(line, markup=False, highlight=False)
    if not wide:
        console.print(f"(a terminal of {WIDE} columns also shows seed, parameters, GMAC/s and GiB)")


def plan_table(plan: Plan, basis: Basis | None, *, wide: bool) -> Table:
    """Runs in the order of execution, with their cost and the rows that show them.

    `GMAC/s` are multiply-adds per second of audio, a+b*N if each of N repetitions adds b; "counted"
    ones are not from formulas. Time is that of one device. A table that is not `wide` leaves out
    some columns.
    """
    table = new_table(f"{len(plan.runs)} runs at profile {plan.profile}")
    for name in ("run", "model", "seed", "params", "GMAC/s", "GiB"):
        if wide or name in ("run", "model"):
            table.add_column(name, no_wrap=True)
    for name in ("time", "state"):
        table.add_column(name, no_wrap=True)
    table.add_column("shown in")
    for run in plan.runs:
        model = run.config.model
        cost = (
            str(run.seed),
            _in_millions(parameters(model)) + (" counted" if is_counted(model) else ""),
            _macs_by_depth(run),
            "" if (memory := gibibytes(run)) is None else two_digits(memory),
        )
        table.add_row(
            run.code,
            "\n".join([*name_in_lines(run.name, 40 if wide else 26), *_origin(plan, run)]),
            *(cost if wide else ()),
            duration(seconds(run, basis)),
            "?" if run.unknown else _styled(run.state),
            ", ".join(sorted({f"{m.study}/{m.row}" for m in run.members})) or "(parent only)",
        )
    return table


def new_table(title: str) -> Table:
    """An empty table in the common style."""
    return Table(
        title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False
    )


def name_in_lines(name: str, width: int) -> list[str]:
    """A paper name in lines, broken between its parts."""
    lines = [""]
    for part in name.split("-"):
        if lines[-1] and len(lines[-1]) + len(part) >= width:
            lines.append("  ")
        lines[-1] += f"{part}-"
    return [*lines[:-1], lines[-1].removesuffix("-")]


def _origin(plan: Plan, run: PlannedRun) -> list[str]:
    """A line about the parent or weights file that a run starts from, if there is one."""
    if run.file:
        return [f"  from {run.file}"]
    parent = next((p for p in plan.runs if p.identity == run.parent), None)
    return [f"  from {parent.name if parent.unknown else parent.code}"] if parent else []


def _in_millions(count: int) -> str:
    return f"{count / 1e6:.1f} M" if count >= 1e6 else f"{count / 1e3:.0f} k"


def _macs_by_depth(run: PlannedRun) -> str:
    """GMAC/s at all depths at once: a repetition adds the same; else the first and the last."""
    model = run.config.model
    if not model.dial:
        return f"{macs_per_second(model) / 1e9:.3g}"
    if isinstance(model, WholeConfig):
        ends = (macs_per_second(model, n_re) / 1e9 for n_re in (model.dial[0], model.dial[-1]))
        return " to ".join(f"{end:.3g}" for end in ends)
    one, two = (macs_per_second(model, n_re) / 1e9 for n_re in (1, 2))
    return f"{2 * one - two:.3g}+{two - one:.3g}*N"


@dataclass(frozen=True)
class StatusLine:
    """The progress of one run of a planned row; a plan that cannot be read has no row."""

    study: str
    profile: str
    row: str
    run: str
    """Identity; "" if the plan is damaged."""
    seed: int | None
    state: str
    """new, partial, running, done, failed or damaged."""
    progress: str
    """The last event, or why the run is not done."""


def status_lines(runs_dir: Path, studies: Sequence[str] = ()) -> list[StatusLine]:
    """The runs of every planned row of the studies, of all if none is named.

    ValueError for a study without a plan.
    """
    files = {path: study_and_profile(path)[0] for path in plan_files(runs_dir)}
    _check_planned(studies, set(files.values()), runs_dir)
    paths = [path for path, study in files.items() if not studies or study in studies]
    return [line for path in paths for line in _lines_of(runs_dir, path)]


def status(runs_dir: Path, studies: Sequence[str] = ()) -> Table | Text:
    """The lines of `status_lines` as a table; a line of text if nothing is planned."""
    lines = status_lines(runs_dir, studies)
    if not lines:
        start = "start with: tisdiss run fig2e --profile mini"
        return Text(f"no study is planned in {runs_dir}; {start}")
    return _status_table(runs_dir, lines)


def _check_planned(studies: Sequence[str], planned: set[str], runs_dir: Path) -> None:
    for study in studies:
        if study not in planned:
            near = f"; {nearest(study, planned)}" if planned else ""
            raise ValueError(
                f"study '{study}' has no plan in {runs_dir}{near}; "
                "`tisdiss run NAME --profile mini` plans a study and runs it"
            )


def _status_table(runs_dir: Path, lines: Sequence[StatusLine]) -> Table:
    table = new_table(f"studies in {runs_dir}")
    for column in ("study", "profile", "row", "run", "seed", "state"):
        table.add_column(column, no_wrap=True)
    table.add_column("progress", overflow="fold")
    for line, coming in zip(lines, [*lines[1:], None], strict=True):
        seed = "" if line.seed is None else str(line.seed)
        shown = (line.study, line.profile, line.row, short(line.run), seed, _styled(line.state))
        is_last = coming is None or (coming.study, coming.profile) != (line.study, line.profile)
        table.add_row(*shown, escape(line.progress), end_section=is_last)
    return table


def _lines_of(runs_dir: Path, path: Path) -> Iterator[StatusLine]:
    study, profile = study_and_profile(path)
    try:
        rows = saved_plan(path).rows
    except DamagedError as error:
        yield StatusLine(study, profile, "", "", None, "damaged", str(error))
        return
    for row in rows:
        for run in row.runs:
            folder = RunFolder.of(runs_dir, run.identity)
            state = _state_and_progress(folder, run.evaluation)
            yield StatusLine(study, profile, row.id, run.identity, run.seed, *state)


def _state_and_progress(folder: RunFolder, evaluation: str) -> tuple[str, str]:
    try:
        return _state(folder, evaluation), progress_of(folder, evaluation)
    except DamagedError as error:
        return "damaged", str(error)


def _state(folder: RunFolder, evaluation: str) -> str:
    return "running" if is_held(folder.lock_file) else folder.state((evaluation,))


def _styled(state: str) -> str:
    return f"[{STATE_STYLE[state]}]{state}[/]"


def progress_of(folder: RunFolder, evaluation: str | None = None) -> str:
    """Why the run is not done, or its last event, without those of other evaluations."""
    result = folder.result()
    if result.reason not in (None, "time") and result.status not in FINAL:
        return result.reason
    events = [e for e in read_journal(folder.journal) if e.kind != names.EVENT_SYSTEM]
    if evaluation is not None:
        events = _events_about(events, folder, evaluation)
    return _line(events[-1]) if events else ""


def _events_about(events: list[Event], folder: RunFolder, evaluation: str) -> list[Event]:
    """Events of training and of the evaluation.

    Events of scored mixtures name no evaluation; they count while this one is in progress.
    """
    path = folder.evaluation(evaluation)
    is_open = path.with_name(f".{path.name}.partial").is_dir()
    return [
        event
        for event in events
        if event.evaluation in (None, evaluation) and (is_open or event.kind != names.EVENT_SCORED)
    ]


class Watcher:
    """Turns the events of runs into a progress bar, or into plain lines."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=12),
            TextColumn("{task.fields[line]}"),
            console=console,
            transient=True,
        )
        self.tasks: dict[str, TaskID] = {}
        self.last_plain = 0.0

    def __call__(self, planned: PlannedRun, event: Event) -> None:
        if event.kind in (names.EVENT_DEPTH, names.EVENT_SYSTEM):
            return
        if event.kind == names.EVENT_WARNING:
            self.say(f"{short(planned.identity)} warning: {event.text}")
        elif self.console.is_terminal:
            self._bar(planned, event)
        elif event.kind == names.EVENT_EPOCH or time.monotonic() - self.last_plain > 60:
            self.last_plain = time.monotonic()
            self.say(f"{short(planned.identity)} {_line(event)}")

    def say(self, text: str) -> None:
        self.console.print(text, highlight=False, soft_wrap=True, markup=False)

    def _bar(self, planned: PlannedRun, event: Event) -> None:
        if event.kind == names.EVENT_SCORED:
            phase, total = "evaluate", event.metrics[names.SCORED_MIXTURES]
        else:
            phase = "fine-tune" if planned.parent else "train"
            total = planned.config.epochs * (_steps(planned) or 1)
        task = self.tasks.get(planned.identity)
        if task is None:
            task = self.tasks[planned.identity] = self.progress.add_task("", total=None, line="")
        name = f"{short(planned.identity)} {phase}"
        self.progress.update(
            task, description=name, total=total, completed=event.step, line=_line(event)
        )
        if event.step >= total:
            self.progress.remove_task(self.tasks.pop(planned.identity))


def _steps(planned: PlannedRun) -> int:
    config = planned.config
    return config.steps_per_epoch or -(-config.data.train_mixtures // config.batch_size)


def _line(event: Event) -> str:
    """An event in a few words: epoch and step, loss or score, time left."""
    metrics = event.metrics
    if event.kind == names.EVENT_DEPTH:
        return f"scored up to N_re {event.step}"
    parts = [f"{event.kind} {event.step}" if event.kind == names.EVENT_SCORED else ""]
    if event.kind in (names.EVENT_TRAIN, names.EVENT_EPOCH):
        parts = [f"epoch {event.epoch} step {event.step}"]
    for key, text in (
        (names.TRAIN_LOSS, "loss {:.2f} dB"),
        (names.VAL_LOSS, "validation loss {:.2f} dB"),
        (names.VAL_SI_SNRI, f"{names.score_label(names.SI_SNRI)} {{:.2f}} dB"),
        (names.SCORED_SI_SNRI, f"{names.score_label(names.SI_SNRI)} {{:.2f}} dB"),
    ):
        if key in metrics:
            parts.append(text.format(metrics[key]))
    if names.SECONDS_LEFT in metrics:
        parts.append(f"{_clock(metrics[names.SECONDS_LEFT])} left")
    return ", ".join(part for part in parts if part)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


@contextmanager
def watching(console: Console) -> Iterator[Watcher]:
    """A watcher whose bar is drawn while the block runs."""
    watcher = Watcher(console)
    if not console.is_terminal:
        yield watcher
        return
    with watcher.progress:
        yield watcher


def outcome_lines(outcomes: Mapping[str, str]) -> Sequence[str]:
    """The number of runs with each outcome, one line each."""
    counts: dict[str, int] = {}
    for outcome in outcomes.values():
        counts[outcome] = counts.get(outcome, 0) + 1
    return [f"{count} {outcome}" for outcome, count in sorted(counts.items())]
