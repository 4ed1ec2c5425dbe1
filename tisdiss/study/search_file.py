"""The keys of a search file, `studies/search_*.yaml`: the settings to try, and the objectives.

search, title       name (that of the file) and question
base, set           the model by its paper name, and settings that all trials share
space               dotted settings with `low`/`high`/`log` or `choices`; or any name with
                    `options`, each a set of settings
objectives          si_snri (dB, maximised) and macs (multiply-adds per second, minimised)
n_re                the depth that is scored; by default each trial's own
first, trials       settings to try first; the number of all trials
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, ValidationError, model_validator

from tisdiss.config import LossTerm, Passes, Seed, TrainConfig, named
from tisdiss.config.choice import OneOf
from tisdiss.limits import MAX_CHOICES, MAX_TRIALS
from tisdiss.machine.folders import STUDIES
from tisdiss.records import names
from tisdiss.records.files import JsonObject
from tisdiss.records.problems import DocumentError, Place, Problem, nearest, problems_of
from tisdiss.shipped import SHIPPED_STUDIES
from tisdiss.study.document import a_dict, read_document
from tisdiss.study.load import study_file
from tisdiss.study.overrides import Settings, settable, validated, value_problems
from tisdiss.study.profiles import Adjustments, FilePart
from tisdiss.study.words import Row, Show, Study, StudyName

OBJECTIVES: dict[str, Literal["maximize", "minimize"]] = {
    names.SI_SNRI: "maximize",
    names.MACS: "minimize",
}
"""The possible objectives of a search."""
Objective = Annotated[str, OneOf(lambda: OBJECTIVES)]
WEIGHT = "loss.weights."
"""Prefix of the λ of a loss term."""
Number = int | float
Params = JsonObject
"""The values of a trial, by the names of the space."""


class Span(FilePart):
    """The values that one setting may take."""

    low: Number | None = None
    high: Number | None = None
    log: bool = False
    choices: Annotated[tuple[Any, ...], Field(max_length=MAX_CHOICES)] = ()
    options: dict[str, Settings] = Field(default={}, description="named sets of settings")

    @model_validator(mode="after")
    def _one_kind(self) -> Span:
        ranged = self.low is not None and self.high is not None
        if ranged + bool(self.choices) + bool(self.options) != 1:
            raise ValueError("give `low` and `high`, or `choices`, or `options`")
        if self.low is not None and self.high is not None and not self.low < self.high:
            raise ValueError(f"low={self.low} must be less than high={self.high}")
        if self.log and not (self.low and self.low > 0):
            raise ValueError("`log: true` needs a `low` above 0")
        return self

    def ends(self) -> tuple[Any, ...]:
        """The choices, or low and high; if these are valid, all values between are."""
        return self.choices or tuple(end for end in (self.low, self.high) if end is not None)

    def has(self, value: object) -> bool:
        if self.low is None or self.high is None:
            return value in (self.choices or tuple(self.options))
        return isinstance(value, int | float) and self.low <= value <= self.high


class Search(FilePart):
    """A search over settings, in which each trial is a run like any other."""

    search: StudyName
    title: str = Field(min_length=1)
    base: str
    set: Settings = Field(default={}, description="dotted settings of all trials")
    space: Annotated[dict[str, Span], Field(min_length=1)]
    objectives: Annotated[tuple[Objective, ...], Field(min_length=1)]
    n_re: Passes | None = None
    first: tuple[Params, ...] = ()
    trials: Annotated[int, Field(ge=1, le=MAX_TRIALS)] = 30
    seed: Seed = 0
    prune: bool = True
    profiles: dict[str, Adjustments] = Field(default={}, description="as in a study")

    def settings(self, params: Params) -> Settings:
        """The dotted settings of a trial; a λ of 1 is left out, because 1 is the default."""
        weights: dict[str, float] = {}
        settings = dict(self.set)
        for name, value in params.items():
            if options := self.space[name].options:
                settings |= options[str(value)]
            elif name.startswith(WEIGHT):
                assert isinstance(value, int | float)  # checked when the file was read
                weights[name.removeprefix(WEIGHT)] = float(value)
            else:
                settings[name] = value
        weights = {term: weight for term, weight in weights.items() if weight != 1}
        return settings | ({"loss.weights": weights} if weights else {})

    def study(self, trials: dict[int, Params]) -> Study:
        """The trials as rows of a study, which is planned and run like any other."""
        rows = [Row(id=f"t{number}", set=self.settings(trial)) for number, trial in trials.items()]
        depths = [self.n_re] if self.n_re else list(range(1, self._deepest() + 1))
        return Study(
            study=self.search,
            title=self.title,
            claim=f"none: a search for {' and '.join(self.objectives)}",
            base=self.base,
            rows=tuple(rows),
            evaluate={"n_re": depths, "split": "val"},
            seeds=(self.seed,),
            show=Show(figure="depth_curve"),
            profiles=self.profiles,
        )

    def _deepest(self) -> int:
        """The largest N_re that a trial may be trained at; 1 if there is none."""
        name = "model.n_re"
        groups = [each for span in self.space.values() for each in span.options.values()]
        depths: list[object] = [settings[name] for settings in groups if name in settings]
        if span := self.space.get(name):
            depths += span.ends()
        else:
            depths.append(self.set.get(name, named(self.base).n_re))
        return max([1, *(int(depth) for depth in depths if isinstance(depth, int | float))])


def find_search(name: str, folder: Path = STUDIES) -> Search:
    """A search by path, or by name in `folder` or else in the package."""
    is_file = name.endswith((".yaml", ".yml"))
    path = Path(name) if is_file else study_file(name, folder)
    if not path.is_file():
        files = (*folder.glob("search_*.yaml"), *SHIPPED_STUDIES.glob("search_*.yaml"))
        names = sorted({file.stem for file in files})
        hint = "no such file" if is_file else nearest(name, names)
        raise ValueError(f"no search '{name}'; {hint}")
    if a_dict(read_document(path).data).keys() & {"search", "study"} == {"study"}:
        raise ValueError(f"{path} is a study, not a search; use `tisdiss run {name}`")
    return load_search(path)


def load_search(path: Path) -> Search:
    """Read a search file; DocumentError with every mistake and its place."""
    document = read_document(Path(path))
    problems, data = list(document.problems), document.data
    if not isinstance(data, dict):
        problems.append(Problem((), data, "a search is a mapping that starts with `search: name`"))
        raise DocumentError(document.lines(problems))
    try:
        search = validated(Search, data)
    except ValidationError as error:
        problems += problems_of(error, Search)
    else:
        problems += _check(search, Path(path).stem)
    if problems:
        raise DocumentError(document.lines(problems))
    return search


def _check(search: Search, stem: str) -> list[Problem]:
    problems = value_problems(search.set, TrainConfig, ("set",))
    if len(set(search.objectives)) != len(search.objectives):
        problems.append(Problem(("objectives",), list(search.objectives), "name each once"))
    if search.search != stem:
        problems.append(
            Problem(("search",), search.search, f"a search has the name of its file, {stem}")
        )
    weights = [f"{WEIGHT}{term}" for term in get_args(LossTerm)]
    for name, span in search.space.items():
        at: Place = ("space", name)
        for label, settings in span.options.items():
            problems += value_problems(settings, TrainConfig, (*at, "options", label))
        if not span.options and name not in (*settable(TrainConfig), *weights):
            hint = nearest(name, [*settable(TrainConfig), *weights])
            problems.append(Problem(at, name, "unknown setting", hint, at_key=True))
        elif not span.options:
            problems += [p for end in span.ends() for p in _end_problems(name, end, at)]
    for k, params in enumerate(search.first):
        problems += _check_first(search, params, ("first", k))
    return problems


def _end_problems(name: str, end: object, at: Place) -> list[Problem]:
    """The problems of a value of a setting."""
    term = name.removeprefix(WEIGHT)
    setting = {"loss.weights": {term: end}} if name.startswith(WEIGHT) else {name: end}
    problems = value_problems(setting, TrainConfig, ())
    return [Problem(at, end, problem.rule, problem.hint) for problem in problems]


def _check_first(search: Search, params: Params, at: Place) -> list[Problem]:
    problems = []
    for name in search.space.keys() - params.keys():
        problems.append(Problem(at, name, "a first trial must give every setting of the space"))
    for name, value in params.items():
        if name not in search.space:
            hint = nearest(name, search.space)
            problems.append(Problem((*at, name), name, "not in the space", hint, at_key=True))
        elif not search.space[name].has(value):
            problems.append(Problem((*at, name), value, f"{name}: outside its range in the space"))
    return problems
