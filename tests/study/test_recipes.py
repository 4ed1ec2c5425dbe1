"""Recipes of published systems: what they set, what stays the profile's, and mistakes."""

import pytest

from tisdiss.config import TrainConfig
from tisdiss.harness.planner import plan
from tisdiss.records.problems import DocumentError
from tisdiss.study.load import load_study
from tisdiss.study.overrides import override
from tisdiss.study.recipes import load_recipes
from tisdiss.study.resolve import resolve_training


def resolved(study, row, profile):
    return resolve_training(study, study.row(row), study.at(profile), seed=0)


def test_a_recipe_sets_what_it_was_published_with(write_study):
    rows = ["{id: a, model: tf-gridnet-sep6x1-l1, recipe: tf-gridnet}"]
    config = resolved(load_study(write_study(rows)), "a", "paper")
    optim = config.optim
    assert (optim.weight_decay, optim.warmup_steps, optim.early_stop) == (0.0, 0, 5)
    assert (config.batch_size, config.data.segment_seconds, config.average_best) == (3, 4.0, 1)
    assert config.model.architecture == "tf-gridnet"


def test_lengths_stay_the_profiles_and_the_rows_own_settings_win(write_study):
    rows = [
        "{id: a, recipe: tf-locoformer}",
        "{id: b, recipe: tf-locoformer, set: {optim.lr: 5e-4}}",
    ]
    study = load_study(write_study(rows))
    cpu, own, paper = (resolved(study, *at) for at in (("a", "cpu"), ("b", "cpu"), ("a", "paper")))
    assert (cpu.epochs, cpu.batch_size, cpu.optim.warmup_steps) == (3, 4, 300)
    assert (paper.epochs, paper.batch_size, paper.optim.warmup_steps) == (150, 4, 4000)
    assert (cpu.optim.lr, own.optim.lr) == (1e-3, 5e-4)  # the profile has 2e-3


def test_the_papers_recipe_is_the_default():
    recipe = load_recipes()["tisdiss"]
    assert override(TrainConfig(), {**recipe.set, **recipe.lengths}) == TrainConfig()


@pytest.mark.parametrize(
    ("name", "lr", "dynamic"), [("sepreformer", 1e-3, False), ("sepreformer-large", 2e-4, True)]
)
def test_sepreformers_recipes_are_the_released_ones(name, lr, dynamic):
    """The settings of `SepReformer_Base_WSJ0` and `SepReformer_Large_DM_WSJ0`."""
    recipe = load_recipes()[name]
    config = override(TrainConfig(), {**recipe.set, **recipe.lengths})
    optim = config.optim
    assert (optim.lr, optim.betas, optim.eps, optim.weight_decay) == (lr, (0.9, 0.999), 1e-8, 0.01)
    assert (optim.clip_norm, optim.warmup_steps) == (5.0, 1000)
    assert (optim.plateau_factor, optim.plateau_patience, optim.plateau_after) == (0.8, 2, 50)
    assert (config.batch_size, config.epochs, config.data.segment_seconds) == (
        2,
        199,
        4.0,
    )  # 200 is exclusive
    assert config.data.dynamic == dynamic
    assert optim.early_stop >= config.epochs


def test_all_recipes_say_where_they_are_from():
    assert all(recipe.source and recipe.about for recipe in load_recipes().values())


@pytest.mark.parametrize(
    ("row", "line"),
    [
        ("{id: a, recipe: tf-gridnets}", "6:21: 'tf-gridnets': must be 'tisdiss', 'tf-locoformer'"),
        ("{id: a, recipe: tf-gridnets}", "nearest valid name: 'tf-gridnet'"),
        (
            "{id: a, init_from: weights:base, recipe: tisdiss}",
            "'recipe': has no effect in a row with `init_from:`; remove one of the two",
        ),
        ("{id: a, published: {si_snri: 1}, recipe: tisdiss}", "no effect in a row with `published"),
    ],
)
def test_mistakes(write_study, row, line):
    with pytest.raises(DocumentError) as caught:
        load_study(write_study([row]))
    assert line in "\n".join(caught.value.lines)


def test_mistakes_in_a_file_of_recipes_have_their_places(tmp_path):
    path = tmp_path / "recipes.yaml"
    path.write_text("mine:\n  set: {optim.lrr: 1}\n  lengths: {epochs: 0}\n  sets: {}\n")
    with pytest.raises(DocumentError) as caught:
        load_recipes(path)
    lines = [line.removeprefix(f"{path}:") for line in caught.value.lines]
    assert lines == [
        "2:9: 'optim.lrr': unknown setting; nearest valid name: 'optim.lr'",
        "3:21: 0: epochs: must be greater than or equal to 1",
        "4:3: 'sets': unknown key; nearest valid name: 'set'",
    ]


def test_a_report_says_where_recipes_are_from_and_what_they_leave_out(write_study, tmp_path):
    rows = ["{id: a}", "{id: b, model: tf-gridnet-sep1x1-l1, recipe: tf-gridnet}"]
    study = load_study(write_study(rows, more="how_to_read: With care.\n"))
    planned = plan([study], "paper", runs_dir=tmp_path)
    text = planned.studies[0].content.how_to_read
    assert text.startswith("With care.\nRecipe `tf-gridnet`: the three recipes of ESPnet 202511")
    assert "Left out: the recipe drops utterances shorter than 4 s" in text


def test_a_row_without_recipe_hashes_as_before(write_study):
    (row,) = load_study(write_study(["{id: a}"])).rows
    assert "recipe" not in row.model_dump()
