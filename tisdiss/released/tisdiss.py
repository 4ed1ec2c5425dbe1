"""The released checkpoints: their settings and key names, and nothing else knows them.

`build(meta)` makes our model from the released settings, `load(model, state_dict)` fills it with
the released tensors and `export(model)` writes them back under the released names. The released
code calls our separator "encoder", its residual module "concat block", and counts a path's
feed-forwards from the end.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tisdiss.band_layouts import tiger_bands
from tisdiss.bands import (
    ConvBandDecoder,
    ConvBandEncoder,
    LinearBandDecoder,
    LinearBandEncoder,
    TigerDecoder,
)
from tisdiss.config import BlockConfig, CodecConfig, Decode, LossTerm, ModelConfig
from tisdiss.kernels.attention import rotary_frequencies
from tisdiss.layers import Path as LocoformerPath
from tisdiss.model import TISDiSS
from tisdiss.reconstructor import Reconstructor
from tisdiss.released import gridnet
from tisdiss.released.slots import (
    Slot,
    Slots,
    fill,
    module_slots,
    read_released,
    read_settings,
    slot_of,
    weights_in,
)
from tisdiss.separator import Separator

# What the released classes assume for a setting that is absent. Their default norm is misspelt and
# refused by themselves; the only one that was ever used stands here.
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
# Settings of parts that no published model uses and we do not build.
_ONLY = {
    "dropout": 0.0,
    "spk_path_enable": True,
    "split_compress": False,
    "input_type": "stft",
    "stereo": False,
    "band_split_decoder_depth": 2,
}
_SPLITTERS = {"swiglu_conv_deconv2d": "swiglu", "conv2d": "conv2d"}


def build(meta: Mapping[str, Any]) -> TISDiSS:
    """Our model for released settings: a golden file's meta data or a recipe's config.yaml."""
    return TISDiSS.from_config(model_config(meta))


def load_released(path: Path, meta: Mapping[str, Any]) -> TISDiSS:
    """Our model with the weights of a released .pth file, or of a training state with them.

    ValueError, one short line or a few, where they do not fit or are not plain tensors.
    """
    model = build(meta)
    held = read_released(Path(path))
    try:
        load(model, held)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return model


def load(model: TISDiSS, state_dict: Mapping[str, Any]) -> None:
    """Fill the model with tensors under their released names; every name and shape must fit.

    What a wrapper put before the names is dropped, and so is what else a training state holds.
    Numbers of any floating type become the model's. Rotary frequencies are constants here: the
    released copies are compared and dropped.
    """
    slots = dict(_slots(model))
    fill(slots, weights_in(slots, state_dict))


def export(model: TISDiSS) -> dict[str, Tensor]:
    """The model's weights under the released names, in the released order and shapes.

    The residual module that a single Sep-Block never uses has no weights here; it is written as
    the identity, since the released class expects it.
    """
    like = next(model.parameters())
    return {name: slot.tensor.to(like).reshape(slot.shape).clone() for name, slot in _slots(model)}


def model_config(meta: Mapping[str, Any]) -> ModelConfig:
    """Our settings for released ones; what cannot be expressed is refused by name."""
    kind = meta.get("kind") or meta.get("separator") or "tisdiss"
    known = (*_DEFAULTS, *gridnet.VERSIONS)
    if kind not in known:
        raise ValueError(f"kind={kind!r}: the released separators are {', '.join(known)}")
    given = meta.get("separator_conf") or meta.get("conf") or {}
    if kind in gridnet.VERSIONS:
        return gridnet.model_config(kind, given, meta.get("sample_rate") or 8000)
    settings = read_settings(kind, given, _DEFAULTS[kind], _ONLY)
    normalised = {**meta.get("model_conf", {}), **meta}.get("normalize_variance", True)
    if not normalised:
        raise ValueError("normalize_variance=False: our models always divide by the deviation")
    grid = {"n_fft": 128, "hop_length": 64, **meta.get("encoder_conf", {}), **meta}
    codec = _codec(settings, grid["n_fft"], grid["hop_length"], meta.get("sample_rate"))
    structure = _tisdiss(settings) if kind == "tisdiss" else _tflocoformer(settings)
    return ModelConfig.model_validate(
        {"n_src": settings["num_spk"], "block": _block(settings), "codec": codec, **structure}
    )


def _block(settings: Mapping[str, Any]) -> BlockConfig:
    kinds, hidden = settings["ffn_type"], settings["ffn_hidden_dim"]
    kinds = [kinds] if isinstance(kinds, str) else kinds
    hidden = [hidden] if isinstance(hidden, int) else hidden
    if set(kinds) != {"swiglu_conv1d"} or len(kinds) != len(hidden):
        raise ValueError(
            f"ffn_type={settings['ffn_type']}, ffn_hidden_dim={settings['ffn_hidden_dim']}: give "
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
    kind, rate = settings["split_type"], settings["sample_rate"]
    if kind != "mel":
        _check_widths(n_fft, rate, settings["freqs_per_bands"])
    if kind != "tiger":
        encoder, decoder = (settings[f"band_split_{part}_type"] for part in ("encoder", "decoder"))
        if encoder != decoder:
            raise ValueError(
                f"band_split_encoder_type={encoder!r}, band_split_decoder_type={decoder!r}: our "
                "band codecs have the same kind on both sides"
            )
        kind = f"{kind.replace('bandsplit', 'bands')}-{encoder}"
    codec: dict[str, Any] = {"kind": kind, "n_fft": n_fft, "hop": hop, "sample_rate": rate}
    if kind.startswith("mel"):
        codec["n_bands"] = settings["num_bands"]
    if kind.endswith("linear"):
        codec["expansion"] = settings["mlp_expansion_factor"]
    return CodecConfig.model_validate(codec)


def _check_widths(n_fft: int, sample_rate: int, given: list[int] | None) -> None:
    """The released layout is in Hz (62.5, 125 and 250 a band), ours in parts of the spectrum."""
    bins = n_fft // 2 + 1
    widths = [math.floor(hz / (sample_rate / 2) * bins) for hz in (62.5, 125, 250)]
    released = [1, *[widths[0]] * 16, *[widths[1]] * 8, *[widths[2]] * 8]
    if sum(released) < bins:
        released.append(bins - sum(released))
    ours = [len(band) for band in tiger_bands(n_fft=n_fft)]
    if list(given or released) != ours:
        raise ValueError(f"band widths {list(given or released)}: ours at n_fft={n_fft} are {ours}")


def _tflocoformer(settings: Mapping[str, Any]) -> dict[str, Any]:
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


def _tisdiss(settings: Mapping[str, Any]) -> dict[str, Any]:
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
    """With the encoder's decoder on, its last depth is the split term, whatever spliter_loss is."""
    yield "last"
    if settings["encoder_decoder"] and any(sep):
        yield "sep"
    if early_split and (settings["encoder_decoder"] or settings["spliter_loss"]):
        yield "split"
    if early_split and any(re):
        yield "re"


def _decode(blocks: int, passes: int, each_pass: bool, each_layer: bool) -> Decode:
    """ "auto" where it selects the same depths, so that equal models have equal settings."""
    auto = "layers" if passes == 1 else "repetitions"
    if each_layer and not each_pass:
        return "last-layers"
    wanted: Decode = "layers" if each_layer else "repetitions"
    unset = not (each_pass or each_layer)
    return "auto" if unset or wanted == auto or blocks == 1 else wanted


def _slots(model: TISDiSS) -> Slots:
    """Every released name with its slot, in the released order."""
    if model.config.architecture == "tf-gridnet":
        return ((f"separator.{name}", slot) for name, slot in gridnet.slots(model))
    config, decoder = model.config, getattr(model.decoder, "inner", model.decoder)
    joint = not config.has_splitter
    parts = [
        _codec_slots(config.codec.kind, model.encoder, decoder),
        _block_slots("blocks" if joint else "encoder_blocks", model.separator, config),
        module_slots("spk_spliter", model.splitter, {"conv": "conv2d", "deconv": "deconv2d"}),
        _block_slots("reconstructor_blocks", model.reconstructor, config),
    ]
    if config.codec.kind == "conv2d":
        name = "deconv" if joint else "reconstructor_deconv"
        parts.append(module_slots(name, decoder, {"deconv": ""}))
    parts.append(_residual_slots(model))
    return ((f"separator.{name}", slot) for part in parts for name, slot in part)


def _block_slots(
    prefix: str, stage: Separator | Reconstructor | None, config: ModelConfig
) -> Slots:
    for i, block in enumerate(stage.blocks if stage else ()):
        dual = getattr(block, "dual_path", block)
        paths: dict[str, Any] = {"freq_path": dual.frequency, "frame_path": dual.time}
        if dual is not block:
            paths["spk_path"] = block.speaker
        for name, path in paths.items():
            for key, slot in _path_slots(path, config.block):
                yield f"{prefix}.{i}.{name}.{key}", slot


def _path_slots(path: LocoformerPath, config: BlockConfig) -> Slots:
    """The feed-forward after the attention is number 0, the one before it number 1."""
    feed_forwards = [path.after] if path.before is None else [path.after, path.before]
    for i, (norm, _) in enumerate(feed_forwards):
        yield from _norm_slots(f"ffn_norm.{i}", norm)
    for i, (_, layer) in enumerate(feed_forwards):
        yield from module_slots(f"ffn.{i}", layer, {"conv": "conv1d", "deconv": "deconv1d"})
    norm, attention = path.attention
    yield from _norm_slots("attn_norm", norm)
    head_dim = config.attention_dim // config.n_heads
    yield "attn.rope.freqs", Slot(rotary_frequencies(head_dim), (head_dim // 2,), "constant")
    yield from module_slots("attn", attention, {"qkv": "qkv", "out": "aggregate_heads.0"})


def _norm_slots(prefix: str, norm: nn.Module) -> Slots:
    for name, tensor in norm.named_parameters():
        yield f"{prefix}.{'gamma' if name == 'scale' else name}", slot_of(tensor)


def _residual_slots(model: TISDiSS) -> Slots:
    stages = [model.separator, model.reconstructor]
    used = [s.residual for s in stages if s is not None and s.residual is not None]
    channels = model.config.block.channels
    shape = (channels, 1, 1, 1)
    if used:
        yield "concat_block.0.weight", slot_of(used[0].scale, *shape)
        yield "concat_block.0.bias", slot_of(used[0].bias)
        yield "concat_block.1.weight", slot_of(used[0].activation.weight)
    elif model.config.sep_residual:
        yield "concat_block.0.weight", Slot(torch.ones(shape), shape, "unused")
        yield "concat_block.0.bias", Slot(torch.zeros(channels), (channels,), "unused")
        yield "concat_block.1.weight", Slot(torch.ones(1), (1,), "unused")


def _codec_slots(kind: str, encoder: Any, decoder: nn.Module) -> Slots:
    if kind == "conv2d":
        yield from module_slots("conv", encoder, {"conv": "0", "norm": "1"})
        return
    slots, outer = _BAND_SLOTS[kind.removeprefix("mel-").removeprefix("bands-")]
    ends = encoder.map.widths.cumsum(0).tolist()
    rows = [slice(2 * a, 2 * b) for a, b in pairwise([0, *ends])]
    for side, codec, name in zip(slots, (encoder, decoder), outer, strict=True):
        for i, band in enumerate(rows):
            for key, slot in side(codec, i, band):
                yield f"{name}.{i}.{key}", slot


def _linear_encoder(codec: LinearBandEncoder, i: int, rows: slice) -> Slots:
    yield "0.gamma", slot_of(codec.gamma[rows])
    yield "1.weight", slot_of(codec.weight[rows].T)
    yield "1.bias", slot_of(codec.bias[i])


def _linear_decoder(codec: LinearBandDecoder, i: int, rows: slice) -> Slots:
    for key, part in (("0.0", "in"), ("0.2", "mid")):
        yield f"{key}.weight", slot_of(getattr(codec, f"weight_{part}")[i].T)
        yield f"{key}.bias", slot_of(getattr(codec, f"bias_{part}")[i])
    out = codec.weight_out[rows].transpose(0, 1)  # value | gate, then the band's rows
    yield "0.4.weight", slot_of(out, 2 * out.shape[1], out.shape[2])
    yield "0.4.bias", slot_of(codec.bias_out[rows].T, 2 * out.shape[1])


def _conv_encoder(codec: ConvBandEncoder, i: int, rows: slice) -> Slots:
    yield "0.weight", slot_of(codec.gamma[rows])
    yield "0.bias", slot_of(codec.beta[rows])
    yield "1.weight", slot_of(codec.weight[rows].transpose(0, 1))
    yield "1.bias", slot_of(codec.bias[i])


def _conv_decoder(codec: ConvBandDecoder, i: int, rows: slice) -> Slots:
    yield "0.weight", slot_of(codec.weight[rows].transpose(0, 1))
    yield "0.bias", slot_of(codec.bias[rows])


def _tiger_encoder(codec: ConvBandEncoder, i: int, rows: slice) -> Slots:
    """All real rows of a band come before its imaginary rows."""
    n_rows = rows.stop - rows.start
    yield "0.weight", slot_of(codec.gamma[rows].unflatten(0, (-1, 2)).T, n_rows)
    yield "0.bias", slot_of(codec.beta[rows].unflatten(0, (-1, 2)).T, n_rows)
    weight = codec.weight[rows].unflatten(0, (-1, 2)).permute(2, 1, 0, 3)
    yield "1.weight", slot_of(weight, weight.shape[0], n_rows, 1)
    yield "1.bias", slot_of(codec.bias[i])


def _tiger_decoder(codec: TigerDecoder, i: int, rows: slice) -> Slots:
    """value | gate, then real | imaginary, then the band's bins."""
    yield "0.weight", slot_of(codec.slope[i : i + 1])
    weight = codec.weight[rows].unflatten(0, (-1, 2)).permute(2, 1, 0, 3)
    yield "1.weight", slot_of(weight, 4 * weight.shape[2], weight.shape[3], 1)
    yield (
        "1.bias",
        slot_of(codec.bias[rows].unflatten(0, (-1, 2)).permute(2, 1, 0), 4 * weight.shape[2]),
    )


_SPLIT_NAMES = ("band_split_encoder.to_features", "band_split_decoder.to_freqs")
_BAND_SLOTS: dict[str, tuple[tuple[Callable[..., Slots], ...], tuple[str, str]]] = {
    "linear": ((_linear_encoder, _linear_decoder), _SPLIT_NAMES),
    "conv1d": ((_conv_encoder, _conv_decoder), _SPLIT_NAMES),
    "tiger": ((_tiger_encoder, _tiger_decoder), ("tiger_encoder.BN", "tiger_decoder.mask")),
}
