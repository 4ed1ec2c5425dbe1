"""SepReformer's released settings and key names, for `tisdiss.released.tisdiss`."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from tisdiss.baselines.sepreformer.attention import Attention
from tisdiss.baselines.sepreformer.blocks import FeedForward, GlobalBlock, LocalBlock, WholeNorm
from tisdiss.baselines.sepreformer.model import SepReformer, StageDown, StageUp
from tisdiss.config.dotted import dotted
from tisdiss.config.sepreformer import SepReformerConfig
from tisdiss.released.slots import Slots, nearest, slot_of

KIND = "sepreformer"

_SPLITTERS = {"shared": "shared", "per_stage": "separate"}
"""Which splitters a model has is said by the released folder that it is from, not by a setting."""
_STAGE = "module_separator.enc_stage"
_READ = {
    "n_src": "num_spks",
    "stages": "num_stages",
    "encoder_channels": "module_audio_enc.out_channels",
    "kernel": "module_audio_enc.kernel_size",
    "stride": "module_audio_enc.stride",
    "channels": "module_feature_projector.out_channels",
    "n_heads": f"{_STAGE}.global_blocks.num_mha_heads",
    "dropout": f"{_STAGE}.global_blocks.dropout_rate",
    "local_kernel": f"{_STAGE}.local_blocks.kernel_size",
    "down_kernel": f"{_STAGE}.down_conv_layer.samp_kernel_size",
    "max_offset": "module_separator.relative_positional_encoding.maxlen",
}
"""Where each setting of ours is read; most are repeated elsewhere."""


def model_config(meta: Mapping[str, Any]) -> SepReformerConfig:
    """Our settings for released ones: `config`, nested, and `splitter`, shared or per_stage.

    ValueError where one is missing or unknown, or does not fit the others.
    """
    splitter = meta.get("splitter", "shared")
    if splitter not in _SPLITTERS:
        raise ValueError(f"splitter={splitter!r}: choose {' or '.join(_SPLITTERS)}")
    given = dict(dotted(meta.get("config", {})))
    ours = {name: given[released] for name, released in _READ.items() if released in given}
    rate = meta.get("sample_rate") or 8000
    config = SepReformerConfig.model_validate(
        ours | {"splitter": _SPLITTERS[splitter], "sample_rate": rate}
    )
    _check(given, dict(dotted(_released(config))))
    return config


def _check(given: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    if unknown := [name for name in given if name not in expected]:
        name = nearest(unknown[0], expected)
        raise ValueError(f"settings that the released {KIND} does not have: {name}")
    if missing := [name for name in expected if name not in given]:
        raise ValueError(f"settings of the released {KIND} are missing: {', '.join(missing[:3])}")
    for name, value in expected.items():
        if given[name] != value:
            raise ValueError(f"{name}={given[name]!r}: only {value!r} fits the other settings")


def _released(config: SepReformerConfig) -> dict[str, Any]:
    """All released settings of a model of ours."""
    n, channels = config.encoder_channels, config.channels
    stages, speakers = {"num_stages": config.stages}, {"num_spks": config.n_src}
    features, dropout = {"in_channels": channels}, {"dropout_rate": config.dropout}
    attention = features | {"num_mha_heads": config.n_heads} | dropout
    local = features | {"kernel_size": config.local_kernel} | dropout
    blocks = {"global_blocks": attention, "local_blocks": local}
    down = {"down_conv_layer": features | {"samp_kernel_size": config.down_kernel}}
    table = {"num_heads": config.n_heads, "maxlen": config.max_offset, "embed_v": False}
    codec = {"kernel_size": config.kernel, "stride": config.stride, "bias": False}
    point = {"kernel_size": 1, "bias": False}
    return {
        **stages,
        **speakers,
        "module_audio_enc": {"in_channels": 1, "out_channels": n, "groups": 1, **codec},
        "module_feature_projector": {
            **{"num_channels": n, "in_channels": n, "out_channels": channels},
            **point,
        },
        "module_separator": {
            **stages,
            "relative_positional_encoding": features | table,
            "enc_stage": blocks | down,
            "spk_split_stage": features | speakers,
            "simple_fusion": {"out_channels": channels},
            "dec_stage": speakers | blocks | {"spk_attention": attention},
        },
        "module_output_layer": {"in_channels": n, "out_channels": channels, **speakers},
        "module_audio_dec": {"in_channels": n, "out_channels": 1, **codec},
    }


# Released names of layers, and where they are in ours.
_FEED_FORWARD = {"net1.0": "norm", "net1.1": "expand", "depthwise": "conv", "net2.2": "reduce"}
_LOCAL = {
    "layer_norm": "norm",
    "linear1": "enter",
    "dw_conv_1d": "conv",
    "linear2": "expand",
    "BN": "batch_norm",
    "linear3.1": "reduce",
}
_GATED = {"0": "expand", "2": "reduce"}


def slots(model: SepReformer) -> Slots:
    """Every released name with its slot, in the released order."""
    yield from _layers("audio_encoder", model, {"conv1d": "encoder"})
    yield from _whole_norm("feature_projector.norm", model.norm)
    yield from _layers("feature_projector", model, {"conv1d": "project"}, kernel=True)
    for name, slot in _separator(model):
        yield f"separator.{name}", slot
    early = list(enumerate(model.early_heads))
    yield from _layers("out_layer.end_conv1x1", model.head, _GATED)
    yield from _layers("", model.head, {"audio_decoder": "decoder"})
    for i, head in early:
        yield from _layers(f"out_layer_bn.{i}.end_conv1x1", head, _GATED)
    for i, head in early:
        yield from _layers("decoder_bn", head, {str(i): "decoder"})


def _separator(model: SepReformer) -> Slots:
    yield from _layers("pos_emb", model.offsets, {"pe_k": "table"})
    for i, (stage, halve) in enumerate(zip(model.stages_down, model.down_samplings, strict=True)):
        yield from _stage_slots(f"enc_stages.{i}", stage)
        names = {"down_conv": "conv", "BN": "batch_norm"}
        yield from _layers(f"enc_stages.{i}.downconv", halve, names)
    yield from _stage_slots("bottleneck_G", model.bottleneck)
    for i, splitter in enumerate(model.splitters):
        separate = model.config.splitter == "separate"
        yield from _splitter(f"spk_split_blocks.{i}" if separate else "spk_split_block", splitter)
    for i, stage in enumerate(model.stages_up):
        yield from _layers("simple_fusion", stage, {str(i): "fuse"}, kernel=True)
    for i, stage in enumerate(model.stages_up):
        yield from _stage_slots(f"dec_stages.{i}", stage)


def _stage_slots(prefix: str, stage: Any) -> Slots:
    assert isinstance(stage, StageDown | StageUp)
    for i, (far, near) in enumerate(zip(stage.global_blocks, stage.local_blocks, strict=True)):
        yield from _global(f"{prefix}.g_block_{i + 1}.block", far)
        yield from _local(f"{prefix}.l_block_{i + 1}.block", near)
        if isinstance(stage, StageUp):
            across: Any = stage.speaker_blocks[i]
            yield from _attention(f"{prefix}.spk_attn_{i + 1}.self_attn", across.attention)
            yield from _feed_forward(f"{prefix}.spk_attn_{i + 1}.feed_forward", across.feed_forward)


def _global(prefix: str, block: Any) -> Slots:
    assert isinstance(block, GlobalBlock)
    yield from _attention(f"{prefix}.ega.block.self_attn", block.attention)
    yield from _layers(f"{prefix}.ega.block.linear", block, {"0": "gate_norm", "1": "gate"})
    yield from _feed_forward(f"{prefix}.gcfn", block.feed_forward)


def _local(prefix: str, block: Any) -> Slots:
    assert isinstance(block, LocalBlock)
    yield from _layers(f"{prefix}.cla", block, _LOCAL)
    yield from _scale(f"{prefix}.cla", block)
    yield from _feed_forward(f"{prefix}.gcfn", block.feed_forward)


def _feed_forward(prefix: str, part: FeedForward) -> Slots:
    yield from _layers(prefix, part, _FEED_FORWARD)
    yield from _scale(prefix, part)


def _attention(prefix: str, part: Attention) -> Slots:
    """q, k and v have a map each."""
    yield from _layers(prefix, part, {"layer_norm": "norm"})
    weights, biases = part.qkv.weight.chunk(3), part.qkv.bias.chunk(3)
    for letter, weight, bias in zip("qkv", weights, biases, strict=True):
        yield f"{prefix}.linear_{letter}.weight", slot_of(weight)
        yield f"{prefix}.linear_{letter}.bias", slot_of(bias)
    yield from _layers(prefix, part, {"linear_out": "out"})
    yield from _scale(prefix, part)


def _splitter(prefix: str, splitter: Any) -> Slots:
    yield from _layers(f"{prefix}.linear", splitter, _GATED, kernel=True)
    yield from _whole_norm(f"{prefix}.norm", splitter.norm)


def _whole_norm(prefix: str, norm: WholeNorm) -> Slots:
    yield f"{prefix}.weight", slot_of(norm.gain)
    yield f"{prefix}.bias", slot_of(norm.bias)


def _scale(prefix: str, part: Any) -> Slots:
    yield f"{prefix}.Layer_scale.layer_scale", slot_of(part.scale, 1, 1, len(part.scale))


def _layers(
    prefix: str, module: nn.Module, names: Mapping[str, str], *, kernel: bool = False
) -> Slots:
    """Parameters and statistics of some layers of a module; `kernel`: maps are convolutions."""
    for released, ours in names.items():
        for leaf, tensor in module.get_submodule(ours).state_dict().items():
            shape = (*tensor.shape, 1) if kernel and tensor.dim() > 1 else ()
            yield ".".join(filter(None, [prefix, released, leaf])), slot_of(tensor, *shape)
