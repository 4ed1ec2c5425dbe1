"""`tisdiss status --watch`: what works now and how far rows are, drawn anew every few seconds."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from tisdiss.harness.display import progress_of, status_table
from tisdiss.harness.identity import short
from tisdiss.harness.lease import holder, silent_seconds
from tisdiss.harness.tracking import run_folders

REFRESH_SECONDS = 2.0


def watch_status(
    runs_dir: Path,
    console: Console,
    *,
    seconds: float = REFRESH_SECONDS,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Draw until interrupted; off a terminal, once."""
    if not console.is_terminal:
        console.print(_picture(runs_dir))
        return
    with Live(_picture(runs_dir), console=console, auto_refresh=False, screen=True) as live:
        try:
            while True:
                sleep(seconds)
                live.update(_picture(runs_dir), refresh=True)
        except KeyboardInterrupt:
            return


def _picture(runs_dir: Path) -> Group:
    return Group(working_table(runs_dir), status_table(runs_dir))


def working_table(runs_dir: Path) -> Table:
    """The runs that a process holds at this moment, with its last sign of life."""
    table = Table(title="at work", title_justify="left")
    for column in ("run", "model", "process", "since", "silent", "progress"):
        table.add_column(column, overflow="fold")
    for folder in run_folders(runs_dir):
        who = holder(folder.lock_file)
        if not who:
            continue
        silent = silent_seconds(folder.lock_file)
        hung = silent > who.get("lease", float("inf"))
        table.add_row(
            short(folder.identity),
            folder.read("config.json")["name"],
            f"{who.get('pid', '?')} on {who.get('host', '?')}",
            str(who.get("since", "?")),
            f"[red]{silent:.0f} s, hangs[/]"
            if hung
            else f"{silent:.0f} s"
            if "lease" in who
            else "",
            progress_of(folder),
        )
    return table
