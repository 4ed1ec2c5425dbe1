"""The errors if there is no plan or report.

This module imports nothing slow, so a command fails at once.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from tisdiss.records.names import PROVENANCE
from tisdiss.records.runs_layout import plan_file, plan_files

PANELS = ("fig2a", "fig2b", "fig2c", "fig2d", "fig2e", "fig2f", "fig2g", "fig2h")
"""The studies of Fig. 2, one per panel."""

PAPER = ("table1", "table2", "table3", *PANELS)
"""The studies of the paper, one per table or figure of results."""


def check_planned(runs_dir: Path, study: str, profile: str) -> None:
    """Raise ValueError without a plan of the study; the message names the command to run."""
    if not os.path.lexists(plan_file(runs_dir, study, profile)):
        plans = ", ".join(path.stem for path in plan_files(runs_dir)) or "none"
        raise ValueError(
            f"no plan of study {study!r} at profile {profile!r}: run "
            f"`tisdiss run {study} --profile {profile}` first; existing plans: {plans}"
        )


def reported(reports: Path) -> list[str]:
    """The studies with a report in a folder."""
    return sorted(path.parent.name for path in Path(reports).glob(f"*/{PROVENANCE}"))


def check_reported(cell: str, reports: Path, study: str) -> None:
    """Raise ValueError if there is no report of a cell's study."""
    if not (reports / study / PROVENANCE).is_file():
        studies = ", ".join(reported(reports)) or "none"
        raise ValueError(
            f"{cell}: no report of study {study!r} in {reports}; there are: {studies}. "
            f"`tisdiss report {study}` writes it"
        )


def check_reports(reports: Path, studies: Iterable[str]) -> None:
    """Raise ValueError if one of the studies has no report, or if there is no report at all."""
    present = reported(reports)
    absent = [study for study in sorted(studies) if study not in present]
    if absent or not present:
        of = f" of {absent[0]!r}" if absent else ""
        first = [*absent, "fig2e"][0]
        raise ValueError(
            f"{reports} holds no report{of}: "
            f"run `tisdiss run {first}` and `tisdiss report {first}` first"
        )


def check_panels(reports: Path) -> None:
    """Raise ValueError if no panel of Fig. 2 has a report."""
    if not any(os.path.lexists(Path(reports) / study / PROVENANCE) for study in PANELS):
        raise ValueError(
            f"{reports} holds no panel of Fig. 2: `tisdiss report fig2a` writes one from its runs"
        )
