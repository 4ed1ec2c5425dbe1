"""FLA-TFLocoformer's released settings and key names, for `tisdiss.released.tisdiss`."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle
from typing import Any, Literal

from tisdiss.baselines.fla_tf_locoformer import Layers, LinearPart, UnplacedAttention
from tisdiss.config import BlockConfig, CodecConfig, Layer, ModelConfig
from tisdiss.layers import Attention, LocoformerPath
from tisdiss.model import TISDiSS
from tisdiss.released.path_slots import feed_forward_slots, norm_slots, rotary_slot
from tisdiss.released.slots import Slots, module_slots, nearest, read_settings, slot_of

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
_USUAL: dict[tuple[Layer, ...], Literal["ft", "tf"]] = {
    ("f-softmax", "t-linear"): "ft",
    ("t-linear", "f-softmax"): "tf",
}
"""Layers of a block that need no list of them, and their `tf_order`."""


def model_config(conf: Mapping[str, Any], codec: CodecConfig) -> ModelConfig:
    """Our settings for released ones; layers that repeat become the blocks."""
    settings = read_settings(KIND, conf, _DEFAULTS, {"dropout": 0.0})
    layers = _layers(settings)
    block = layers[: _period(layers)]
    focused = _focused(settings["attn_addition_conf"], has_linear=any("linear" in x for x in block))
    return ModelConfig.model_validate(
        {
            "architecture": ARCHITECTURE,
            "n_src": settings["num_spk"],
            "m_sep": len(layers) // len(block),
            "n_sep": 1,
            "m_re": 0,
            "n_re": 0,
            "losses": ("last",),
            "sep_residual": False,
            "block": BlockConfig(
                channels=settings["emb_dim"],
                attention_dim=settings["attention_dim"],
                n_heads=settings["n_heads"],
                norm=settings["norm_type"],
                norm_groups=settings["num_groups"],
                ffn_hidden=tuple(settings["ffn_hidden_dim"]),
                ffn_kernel=settings["conv1d_kernel"],
                ffn_stride=settings["conv1d_shift"],
                tf_order=_USUAL.get(block, "ft"),
                eps=settings["eps"],
            ),
            "focused": focused
            | {"rotary": settings["use_rope"], "layers": () if block in _USUAL else block},
            "codec": codec,
        }
    )


def _layers(settings: Mapping[str, Any]) -> tuple[Layer, ...]:
    """Attentions go by the number of a layer, whatever its axis is."""
    axes, attentions = settings["layers_type"], settings["attn_types"]
    if len(axes) != settings["n_layers"] or not set(axes) <= {"f", "t"}:
        raise ValueError(
            f"layers_type={list(axes)}: give f or t for each of n_layers={settings['n_layers']}"
        )
    if not attentions or not set(attentions) <= _ATTENTIONS.keys():
        raise ValueError(f"attn_types={list(attentions)}: choose of {', '.join(_ATTENTIONS)}")
    kinds = cycle(_ATTENTIONS[name] for name in attentions)
    return tuple(f"{axis}-{kind}" for axis, kind in zip(axes, kinds, strict=False))  # type: ignore[misc]


def _period(layers: Sequence[Layer]) -> int:
    """Length of the shortest beginning that gives all layers when it is repeated."""
    lengths = (n for n in range(1, len(layers) + 1) if len(layers) % n == 0)
    return next(n for n in lengths if tuple(layers[:n]) * (len(layers) // n) == tuple(layers))


def _focused(conf: Mapping[str, Any], *, has_linear: bool) -> dict[str, Any]:
    """The released class ignores unknown settings of the linear attention; we refuse them."""
    if unknown := [name for name in conf if name != "ega_addition_conf"]:
        name = nearest(unknown[0], ["ega_addition_conf"])
        raise ValueError(f"settings that the released {KIND} does not have: {name}")
    given = conf.get("ega_addition_conf", {})
    settings = read_settings(KIND, given, _LINEAR_DEFAULTS, {})
    kind, norm = settings["linear_attn_type"], settings["norm_type"]
    if kind != "FocusedLinearAttention" and (has_linear or kind is not None):
        raise ValueError(f"linear_attn_type={kind!r}: only 'FocusedLinearAttention' is supported")
    groups = re.fullmatch(r"RMSGroupNorm_(\d{1,5})", norm)
    if norm != "layernorm" and not groups:
        raise ValueError(f"norm_type={norm!r}: give layernorm, or RMSGroupNorm_4 for four groups")
    norms = {"norm": "rmsgroupnorm", "norm_groups": int(groups[1])} if groups else {}
    return {
        "gated": settings["gated"],
        "power": settings["focusing_factor"],
        "kernel": settings["kernel_size"],
        **norms,
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
