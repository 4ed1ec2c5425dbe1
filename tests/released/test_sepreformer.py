"""SepReformer's released settings and names to ours, and back."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tisdiss.baselines.sepreformer import SepReformer
from tisdiss.config.sepreformer import sepreformer
from tisdiss.released import build, export, load, load_released, model_config


def settings(n: int, channels: int, heads: int, maxlen: int) -> dict[str, Any]:
    """What a released folder has in its configuration."""
    features, dropout = {"in_channels": channels}, {"dropout_rate": 0.05}
    attention = features | {"num_mha_heads": heads} | dropout
    blocks = {"global_blocks": attention, "local_blocks": features | {"kernel_size": 65} | dropout}
    table = {"num_heads": heads, "maxlen": maxlen, "embed_v": False}
    codec = {"kernel_size": 16, "stride": 4, "bias": False}
    projector = {"num_channels": n, "in_channels": n, "out_channels": channels}
    return {
        "num_stages": 4,
        "num_spks": 2,
        "module_audio_enc": {"in_channels": 1, "out_channels": n, "groups": 1} | codec,
        "module_feature_projector": projector | {"kernel_size": 1, "bias": False},
        "module_separator": {
            "num_stages": 4,
            "relative_positional_encoding": features | table,
            "enc_stage": blocks | {"down_conv_layer": features | {"samp_kernel_size": 5}},
            "spk_split_stage": features | {"num_spks": 2},
            "simple_fusion": {"out_channels": channels},
            "dec_stage": {"num_spks": 2, "spk_attention": attention} | blocks,
        },
        "module_output_layer": {"in_channels": n, "out_channels": channels, "num_spks": 2},
        "module_audio_dec": {"in_channels": n, "out_channels": 1} | codec,
    }


BASE = settings(n=256, channels=128, heads=8, maxlen=2000)
TINY = settings(n=6, channels=4, heads=2, maxlen=5)


def meta(config: dict[str, Any] = BASE, **more: Any) -> dict[str, Any]:
    return {"model": "sepreformer", "config": config, **more}


def changed(path: str, value: Any) -> dict[str, Any]:
    """BASE with one setting changed, or dropped where the value is None."""
    config = copy.deepcopy(BASE)
    *groups, name = path.split(".")
    group = config
    for each in groups:
        group = group[each]
    group[name] = value
    if value is None:
        del group[name]
    return config


def test_the_released_base_folder_is_the_base_size() -> None:
    assert model_config(meta()) == sepreformer("base")
    assert model_config(meta(splitter="shared")) == sepreformer("base")
    separate = sepreformer("base", splitter="separate", sample_rate=16000)
    assert model_config(meta(splitter="per_stage", sample_rate=16000)) == separate


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("num_stage", 4, r"does not have: num_stage \(nearest: num_stages\)"),
        ("module_output_layer.num_spks", None, r"are missing: module_output_layer\.num_spks"),
        ("num_stages", None, "are missing: num_stages"),
        ("module_separator.num_stages", 3, r"num_stages=3: only 4 fits the other settings"),
        ("module_audio_enc.bias", True, r"module_audio_enc\.bias=True: only False fits"),
        ("module_audio_enc.kernel_size", 32, r"module_audio_dec\.kernel_size=16: only 32 fits"),
        (
            "module_separator.relative_positional_encoding.embed_v",
            True,
            "embed_v=True: only False fits",
        ),
        ("num_spks", 1, "greater than or equal to 2"),
    ],
)
def test_settings_that_cannot_be_expressed_are_refused(path: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(meta(changed(path, value)))


def test_a_recipe_may_have_other_models_and_configs() -> None:
    """ESPnet's settings name a file as `config`; only golden files have settings there."""
    plain = model_config({"separator": "tfgridnet"})
    recipe = {"separator": "tfgridnet", "config": "conf/tuning/x.yaml", "model": "espnet"}
    assert model_config(recipe) == plain
    assert model_config({"kind": "sepreformer", "config": BASE}) == sepreformer("base")


def test_an_unknown_splitter_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="splitter='none': choose shared or per_stage"):
        model_config(meta(splitter="none"))


def released(splitter: str) -> tuple[SepReformer, dict[str, Tensor]]:
    """A small model and random released weights for it."""
    model = build(meta(TINY, splitter=splitter))
    assert isinstance(model, SepReformer)
    weights = export(model)
    return model, {
        name: torch.rand_like(value) if value.is_floating_point() else torch.tensor(7)
        for name, value in weights.items()
    }


@pytest.mark.parametrize("splitter", ["shared", "per_stage"])
def test_export_gives_back_what_was_loaded(splitter: str) -> None:
    model, weights = released(splitter)
    for tensor in model.state_dict().values():
        tensor.fill_(torch.nan if tensor.is_floating_point() else -1)
    load(model, weights)
    exported = export(model)
    assert list(exported) == list(weights)
    assert all(torch.equal(exported[name], weights[name]) for name in weights)
    assert all(t.isfinite().all() and (t != -1).all() for t in model.state_dict().values())
    assert exported["separator.enc_stages.0.downconv.BN.num_batches_tracked"].dtype == torch.int64


@pytest.mark.parametrize("splitter", ["shared", "per_stage"])
def test_splitters_have_their_own_names(splitter: str) -> None:
    names = {name.split(".linear")[0] for name in released(splitter)[1] if "split" in name}
    expected = {
        "shared": {"separator.spk_split_block"},
        "per_stage": {f"separator.spk_split_blocks.{i}" for i in range(5)},
    }
    assert {name.split(".norm")[0] for name in names} == expected[splitter]


def test_every_name_must_be_there_and_known() -> None:
    model, weights = released("shared")
    name = "separator.bottleneck_G.l_block_1.block.cla.BN.num_batches_tracked"
    counter = weights.pop(name)
    with pytest.raises(ValueError, match=f"missing {name}"):
        load(model, weights)
    with pytest.raises(ValueError, match=r"unexpected separator\.extra"):
        load(model, {**weights, name: counter, "separator.extra": torch.ones(1)})
    _, other = released("per_stage")
    with pytest.raises(ValueError, match=r"missing separator\.spk_split_block\.linear"):
        load(model, other)


def test_weights_are_found_in_a_training_state(tmp_path: Path) -> None:
    model, weights = released("shared")
    wrapped = {f"module.{name}": value for name, value in weights.items()}
    torch.save({"epoch": 180, "model_state_dict": wrapped}, tmp_path / "epoch.0180.pth")
    loaded = load_released(tmp_path / "epoch.0180.pth", meta(TINY))
    load(model, weights)
    mixture = torch.ones(1, 50)
    assert torch.equal(loaded.eval()(mixture), model.eval()(mixture))
