"""The keys of a study file, which describes one table or figure.

    study, title, claim   name (that of the file), question, the sentence it tests
    how_to_read           what a reader must know; the report and the page show it
    base, corpus          the paper's name of the model from which rows differ; its corpus
    rows                  one per line of the table or curve of the figure (`Row`)
    evaluate, seeds       the depths to score; the trainings of each row
    claims, show          the claims to decide; the drawing
    profiles              adjustments of a profile for this study (`profiles.Adjustments`)

`load.py` reads a file and reports every mistake in it.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    Field,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    WithJsonSchema,
    model_serializer,
)

from tisdiss.config import Passes, named
from tisdiss.config.choice import OneOf
from tisdiss.limits import MAX_PASSES
from tisdiss.records import names
from tisdiss.records.files import JsonObject
from tisdiss.records.problems import nearest
from tisdiss.records.record import Score
from tisdiss.study.overrides import Settings
from tisdiss.study.profiles import (
    DEFAULT_CORPUS,
    Adjustments,
    FilePart,
    Profile,
    Seeds,
    get_profile,
)
from tisdiss.study.recipes import load_recipes, recipes_text

_PARAMS, _MACS = f"{names.PARAMS}_m", f"{names.MACS}_m"
"""Columns in millions."""


def _columns() -> str:
    """The pattern of the columns of reported numbers."""
    at_depths = "|".join((*names.scores(), _MACS))
    return rf"^({_PARAMS}|({at_depths})(\.re[1-9][0-9]*)?)$"


def _column(text: str) -> str:
    if not re.match(_columns(), text):
        raise ValueError(
            f"reported numbers are {_PARAMS}, {', '.join(names.scores())} or {_MACS}; all but the "
            f"first may name a depth, such as {names.SI_SNRI}.re5"
        )
    return text


def _paper_name(text: str) -> str:
    named(text)
    return text


StudyName = Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,64}$")]
RowId = Annotated[str, Field(pattern=r"^[a-z0-9_+-]{1,64}$")]
RowOfAnother = Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,64}/[a-z0-9_+-]{1,64}$")]
PaperName = Annotated[str, AfterValidator(_paper_name)]
Column = Annotated[
    str, AfterValidator(_column), WithJsonSchema({"type": "string", "pattern": _columns()})
]
Values = dict[Column, float]
"""Numbers that others reported, by column: si_snri, sdri, params_m, or si_snri.re5 at a depth."""


class Marks(FilePart):
    """The check marks of Table 3."""

    es: bool = Field(default=False, description="early split")
    sp: bool = Field(default=False, description="shared parameters")
    ml: bool = Field(default=False, description="multi-loss supervision")


class Row(FilePart):
    """A variant: it states only what differs from the study's base."""

    id: RowId = Field(description="unique in the study")
    label: str | None = Field(default=None, description="shown instead of the model's name")
    use: RowOfAnother | None = Field(
        default=None, description="copy the row `study/id` of another study"
    )
    corpus: str | None = Field(default=None, description="another role than the study's corpus")
    model: PaperName | None = Field(default=None, description="another structure, by paper name")
    recipe: Annotated[str, OneOf(lambda: load_recipes())] | None = Field(
        default=None, description="the published training of this system; `set` overrides it"
    )
    set: Settings = Field(default={}, description="dotted settings, such as optim.lr")
    init_from: str | None = Field(
        default=None,
        description="fine-tune from this row of the study, or from `weights:<name>`; the model "
        "is then the parent's, with the changes of `model` and `set`",
    )
    weights: str | None = Field(
        default=None,
        description="only evaluate these weights: a profile's name for them, or a .safetensors of "
        "the project",
    )
    n_sep: Passes | None = Field(
        default=None, description="score at this N_sep in place of the trained one"
    )
    paper: Values = Field(default={}, description="what the paper reports for this row")
    published: Values = Field(
        default={}, description="numbers that others reported; such a row is not trained"
    )
    source: str | None = Field(default=None, description="where `paper` or `published` is from")
    at: Annotated[tuple[Passes, ...], Field(min_length=1, max_length=MAX_PASSES)] | None = Field(
        default=None, description="N_re at which a table shows the row, a line each"
    )
    marks: Marks | None = Field(default=None, description="such as {es: true, ml: true}")

    @model_serializer(mode="wrap")
    def _without_later_keys(self, dump: SerializerFunctionWrapHandler) -> JsonObject:
        """Leave out unset keys of `_LATER`, so that hashes of older studies do not change."""
        fields: JsonObject = dump(self)
        return {key: value for key, value in fields.items() if key not in _LATER or value}

    @property
    def parent(self) -> str | None:
        """The row id or `weights:<name>` that the row starts from; None from scratch."""
        return f"weights:{self.weights}" if self.weights else self.init_from

    def shown_like(self, used: Row) -> Row:
        """This row, with missing keys of `_LOOKS` taken from the row that it uses."""
        looks = {key: getattr(self, key) or getattr(used, key) for key in _LOOKS}
        return self.model_copy(update=looks)


_LATER = ("n_sep", "recipe")
"""Keys that rows have had only since studies were hashed."""

_LOOKS = ("label", "paper", "source", "at", "marks", "n_sep")
"""Keys that a row takes from the row that it uses, unless it has them itself."""


class Claim(FilePart):
    """A sentence of the paper, as an expression over rows."""

    id: RowId
    expr: str = Field(min_length=1, description="such as row('a').si_snri > row('b').si_snri")
    source: str = Field(min_length=1, description="where the paper says so")
    says: str | None = Field(
        default=None, min_length=1, description="the claim as a sentence; by default made from expr"
    )
    same_as: str | None = Field(
        default=None,
        pattern=r"^[\w.+-]+/[\w.+-]+$",
        description="study/claim that says the same and is counted for both",
    )


class Show(FilePart):
    """How the result is drawn."""

    figure: Literal["depth_curve", "table"]
    x: Literal["n_re"] = "n_re"
    y: Score = names.SI_SNRI
    by: str = Field(default="row", description="what the lines differ in: row or a dotted setting")
    marks: bool = Field(default=False, description="a column of ES/SP/ML marks")
    equal_cost: bool = Field(default=False, description="join the points of equal cost")
    against: RowId | None = Field(
        default=None, description="the row from which differences are drawn; else the first"
    )
    pareto: bool = Field(default=False, description="a figure of the score against each cost")


class Study(FilePart):
    """One table or figure of the paper."""

    study: StudyName = Field(description="the name of this file, without .yaml")
    title: str = Field(min_length=1)
    claim: str = Field(min_length=1, description="what the paper says, in one sentence")
    how_to_read: str = Field(
        default="",
        description="what a reader must know, in paragraphs with `code` in backticks",
    )
    base: PaperName = Field(description="paper name, such as sep1x2-re1x3-l1+3")
    corpus: str = Field(default=DEFAULT_CORPUS, description="role of the corpus, see profiles")
    rows: Annotated[tuple[Row, ...], Field(min_length=1)]
    evaluate: Settings = Field(default={}, description="such as {n_re: 1..10}")
    seeds: Seeds = (0,)
    claims: tuple[Claim, ...] = ()
    show: Show
    profiles: dict[str, Adjustments] = Field(default={}, description="profiles as adjusted here")
    _used: dict[str, Study] = PrivateAttr(default_factory=dict)
    """Studies whose rows are used here, by name."""
    _places: dict[str, str] = PrivateAttr(default_factory=dict)
    """The place of each row as file:line:column; empty for a study without a file."""

    def place(self, row: Row) -> str:
        """The place of a row for error messages."""
        return self._places.get(row.id, f"{self.study}/{row.id}")

    def row(self, row_id: str) -> Row:
        """The row with an id; the error names the others."""
        for row in self.rows:
            if row.id == row_id:
                return row
        ids = [row.id for row in self.rows]
        raise ValueError(f"study '{self.study}' has no row '{row_id}'; {nearest(row_id, ids)}")

    def origin(self, row: Row) -> tuple[Study, Row]:
        """The study and row that define a row: its own, or those that `use:` refers to."""
        if row.use is None:
            return self, row
        study, _, row_id = row.use.partition("/")
        return self._used[study].origin(self._used[study].row(row_id))

    def shown(self, row: Row) -> Row:
        """A row as tables and figures show it, completed from the row it uses."""
        if row.use is None:
            return row
        study, _, row_id = row.use.partition("/")
        return row.shown_like(self._used[study].shown(self._used[study].row(row_id)))

    def label(self, row: Row) -> str:
        """The label of a row."""
        study, origin = self.origin(row)
        return self.shown(row).label or origin.model or study.base

    @property
    def notes(self) -> str:
        """What a reader must know, with the sources of the recipes that rows follow."""
        recipes = dict.fromkeys(row.recipe for _, row in map(self.origin, self.rows) if row.recipe)
        return "\n".join(filter(None, (self.how_to_read, recipes_text(recipes))))

    def corpus_of(self, row: Row) -> str:
        """The role of a row's corpus."""
        study, row = self.origin(row)
        return row.corpus or study.corpus

    def at(self, profile: str) -> Profile:
        """A profile with the study's depths, seeds and adjustments."""
        shared = get_profile(profile)
        adjustments = self.profiles.get(profile, Adjustments())
        defaults = Adjustments(evaluate=self.evaluate, seeds=shared.seeds or self.seeds)
        return shared.adjusted(defaults).adjusted(adjustments)
