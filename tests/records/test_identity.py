"""Equal runs have equal identities, and nothing else has."""

from types import SimpleNamespace

import pytest
from pydantic import BaseModel, Field

from tisdiss.config import EvalConfig, FocusedConfig, GridConfig, ModelConfig, TrainConfig
from tisdiss.records.identity import (
    canonical,
    evaluation_identity,
    sha256_of,
    train_identity,
    training_manifest,
)
from tisdiss.study.overrides import override

DATA = "d" * 64
TFL = "tf-locoformer-sep6x1-l1"
FLA = "fla-tf-locoformer-sep6x1-l1"
GOLDEN = {
    "sep1x2-re1x3-l1+3": "9354f2fe79db2c2f7e1621511b520a23fb301003d823f0bf99579805df20c92b",
    "sep1x2-re1x6-l1+6": "4c65250522beb905427ffecd00a452eec582efb0789138ebe4cc376970c755c3",
    "tf-locoformer-sep6x1-l1": "4ca0d68115e9063ae785334376411aa17b029c7efc0b6da4a4b60b409a005190",
    "fla-tf-locoformer-sep6x1-l1": (
        "5b6dc4f654fd218a5e73cafcbde04722d4124938e2200b4309fe8fbe2ced63af"
    ),
    "tf-gridnet-sep6x1-l1": "ca6f0f030fbdc39dd8f0b6bae4d2c102dee5337e90ebe32ff85c9254c8f0f7ac",
}


def identity(**changes):
    dotted = {key.replace("__", "."): value for key, value in changes.items()}
    return train_identity(override(TrainConfig(), dotted), DATA)


@pytest.mark.parametrize("name", GOLDEN)
def test_identity_of_a_base_never_changes(name):
    """If this fails, old runs would be trained again: add a field with `since`, or a new base."""
    config = TrainConfig(model=ModelConfig.from_name(name))
    assert train_identity(config, DATA) == GOLDEN[name]


def test_order_of_overrides_does_not_matter():
    one = override(TrainConfig(), {"model.n_re": 6, "optim.lr": 1e-4})
    other = override(TrainConfig(), {"optim.lr": 1e-4, "model.n_re": 6})
    assert train_identity(one, DATA) == train_identity(other, DATA)


def test_order_of_loss_terms_does_not_matter():
    assert identity(model__losses=["re", "last", "split"]) == identity()


def test_stating_a_default_does_not_matter():
    assert identity(model__n_re=3, batch_size=6) == identity()


@pytest.mark.parametrize(
    "change",
    [
        {"model__n_re": 4},
        {"model__normalize_variance": False},
        {"optim__lr": 2e-3},
        {"epochs": 3},
        {"data__seed": 1},
        {"batch_size": 2},
    ],
)
def test_every_setting_that_decides_the_weights_counts(change):
    assert identity(**change) != identity()


def test_the_block_of_tf_gridnet_counts_in_a_tf_gridnet():
    plain, wide, locoformer = (
        TrainConfig(model=ModelConfig.from_name(name, ModelConfig(grid=GridConfig(hidden=hidden))))
        for name, hidden in (("tf-gridnet-sep6x1-l1", 192), ("tf-gridnet-sep6x1-l1", 8), (TFL, 8))
    )
    assert train_identity(plain, DATA) == GOLDEN["tf-gridnet-sep6x1-l1"]
    assert train_identity(wide, DATA) != train_identity(plain, DATA)
    assert train_identity(locoformer, DATA) == GOLDEN[TFL]


def test_linear_attention_counts_in_an_fla_tf_locoformer():
    plain, wide, locoformer = (
        TrainConfig(model=ModelConfig.from_name(name, ModelConfig(focused=FocusedConfig(kernel=k))))
        for name, k in ((FLA, 5), (FLA, 3), (TFL, 3))
    )
    assert train_identity(plain, DATA) == GOLDEN[FLA]
    assert train_identity(wide, DATA) != train_identity(plain, DATA)
    assert train_identity(locoformer, DATA) == GOLDEN[TFL]


def test_seed_data_and_parent_count():
    plain = train_identity(TrainConfig(), DATA)
    assert train_identity(TrainConfig(seed=1), DATA) != plain
    assert train_identity(TrainConfig(), "e" * 64) != plain
    assert train_identity(TrainConfig(parent="a" * 64), DATA) != plain


def test_a_larger_test_set_is_no_reason_to_train():
    assert identity(data__test_mixtures=7) == identity()
    sets = {name: SimpleNamespace(manifest_hash=name) for name in ("train", "val")}
    small, large = (
        SimpleNamespace(**sets, test=SimpleNamespace(manifest_hash=h)) for h in ("small", "large")
    )
    assert training_manifest(small) == training_manifest(large)


def test_evaluation_depends_on_weights_depths_and_scored_mixtures():
    base = evaluation_identity("a", EvalConfig(), "t")
    assert evaluation_identity("a", EvalConfig(n_re=(1, 2)), "t") != base
    assert evaluation_identity("b", EvalConfig(), "t") != base
    assert evaluation_identity("a", EvalConfig(), "u") != base
    assert evaluation_identity("a", EvalConfig(), "t") == base


class Grown(BaseModel):
    width: int = 3
    workers: int = Field(default=0, json_schema_extra={"identity": False})
    later: str = Field(default="new", json_schema_extra={"since": "old"})


def test_a_field_without_meaning_does_not_count():
    assert canonical(Grown(workers=8)) == canonical(Grown())


def test_a_later_field_does_not_count_while_it_has_the_value_of_earlier_runs():
    assert canonical(Grown(later="old")) == {"width": 3}
    assert canonical(Grown()) == {"width": 3, "later": "new"}


def test_a_value_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="not JSON compliant"):
        sha256_of({"lr": float("nan")})
