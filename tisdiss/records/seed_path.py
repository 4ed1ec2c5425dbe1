"""The looks at each claim over seeds, which `tisdiss run --until-decided` saves and resumes."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from tisdiss.records.files import write_atomic
from tisdiss.records.reading import read_if_there
from tisdiss.records.record import Count, Record
from tisdiss.records.runs_layout import seed_path_file

Outcome = Literal["OPEN", "PASS", "FAIL", "FUTILE", "UNDECIDED", "NOT ASKED"]
"""OPEN: more seeds may decide the claim. FUTILE: more seeds would hardly decide it. UNDECIDED: no
seeds are left. NOT ASKED: no seed changes it, or it is decided already."""


class Look(Record):
    """A claim after this many seeds: its comparison with the least evidence of being above 0."""

    seeds: Count
    difference: float
    """In dB."""
    low: float
    high: float
    """Ends of the 95 % confidence interval, not corrected for other looks."""
    p: float
    level: float
    """The largest p that decides, such that all looks together err in 5 % of cases."""
    power: float
    """The probability that the last look decides, estimated from these seeds."""


class ClaimPath(Record):
    """A claim and its looks."""

    claim: str
    expr: str
    rows: list[str] = Field(default=[])
    outcome: Outcome
    reason: str = ""
    next_seed: Count | None = None
    """The seed that rows without it train next; None if none is requested."""
    looks: list[Look] = Field(default=[])
    begun: bool = False
    """Whether seeds were requested; from then on each look has its own level."""


class SeedPath(Record):
    """until_decided/<study>.<profile>.json."""

    schema_: Literal[1] = Field(default=1, alias="schema")
    study: str
    profile: str
    study_hash: str
    max_seeds: Count
    claims: list[ClaimPath]

    @property
    def open(self) -> list[ClaimPath]:
        """The claims that request a seed, by decreasing power."""
        asking = [claim for claim in self.claims if claim.next_seed is not None]
        return sorted(asking, key=lambda claim: -(claim.looks[-1].power if claim.looks else 1.0))


def read_seed_path(runs_dir: Path, study: str, profile: str) -> SeedPath | None:
    """The file of an earlier command, None without one; DamagedError if it cannot be read."""
    path = seed_path_file(runs_dir, study, profile)
    way_out = "delete it: the claims are then tested as if there had been no looks before"
    return read_if_there(path, SeedPath, way_out=way_out)


def write_seed_path(runs_dir: Path, path: SeedPath) -> Path:
    """Write the file of the study and return its path."""
    file = seed_path_file(runs_dir, path.study, path.profile)
    write_atomic(file, path.model_dump_json(by_alias=True, indent=2) + "\n")
    return file
