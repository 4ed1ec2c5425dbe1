"""Settings of ours as those of the released classes, and back."""

from itertools import product
from typing import Any

import pytest
from released_settings import SMALL

from tisdiss.config import ModelConfig
from tisdiss.released import model_config, recipe

BANDS = {"band_split": True, "split_type": "bandsplit", "stft_n_fft": 256}
WIDTHS = [1] + [2] * 16 + [4] * 8 + [8] * 8
CONV1D = {"band_split_encoder_type": "conv1d", "band_split_decoder_type": "conv1d"}
ATTENTION = {"linear_attn_type": "FocusedLinearAttention", "gated": True, "focusing_factor": 2.0}
FLA = {
    **{key: SMALL[key] for key in ("emb_dim", "n_heads", "attention_dim", "ffn_hidden_dim")},
    "n_layers": 6,
    "layers_type": list("tfttft"),
    "attn_types": ["LocoformerLinearAttnMHSA", "LocoformerMHSA"],
    "attn_addition_conf": {"ega_addition_conf": ATTENTION | {"norm_type": "RMSGroupNorm_2"}},
}
RELEASED: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ("tisdiss", SMALL),
    "one feed-forward": ("tisdiss", SMALL | {"ffn_type": "swiglu_conv1d", "ffn_hidden_dim": 4}),
    "masked, three": ("tisdiss", SMALL | {"mask": True, "tf_order": "tf", "num_spk": 3}),
    "other splitter": ("tisdiss", SMALL | {"spk_spliter_type": "conv2d"}),
    "no early split": ("tisdiss", SMALL | {"reconstructor_n_layers": 0, "encoder_n_layers": 6}),
    "residuals": ("tisdiss", SMALL | {"repeat_residual_module": True}),
    "mel": ("tisdiss", SMALL | {"band_split": True, "num_bands": 32, "mlp_expansion_factor": 1}),
    "tiger": ("tisdiss", SMALL | {"band_split": True, "split_type": "tiger"}),
    "locoformer": ("tflocoformer", SMALL | {"n_layers": 2, "decode_each_layer": True}),
    "grid 1": ("tfgridnet", {"emb_dim": 8, "emb_hs": 2, "lstm_hidden_units": 5, "n_layers": 2}),
    "grid 2": ("tfgridnetv2", {"emb_dim": 8, "emb_ks": 3, "emb_hs": 3, "attn_n_head": 2}),
    "focused": ("fla_tflocoformer", FLA),
    "bands": ("tisdiss", SMALL | BANDS | CONV1D | {"freqs_per_bands": WIDTHS}),
}  # fmt: skip


def released(name: str) -> ModelConfig:
    kind, conf = RELEASED[name]
    n_fft = conf.get("stft_n_fft", 128)
    encoder = {"n_fft": n_fft, "hop_length": n_fft // 2}
    config = model_config({"separator": kind, "separator_conf": conf, "encoder_conf": encoder})
    assert isinstance(config, ModelConfig)
    return config


@pytest.mark.parametrize("name", RELEASED)
def test_the_released_settings_of_a_model_mean_this_model(name: str) -> None:
    assert model_config(recipe(released(name))) == released(name)


def test_every_way_to_supervise_has_released_settings() -> None:
    names = ("encoder_decoder", "encoder_multi_decoder", "encoder_n_layers_multi_decoder",
             "reconstructor_multi_decoder", "reconstructor_n_layers_multi_decoder", "spliter_loss",
             "encoder_n_layers", "reconstructor_n_layers")  # fmt: skip
    for values in product(*[(False, True)] * 6, (1, 2), (1, 2)):
        flags = dict(zip(names, values, strict=True))
        config = model_config({"separator_conf": SMALL | flags})
        assert model_config(recipe(config)) == config, flags


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"losses": ("last", "sep")}, r"because of losses=\['last', 'sep'\], decode_sep=auto"),
        ({"sep_residual": False, "re_residual": True}, "because of re_residual=True; its weights"),
    ],
)
def test_a_model_that_was_not_released_is_refused(changes: dict[str, Any], message: str) -> None:
    config = ModelConfig.model_validate(ModelConfig().model_dump() | changes)
    with pytest.raises(ValueError, match=message):
        recipe(config)
