"""Every setting that determines computation or storage has a limit, and seeds have one range."""

from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

import pytest
import torch
import typer
from pydantic import ValidationError

from tisdiss import cli
from tisdiss.config import DataConfig, EvalConfig, ModelConfig, TrainConfig
from tisdiss.harness.slurm_jobs import SlurmSettings
from tisdiss.limits import MAX_PASSES, MAX_SEED
from tisdiss.study.profiles import AskedEvaluation
from tisdiss.study.search_file import Search
from tisdiss.study.words import Study
from tisdiss.train import start

OF_OTHERS = {"paper", "published", "tera_macs_per_second", "low", "high"}
"""Numbers that are only shown, and ends of a span, which are held against their setting."""
ENDLESS = {"--settled", "--within", "--budget", "--max-minutes", "--max-hours", "--seed"}
"""Ends of the patience of a person; and seeds, of which `plan` says why they end."""


def numbers(schema: Any, name: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every number in a JSON Schema, by the name of its field."""
    if isinstance(schema, list):
        for part in schema:
            yield from numbers(part, name)
    if not isinstance(schema, dict) or name in OF_OTHERS:
        return
    if schema.get("type") in ("integer", "number"):
        yield name, schema
    for key, part in schema.items():
        if key in ("properties", "$defs"):
            for field, inner in part.items():
                yield from numbers(inner, field)
        else:
            yield from numbers(part, name)


@pytest.mark.parametrize(
    "model", [TrainConfig, EvalConfig, AskedEvaluation, Study, Search, SlurmSettings]
)
def test_every_number_of_a_file_has_an_end(model) -> None:
    found = list(numbers(model.model_json_schema()))
    ends = {"const", "enum", "maximum", "exclusiveMaximum"}
    endless = [name for name, schema in found if not ends & schema.keys()]
    assert found and not endless


def options(app: typer.Typer) -> Iterator[tuple[str, Any, Any]]:
    """(name, type, what typer knows) of every option of every command."""
    for group in app.registered_groups:
        yield from options(group.typer_instance)
    for command in app.registered_commands:
        for name, hint in get_type_hints(command.callback, include_extras=True).items():
            if name != "return":
                kind, about = get_args(hint)
                yield f"--{name.replace('_', '-')}", kind, about


def test_every_number_of_an_option_has_an_end() -> None:
    ends = [(o, about.max) for o, kind, about in options(cli.app) if {int, float} & parts_of(kind)]
    assert len(ends) > 15
    assert {option for option, most in ends if most is None} <= ENDLESS


def parts_of(kind: Any) -> set[Any]:
    """The types in `int`, `int | None` and `list[int] | None`."""
    return {kind}.union(*(parts_of(part) for part in get_args(kind)))


@pytest.mark.parametrize(
    ("config", "settings"),
    [
        (TrainConfig, {"seed": 2**32}),
        (TrainConfig, {"seed": 20261128153000}),
        (TrainConfig, {"seed": -1}),
        (DataConfig, {"seed": 2**32}),
    ],
)
def test_seeds_that_generators_cannot_tell_apart_are_refused(config, settings) -> None:
    with pytest.raises(ValidationError, match="a seed is from 0 to 4294967295"):
        config(**settings)


def test_the_largest_seed_has_weights_of_its_own(tiny) -> None:
    model = tiny("sep1x1-re1x1")
    first, *others = (
        start(TrainConfig(model=model, seed=seed), None, "cpu").model.state_dict()
        for seed in (0, 1, 2**31, MAX_SEED)
    )
    for weights in others:
        assert not torch.equal(weights["encoder.conv.weight"], first["encoder.conv.weight"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sample_rate": 2}, "greater than or equal to 1000"),
        ({"sample_rate": 10**9}, "less than or equal to 48000"),
        ({"train_mixtures": 10**9}, "less than or equal to 1000000"),
        ({"rooms": 20_000, "t60_seconds": (0.1, 1.5), "sample_rate": 48_000}, "set fewer rooms"),
    ],
)
def test_data_that_no_machine_holds_are_refused(settings, message) -> None:
    with pytest.raises(ValidationError, match=message):
        DataConfig(**settings)


def test_a_batch_that_no_machine_holds_is_refused() -> None:
    with pytest.raises(
        ValidationError, match=r"batch_size=4096 crops of 600 s are 2.0e\+10 samples"
    ):
        TrainConfig(batch_size=4096, data=DataConfig(segment_seconds=600))


def test_no_model_runs_for_ever() -> None:
    model = ModelConfig()
    assert model.check_depth(None, MAX_PASSES) == (2, MAX_PASSES)
    for depth in ((None, MAX_PASSES + 1), (10**9, None)):
        with pytest.raises(ValueError, match="at most 1000 passes are run"):
            model.check_depth(*depth)
    for name in ("sep1x2-re1x99999", "sep99999x1-l1", "sep1x1-re1x" + "9" * 5000):
        with pytest.raises(ValueError) as error:
            ModelConfig.from_name(name)
        assert len(str(error.value)) < 400
