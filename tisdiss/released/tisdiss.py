"""The key names of released checkpoints; no module outside this folder knows them.

`build(meta)` makes our model from the released settings, `load(model, state_dict)` fills it with
the released tensors and `export(model)` returns them under the released names. The released code
calls our separator "encoder" and its residual module "concat block", and counts a path's
feed-forwards from the end.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tisdiss.bands import JointTigerDecoder
from tisdiss.baselines.sepreformer import SepReformer
from tisdiss.codec import ConvDecoder, JointConvDecoder, JointDecoder
from tisdiss.config import BlockConfig, ModelConfig
from tisdiss.config.sepreformer import SepReformerConfig
from tisdiss.layers import LocoformerPath
from tisdiss.model import TISDiSS
from tisdiss.reconstructor import Reconstructor
from tisdiss.released import fla, gridnet, sepreformer
from tisdiss.released.codec_slots import codec_slots
from tisdiss.released.path_slots import feed_forward_slots, norm_slots, rotary_slot
from tisdiss.released.settings import model_config
from tisdiss.released.slots import (
    Slot,
    Slots,
    fill,
    module_slots,
    read_released,
    slot_of,
    weights_in,
)
from tisdiss.separator import Separator

Model = TISDiSS | SepReformer


def build(meta: Mapping[str, Any]) -> Model:
    """Our model for released settings: the metadata of a golden file, or a recipe's config.yaml."""
    config = model_config(meta)
    if isinstance(config, SepReformerConfig):
        return SepReformer(config)
    return TISDiSS.from_config(config)


def load_released(path: Path, meta: Mapping[str, Any]) -> Model:
    """Our model with the weights of a released .pth file or training state.

    Raises a ValueError of a few short lines if they do not fit or are not plain tensors.
    """
    return load_with_note(path, meta)[0]


def load_with_note(path: Path, meta: Mapping[str, Any]) -> tuple[Model, str]:
    """The model of `load_released`, and the note of `load`."""
    model = build(meta)
    content = read_released(Path(path))
    try:
        note = load(model, content)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return model, note


def load(model: Model, state_dict: Mapping[str, Any]) -> str:
    """Fill the model with tensors under their released names; every name and shape must fit.

    Prefixes of wrappers and other contents of a training state are ignored. Floating-point numbers
    are converted to the model's type. Rotary frequencies are constants here: the released copies
    are compared, not loaded. Returns a note of what was ignored, "" if nothing.
    """
    slots = dict(_slots(model))
    found = weights_in(slots, state_dict)
    fill(slots, found.weights)
    return found.note


def export(model: Model) -> dict[str, Tensor]:
    """The model's weights under the released names, in the released order and shapes.

    A single Sep-Block never uses its residual module, so it has no weights here. Placeholder values
    are exported for it, because the released class expects them.
    """
    like = next(model.parameters())
    return {name: slot.exported(like) for name, slot in _slots(model)}


def _slots(model: Model) -> Slots:
    """Each released name with its slot, in the released order."""
    if isinstance(model, SepReformer):
        return sepreformer.slots(model)
    if model.config.has_grid:
        return ((f"separator.{name}", slot) for name, slot in gridnet.slots(model))
    config, decoder = model.config, getattr(model.decoder, "inner", model.decoder)
    joint = not config.has_splitter
    if isinstance(decoder, JointDecoder | JointTigerDecoder):
        raise ValueError(
            f"{config.name}: no such model was released, so its weights have no released names; "
            "codec.kind=conv2d has them"
        )
    if config.architecture == fla.ARCHITECTURE:
        return ((f"separator.{name}", slot) for name, slot in fla.slots(model))
    parts = [
        codec_slots(model.encoder, decoder),
        _block_slots("blocks" if joint else "encoder_blocks", model.separator, config),
        module_slots("spk_spliter", model.splitter, {"conv": "conv2d", "deconv": "deconv2d"}),
        _block_slots("reconstructor_blocks", model.reconstructor, config),
    ]
    if isinstance(decoder, ConvDecoder | JointConvDecoder):
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
    yield from feed_forward_slots(path)
    norm, attention = path.attention
    yield from norm_slots("attn_norm", norm)
    yield "attn.rope.freqs", rotary_slot(config.attention_dim // config.n_heads)
    yield from module_slots("attn", attention, {"qkv": "qkv", "out": "aggregate_heads.0"})


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
