"""The report of a search: a table of its trials, and a figure of the Pareto front or the best."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, MaxNLocator, NullFormatter

from tisdiss.analysis.canvas import COLOURS, render, style
from tisdiss.analysis.inventory import write_own
from tisdiss.records.identity import short
from tisdiss.records.names import MACS, SI_SNRI, score_label
from tisdiss.records.reading import read_as
from tisdiss.records.runs_layout import search_file
from tisdiss.records.search_record import SearchFile
from tisdiss.study.search_file import OBJECTIVES

_LABELS = {SI_SNRI: f"validation {score_label(SI_SNRI)} [dB]", MACS: "GMAC per second of audio"}
_SCALES = {SI_SNRI: 1.0, MACS: 1e-9}


def report_search(
    search: str, profile: str, runs_dir: Path, reports: Path, *, force: bool = False
) -> list[Path]:
    """Write `reports/<search>/`: figure in three formats, trials.csv and trials.md."""
    record = read_search(search, profile, runs_dir)
    trials = trial_frame(record)
    files: dict[str, bytes | str] = {"trials.csv": trials.to_csv(index=False)}
    files["trials.md"] = _markdown(trials, record)
    images = render(search_figure(trials, record))
    files |= {f"{search}.{form}": content for form, content in images.items()}
    return write_own(Path(reports) / search, files, force=force)


def read_search(search: str, profile: str, runs_dir: Path) -> SearchFile:
    """The record that `tisdiss search` wrote; without one, ValueError says what to run."""
    path = search_file(runs_dir, search, profile)
    command = f"`tisdiss search {search} --profile {profile}`"
    try:
        return read_as(path, SearchFile, way_out=f"delete it and run {command} again")
    except FileNotFoundError:
        raise ValueError(f"{path}: no trials yet; first {command}") from None


def trial_frame(record: SearchFile) -> pd.DataFrame:
    """One row per trial: number, state, settings, values (dB; multiply-adds), best or not, run."""
    rows = []
    for trial in record.trials:
        values: Sequence[float | None] = trial.values or [None] * len(record.objectives)
        row: dict[str, object] = {"trial": trial.number, "state": trial.state, **trial.params}
        row |= dict(zip(record.objectives, values, strict=True))
        row |= {"best": trial.number in record.best, "run": short(trial.identity)}
        rows.append(row)
    return pd.DataFrame(rows)


def search_figure(trials: pd.DataFrame, record: SearchFile) -> Figure:
    """All trials with the Pareto front of both objectives, or with the best so far of one."""
    complete = trials[trials["state"] == "complete"]
    with style(str(record.plain())):
        figure = Figure()
        axes = figure.subplots()
        if len(record.objectives) == 2:
            _draw_front(axes, complete)
        else:
            _draw_history(axes, complete, record.objectives[0])
        counts = f"{len(complete)} trials, {len(trials) - len(complete)} without a value"
        axes.set_title(f"{record.title}\n{counts}; profile {record.profile}, one seed", fontsize=7)
    return figure


def _draw_front(axes: Axes, complete: pd.DataFrame) -> None:
    cost = complete[MACS] * _SCALES[MACS]
    axes.scatter(cost, complete[SI_SNRI], s=12, color="0.6", label="trials")
    front = complete[complete["best"]].sort_values(MACS)
    axes.plot(
        *(front[MACS] * _SCALES[MACS], front[SI_SNRI]),
        marker="o",
        drawstyle="steps-post",
        color=COLOURS[0],
        label="front",
    )
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FormatStrFormatter("%g"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(_LABELS[MACS])
    axes.set_ylabel(_LABELS[SI_SNRI])
    axes.legend(loc="upper left")


def _draw_history(axes: Axes, complete: pd.DataFrame, objective: str) -> None:
    values = complete[objective] * _SCALES[objective]
    axes.scatter(complete["trial"], values, s=12, color="0.6", label="trials")
    best = values.cummin() if _is_minimised(objective) else values.cummax()
    axes.step(complete["trial"], best, where="post", color=COLOURS[0], label="best so far")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("trial")
    axes.set_ylabel(_LABELS[objective])
    axes.legend(loc="best")


def _markdown(trials: pd.DataFrame, record: SearchFile) -> str:
    """The trials, those on the front first, then by the first objective, the best first."""
    first = record.objectives[0]
    ordered = trials.sort_values(["best", first], ascending=[False, _is_minimised(first)])
    columns = list(ordered.columns)
    head = [f"# {record.title}", "", f"Profile {record.profile}, one seed.", ""]
    lines = [*head, _line(columns), _line(["---"] * len(columns))]
    for row in ordered.itertuples(index=False):
        lines.append(_line([_cell(value) for value in row]))
    return "\n".join(lines) + "\n"


def _is_minimised(objective: str) -> bool:
    return OBJECTIVES[objective] == "minimize"


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, float):
        return "" if value != value else f"{value:.4g}"
    return str(value)


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
