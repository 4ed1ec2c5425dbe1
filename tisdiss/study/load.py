"""Reads and checks study files; an error gives every mistake with file, line, column, value, rule
and the nearest valid name. Read `harness/planner.py` next.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pydantic import (
    ValidationError,
)

from tisdiss.machine.folders import STUDIES
from tisdiss.records.expression import parse, rows_of
from tisdiss.records.files import JsonObject
from tisdiss.records.problems import DocumentError, Place, Problem, nearest, problems_of
from tisdiss.shipped import SHIPPED_STUDIES
from tisdiss.study.checks import check_study
from tisdiss.study.document import a_dict, a_list, read_document
from tisdiss.study.overrides import validated
from tisdiss.study.profiles import (
    DEFAULT_CORPUS,
)
from tisdiss.study.resolve import check_claims, check_rows, check_shown
from tisdiss.study.words import Row, Study


def load_study(path: Path | str) -> Study:
    """Read a study file; raises DocumentError, a ValueError, with all of its mistakes."""
    return _Loader().load(Path(path))


def find_studies(names: list[str] | tuple[str, ...], folder: Path = STUDIES) -> list[Study]:
    """Studies by path, or by name in `folder` or else in the package.

    Raises DocumentError with the mistakes of all of them.
    """
    loader = _Loader()
    studies: list[Study] = []
    lines: list[str] = []
    for name in names:
        is_file = name.endswith((".yaml", ".yml"))
        path = Path(name) if is_file else study_file(name, folder)
        if not path.is_file():
            hint = "no such file" if is_file else nearest(name, _names_in(folder))
            lines.append(f"no study '{name}'; {hint}")
            continue
        try:
            if a_dict(read_document(path).data).keys() & {"search", "study"} == {"search"}:
                lines.append(f"{path} is a search, not a study; use `tisdiss search {name}`")
                continue
            studies.append(loader.load(path))
        except DocumentError as error:
            lines += error.lines
    if lines:
        raise DocumentError(list(dict.fromkeys(lines)))
    return studies


def study_file(name: str, folder: Path) -> Path:
    """The file of a study or search: in `folder`, else the one of that name in the package."""
    own, of_package = folder / f"{name}.yaml", SHIPPED_STUDIES / f"{name}.yaml"
    return of_package if of_package.is_file() and not own.is_file() else own


def _names_in(folder: Path) -> list[str]:
    files = (*folder.glob("*.yaml"), *SHIPPED_STUDIES.glob("*.yaml"))
    return sorted({path.stem for path in files if not path.stem.startswith("search_")})


@dataclass
class _Loader:
    """Reads studies, each once, and those whose rows they use."""

    studies: dict[Path, Study] = field(default_factory=dict)
    trail: tuple[str, ...] = ()
    """The studies that are being read; each uses the next."""

    def load(self, path: Path) -> Study:
        if path not in self.studies:
            self.trail += (path.stem,)
            try:
                self.studies[path] = self._read(path)
            finally:
                self.trail = self.trail[:-1]
        return self.studies[path]

    def _read(self, path: Path) -> Study:
        document = read_document(path)
        problems: list[Problem] = list(document.problems)
        data = document.data
        if not isinstance(data, dict):
            problems.append(
                Problem((), data, "a study is a mapping that starts with `study: name`")
            )
            raise DocumentError(document.lines(problems))
        problems += _elsewhere(_word_problems(data) + check_study(data, stem=path.stem), problems)
        used, use_problems = self._used(data, path.parent)
        problems += _elsewhere(use_problems, problems)
        problems += _check_valid_rows(data, problems, used)
        if problems:
            raise DocumentError(document.lines(problems))
        study = _with_used(validated(Study, data), used)
        marks = [document.at(("rows", i, "id")) for i in range(len(study.rows))]
        study._places = {
            row.id: f"{path}:{line}:{column}"
            for row, (line, column) in zip(study.rows, marks, strict=True)
        }
        return study

    def _used(self, data: JsonObject, folder: Path) -> tuple[dict[str, Study], list[Problem]]:
        """The studies that rows use, and the mistakes in `use:`."""
        used: dict[str, Study] = {}
        problems: list[Problem] = []
        for i, row in enumerate(a_list(data.get("rows"))):
            reference = a_dict(row).get("use")
            if not isinstance(reference, str) or "/" not in reference:
                continue
            name, _, row_id = reference.partition("/")
            try:
                used[name] = self._of_another(name, folder)
                _check_is_trained(used[name].row(row_id))
            except ValueError as error:
                problems.append(Problem(("rows", i, "use"), reference, str(error)))
        return used, problems

    def _of_another(self, name: str, folder: Path) -> Study:
        if name in self.trail:
            way = " uses ".join((*self.trail[self.trail.index(name) :], name))
            raise ValueError(f"a study cannot use its own rows ({way}); repeat the settings")
        path = study_file(name, folder)
        if not path.is_file():
            raise ValueError(
                f"no study '{name}' beside this one or in the package; "
                f"{nearest(name, _names_in(folder))}"
            )
        try:
            return self.load(path)
        except DocumentError as error:
            raise ValueError(f"its study has a mistake: {error.lines[0]}") from error


def _check_is_trained(row: Row) -> None:
    if row.published:
        raise ValueError(f"'{row.id}' is a published row; repeat its numbers")


def _with_used(study: Study, used: dict[str, Study]) -> Study:
    study._used = used
    return study


def _word_problems(data: JsonObject) -> list[Problem]:
    try:
        validated(Study, data)
    except ValidationError as error:
        return problems_of(error, Study)
    return []


def _elsewhere(problems: list[Problem], known: list[Problem]) -> list[Problem]:
    """The problems at other places than the known ones; at the same place one may cause another."""
    places = {problem.place for problem in known}
    return [p for p in problems if p.place not in places]


def _shown_score(data: JsonObject, mistakes: set[Place]) -> JsonObject:
    shown = a_dict(data.get("show"))
    return {"y": shown["y"]} if "y" in shown and ("show", "y") not in mistakes else {}


def _check_valid_rows(
    data: JsonObject, problems: list[Problem], used: dict[str, Study]
) -> list[Problem]:
    """Check rows and claims without other mistakes by resolving them at every profile."""
    mistakes = {problem.place[:2] for problem in problems}
    rows, profiles = _dicts(data.get("rows")), a_dict(data.get("profiles"))
    evaluate = a_dict(data.get("evaluate"))
    places = [i for i in range(len(rows)) if ("rows", i) not in mistakes]
    ids = {str(rows[i]["id"]) for i in places}
    places = [i for i in places if _stands_alone(rows[i], ids)]
    claims, ids = _dicts(data.get("claims")), {str(rows[i]["id"]) for i in places}
    claim_places = [
        k
        for k in range(len(claims))
        if ("claims", k) not in mistakes and _is_about(str(claims[k]["expr"]), ids)
    ]
    part = {
        "study": "part",
        "title": "part",
        "claim": "part",
        "base": data.get("base"),
        "corpus": data.get("corpus", DEFAULT_CORPUS),
        "evaluate": {k: v for k, v in evaluate.items() if ("evaluate", k) not in mistakes},
        "rows": [rows[i] for i in places],
        "claims": [claims[k] for k in claim_places],
        "show": {"figure": "depth_curve", **_shown_score(data, mistakes)},
        "profiles": {k: words for k, words in profiles.items() if ("profiles", k) not in mistakes},
    }
    try:
        study = _with_used(validated(Study, part), used)
    except ValidationError:
        return []
    return [
        *check_rows(study, places),
        *check_claims(study, claim_places),
        *check_shown(study),
    ]


def _dicts(value: object) -> list[JsonObject]:
    return [a_dict(part) for part in a_list(value)]


def _is_about(expr: str, ids: set[str]) -> bool:
    return ids.issuperset(rows_of(parse(expr)))


def _stands_alone(row: JsonObject, ids: set[str]) -> bool:
    parent = str(row.get("init_from") or "weights:")
    return parent.startswith("weights:") or parent in ids
