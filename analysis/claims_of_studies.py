"""The claims of several studies, as `tisdiss claims` lists them."""

import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tisdiss.analysis.captions import pretty
from tisdiss.analysis.claims import decide
from tisdiss.analysis.compare import kind_of
from tisdiss.analysis.frames import load_study
from tisdiss.analysis.sentence import sentence
from tisdiss.records.expression import parse
from tisdiss.records.files import DamagedError
from tisdiss.records.report_record import Verdict
from tisdiss.records.runs_layout import plan_file

if TYPE_CHECKING:
    from tisdiss.study.words import Study


def claims(
    studies: Sequence[str],
    profile: str,
    runs_dir: Path,
    *,
    warn: Callable[[str], object] = warnings.warn,
) -> list[Verdict]:
    """Every claim of the studies, decided from the run folders at a profile.

    The claims of a study without a readable plan at that profile come from `studies/` and are
    MISSING. `warn` is called with a message for every file that cannot be read.
    """
    from tisdiss.study.load import find_studies  # pydantic is slow to load

    verdicts = []
    for study in studies:
        name = Path(study).stem  # `study` is a name or a file
        reason = f"run `tisdiss run {study} --profile {profile}` first"
        if os.path.lexists(plan_file(runs_dir, name, profile)):
            try:
                frames = load_study(runs_dir, name, profile)
            except DamagedError as error:
                reason = "its plan cannot be read"
                warn(str(error))
            else:
                verdicts += decide(frames)
                for problem in frames.problems:
                    warn(problem)
                continue
        verdicts += unplanned(find_studies([study])[0], reason)
    return verdicts


def unplanned(study: "Study", reason: str) -> list[Verdict]:
    """The claims of a study without runs: all MISSING, with a reason."""
    names = {row.id: pretty(study.label(row)) for row in study.rows}
    return [
        Verdict(
            study=study.study,
            id=claim.id,
            expr=claim.expr,
            source=claim.source,
            status="MISSING",
            reason=reason,
            says=sentence(claim.says, claim.expr, names),
            kind=kind_of(claim.source, parse(claim.expr)),
            same_as=claim.same_as or "",
        )
        for claim in study.claims
    ]
