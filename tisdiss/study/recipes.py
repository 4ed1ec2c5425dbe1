"""Recipes: the settings with which published systems were trained, as data (`recipes.yaml`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from pydantic import Field, ValidationError

from tisdiss.config import TrainConfig
from tisdiss.records.problems import DocumentError, problems_of
from tisdiss.study.document import a_dict, read_document
from tisdiss.study.overrides import Settings, validated, value_problems
from tisdiss.study.profiles import FilePart

RECIPES_FILE = Path(__file__).with_name("recipes.yaml")


class Recipe(FilePart):
    """How one published system was trained."""

    about: str = Field(default="", description="the system and its corpus")
    source: str = Field(default="", description="where the settings are from")
    note: str = Field(default="", description="what the settings leave out")
    set: Settings = Field(default={}, description="dotted settings of the training")
    lengths: Settings = Field(default={}, description="further settings, below a profile's own")


@cache
def load_recipes(path: Path = RECIPES_FILE) -> Mapping[str, Recipe]:
    """The recipes by name, in the order of the file; raises DocumentError with every mistake."""
    document = read_document(path)
    problems, recipes = list(document.problems), {}
    for name, words in a_dict(document.data).items():
        try:
            recipes[name] = validated(Recipe, a_dict(words))
        except ValidationError as error:
            problems += problems_of(error, Recipe, (name,))
        for key in ("set", "lengths"):
            settings = a_dict(a_dict(words).get(key))
            problems += value_problems(settings, TrainConfig, (name, key))
    if problems:
        raise DocumentError(document.lines(problems))
    return recipes


def recipe_named(name: str | None) -> Recipe:
    """The recipe of a row; None is one that sets nothing."""
    return load_recipes()[name] if name else Recipe()


def recipes_text(names: Iterable[str]) -> str:
    """A paragraph that says where these recipes are from and what they leave out."""
    recipes = load_recipes()
    texts = [f"Recipe `{name}`: {recipes[name].source}." for name in names]
    notes = [f" Left out: {recipes[name].note}." if recipes[name].note else "" for name in names]
    return " ".join(text + note for text, note in zip(texts, notes, strict=True))
