"""Profiles: the same study at several sizes, as data (`profiles.yaml`).

A profile sets corpus, width and steps, never a study's question: a row's own settings override it.
A study may adjust a profile for itself, with the same keys, under its key `profiles`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from tisdiss.config import EvalConfig, Passes, Seed, TrainConfig
from tisdiss.limits import MAX_PASSES, MAX_SEEDS
from tisdiss.records.files import JsonObject
from tisdiss.records.problems import DocumentError, Place, Problem, nearest, problems_of
from tisdiss.study.document import Document, a_dict, read_document
from tisdiss.study.overrides import Settings, validated, value_problems

PROFILES_FILE = Path(__file__).with_name("profiles.yaml")

Seeds = Annotated[tuple[Seed, ...], Field(min_length=1, max_length=MAX_SEEDS)]


class AskedEvaluation(EvalConfig):
    """The evaluation that a study requests, with at least one N_re."""

    n_re: Annotated[tuple[Passes, ...], Field(min_length=1, max_length=MAX_PASSES)] = (
        EvalConfig().n_re
    )


class FilePart(BaseModel):
    """A part of a file: it is frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class WeightsFrom(FilePart):
    """The meaning of `weights:<name>` at a profile: a shipped file, or a run of this plan."""

    file: str | None = Field(default=None, description="safetensors file, relative to the project")
    train: str | None = Field(
        default=None,
        description="paper name of a model that is trained from scratch first, at this profile",
    )

    @model_validator(mode="after")
    def _one_of_them(self) -> WeightsFrom:
        if (self.file is None) == (self.train is None):
            raise ValueError("give either `file:` (shipped weights) or `train:` (a paper name)")
        return self


def is_weights_path(weights: str) -> bool:
    """Whether `weights` of a row is a file of the project rather than a name of the profile's."""
    return weights.endswith(".safetensors")


class CorpusRole(FilePart):
    """The corpus that stands for one of the paper's at a profile."""

    label: str = Field(default="", description="as tables head its columns")
    set: Settings = Field(default={}, description="dotted settings, after the profile's own")
    note: str = Field(default="", description="printed with every figure and table")


class Speed(FilePart):
    """The assumed speed of training, for estimates before a run has finished."""

    device: str
    tera_macs_per_second: float = Field(gt=0)
    basis: str = Field(description="where the figure is from")


DEFAULT_CORPUS = "clean"
"""The role of WSJ0-2mix, which every profile fills with its own settings."""


class Adjustments(FilePart):
    """The settings of a profile; a study may adjust a profile with the same keys."""

    set: Settings = Field(default={}, description="dotted settings of the training")
    finetune: Settings = Field(default={}, description="further settings of fine-tunes only")
    evaluate: Settings = Field(default={}, description="settings of the evaluation")
    seeds: Seeds | None = Field(default=None, description="replaces the study's seeds")
    weights: dict[str, WeightsFrom] = Field(default={}, description="meaning of `weights:<name>`")
    rows: dict[str, Settings] = Field(
        default={}, description="further settings of single rows of a study, after their own"
    )
    note: str = Field(default="", description="printed with every figure and table")

    @model_serializer(mode="wrap")
    def _without_empty_rows(self, dump: SerializerFunctionWrapHandler) -> JsonObject:
        """Leave out `rows` without any, so that hashes of older studies do not change."""
        fields: JsonObject = dump(self)
        return {key: value for key, value in fields.items() if key != "rows" or value}


class Profile(Adjustments):
    """One size at which every study can run."""

    about: str = Field(description="one line: what it runs on and how long it takes")
    corpora: dict[str, CorpusRole] = Field(
        default={}, description="meaning of a study's or row's `corpus:`"
    )
    speed: Speed | None = Field(default=None, description="for estimates without finished runs")
    _name: str = PrivateAttr(default="")

    @property
    def name(self) -> str:
        """Its name in the file, at which whole models have their sizes."""
        return self._name

    def adjusted(self, by: Adjustments) -> Profile:
        """This profile with a study's adjustments, which override it."""
        return self.model_copy(
            update={
                "set": {**self.set, **by.set},
                "finetune": {**self.finetune, **by.finetune},
                "evaluate": {**self.evaluate, **by.evaluate},
                "weights": {**self.weights, **by.weights},
                "rows": {**self.rows, **by.rows},
                "seeds": by.seeds or self.seeds,
                "note": "; ".join(note for note in (self.note, by.note) if note),
            }
        )

    def meaning(self, weights: str) -> WeightsFrom:
        """The meaning of `weights:<name>` at this profile; a path means that file."""
        if is_weights_path(weights):
            return WeightsFrom(file=weights)
        if weights not in self.weights:
            raise ValueError(
                f"'weights:{weights}': this profile does not define them; "
                f"{nearest(weights, self.weights)}"
            )
        return self.weights[weights]

    def role(self, corpus: str) -> CorpusRole:
        """The corpus that stands for a row's `corpus` at this profile."""
        if corpus == DEFAULT_CORPUS:
            return self.corpora.get(corpus, CorpusRole())
        if corpus not in self.corpora:
            raise ValueError(
                f"corpus '{corpus}': this profile does not define it; "
                f"{nearest(corpus, [DEFAULT_CORPUS, *self.corpora])}"
            )
        return self.corpora[corpus]


@cache
def load_profiles(path: Path = PROFILES_FILE) -> Mapping[str, Profile]:
    """The profiles by name, in the order of the file; raises DocumentError with every mistake."""
    document = read_document(path)
    data = a_dict(document.data)
    problems, profiles = list(document.problems), {}
    for name, words in data.items():
        try:
            profiles[name] = validated(Profile, a_dict(words))
            profiles[name]._name = name
        except ValidationError as error:
            problems += problems_of(error, Profile, (name,))
        problems += check_adjustments(words, (name,))
        for role, meaning in _roles(words).items():
            problems += check_adjustments(meaning, (name, "corpora", role))
    _refuse(document, problems)
    return profiles


def _roles(words: object) -> JsonObject:
    return a_dict(a_dict(words).get("corpora"))


def _refuse(document: Document, problems: list[Problem]) -> None:
    if problems:
        raise DocumentError(document.lines(problems))


def get_profile(name: str) -> Profile:
    """A profile by name; the error names the others."""
    profiles = load_profiles()
    if name not in profiles:
        raise ValueError(f"no profile '{name}'; {nearest(name, profiles)}")
    return profiles[name]


def check_adjustments(words: object, at: Place) -> list[Problem]:
    """Mistakes in the dotted settings of a profile or of a study's adjustments to one."""
    problems: list[Problem] = []
    for key, model in (
        ("set", TrainConfig),
        ("finetune", TrainConfig),
        ("evaluate", AskedEvaluation),
    ):
        problems += value_problems(a_dict(a_dict(words).get(key)), model, (*at, key))
    for row, settings in a_dict(a_dict(words).get("rows")).items():
        problems += value_problems(a_dict(settings), TrainConfig, (*at, "rows", row))
    return problems
