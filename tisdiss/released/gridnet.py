"""ESPnet's TF-GridNet separators: their settings and key names, for `tisdiss.released.tisdiss`."""

from collections.abc import Mapping
from itertools import chain
from typing import Any

from torch import nn

from tisdiss.baselines.tf_gridnet import FrameProjection, GridBlock, GridPath
from tisdiss.config import BlockConfig, CodecConfig, GridConfig, ModelConfig
from tisdiss.model import TISDiSS
from tisdiss.released.slots import Slots, module_slots, read_settings, slot_of

VERSIONS = {"tfgridnet": 1, "tfgridnetv2": 2}
GOLDEN_NAMES = {"tfgridnet_v1": "tfgridnet", "tfgridnet_v2": "tfgridnetv2"}
"""What the golden files call them."""

# Defaults of both classes.
_DEFAULTS = {
    "n_srcs": 2,
    "n_fft": 128,
    "stride": 64,
    "window": "hann",
    "n_imics": 1,
    "n_layers": 6,
    "lstm_hidden_units": 192,
    "attn_n_head": 4,
    "attn_approx_qk_dim": 512,
    "emb_dim": 48,
    "emb_ks": 4,
    "emb_hs": 1,
    "activation": "prelu",
    "eps": 1e-5,
    "use_builtin_complex": False,  # has no effect on results
}
_ONLY = {"window": "hann", "n_imics": 1, "activation": "prelu"}


def model_config(kind: str, conf: Mapping[str, Any], sample_rate: int) -> ModelConfig:
    """Our settings for a separator of one of the `VERSIONS`."""
    settings = read_settings(kind, conf, _DEFAULTS, _ONLY)
    structure = {"m_sep": settings["n_layers"], "n_sep": 1, "m_re": 0, "n_re": 0}
    grid = {
        "window": settings["emb_ks"],
        "hop": settings["emb_hs"],
        "hidden": settings["lstm_hidden_units"],
        "n_heads": settings["attn_n_head"],
        "qk_size": settings["attn_approx_qk_dim"],
        "version": VERSIONS[kind],
    }
    return ModelConfig.model_validate(
        {
            "architecture": "tf-gridnet",
            "n_src": settings["n_srcs"],
            "losses": ("last",),
            "sep_residual": False,
            "block": BlockConfig(
                channels=settings["emb_dim"], eps=settings["eps"], norm="layernorm"
            ),
            "grid": GridConfig.model_validate(grid),
            "codec": CodecConfig(
                n_fft=settings["n_fft"], hop=settings["stride"], sample_rate=sample_rate
            ),
            **structure,
        }
    )


def slots(model: TISDiSS) -> Slots:
    """Each released name, without its first part, with its slot, in the released order."""
    yield from module_slots("conv", model.encoder, {"conv": "0", "norm": "1"})
    attention = _by_head if model.config.grid.version == 1 else _all_heads
    for i, block in enumerate(model.separator.blocks):
        assert isinstance(block, GridBlock)
        paths = {"intra": block.paths.frequency, "inter": block.paths.time}
        parts = [_path_slots(name, path, model.config.grid.version) for name, path in paths.items()]
        parts += [attention(block), _one_head("attn_concat_proj", block.attention.out, 0)]
        for key, slot in chain(*parts):
            yield f"blocks.{i}.{key}", slot
    yield from module_slots("deconv", model.decoder, {"deconv": ""})


def _path_slots(prefix: str, path: nn.Module, version: int) -> Slots:
    """Version 1 stores its channel norms as (1, channels, 1, 1)."""
    assert isinstance(path, GridPath)
    if version == 1:
        shape = (1, path.norm.weight.numel(), 1, 1)
        yield f"{prefix}_norm.gamma", slot_of(path.norm.weight, *shape)
        yield f"{prefix}_norm.beta", slot_of(path.norm.bias, *shape)
    else:
        yield from module_slots(f"{prefix}_norm", path.norm, {})
    yield from module_slots(f"{prefix}_rnn", path.lstm, {})
    yield from module_slots(f"{prefix}_linear", path.windows, {"deconv": "", "linear": ""})


def _by_head(block: GridBlock) -> Slots:
    """Version 1: a convolution, an activation and a norm for each head."""
    for head in range(len(block.attention.query.slope)):
        for letter, projection in _projections(block):
            yield from _one_head(f"attn_conv_{letter}_{head}", projection, head)


def _one_head(prefix: str, projection: FrameProjection, head: int) -> Slots:
    gain, bias = (p[head, 0].T for p in (projection.gain, projection.bias))  # width, bins
    rows = slice(head * len(gain), (head + 1) * len(gain))
    weight = projection.linear.weight[rows]
    yield f"{prefix}.0.weight", slot_of(weight, *weight.shape, 1, 1)
    yield f"{prefix}.0.bias", slot_of(projection.linear.bias[rows])
    yield f"{prefix}.1.weight", slot_of(projection.slope[head : head + 1])
    yield f"{prefix}.2.gamma", slot_of(gain, 1, len(gain), 1, gain.shape[1])
    yield f"{prefix}.2.beta", slot_of(bias, 1, len(gain), 1, gain.shape[1])


def _all_heads(block: GridBlock) -> Slots:
    """Version 2: one convolution and one norm for all heads."""
    for letter, projection in _projections(block):
        weight = projection.linear.weight
        yield f"attn_conv_{letter}.weight", slot_of(weight, *weight.shape, 1, 1)
        yield f"attn_conv_{letter}.bias", slot_of(projection.linear.bias)
        for name, parameter in (("gamma", projection.gain), ("beta", projection.bias)):
            tensor = parameter.permute(1, 0, 3, 2)  # 1, heads, width, bins
            shape = (*tensor.shape[:3], 1, tensor.shape[3])
            yield f"attn_norm_{letter}.{name}", slot_of(tensor, *shape)
        yield f"attn_norm_{letter}.act.weight", slot_of(projection.slope)


def _projections(block: GridBlock) -> tuple[tuple[str, FrameProjection], ...]:
    attention = block.attention
    return ("Q", attention.query), ("K", attention.key), ("V", attention.value)
