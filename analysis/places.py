"""Where plans and reports lie, and what is said where there is none.

Nothing heavy is loaded here, so that a command can tell it at once.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from tisdiss.records.names import PROVENANCE

PANELS = ("fig2a", "fig2b", "fig2c", "fig2d", "fig2e", "fig2f", "fig2g", "fig2h")
"""The studies of Fig. 2, a panel each."""

PAPER = ("table1", "table2", "table3", *PANELS)
"""Every table and figure of results in the paper, a study each."""


def plan_path(runs_dir: Path, study: str, profile: str) -> Path:
    """Where the plan of a study at a profile lies, once `tisdiss run` wrote one."""
    return Path(runs_dir) / "plans" / f"{study}.{profile}.json"


def check_planned(runs_dir: Path, study: str, profile: str) -> None:
    """A ValueError that names the command which plans the study, where there is no plan."""
    path = plan_path(runs_dir, study, profile)
    if not os.path.lexists(path):
        there = ", ".join(sorted(p.stem for p in path.parent.glob("*.json"))) or "none"
        raise ValueError(
            f"no plan of study {study!r} at profile {profile!r}: run "
            f"`tisdiss run {study} --profile {profile}` first; plans there are: {there}"
        )


def reported(reports: Path) -> list[str]:
    """The studies of which a folder holds reports."""
    return sorted(path.parent.name for path in Path(reports).glob(f"*/{PROVENANCE}"))


def check_report(folder: Path) -> None:
    """A ValueError that names the command which writes the report, where there is none."""
    if not os.path.lexists(folder / PROVENANCE):
        raise ValueError(f"{folder} holds no report: `tisdiss report {folder.name}` writes it")


def check_reported(cell: str, reports: Path, study: str) -> None:
    """A ValueError where there is no report of the study that a cell is of."""
    if not (reports / study / PROVENANCE).is_file():
        there = ", ".join(reported(reports)) or "none"
        raise ValueError(
            f"{cell}: no report of study {study!r} in {reports}; there are: {there}. "
            f"`tisdiss report {study}` writes it"
        )


def check_reports(reports: Path, studies: Iterable[str]) -> None:
    """A ValueError where one of the studies, or if none is named any, has no report."""
    there, wanted = reported(reports), sorted(studies)
    lacking = [study for study in wanted if study not in there]
    if lacking or not there:
        of = f" of {lacking[0]!r}" if lacking else ""
        first = [*lacking, "fig2e"][0]
        raise ValueError(
            f"{reports} holds no report{of}: "
            f"run `tisdiss run {first}` and `tisdiss report {first}` first"
        )


def check_panels(reports: Path) -> None:
    """A ValueError where there is a report of no panel of Fig. 2."""
    if not any(os.path.lexists(Path(reports) / study / PROVENANCE) for study in PANELS):
        raise ValueError(
            f"{reports} holds no panel of Fig. 2: `tisdiss report fig2a` writes one, from its runs"
        )
