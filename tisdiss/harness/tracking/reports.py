"""The report of a study as an MLflow run that holds its files.

`tisdiss report` notes in `runs/reports/` where it wrote a report, so that a sync finds it. There is
one MLflow run per study and profile. It is no row of the study: it has the study's name in another
tag than the runs that are compared, and no metrics.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from tisdiss.harness.tracking.view import View
from tisdiss.records import names
from tisdiss.records.files import DamagedError, write_atomic
from tisdiss.records.identity import sha256_of
from tisdiss.records.reading import read_as, read_if_there
from tisdiss.records.report_record import ReportFile, ReportPlace, read_report
from tisdiss.records.run_folder import json_text
from tisdiss.records.runs_layout import report_note, study_and_profile

_WAY_OUT = "delete it; `tisdiss report` writes it again"


def report_identity(study: str, profile: str) -> str:
    """64 hex digits, which name the report's run in MLflow."""
    return sha256_of({"report": study, "profile": profile})


def note_report(runs_dir: Path, study: str, profile: str, written: Sequence[Path]) -> None:
    """Remember the files of a report for the next sync; paths are relative, as projects move."""
    path = report_note(runs_dir, study, profile)
    before = read_if_there(path, ReportPlace, way_out=_WAY_OUT)
    place = ReportPlace(
        study=study,
        profile=profile,
        first_ms=before.first_ms if before else time.time_ns() // 1_000_000,
        files=sorted(os.path.relpath(file, runs_dir) for file in written),
    )
    write_atomic(path, json_text(place.plain()))


def noted_identity(note: Path) -> str:
    """The identity of a report by its note's name."""
    return report_identity(*study_and_profile(note))


def report_view(runs_dir: Path, note: Path) -> View | None:
    """The view of a report; None if its files are gone. DamagedError if it cannot be read."""
    place = read_as(note, ReportPlace, way_out=_WAY_OUT)
    files = [path for name in place.files if (path := Path(runs_dir) / name).is_file()]
    provenance = [path for path in files if path.name == names.PROVENANCE]
    if not provenance:
        return None
    try:
        report = read_report(provenance[0].parent)
    except DamagedError:
        raise
    except ValueError as error:
        raise DamagedError(str(error)) from error
    return View(
        tags=_tags(place, report),
        params={},
        metrics=[],
        started=place.first_ms,
        ended=provenance[0].stat().st_mtime_ns // 1_000_000,
        status="FINISHED",
        folder=None,
        files={"": files},
        alone=True,
    )


def _tags(place: ReportPlace, report: ReportFile) -> dict[str, str]:
    return {
        names.TAG_IDENTITY: report_identity(place.study, place.profile),
        names.TAG_KIND: names.KIND_REPORT,
        names.TAG_REPORT: place.study,
        names.TAG_PROFILE: place.profile,
        names.RUN_NAME_TAG: f"Report · {place.study} · {place.profile}",
        names.NOTE_TAG: _note(report),
    }


def _note(report: ReportFile) -> str:
    """Markdown: the title, and each claim with its verdict."""
    claims = [f"* **{claim.status}** {claim.says or claim.id}" for claim in report.claims]
    return "\n\n".join([f"**{report.plan.title}**", "\n".join(claims)]).strip()
