"""The rows that show each run, from the plan files of a runs folder."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tisdiss.harness.plan_file import saved_plans
from tisdiss.harness.tracking.saved_view import differing_params
from tisdiss.harness.tracking.view import Place, params_of
from tisdiss.records.files import DamagedError
from tisdiss.records.identity import short
from tisdiss.records.run_folder import RunFolder


def shown_studies(runs_dir: Path) -> list[str]:
    """The studies and searches whose runs MLflow shows; damaged plans are reported elsewhere."""
    plans = saved_plans(runs_dir, damaged=lambda error: None)
    return sorted({plan.study for plan in plans})


@dataclass(frozen=True)
class Shown:
    """The rows that show each run of a folder, by identity."""

    runs_dir: Path
    places: dict[str, list[Place]]

    @classmethod
    def of(cls, runs_dir: Path, problems: list[str]) -> Shown:
        """Read all plan files; what cannot be read is appended to the problems."""
        places: dict[str, list[Place]] = {}
        for plan in saved_plans(runs_dir, damaged=lambda error: problems.append(str(error))):
            for row in plan.rows:
                place = Place(
                    plan.study, plan.profile, plan.title, plan.claim or "", row.id, row.label or ""
                )
                for run in row.runs:
                    places.setdefault(run.identity, []).append(place)
        return cls(runs_dir, places)

    def studies(self, codes: Collection[str] | None = None) -> list[str]:
        """The studies that show any of these runs; None: all studies with runs."""
        return sorted(
            {
                place.study
                for identity, places in self.places.items()
                if codes is None or short(identity) in codes
                for place in places
            }
        )

    def differing(self, study: str) -> list[str]:
        """The parameters in which the study's runs differ, as far as they have begun."""
        settings = []
        for identity, places in self.places.items():
            if study in {place.study for place in places}:
                with suppress(DamagedError, OSError):  # reported where the run itself is synced
                    folder = RunFolder.of(self.runs_dir, identity)
                    settings.append(params_of(folder.trained_config()))
        return differing_params(settings)
