"""Settings of the released classes for a model of ours: the inverse of `settings.py`."""

from collections.abc import Callable
from typing import Any

from tisdiss.config import ModelConfig
from tisdiss.depths import Decode, resolved
from tisdiss.released import fla, gridnet
from tisdiss.released.settings import model_config

_FREE = {"losses", "decode_sep", "decode_re"}
"""Settings that are compared by the depths that they decode."""


def recipe(config: ModelConfig) -> dict[str, Any]:
    """The content of the config.yaml with which the released code builds this model.

    Raises ValueError for a model that the released classes do not have.
    """
    if config.architecture not in _SEPARATORS:
        raise ValueError(
            f"{config.name}: no such model was released; those of {', '.join(_SEPARATORS)} were"
        )
    separator, conf = _SEPARATORS[config.architecture](config)
    codec = config.codec
    settings = {
        "sample_rate": codec.sample_rate,
        "encoder": "stft",
        "encoder_conf": {"n_fft": codec.n_fft, "hop_length": codec.hop},
        "separator": separator,
        "separator_conf": conf,
        "decoder": "stft",
        "decoder_conf": {"n_fft": codec.n_fft, "hop_length": codec.hop},
        "model_conf": {"normalize_variance": True},
    }
    back = model_config(settings)
    assert isinstance(back, ModelConfig)
    if differences := _differences(config, back):
        raise ValueError(
            f"{config.name}: the released code has no such model, because of "
            f"{', '.join(differences)}; its weights stay in our format"
        )
    return settings


def _differences(ours: ModelConfig, back: ModelConfig) -> list[str]:
    """Settings of ours that the released ones do not say."""
    one, other = (model.model_dump(mode="json", exclude=_FREE) for model in (ours, back))
    names = [f"{name}={one[name]}" for name in one if one[name] != other[name]]
    if not names and ours.decoded() != back.decoded():
        names = [f"losses={list(ours.losses)}, decode_sep={ours.decode_sep}, "
                 f"decode_re={ours.decode_re}"]  # fmt: skip
    return names


def _block(config: ModelConfig) -> dict[str, Any]:
    """The settings of a Locoformer block."""
    block = config.block
    return {
        "num_spk": config.n_src,
        "emb_dim": block.channels,
        "norm_type": block.norm,
        "num_groups": block.norm_groups,
        "n_heads": block.n_heads,
        "attention_dim": block.attention_dim,
        "ffn_hidden_dim": list(block.ffn_hidden),
        "conv1d_kernel": block.ffn_kernel,
        "conv1d_shift": block.ffn_stride,
        "eps": block.eps,
    }


def _locoformer(config: ModelConfig) -> dict[str, Any]:
    block = config.block
    kinds = ["swiglu_conv1d"] * len(block.ffn_hidden)
    return _block(config) | {"ffn_type": kinds, "tf_order": block.tf_order}


def _decoded(decode: Decode, passes: int, on: bool) -> tuple[bool, bool]:
    """Whether every pass is decoded, and whether every block."""
    kind = resolved(decode, passes)
    return on and kind != "last-layers", on and kind != "repetitions"


def _tflocoformer(config: ModelConfig) -> tuple[str, dict[str, Any]]:
    repeats, layers = _decoded(config.decode_sep, config.n_sep, "sep" in config.losses)
    return "tflocoformer", _locoformer(config) | {
        "n_layers": config.m_sep,
        "n_repeats": config.n_sep,
        "decode_each_repeat": repeats,
        "decode_each_layer": layers,
    }


def _tisdiss(config: ModelConfig) -> tuple[str, dict[str, Any]]:
    losses = config.losses
    sep = _decoded(config.decode_sep, config.n_sep, "sep" in losses)
    re = _decoded(config.decode_re, config.n_re, "re" in losses)
    return "tisdiss", _locoformer(config) | _bands(config) | {
        "encoder_n_layers": config.m_sep,
        "encoder_repeat_times": config.n_sep,
        "reconstructor_n_layers": config.m_re,
        "reconstructor_repeat_times": config.n_re,
        "repeat_residual_module": config.sep_residual,
        "reconstructor_repeat_residual_module": config.re_residual,
        "encoder_decoder": "sep" in losses or not config.m_re,
        "encoder_multi_decoder": sep[0],
        "encoder_n_layers_multi_decoder": sep[1],
        "reconstructor_multi_decoder": re[0],
        "reconstructor_n_layers_multi_decoder": re[1],
        "spliter_loss": "split" in losses,
        "mask": config.mask,
        "spk_spliter_type": {"swiglu": "swiglu_conv_deconv2d"}.get(
            config.splitter, config.splitter
        ),
    }


def _bands(config: ModelConfig) -> dict[str, Any]:
    """The settings of a band codec; none for the codec without bands."""
    codec = config.codec
    if not codec.bands:
        return {}
    layout, _, layers = codec.kind.partition("-")
    split_type = {"bands": "bandsplit"}.get(layout, layout)
    kinds = {f"band_split_{part}_type": layers for part in ("encoder", "decoder") if layers}
    widths = [len(band) for band in codec.bands]
    return kinds | {
        "band_split": True,
        "split_type": split_type,
        "sample_rate": codec.sample_rate,
        "stft_n_fft": codec.n_fft,
        "stft_hop_length": codec.hop,
        "stft_win_length": codec.n_fft,
        "num_bands": len(widths),
        "mlp_expansion_factor": codec.expansion,
        "freqs_per_bands": None if layout == "mel" else widths,
    }


def _gridnet(config: ModelConfig) -> tuple[str, dict[str, Any]]:
    grid = config.grid
    names = {version: name for name, version in gridnet.VERSIONS.items()}
    return names[grid.version], {
        "n_srcs": config.n_src,
        "n_fft": config.codec.n_fft,
        "stride": config.codec.hop,
        "n_layers": config.m_sep,
        "lstm_hidden_units": grid.hidden,
        "attn_n_head": grid.n_heads,
        "attn_approx_qk_dim": grid.qk_size,
        "emb_dim": config.block.channels,
        "emb_ks": grid.window,
        "emb_hs": grid.hop,
        "eps": config.block.eps,
    }


def _fla(config: ModelConfig) -> tuple[str, dict[str, Any]]:
    return fla.KIND, _block(config) | fla.released_structure(config)


_SEPARATORS: dict[str, Callable[[ModelConfig], tuple[str, dict[str, Any]]]] = {
    "tisdiss": _tisdiss,
    "tf-locoformer": _tflocoformer,
    "tf-gridnet": _gridnet,
    fla.ARCHITECTURE: _fla,
}
