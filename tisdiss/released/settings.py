"""Converts settings of the released separators to ours; refuses those without an equivalent."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from tisdiss.band_layouts import tiger_bands
from tisdiss.config import BlockConfig, CodecConfig, Decode, LossTerm, ModelConfig
from tisdiss.config.sepreformer import SepReformerConfig
from tisdiss.released import fla, gridnet, sepreformer
from tisdiss.released.slots import read_settings

# Defaults of the released classes. They misspell their default norm and refuse it themselves; this
# is the only norm that was used.
_COMMON = {
    "num_spk": 2,
    "emb_dim": 128,
    "norm_type": "rmsgroupnorm",
    "num_groups": 4,
    "tf_order": "ft",
    "n_heads": 4,
    "flash_attention": False,
    "attention_dim": 128,
    "ffn_type": "swiglu_conv1d",
    "ffn_hidden_dim": 384,
    "conv1d_kernel": 4,
    "conv1d_shift": 1,
    "dropout": 0.0,
    "eps": 1e-5,
}
_DEFAULTS = {
    "tflocoformer": _COMMON
    | {"n_layers": 6, "n_repeats": 1, "decode_each_repeat": False, "decode_each_layer": False},
    "tisdiss": _COMMON
    | {
        "encoder_n_layers": 1,
        "encoder_repeat_times": 2,
        "reconstructor_n_layers": 1,
        "reconstructor_repeat_times": 3,
        "spk_path_enable": True,
        "repeat_residual_module": False,
        "reconstructor_repeat_residual_module": True,
        "encoder_decoder": True,
        "encoder_multi_decoder": True,
        "encoder_n_layers_multi_decoder": False,
        "reconstructor_multi_decoder": True,
        "reconstructor_n_layers_multi_decoder": False,
        "spliter_loss": False,
        "split_compress": False,
        "mask": False,
        "spk_spliter_type": "swiglu_conv_deconv2d",
        "input_type": "stft",
        "segment_size": 96,
        "band_split": False,
        "split_type": "mel",
        "band_split_encoder_type": "linear",
        "band_split_decoder_type": "linear",
        "stft_n_fft": 128,
        "stft_hop_length": 64,
        "stft_win_length": 128,
        "stft_normalized": False,
        "sample_rate": 8000,
        "num_bands": 25,
        "stereo": False,
        "band_split_decoder_depth": 2,
        "mlp_expansion_factor": 4,
        "freqs_per_bands": None,
    },
}
# The only supported values: no published model uses other parts, and we do not build them.
_ONLY = {
    "dropout": 0.0,
    "spk_path_enable": True,
    "split_compress": False,
    "input_type": "stft",
    "stereo": False,
    "band_split_decoder_depth": 2,
}
_SPLITTERS = {"swiglu_conv_deconv2d": "swiglu", "conv2d": "conv2d"}


def model_config(meta: Mapping[str, Any]) -> ModelConfig | SepReformerConfig:
    """Our settings for released ones; ValueError names a setting without an equivalent."""
    meta = _unnested(meta)
    named = meta.get("kind") or meta.get("separator") or meta.get("model") or "tisdiss"
    kind = gridnet.GOLDEN_NAMES.get(named, named)
    structures = {"tflocoformer": _tflocoformer, "tisdiss": _tisdiss, fla.KIND: fla.structure}
    kinds = (*structures, *gridnet.VERSIONS, sepreformer.KIND)
    if kind not in kinds:
        raise ValueError(f"kind={kind!r}: the released separators are {', '.join(kinds)}")
    if kind == sepreformer.KIND:
        return sepreformer.model_config(meta)
    conf = meta.get("separator_conf") or meta.get("conf") or _golden(meta)
    if kind in gridnet.VERSIONS:
        return gridnet.model_config(kind, conf, meta.get("sample_rate") or 8000)
    if kind == fla.KIND:
        settings = fla.settings_of(conf)
    else:
        settings = read_settings(kind, conf, _DEFAULTS[kind], _ONLY)
    normalises = {**meta.get("model_conf", {}), **meta}.get("normalize_variance", True)
    grid = {"n_fft": 128, "hop_length": 64, **meta.get("encoder_conf", {}), **meta}
    codec = _codec(settings, grid["n_fft"], grid["hop_length"], meta.get("sample_rate"))
    structure = structures[kind](settings) | {"normalize_variance": normalises}
    return ModelConfig.model_validate(
        {"n_src": settings["num_spk"], "block": _block(settings), "codec": codec, **structure}
    )


def _unnested(meta: Mapping[str, Any]) -> Mapping[str, Any]:
    """Settings that a golden file nests in `config`, at the level where recipes have them."""
    config = _golden(meta)
    return {**meta, **config} if "separator_conf" in config else meta


def _golden(meta: Mapping[str, Any]) -> Mapping[str, Any]:
    """The settings in `config` of a golden file; a recipe may name a file there."""
    config = meta.get("config")
    return config if isinstance(config, Mapping) else {}


def _block(settings: Mapping[str, Any]) -> BlockConfig:
    hidden = settings["ffn_hidden_dim"]
    hidden = [hidden] if isinstance(hidden, int) else hidden
    kinds = settings.get("ffn_type", len(hidden) * ["swiglu_conv1d"])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if set(kinds) != {"swiglu_conv1d"} or len(kinds) != len(hidden):
        raise ValueError(
            f"ffn_type={kinds}, ffn_hidden_dim={settings['ffn_hidden_dim']}: give "
            "as many widths as types; the only type supported is swiglu_conv1d"
        )
    return BlockConfig(
        channels=settings["emb_dim"],
        attention_dim=settings["attention_dim"],
        n_heads=settings["n_heads"],
        norm=settings["norm_type"],
        norm_groups=settings["num_groups"],
        ffn_hidden=tuple(hidden),
        ffn_kernel=settings["conv1d_kernel"],
        ffn_stride=settings["conv1d_shift"],
        tf_order=settings["tf_order"],
        eps=settings["eps"],
    )


def _codec(
    settings: Mapping[str, Any], n_fft: int, hop: int, sample_rate: int | None
) -> CodecConfig:
    if not settings.get("band_split"):
        return CodecConfig(n_fft=n_fft, hop=hop, sample_rate=sample_rate or 8000)
    if settings["stft_n_fft"] != n_fft:
        raise ValueError(f"stft_n_fft={settings['stft_n_fft']} must equal the STFT's {n_fft}")
    layout, rate = settings["split_type"], settings["sample_rate"]
    encoder, decoder = (settings[f"band_split_{part}_type"] for part in ("encoder", "decoder"))
    if layout != "mel":
        _check_widths(n_fft, rate, settings["freqs_per_bands"])
    kind = layout
    if layout != "tiger":
        if encoder != decoder:
            raise ValueError(
                f"band_split_encoder_type={encoder!r}, band_split_decoder_type={decoder!r}: our "
                "band codecs have the same kind on both sides"
            )
        kind = f"{layout.replace('bandsplit', 'bands')}-{encoder}"
    codec: dict[str, object] = {"kind": kind, "n_fft": n_fft, "hop": hop, "sample_rate": rate}
    if layout == "mel":
        codec["n_bands"] = settings["num_bands"]
    if layout != "tiger" and encoder == "linear":
        codec["expansion"] = settings["mlp_expansion_factor"]
    return CodecConfig.model_validate(codec)


def _check_widths(n_fft: int, sample_rate: int, freqs_per_bands: list[int] | None) -> None:
    """Compare band widths: released ones are in Hz (62.5, 125, 250), ours parts of the spectrum."""
    bins = n_fft // 2 + 1
    widths = [math.floor(hz / (sample_rate / 2) * bins) for hz in (62.5, 125, 250)]
    released = [1, *[widths[0]] * 16, *[widths[1]] * 8, *[widths[2]] * 8]
    if sum(released) < bins:
        released.append(bins - sum(released))
    ours = [len(band) for band in tiger_bands(n_fft=n_fft)]
    theirs = list(freqs_per_bands or released)
    if theirs != ours:
        raise ValueError(f"band widths {theirs}: ours at n_fft={n_fft} are {ours}")


def _tflocoformer(settings: Mapping[str, Any]) -> dict[str, object]:
    repeats, layers = settings["decode_each_repeat"], settings["decode_each_layer"]
    return {
        "architecture": "tf-locoformer",
        "m_sep": settings["n_layers"],
        "n_sep": settings["n_repeats"],
        "m_re": 0,
        "n_re": 0,
        "losses": ("last", "sep") if repeats or layers else ("last",),
        "decode_sep": _decode(settings["n_layers"], settings["n_repeats"], repeats, layers),
        "sep_residual": False,
    }


def _tisdiss(settings: Mapping[str, Any]) -> dict[str, object]:
    m_sep, n_sep = settings["encoder_n_layers"], settings["encoder_repeat_times"]
    m_re, n_re = settings["reconstructor_n_layers"], settings["reconstructor_repeat_times"]
    if m_re and not n_re:
        raise ValueError(
            f"reconstructor_n_layers={m_re}, reconstructor_repeat_times=0: the released model then "
            "decodes nothing; set both to 0"
        )
    if not m_re and not settings["encoder_decoder"]:
        raise ValueError(
            "reconstructor_n_layers=0 with encoder_decoder=False: the released model then has no "
            "output; set encoder_decoder to True"
        )
    sep = settings["encoder_multi_decoder"], settings["encoder_n_layers_multi_decoder"]
    re = settings["reconstructor_multi_decoder"], settings["reconstructor_n_layers_multi_decoder"]
    residual = settings["repeat_residual_module"]
    return {
        "m_sep": m_sep,
        "n_sep": n_sep,
        "m_re": m_re,
        "n_re": n_re if m_re else 0,
        "losses": tuple(_terms(settings, sep, re, early_split=bool(m_re))),
        "decode_sep": _decode(m_sep, n_sep, *sep) if settings["encoder_decoder"] else "auto",
        "decode_re": _decode(m_re, n_re, *re) if m_re else "auto",
        "splitter": _splitter(settings["spk_spliter_type"]),
        "mask": settings["mask"],
        "sep_residual": residual,
        "re_residual": bool(m_re and residual and settings["reconstructor_repeat_residual_module"]),
    }


def _splitter(released: str) -> str:
    if released not in _SPLITTERS:
        raise ValueError(f"spk_spliter_type={released!r}: choose {' or '.join(_SPLITTERS)}")
    return _SPLITTERS[released]


def _terms(
    settings: Mapping[str, Any], sep: tuple[bool, bool], re: tuple[bool, bool], early_split: bool
) -> Iterator[LossTerm]:
    """With encoder_decoder on, its last depth is the split term, whatever spliter_loss is."""
    yield "last"
    if settings["encoder_decoder"] and any(sep):
        yield "sep"
    if early_split and (settings["encoder_decoder"] or settings["spliter_loss"]):
        yield "split"
    if early_split and any(re):
        yield "re"


def _decode(blocks: int, passes: int, each_pass: bool, each_layer: bool) -> Decode:
    """ "auto" if it selects the same depths, so that equal models have equal settings."""
    auto = "layers" if passes == 1 else "repetitions"
    if each_layer and not each_pass:
        return "last-layers"
    explicit: Decode = "layers" if each_layer else "repetitions"
    unset = not (each_pass or each_layer)
    return "auto" if unset or explicit == auto or blocks == 1 else explicit
