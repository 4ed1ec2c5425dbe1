"""The path of each claim over seeds, as `tisdiss run --until-decided` leaves it and goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from tisdiss.records.files import write_atomic
from tisdiss.records.reading import read_if_there
from tisdiss.records.record import Count, Record

SEED_PATH_SCHEMA = 1

Outcome = Literal["OPEN", "PASS", "FAIL", "FUTILE", "UNDECIDED", "NOT ASKED"]
"""OPEN: more seeds may decide it. FUTILE: they hardly would. UNDECIDED: there are no more.
NOT ASKED: no seed changes it, or it is decided."""


class Look(Record):
    """A claim at so many seeds: the comparison that is least above 0, in dB."""

    seeds: Count
    difference: float
    low: float
    high: float
    """Of the 95 % interval that disregards other looks."""
    p: float
    level: float
    """What p must not exceed, so that all looks together err in 5 % of cases."""
    power: float
    """The probability that the last look decides, as these seeds have it."""


class ClaimPath(Record):
    """A claim and its looks."""

    claim: str
    expr: str
    rows: list[str] = Field(default=[])
    outcome: Outcome
    reason: str = ""
    next_seed: Count | None = None
    """What rows that lack it train next; None where no seed is asked for."""
    looks: list[Look] = Field(default=[])
    begun: bool = False
    """Whether seeds were asked for: from then on each look has a level of its own."""


class SeedPath(Record):
    """until_decided/<study>.<profile>.json."""

    schema_: Count = Field(default=SEED_PATH_SCHEMA, alias="schema")
    study: str
    profile: str
    study_hash: str
    max_seeds: Count
    claims: list[ClaimPath]

    @property
    def open(self) -> list[ClaimPath]:
        """The claims that ask for a seed, the most promising first."""
        asking = [claim for claim in self.claims if claim.next_seed is not None]
        return sorted(asking, key=lambda claim: -(claim.looks[-1].power if claim.looks else 1.0))


def seed_path_file(runs_dir: Path, study: str, profile: str) -> Path:
    """Where the path of a study at a profile lies."""
    return Path(runs_dir) / "until_decided" / f"{study}.{profile}.json"


def read_seed_path(runs_dir: Path, study: str, profile: str) -> SeedPath | None:
    """What an earlier command left; DamagedError if it cannot be read."""
    path = seed_path_file(runs_dir, study, profile)
    way_out = "delete it: the claims are then tested as if nobody had looked at them"
    return read_if_there(path, SeedPath, way_out=way_out)


def write_seed_path(runs_dir: Path, path: SeedPath) -> Path:
    """Replace the file of the study."""
    file = seed_path_file(runs_dir, path.study, path.profile)
    write_atomic(file, path.model_dump_json(by_alias=True, indent=2) + "\n")
    return file
