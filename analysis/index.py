"""The index of `reports/`: a list of all studies, run or not."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from tisdiss.analysis.captions import basis, escape_markdown, fill
from tisdiss.analysis.claims_of_studies import unplanned
from tisdiss.analysis.claims_text import counts, headline, meaning
from tisdiss.analysis.claims_text import to_markdown as claims_markdown
from tisdiss.analysis.inventory import ForeignFileError, write_own
from tisdiss.analysis.places import PAPER, reported
from tisdiss.analysis.sentence import labels, sentence
from tisdiss.machine.folders import STUDIES
from tisdiss.records.files import brief
from tisdiss.records.plan_record import ClaimPart, Show, StudyFile
from tisdiss.records.report_record import Verdict, read_report
from tisdiss.records.runs_layout import plan_files, study_and_profile

if TYPE_CHECKING:
    from tisdiss.study.words import Study

_OTHERS = {
    "report.html": "all studies on one offline page, with sounds that may be passed on",
    "fig2/fig2.png": "Fig. 2 with the panels that were run",
    "fig2/depth-gain.png": (
        "the gain from N_re = 1 to the trained N_re against SI-SNRi, of all rows with repetitions"
    ),
    "benchmarks/README.md": "speed and memory",
}


@dataclass(frozen=True)
class Entry:
    """A study of the list; `plan` is None without a report."""

    study: str
    title: str
    claim: str
    verdicts: list[Verdict]
    plan: StudyFile | None = None
    basis: list[str] = field(default_factory=list)
    """Profile, corpus, seeds, mixtures and speakers."""
    complete: int = 0
    """Number of rows that have all their runs."""
    problem: str = ""
    """The reason why an existing report cannot be read."""

    @property
    def counts(self) -> str:
        """The number of claims by status."""
        return counts(self.verdicts)


def entries(reports: Path) -> list[Entry]:
    """The paper's studies in its order, then all other studies with a report.

    A study of the paper without a report is read from `studies/`; without that file it is left out.
    """
    present = reported(reports)
    paper = [name for name in PAPER if name in present or (STUDIES / f"{name}.yaml").is_file()]
    names = dict.fromkeys([*paper, *present])
    return [_entry(Path(reports) / name) if name in present else _absent(name) for name in names]


def as_written_now(plan: StudyFile) -> StudyFile:
    """The plan with the claims and texts of its current study file; unchanged without that file.

    No run depends on them, so a claim can be added or corrected after all runs are done. ValueError
    tells the mistakes of the file.
    """
    study = _study_now(plan.study)
    if study is None:
        return plan
    return plan.updated(
        title=study.title,
        claim=study.claim,
        how_to_read=study.notes,
        claims=[ClaimPart.model_validate(claim.model_dump()) for claim in study.claims],
        show=Show.model_validate(study.show.model_dump()),
        order=list(dict.fromkeys([*(row.id for row in study.rows), *plan.order])),
    )


def all_studies(runs_dir: Path, profile: str) -> list[str]:
    """The paper's studies, then all other studies that were planned at a profile."""
    planned = [study_and_profile(path)[0] for path in plan_files(runs_dir, profile)]
    return list(dict.fromkeys([*PAPER, *planned]))


def all_verdicts(listed: Sequence[Entry]) -> list[Verdict]:
    """Every claim of the listed studies, run or not."""
    return [verdict for entry in listed for verdict in entry.verdicts]


def write_index(reports: Path) -> Path:
    """Write `reports/README.md` from the reports there; the same reports give the same bytes.

    If the user has a README.md there, the file is `reports/reports.md`.
    """
    reports = Path(reports)
    listed = entries(reports)
    shown = [verdict for entry in listed if entry.plan for verdict in entry.verdicts]
    text = fill(
        "index.md",
        {"md": escape_markdown},
        run=[entry for entry in listed if entry.plan],
        absent=[entry for entry in listed if not entry.plan],
        others={path: what for path, what in _OTHERS.items() if (reports / path).is_file()},
        claims=claims_markdown(shown, with_study=True),
        headline=headline(all_verdicts(listed)),
        meaning=meaning(shown),
        counts=counts(all_verdicts(listed)),
    )
    try:
        (path,) = write_own(reports, {"README.md": text})
    except ForeignFileError:
        (path,) = write_own(reports, {"reports.md": text})
    return path


def _entry(folder: Path) -> Entry:
    """The entry of a study with a report."""
    try:
        report = read_report(folder)
        verdicts = [_in_words(verdict, report.plan) for verdict in report.claims]
    except ValueError as error:
        return unreadable(folder, error)
    plan, sizes = report.plan, pd.DataFrame(map(vars, report.cells.values()))
    rows = {name.rsplit(".", 2)[0] for name in report.cells}
    complete = sum(row.id in rows and not row.is_torn for row in plan.rows)
    numbers = basis(plan, sizes)
    return Entry(plan.study, plan.title, plan.claim or "", verdicts, plan, numbers, complete)


def _in_words(verdict: Verdict, plan: StudyFile) -> Verdict:
    """A verdict with its sentence, which reports of earlier versions lack."""
    says = sentence(verdict.says, verdict.expr, labels(plan))
    return verdict.model_copy(update={"says": says})


def unreadable(folder: Path, error: ValueError) -> Entry:
    """The entry of a report that cannot be read."""
    return _absent(folder.name, str(error).replace(f"{folder.parent}/", ""))


def _absent(study: str, problem: str = "") -> Entry:
    """The entry of a study without a readable report, from its study file."""
    try:
        file = _study_now(study)
    except ValueError as error:
        return Entry(study, "", "", [], problem=problem or brief(error))
    if file is None:
        return Entry(study, "", "", [], problem=problem)
    verdicts = unplanned(file, problem or "not run")
    return Entry(study, file.title, file.claim or "", verdicts, problem=problem)


def _study_now(name: str) -> "Study | None":
    """The study of a name, in `studies/` or the package; None if neither has it.

    ValueError tells the mistakes of its file.
    """
    from tisdiss.study.load import find_studies, study_file  # pydantic is slow to load

    if not study_file(name, STUDIES).is_file():
        return None
    (study,) = find_studies([name], STUDIES)
    return study
