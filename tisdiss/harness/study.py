"""The words a study file may use. One file = one table or figure; data only.

    study, title, claim   name (that of the file), question, the sentence it tests
    base                  the paper's name of the model from which rows differ
    rows                  one line of the table or curve of the figure each (`Row`)
    evaluate, seeds       at which depths; how often
    claims, show          what is to be decided; how it is drawn
    profiles              adjustments of a profile for this study (`profiles.Adjustments`)

`load_study` reports every mistake at once, each with file, line, column, value, rule and the
nearest valid name. Read `plan.py` next.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field, ValidationError

from tisdiss.config import EvalConfig, ModelConfig, TrainConfig
from tisdiss.harness.checks import a_dict, a_list, check_study
from tisdiss.harness.document import RANGE, read_document
from tisdiss.harness.overrides import settable, validated
from tisdiss.harness.problems import DocumentError, Problem, nearest, problems_of
from tisdiss.harness.profiles import (
    Adjustments,
    Profile,
    Seeds,
    Words,
    get_profile,
    load_profiles,
)
from tisdiss.harness.resolve import check_rows


def _paper_name(text: str) -> str:
    ModelConfig.from_name(text)
    return text


StudyName = Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,64}$")]
RowId = Annotated[str, Field(pattern=r"^[a-z0-9_+-]{1,64}$")]
PaperName = Annotated[str, AfterValidator(_paper_name)]
Values = dict[Annotated[str, Field(pattern=r"^[a-z_]+(\.re[0-9]+)?$")], float]
"""Numbers that others reported, by column: si_snri, sdri, params_m, or si_snri.re5 at a depth."""


class Row(Words):
    """A variant: it states only what differs from the study's base."""

    id: RowId = Field(description="unique in the study")
    label: str | None = Field(default=None, description="shown instead of the model's name")
    model: PaperName | None = Field(default=None, description="another structure, by paper name")
    set: dict[str, Any] = Field(default={}, description="dotted settings, such as optim.lr")
    init_from: str | None = Field(
        default=None,
        description="fine-tune from this row of the study, or from `weights:<name>`; the model "
        "is then the parent's, with what `model` and `set` change",
    )
    weights: str | None = Field(default=None, description="only evaluate these shipped weights")
    paper: Values = Field(default={}, description="what the paper reports for this row")
    published: Values = Field(
        default={}, description="numbers that others reported; such a row is not trained"
    )
    source: str | None = Field(default=None, description="where `paper` or `published` is from")

    @property
    def parent(self) -> str | None:
        """What must exist before: a row's id, or `weights:<name>`."""
        return f"weights:{self.weights}" if self.weights else self.init_from


class Claim(Words):
    """A sentence of the paper, as an expression over rows."""

    id: RowId
    expr: str = Field(min_length=1, description="such as row('a').si_snri > row('b').si_snri")
    source: str = Field(min_length=1, description="where the paper says so")


class Show(Words):
    """How the result is drawn."""

    figure: Literal["depth_curve"]
    x: Literal["n_re"] = "n_re"
    y: Literal["si_snri", "sdri", "si_snr", "sdr"] = "si_snri"
    by: str = Field(default="row", description="what the lines differ in: row or a dotted setting")


class Study(Words):
    """One table or figure of the paper."""

    study: StudyName = Field(description="the name of this file, without .yaml")
    title: str = Field(min_length=1)
    claim: str = Field(min_length=1, description="what the paper says, in one sentence")
    base: PaperName = Field(description="paper name, such as sep1x2-re1x3-l1+3")
    rows: Annotated[tuple[Row, ...], Field(min_length=1)]
    evaluate: dict[str, Any] = Field(default={}, description="such as {n_re: 1..10}")
    seeds: Seeds = (0,)
    claims: tuple[Claim, ...] = ()
    show: Show
    profiles: dict[str, Adjustments] = Field(default={}, description="profiles as adjusted here")

    def row(self, row_id: str) -> Row:
        """The row with an id; the error names the others."""
        for row in self.rows:
            if row.id == row_id:
                return row
        ids = [row.id for row in self.rows]
        raise ValueError(f"study '{self.study}' has no row '{row_id}'; {nearest(row_id, ids)}")

    def at(self, profile: str) -> Profile:
        """A profile as this study sees it: adjusted, with the study's own depths and seeds."""
        given = get_profile(profile)
        ours = self.profiles.get(profile, Adjustments())
        own = Adjustments(evaluate=self.evaluate, seeds=given.seeds or self.seeds)
        return given.adjusted(own).adjusted(ours)


def load_study(path: Path | str) -> Study:
    """Read a study file; raises DocumentError, a ValueError, with all of its mistakes."""
    path = Path(path)
    document = read_document(path)
    problems: list[Problem] = list(document.problems)
    data = document.data
    if not isinstance(data, dict):
        problems.append(Problem((), data, "a study is a mapping that starts with `study: name`"))
        raise DocumentError(document.lines(problems))
    problems += _but_known(_word_problems(data) + check_study(data, stem=path.stem), problems)
    problems += _check_sound_rows(data, problems)
    if problems:
        raise DocumentError(document.lines(problems))
    return validated(Study, data)


def find_studies(names: list[str] | tuple[str, ...], folder: Path = Path("studies")) -> list[Study]:
    """Studies by name or path; every mistake of all of them at once."""
    studies: list[Study] = []
    lines: list[str] = []
    for name in names:
        path = Path(name) if name.endswith((".yaml", ".yml")) else folder / f"{name}.yaml"
        if not path.is_file():
            there = sorted(p.stem for p in folder.glob("*.yaml"))
            lines.append(f"no study '{name}'; {nearest(name, there)}")
            continue
        try:
            studies.append(load_study(path))
        except DocumentError as error:
            lines += error.lines
    if lines:
        raise DocumentError(lines)
    return studies


def _word_problems(data: dict[str, Any]) -> list[Problem]:
    try:
        validated(Study, data)
    except ValidationError as error:
        return problems_of(error, Study)
    return []


def _but_known(problems: list[Problem], known: list[Problem]) -> list[Problem]:
    """Leave out what follows from a value that could not be read, and the reserved `use`."""
    unread = {problem.place for problem in known}
    return [p for p in problems if p.place not in unread and (p.value, p.at_key) != ("use", True)]


def _check_sound_rows(data: dict[str, Any], problems: list[Problem]) -> list[Problem]:
    """Resolve the rows that have no mistake of their own at every profile."""
    wrong = {problem.place[:2] for problem in problems}
    rows, given = a_list(data.get("rows")), a_dict(data.get("profiles"))
    places = [i for i in range(len(rows)) if ("rows", i) not in wrong]
    ids = {rows[i]["id"] for i in places}
    places = [i for i in places if _stands_alone(rows[i], ids)]
    part = {
        "study": "part",
        "title": "part",
        "claim": "part",
        "base": data.get("base"),
        "rows": [rows[i] for i in places],
        "show": {"figure": "depth_curve"},
        "profiles": {k: words for k, words in given.items() if ("profiles", k) not in wrong},
    }
    try:
        return check_rows(validated(Study, part), places)
    except ValidationError:
        return []


def _stands_alone(row: dict[str, Any], ids: set[str]) -> bool:
    parent = row.get("init_from") or "weights:"
    return parent.startswith("weights:") or parent in ids


def study_schema() -> dict[str, Any]:
    """The JSON Schema of a study file, for editors; ranges such as 1..10 are allowed in lists."""
    schema = Study.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    row, adjustments = schema["$defs"]["Row"], schema["$defs"]["Adjustments"]
    row["properties"]["set"] |= _dotted_schema(TrainConfig)
    for key in ("set", "finetune"):
        adjustments["properties"][key] |= _dotted_schema(TrainConfig)
    for place in (adjustments, schema):
        place["properties"]["evaluate"] |= _dotted_schema(EvalConfig)
    schema["properties"]["profiles"]["propertyNames"] = {"enum": list(load_profiles())}
    return _with_ranges(schema)


def _dotted_schema(model: type[BaseModel]) -> dict[str, Any]:
    """An object whose keys are the dotted settings of a config."""
    whole = model.model_json_schema()
    groups = whole.get("$defs", {})

    def at(path: str) -> dict[str, Any]:
        found = whole
        for name in path.split("."):
            found = found["properties"][name]
            if "$ref" in found:
                found = groups[found["$ref"].rpartition("/")[2]]
        return found

    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {path: at(path) for path in settable(model)},
    }


def _with_ranges(schema: Any) -> Any:
    """The schema with `a..b` allowed for, and in, every list of integers."""
    if isinstance(schema, list):
        return [_with_ranges(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: _with_ranges(value) for key, value in schema.items()}
    if schema.get("type") == "array" and schema.get("items", {}).get("type") == "integer":
        span = {"type": "string", "pattern": RANGE.pattern}
        told = {key: schema.pop(key) for key in ("default", "description") if key in schema}
        schema["items"] = {"anyOf": [schema["items"], span]}
        return {**told, "anyOf": [schema, span]}
    return schema
