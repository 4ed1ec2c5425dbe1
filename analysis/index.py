"""What `reports/` holds of the whole paper: a list of all studies, run or not, made from them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from tisdiss.analysis.captions import basis, escape_markdown, fill
from tisdiss.analysis.claims_of_studies import unplanned
from tisdiss.analysis.claims_text import counts, headline
from tisdiss.analysis.claims_text import to_markdown as claims_markdown
from tisdiss.analysis.frames import read_provenance
from tisdiss.analysis.inventory import ForeignFileError, write_own
from tisdiss.analysis.places import PAPER, reported
from tisdiss.analysis.sentence import labels, sentence
from tisdiss.records.names import PROVENANCE
from tisdiss.records.plan_record import ClaimPart, Show, StudyFile
from tisdiss.records.report_record import Verdict

STUDIES = Path("studies")
_OTHERS = {
    "report.html": "all of it on one offline page; hear every depth where sounds may be passed on",
    "fig2/fig2.png": "Fig. 2 with its panels in their places",
    "benchmarks/README.md": "speed and memory",
}


@dataclass(frozen=True)
class Entry:
    """A study of the list; `plan` is None where there is no report of it."""

    study: str
    title: str
    claim: str
    verdicts: list[Verdict]
    plan: StudyFile | None = None
    basis: list[str] = field(default_factory=list)
    """Profile, corpus, seeds, mixtures and speakers."""
    complete: int = 0
    """Rows that have all their runs."""
    problem: str = ""
    """Why a report that is there cannot be read."""

    @property
    def counts(self) -> str:
        """How many claims passed, failed and so on."""
        return counts(self.verdicts)


def entries(reports: Path) -> list[Entry]:
    """The paper's studies in its order, then all others of which there is a report.

    A paper's study without a report is read from `studies/`, and left out where that is absent.
    """
    there = reported(reports)
    paper = [name for name in PAPER if name in there or (STUDIES / f"{name}.yaml").is_file()]
    names = dict.fromkeys([*paper, *there])
    return [_made(Path(reports) / name) if name in there else _absent(name) for name in names]


def as_written_now(plan: StudyFile) -> StudyFile:
    """The plan with claims and words as its study has them now; as it is where that is not read.

    No run depends on them, so that a claim may be added or repaired when all runs are done.
    """
    from tisdiss.study.load import load_study  # pydantic is slow to load

    try:
        study = load_study(STUDIES / f"{plan.study}.yaml")
    except (OSError, ValueError):
        return plan
    return plan.updated(
        title=study.title,
        claim=study.claim,
        how_to_read=study.how_to_read,
        claims=[ClaimPart.model_validate(claim.model_dump()) for claim in study.claims],
        show=Show.model_validate(study.show.model_dump()),
    )


def all_studies(runs_dir: Path, profile: str) -> list[str]:
    """The paper's studies, then all others that were planned at a profile: as `entries` counts."""
    planned = sorted(path.stem for path in Path(runs_dir).glob(f"plans/*.{profile}.json"))
    return list(dict.fromkeys([*PAPER, *(name.removesuffix(f".{profile}") for name in planned)]))


def all_verdicts(listed: Sequence[Entry]) -> list[Verdict]:
    """Every claim of a list, also of studies that were not run: what is counted everywhere."""
    return [verdict for entry in listed for verdict in entry.verdicts]


def write_index(reports: Path) -> Path:
    """Write `reports/README.md` from what lies there; the same reports give the same bytes.

    Where the user has a README.md, the list is `reports/reports.md`.
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
        counts=counts(all_verdicts(listed)),
    )
    try:
        (path,) = write_own(reports, {"README.md": text})
    except ForeignFileError:
        (path,) = write_own(reports, {"reports.md": text})
    return path


def _made(folder: Path) -> Entry:
    try:
        report = read_provenance(folder / PROVENANCE)
        verdicts = [_in_words(verdict, report.plan) for verdict in report.claims]
    except ValueError as error:
        return unreadable(folder, error)
    plan, sizes = report.plan, pd.DataFrame(map(vars, report.cells.values()))
    rows = {name.rsplit(".", 2)[0] for name in report.cells}
    complete = sum(row.id in rows and not row.is_torn for row in plan.rows)
    numbers = basis(plan, sizes)
    return Entry(plan.study, plan.title, plan.claim or "", verdicts, plan, numbers, complete)


def _in_words(verdict: Verdict, plan: StudyFile) -> Verdict:
    """A verdict with its sentence, also where a report of an earlier version has none."""
    says = sentence(verdict.says, verdict.expr, labels(plan))
    return verdict.model_copy(update={"says": says})


def unreadable(folder: Path, error: ValueError) -> Entry:
    """The entry of a report that is there and cannot be read."""
    return _absent(folder.name, str(error).replace(f"{folder.parent}/", ""))


def _absent(study: str, problem: str = "") -> Entry:
    if not (STUDIES / f"{study}.yaml").is_file():
        return Entry(study, "", "", [], problem=problem)
    from tisdiss.study.load import find_studies  # pydantic is slow to load

    (file,) = find_studies([study], STUDIES)
    verdicts = unplanned(file, problem or "not run")
    return Entry(study, file.title, file.claim or "", verdicts, problem=problem)
