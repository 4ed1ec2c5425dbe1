"""Released FLA-TFLocoformers: settings and names to ours, and back."""

from typing import Any

import pytest
import torch
from torch import Tensor

from tisdiss.baselines.fla_tf_locoformer import fla_tf_locoformer
from tisdiss.model import TISDiSS
from tisdiss.released import tisdiss as espnet


def fla(linear: dict[str, Any] | None = None, **settings: Any) -> dict[str, Any]:
    """Settings of a small FLA-TFLocoformer, with changes to them and to its linear attention."""
    attention = {"linear_attn_type": "FocusedLinearAttention", "gated": True} | (linear or {})
    sizes = {
        "n_layers": 4,
        "emb_dim": 8,
        "attention_dim": 8,
        "n_heads": 2,
        "ffn_hidden_dim": [4, 6],
    }
    layers = {
        "layers_type": ["f", "t", "f", "t"],
        "attn_types": ["LocoformerMHSA", "LocoformerLinearAttnMHSA"],
        "attn_addition_conf": {"ega_addition_conf": attention},
    }
    return {"kind": "fla_tflocoformer", "separator_conf": sizes | layers | settings}


SOFTMAX, LINEAR = "LocoformerMHSA", "LocoformerLinearAttnMHSA"
FLA: dict[str, dict[str, Any]] = {
    "as published": fla(),
    "time first": fla(layers_type=list("tftf"), attn_types=[LINEAR, SOFTMAX]),
    "three layers": fla(n_layers=3, layers_type=list("tft"), attn_types=[LINEAR, SOFTMAX]),
    "linear, RMS norms": fla(
        {"norm_type": "RMSGroupNorm_2", "kernel_size": 0}, attn_types=[LINEAR]
    ),
    "softmax, no positions": fla(attn_types=[SOFTMAX], use_rope=False),
}


def random_weights(meta: dict[str, Any]) -> dict[str, Tensor]:
    """Released names with random values, as the released model would hold them."""
    torch.manual_seed(0)
    exported = espnet.export(espnet.build(meta))
    return {k: v if "rope" in k else torch.randn_like(v) for k, v in exported.items()}


@pytest.mark.parametrize("meta", FLA.values(), ids=FLA)
def test_released_fla_tf_locoformers_are_what_is_exported(meta: dict[str, Any]) -> None:
    weights, model = random_weights(meta), espnet.build(meta)
    for parameter in model.parameters():
        torch.nn.init.constant_(parameter, torch.nan)
    espnet.load(model, weights)
    assert all(parameter.isfinite().all() for parameter in model.parameters())
    exported = espnet.export(model)
    assert list(exported) == list(weights)
    assert all(torch.equal(exported[k], weights[k]) for k in weights)


@pytest.mark.parametrize(("size", "layers", "entries"), [("m", 12, 240), ("l", 18, 357)])
def test_released_settings_of_a_published_fla_tf_locoformer(
    size: str, layers: int, entries: int
) -> None:
    sizes = {"emb_dim": 128, "attention_dim": 128, "n_heads": 4, "ffn_hidden_dim": [384, 384]}
    config = espnet.model_config(
        fla(n_layers=layers, layers_type=list("ft") * (layers // 2), **sizes)
    )
    assert config == fla_tf_locoformer(size)
    with torch.device("meta"):
        names = espnet.export(TISDiSS.from_config(config))
    assert len(names) == entries
    assert names["separator.t_blocks.0.block.attn.ega.attn.scale"].shape == (1, 1, 128)


def test_layers_of_an_fla_tf_locoformer_become_blocks() -> None:
    configs = {name: espnet.model_config(meta) for name, meta in FLA.items()}
    found = {name: (c.m_sep, c.block.tf_order, c.focused.layers) for name, c in configs.items()}
    assert found == {
        "as published": (2, "ft", ()),
        "time first": (2, "tf", ()),
        "three layers": (1, "ft", ("t-linear", "f-softmax", "t-linear")),
        "linear, RMS norms": (2, "ft", ("f-linear", "t-linear")),
        "softmax, no positions": (2, "ft", ("f-softmax", "t-softmax")),
    }
    by_number = espnet.model_config(fla(layers_type=list("fftt")))
    assert (by_number.m_sep, by_number.layers) == (
        1,
        ("f-softmax", "f-linear", "t-softmax", "t-linear"),
    )


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        (fla({"focus_factor": 3}), r"does not have: focus_factor \(nearest: focusing_factor\)"),
        (fla({"linear_attn_type": "Linear"}), "only 'FocusedLinearAttention' is supported"),
        (fla({"norm_type": "RMSGroupNorm"}), "norm_type='RMSGroupNorm': give layernorm, or RMSG"),
        (fla({"kernel_size": 4}), "4: give an odd number"),
        (fla(norm_type="RMSGroupNorm_4"), "'rmsgroupnorm' or 'layernorm'"),
        (fla(dropout=0.1), "dropout=0.1: only 0.0 is supported"),
        (fla(n_layers=3), r"give f or t for each of n_layers=3"),
        (fla(n_layers=0, layers_type=[]), r"give f or t for each of n_layers=0"),
        (fla(attn_types=["MHSA"]), r"attn_types=\['MHSA'\]: choose of LocoformerMHSA, Loco"),
        (fla(attn_addition_conf={"ega": {}}), r"\(nearest: ega_addition_conf\)|have: ega"),
        (fla(attn_addition_conf={}), "linear_attn_type=None: only 'FocusedLinearAttention'"),
    ],
)
def test_fla_settings_that_cannot_be_expressed_are_refused(
    meta: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        espnet.model_config(meta)
