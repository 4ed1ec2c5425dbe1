"""The words a study file may use. One file = one table or figure; data only.

    study, title, claim   name (that of the file), question, the sentence it tests
    base, corpus          the paper's name of the model from which rows differ; what it hears
    rows                  one line of the table or curve of the figure each (`Row`)
    evaluate, seeds       at which depths; how often
    claims, show          what is to be decided; how it is drawn
    profiles              adjustments of a profile for this study (`profiles.Adjustments`)

`load_study` reports every mistake at once, each with file, line, column, value, rule and the
nearest valid name. Read `plan.py` next.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    PrivateAttr,
    ValidationError,
    WithJsonSchema,
)

from tisdiss.config import ModelConfig, Passes, TrainConfig
from tisdiss.limits import MAX_PASSES
from tisdiss.records.expression import parse, rows_of
from tisdiss.records.problems import DocumentError, Problem, nearest, problems_of
from tisdiss.study.checks import a_dict, a_list, check_study
from tisdiss.study.document import RANGE, read_document
from tisdiss.study.overrides import settable, validated
from tisdiss.study.profiles import (
    DEFAULT_CORPUS,
    Adjustments,
    AskedEvaluation,
    Profile,
    Seeds,
    Words,
    get_profile,
    load_profiles,
)
from tisdiss.study.resolve import check_claims, check_rows

_COLUMN = re.compile(r"^(params_m|(si_snri|sdri|si_snr|sdr|macs_m)(\.re[1-9][0-9]*)?)$")


def _column(text: str) -> str:
    if not _COLUMN.match(text):
        raise ValueError(
            "numbers of others are params_m, si_snri, sdri, si_snr, sdr or macs_m; all but the "
            "first may name a depth, such as si_snri.re5"
        )
    return text


def _paper_name(text: str) -> str:
    ModelConfig.from_name(text)
    return text


StudyName = Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,64}$")]
RowId = Annotated[str, Field(pattern=r"^[a-z0-9_+-]{1,64}$")]
RowOfAnother = Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,64}/[a-z0-9_+-]{1,64}$")]
PaperName = Annotated[str, AfterValidator(_paper_name)]
Column = Annotated[
    str, AfterValidator(_column), WithJsonSchema({"type": "string", "pattern": _COLUMN.pattern})
]
Values = dict[Column, float]
"""Numbers that others reported, by column: si_snri, sdri, params_m, or si_snri.re5 at a depth."""


class Marks(Words):
    """The check marks of Table 3."""

    es: bool = Field(default=False, description="early split")
    sp: bool = Field(default=False, description="shared parameters")
    ml: bool = Field(default=False, description="multi-loss supervision")


class Row(Words):
    """A variant: it states only what differs from the study's base."""

    id: RowId = Field(description="unique in the study")
    label: str | None = Field(default=None, description="shown instead of the model's name")
    use: RowOfAnother | None = Field(
        default=None, description="the row `study/id` of another study, as it is there"
    )
    corpus: str | None = Field(default=None, description="another role than the study's corpus")
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
    at: Annotated[tuple[Passes, ...], Field(min_length=1, max_length=MAX_PASSES)] | None = Field(
        default=None, description="N_re at which a table shows the row, a line each"
    )
    marks: Marks | None = Field(default=None, description="such as {es: true, ml: true}")

    @property
    def parent(self) -> str | None:
        """What must exist before: a row's id, or `weights:<name>`."""
        return f"weights:{self.weights}" if self.weights else self.init_from

    def shown_like(self, used: Row) -> Row:
        """This row with what it does not say about its looks taken from the row it uses."""
        looks = {key: getattr(self, key) or getattr(used, key) for key in _LOOKS}
        return self.model_copy(update=looks)


_LOOKS = ("label", "paper", "source", "at", "marks")


class Claim(Words):
    """A sentence of the paper, as an expression over rows."""

    id: RowId
    expr: str = Field(min_length=1, description="such as row('a').si_snri > row('b').si_snri")
    source: str = Field(min_length=1, description="where the paper says so")


class Show(Words):
    """How the result is drawn."""

    figure: Literal["depth_curve", "table"]
    x: Literal["n_re"] = "n_re"
    y: Literal["si_snri", "sdri", "si_snr", "sdr"] = "si_snri"
    by: str = Field(default="row", description="what the lines differ in: row or a dotted setting")
    marks: bool = Field(default=False, description="a column of ES/SP/ML marks")
    equal_cost: bool = Field(default=False, description="join the points of equal cost")


class Study(Words):
    """One table or figure of the paper."""

    study: StudyName = Field(description="the name of this file, without .yaml")
    title: str = Field(min_length=1)
    claim: str = Field(min_length=1, description="what the paper says, in one sentence")
    base: PaperName = Field(description="paper name, such as sep1x2-re1x3-l1+3")
    corpus: str = Field(default=DEFAULT_CORPUS, description="role of the corpus, see profiles")
    rows: Annotated[tuple[Row, ...], Field(min_length=1)]
    evaluate: dict[str, Any] = Field(default={}, description="such as {n_re: 1..10}")
    seeds: Seeds = (0,)
    claims: tuple[Claim, ...] = ()
    show: Show
    profiles: dict[str, Adjustments] = Field(default={}, description="profiles as adjusted here")
    _used: dict[str, Study] = PrivateAttr(default_factory=dict)
    """Studies whose rows are used here, by name."""
    _places: dict[str, str] = PrivateAttr(default_factory=dict)
    """Where each row stands, as file:line:column; nothing where no file says so."""

    def place(self, row: Row) -> str:
        """Where a row stands, as an error names it."""
        return self._places.get(row.id, f"{self.study}/{row.id}")

    def row(self, row_id: str) -> Row:
        """The row with an id; the error names the others."""
        for row in self.rows:
            if row.id == row_id:
                return row
        ids = [row.id for row in self.rows]
        raise ValueError(f"study '{self.study}' has no row '{row_id}'; {nearest(row_id, ids)}")

    def origin(self, row: Row) -> tuple[Study, Row]:
        """The study and row that say what a row is: these, or where `use:` leads."""
        if row.use is None:
            return self, row
        study, _, row_id = row.use.partition("/")
        return self._used[study].origin(self._used[study].row(row_id))

    def shown(self, row: Row) -> Row:
        """A row with its looks: what it does not say is as in the row it uses."""
        if row.use is None:
            return row
        study, _, row_id = row.use.partition("/")
        return row.shown_like(self._used[study].shown(self._used[study].row(row_id)))

    def corpus_of(self, row: Row) -> str:
        """The role of the corpus that a row hears."""
        study, row = self.origin(row)
        return row.corpus or study.corpus

    def at(self, profile: str) -> Profile:
        """A profile as this study sees it: adjusted, with the study's own depths and seeds."""
        given = get_profile(profile)
        ours = self.profiles.get(profile, Adjustments())
        own = Adjustments(evaluate=self.evaluate, seeds=given.seeds or self.seeds)
        return given.adjusted(own).adjusted(ours)


def load_study(path: Path | str) -> Study:
    """Read a study file; raises DocumentError, a ValueError, with all of its mistakes."""
    return _Loader().load(Path(path))


def find_studies(names: list[str] | tuple[str, ...], folder: Path = Path("studies")) -> list[Study]:
    """Studies by name or path; every mistake of all of them at once."""
    loader = _Loader()
    studies: list[Study] = []
    lines: list[str] = []
    for name in names:
        is_file = name.endswith((".yaml", ".yml"))
        path = Path(name) if is_file else folder / f"{name}.yaml"
        if not path.is_file():
            known = "no such file" if is_file else _hint(name, folder)
            lines.append(f"no study '{name}'; {known}")
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


def _hint(name: str, folder: Path) -> str:
    names = _names_in(folder)
    if not names:
        return f"{folder}/ holds none here: go to the project's folder, or give a YAML file"
    return nearest(name, names)


def _names_in(folder: Path) -> list[str]:
    names = sorted(path.stem for path in folder.glob("*.yaml"))
    return [name for name in names if not name.startswith("search_")]


@dataclass
class _Loader:
    """Reads studies, each once, and those whose rows they use."""

    known: dict[Path, Study] = field(default_factory=dict)
    trail: tuple[str, ...] = ()
    """Studies that are being read: those that use the next one."""

    def load(self, path: Path) -> Study:
        if path not in self.known:
            self.trail += (path.stem,)
            try:
                self.known[path] = self._read(path)
            finally:
                self.trail = self.trail[:-1]
        return self.known[path]

    def _read(self, path: Path) -> Study:
        document = read_document(path)
        problems: list[Problem] = list(document.problems)
        data = document.data
        if not isinstance(data, dict):
            problems.append(
                Problem((), data, "a study is a mapping that starts with `study: name`")
            )
            raise DocumentError(document.lines(problems))
        problems += _but_known(_word_problems(data) + check_study(data, stem=path.stem), problems)
        used, wrong = self._used(data, path.parent)
        problems += _but_known(wrong, problems)
        problems += _check_sound_rows(data, problems, used)
        if problems:
            raise DocumentError(document.lines(problems))
        study = _with_used(validated(Study, data), used)
        marks = [document.at(("rows", i, "id")) for i in range(len(study.rows))]
        study._places = {
            row.id: f"{path}:{line}:{column}"
            for row, (line, column) in zip(study.rows, marks, strict=True)
        }
        return study

    def _used(self, data: dict[str, Any], folder: Path) -> tuple[dict[str, Study], list[Problem]]:
        """The studies that rows use, and what is wrong with the `use:` of some."""
        used: dict[str, Study] = {}
        problems: list[Problem] = []
        for i, row in enumerate(a_list(data.get("rows"))):
            asked = a_dict(row).get("use")
            if not isinstance(asked, str) or "/" not in asked:
                continue
            name, _, row_id = asked.partition("/")
            try:
                used[name] = self._of_another(name, folder)
                _check_is_trained(used[name].row(row_id))
            except ValueError as error:
                problems.append(Problem(("rows", i, "use"), asked, str(error)))
        return used, problems

    def _of_another(self, name: str, folder: Path) -> Study:
        if name in self.trail:
            way = " uses ".join((*self.trail[self.trail.index(name) :], name))
            raise ValueError(f"a study cannot use its own rows ({way}); repeat the settings")
        path = folder / f"{name}.yaml"
        if not path.is_file():
            raise ValueError(
                f"no study '{name}' beside this one; {nearest(name, _names_in(folder))}"
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


def _word_problems(data: dict[str, Any]) -> list[Problem]:
    try:
        validated(Study, data)
    except ValidationError as error:
        return problems_of(error, Study)
    return []


def _but_known(problems: list[Problem], known: list[Problem]) -> list[Problem]:
    """Leave out what follows from a value that could not be read."""
    unread = {problem.place for problem in known}
    return [p for p in problems if p.place not in unread]


def _check_sound_rows(
    data: dict[str, Any], problems: list[Problem], used: dict[str, Study]
) -> list[Problem]:
    """Resolve rows and claims that have no mistake of their own, at every profile."""
    wrong = {problem.place[:2] for problem in problems}
    rows, given = a_list(data.get("rows")), a_dict(data.get("profiles"))
    asked = a_dict(data.get("evaluate"))
    places = [i for i in range(len(rows)) if ("rows", i) not in wrong]
    ids = {rows[i]["id"] for i in places}
    places = [i for i in places if _stands_alone(rows[i], ids)]
    claims = a_list(data.get("claims"))
    told = [
        k
        for k in range(len(claims))
        if ("claims", k) not in wrong and _is_about(claims[k], {rows[i]["id"] for i in places})
    ]
    part = {
        "study": "part",
        "title": "part",
        "claim": "part",
        "base": data.get("base"),
        "corpus": data.get("corpus", DEFAULT_CORPUS),
        "evaluate": {k: v for k, v in asked.items() if ("evaluate", k) not in wrong},
        "rows": [rows[i] for i in places],
        "claims": [claims[k] for k in told],
        "show": {"figure": "depth_curve"},
        "profiles": {k: words for k, words in given.items() if ("profiles", k) not in wrong},
    }
    try:
        sound = _with_used(validated(Study, part), used)
    except ValidationError:
        return []
    return check_rows(sound, places) + check_claims(sound, told)


def _is_about(claim: dict[str, Any], ids: set[str]) -> bool:
    return ids.issuperset(rows_of(parse(claim["expr"])))


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
        place["properties"]["evaluate"] |= _dotted_schema(AskedEvaluation)
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
