"""`tisdiss status --watch`: running processes and progress of rows, redrawn every few seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from tisdiss.harness.display import name_in_lines, new_table, progress_of, status
from tisdiss.machine.lease import holder, silent_seconds
from tisdiss.records.files import DamagedError
from tisdiss.records.run_folder import RunFolder, run_folders

REFRESH_SECONDS = 2.0


def watch_status(
    runs_dir: Path,
    console: Console,
    studies: Sequence[str] = (),
    *,
    seconds: float = REFRESH_SECONDS,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Draw until interrupted; only once if the output is not a terminal."""
    if not console.is_terminal:
        console.print(_picture(runs_dir, studies))
        return
    with Live(
        _picture(runs_dir, studies), console=console, auto_refresh=False, screen=True
    ) as live:
        try:
            while True:
                sleep(seconds)
                live.update(_picture(runs_dir, studies), refresh=True)
        except KeyboardInterrupt:
            return


def _picture(runs_dir: Path, studies: Sequence[str]) -> Group:
    return Group(working_table(runs_dir), status(runs_dir, studies))


def working_table(runs_dir: Path) -> Table:
    """The runs that a process holds now, with the time since its last heartbeat."""
    table = new_table("running")
    for column in ("run", "process", "silent"):
        table.add_column(column, no_wrap=True)
    for column in ("model", "progress"):
        table.add_column(column, overflow="fold")
    for path in run_folders(runs_dir):
        folder = RunFolder(path, path.name)
        process = holder(folder.lock_file)
        if not process:
            continue
        table.add_row(
            path.name,
            f"{process.get('pid', '?')} on {process.get('host', '?')}",
            _silence(process, silent_seconds(folder.lock_file)),
            *_model_and_progress(folder),
        )
    return table


def _model_and_progress(folder: RunFolder) -> tuple[str, str]:
    try:
        name = folder.model_name()
        return "\n".join(name_in_lines(name, 26)), escape(progress_of(folder))
    except DamagedError as error:
        return "", escape(str(error))


def _silence(process: Mapping[str, Any], seconds: float) -> str:
    if "lease" not in process:
        return ""
    return f"[red]{seconds:.0f} s, hangs[/]" if seconds > process["lease"] else f"{seconds:.0f} s"
