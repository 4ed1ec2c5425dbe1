"""FLA-TFLocoformer's released settings and key names, for `tisdiss.released.tisdiss`."""

import re
from collections.abc import Iterator, Mapping
from itertools import cycle
from typing import Any

from tisdiss.baselines.fla_tf_locoformer import Layers, LinearPart, UnplacedAttention
from tisdiss.config import FocusedConfig, ModelConfig
from tisdiss.layers import Attention, LocoformerPath
from tisdiss.model import TISDiSS
from tisdiss.released.path_slots import feed_forward_slots, norm_slots, rotary_slot
from tisdiss.released.slots import Slots, module_slots, read_settings, slot_of

KIND = "fla_tflocoformer"
ARCHITECTURE = "fla-tf-locoformer"

# Defaults of the released class; the last three have none.
_DEFAULTS = {
    "num_spk": 2,
    "n_layers": 12,
    "emb_dim": 128,
    "norm_type": "rmsgroupnorm",
    "num_groups": 4,
    "n_heads": 4,
    "attention_dim": 128,
    "ffn_hidden_dim": [384, 384],
    "conv1d_kernel": 4,
    "conv1d_shift": 1,
    "dropout": 0.0,
    "eps": 1e-5,
    "use_rope": True,
    "layers_type": (),
    "attn_types": (),
    "attn_addition_conf": {},
}
_LINEAR_DEFAULTS = {
    "linear_attn_type": None,
    "gated": False,
    "focusing_factor": 3,
    "kernel_size": 5,
    "norm_type": "layernorm",
}
_ATTENTIONS = {"LocoformerMHSA": "softmax", "LocoformerLinearAttnMHSA": "linear"}
_USUAL: dict[tuple[str, ...], str] = {
    ("f-softmax", "t-linear"): "ft",
    ("t-linear", "f-softmax"): "tf",
}
"""Layers of a block that need no list of them, and their order of axes."""


def settings_of(conf: Mapping[str, Any]) -> dict[str, Any]:
    """Released settings, with the order of axes as TF-Locoformer's released class has it."""
    settings = read_settings(KIND, conf, _DEFAULTS, {"dropout": 0.0})
    return settings | {"tf_order": _USUAL.get(_block_layers(settings), "ft")}


def structure(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What ours has besides block and codec; layers that repeat become the blocks."""
    layers = _block_layers(settings)
    is_linear = any("linear" in layer for layer in layers)
    linear = _linear(settings["attn_addition_conf"]) if is_linear else {}
    listed = () if layers in _USUAL else layers
    return {
        "architecture": ARCHITECTURE,
        "m_sep": settings["n_layers"] // len(layers),
        "n_sep": 1,
        "m_re": 0,
        "n_re": 0,
        "losses": ("last",),
        "sep_residual": False,
        "focused": linear | {"rotary": settings["use_rope"], "layers": listed},
    }


def released_structure(config: ModelConfig) -> dict[str, Any]:
    """The released settings of what `structure` returns."""
    focused, released = config.focused, {kind: name for name, kind in _ATTENTIONS.items()}
    axes, kinds = zip(*(layer.split("-") for layer in config.layers), strict=True)
    linear = {
        "linear_attn_type": "FocusedLinearAttention",
        "gated": focused.gated,
        "focusing_factor": focused.power,
        "kernel_size": focused.kernel,
        "norm_type": _norm_type(focused),
    }
    return {
        "n_layers": len(axes) * config.m_sep,
        "layers_type": list(axes) * config.m_sep,
        "attn_types": [released[kind] for kind in kinds],
        "attn_addition_conf": {"ega_addition_conf": linear} if "linear" in kinds else {},
        "use_rope": focused.rotary,
    }


def _norm_type(focused: FocusedConfig) -> str:
    layernorm = focused.norm == "layernorm"
    return focused.norm if layernorm else f"RMSGroupNorm_{focused.norm_groups}"


def _block_layers(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """The shortest beginning of the layers that gives all of them when it is repeated."""
    layers = _layers(settings)
    lengths = (n for n in range(1, len(layers) + 1) if len(layers) % n == 0)
    return next(layers[:n] for n in lengths if layers[:n] * (len(layers) // n) == layers)


def _layers(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """Attentions go by the number of a layer, whatever its axis is."""
    axes, attentions = settings["layers_type"], settings["attn_types"]
    if not axes or len(axes) != settings["n_layers"] or not set(axes) <= {"f", "t"}:
        raise ValueError(
            f"layers_type={list(axes)}: give f or t for each of n_layers={settings['n_layers']}"
        )
    if not attentions or not set(attentions) <= _ATTENTIONS.keys():
        raise ValueError(f"attn_types={list(attentions)}: choose of {', '.join(_ATTENTIONS)}")
    kinds = cycle(_ATTENTIONS[name] for name in attentions)
    return tuple(f"{axis}-{kind}" for axis, kind in zip(axes, kinds, strict=False))


def _linear(conf: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of linear attention; we refuse unknown ones, which the released class ignores."""
    outer = read_settings(KIND, conf, {"ega_addition_conf": {}}, {})
    only = {"linear_attn_type": "FocusedLinearAttention"}
    settings = read_settings(KIND, outer["ega_addition_conf"], _LINEAR_DEFAULTS, only)
    norm = settings["norm_type"]
    groups = re.fullmatch(r"RMSGroupNorm_(\d{1,5})", norm)
    if norm != "layernorm" and not groups:
        raise ValueError(f"norm_type={norm!r}: give layernorm, or RMSGroupNorm_4 for four groups")
    norms = {"norm": "rmsgroupnorm", "norm_groups": int(groups[1])} if groups else {}
    return norms | {
        "gated": settings["gated"],
        "power": settings["focusing_factor"],
        "kernel": settings["kernel_size"],
    }


def slots(model: TISDiSS) -> Slots:
    """Each released name, without its first part, with its slot, in the released order.

    Layers along bins and along frames are counted apart.
    """
    head_dim = model.config.block.attention_dim // model.config.block.n_heads
    yield from module_slots("conv", model.encoder, {"conv": "0", "norm": "1"})
    for axis in "ft":
        paths = (path for other, path in _paths(model) if other == axis)
        for i, path in enumerate(paths):
            for key, slot in _path_slots(path, head_dim):
                yield f"{axis}_blocks.{i}.block.{key}", slot
    decoder = getattr(model.decoder, "inner", model.decoder)
    yield from module_slots("deconv", decoder, {"deconv": ""})


def _paths(model: TISDiSS) -> Iterator[tuple[str, LocoformerPath]]:
    """The axis and the path of each layer."""
    for block in model.separator.blocks:
        assert isinstance(block, Layers)
        for axis, path in zip(block.axes, block.paths, strict=True):
            assert isinstance(path, LocoformerPath)
            yield axis, path


def _path_slots(path: LocoformerPath, head_dim: int) -> Slots:
    yield from feed_forward_slots(path, inside=".branchs.0")
    norm, attention = path.attention
    if isinstance(attention, LinearPart):
        yield from _linear_slots(attention)
        return
    assert isinstance(attention, Attention)
    yield from norm_slots("attn_norm", norm)
    yield "attn.qkv.weight", slot_of(attention.qkv.weight)
    if not isinstance(attention, UnplacedAttention):
        yield "attn.attns.0.rope.freqs", rotary_slot(head_dim)
    yield "attn.aggregate_heads.0.weight", slot_of(attention.out.weight)


def _linear_slots(part: LinearPart) -> Slots:
    scale = part.attention.scale
    yield "attn.ega.attn.scale", slot_of(scale, 1, 1, len(scale))
    for ours, name in (("query", "q"), ("key_value", "kv"), ("out", "proj"), ("conv", "dwc")):
        if layer := getattr(part.attention, ours):
            yield from module_slots(f"attn.ega.attn.{name}", layer, {})
    yield from norm_slots("attn.ega.layer_norm", part.norm)
    if part.gate is not None:
        yield from norm_slots("attn.ega.gate_layer.0", part.gate.norm)
        yield from module_slots("attn.ega.gate_layer.1", part.gate.linear, {})
