"""The formulas give what a counter finds in the model that is built, to the last multiply-add.

The counter sees all products, also those that only our way of computing has: a norm sums its groups
by a product, the speaker path leaves out taps on padding, and narrow bands are padded. `extra` says
how many these are.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from tisdiss.config import BlockConfig, ModelConfig
from tisdiss.cost.formulas import macs, shape, training_macs
from tisdiss.cost.measured import _lstm_products
from tisdiss.depths import Depth
from tisdiss.layers import RMSGroupNorm
from tisdiss.model import TISDiSS

SMALL = {"channels": 8, "attention_dim": 12, "n_heads": 2, "norm_groups": 2, "ffn_hidden": (6, 10)}
WIDE = {"channels": 24, "attention_dim": 16, "n_heads": 4, "ffn_hidden": (20,), "ffn_kernel": 3}
LAYER_NORM = SMALL | {"norm": "layernorm"}
STRIDED = SMALL | {"ffn_kernel": 6, "ffn_stride": 3, "norm_groups": 4}
COARSE = {"codec": {"n_fft": 256, "hop": 128}}

MODELS = {
    "TISDiSS": ("sep1x2-re1x3-l1+3", SMALL, {}),
    "TISDiSS, wide": ("sep2x1-re2x2-l1x2+1x2", WIDE, COARSE),
    "TISDiSS, three speakers": ("sep1x2-re1x2-l1+2-spksplitconv2d", LAYER_NORM, {"n_src": 3}),
    "TISDiSS, five speakers, strided": ("sep1x1-re1x2-l1+2", STRIDED, {"n_src": 5}),
    "TISDiSS, no early split": ("sep2x3-l1x3", LAYER_NORM, COARSE),
    "mel bands": ("sep1x1-re1x1-l1-melbandsplit", SMALL, {}),
    "mel bands, conv1d": ("sep1x1-re1x1-l1-melbandsplit-conv1d", LAYER_NORM, {}),
    "33 bands": ("sep1x1-re1x1-l1-bandsplit-linear", SMALL, {}),
    "33 bands, conv1d": ("sep1x1-re1x1-l1-bandsplit-conv1d", WIDE, COARSE | {"mask": True}),
    "TIGER": ("sep1x1-re1x1-l1-bandsplit", LAYER_NORM, {}),
    "TF-Locoformer": ("tf-locoformer-sep3x1-l3x1", SMALL, {"n_src": 3}),
    "TF-Locoformer, strided": ("tf-locoformer-sep1x3-l1x3", STRIDED, COARSE),
    "TF-Locoformer, bands": ("tf-locoformer-sep1x2-l1-bandsplit-conv1d", LAYER_NORM, {}),
    "FLA": ("fla-tf-locoformer-sep2x1-l1", SMALL, {}),
    "FLA, wide": (
        "fla-tf-locoformer-sep1x2-l1x2",
        WIDE,
        COARSE | {"focused": {"norm": "rmsgroupnorm", "norm_groups": 3, "kernel": 3}},
    ),
    "FLA, bare": (
        "fla-tf-locoformer-sep1x1-l1",
        SMALL,
        {"focused": {"layers": ["t-softmax", "f-linear"], "gated": False, "kernel": 0}},
    ),
    "TF-GridNet": ("tf-gridnet-sep2x1-l1", SMALL, {"grid": {"hidden": 5}}),
    "TF-GridNet, wide": (
        "tf-gridnet-sep1x3-l1x3",
        WIDE,
        COARSE | {"grid": {"hidden": 16, "window": 3, "hop": 2, "n_heads": 3, "qk_size": 100}},
    ),
    "TF-GridNet 2": ("tf-gridnet-sep1x2-l1", SMALL, {"grid": {"hidden": 7, "version": 2}}),
    "TF-GridNet 2, side by side": (
        "tf-gridnet-sep1x2-l1-bandsplit-conv1d",
        WIDE,
        {"grid": {"hidden": 4, "hop": 4, "version": 2}, "n_src": 3},
    ),
}


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> ModelConfig:
    name, block, changes = MODELS[request.param]
    named = ModelConfig.from_name(name, ModelConfig(block=BlockConfig.model_validate(block)))
    whole = named.model_dump()
    for group, value in changes.items():
        whole[group] = whole[group] | value if isinstance(value, dict) else value
    return ModelConfig.model_validate(whole)


def test_the_formula_of_a_pass_gives_what_is_counted(model: ModelConfig) -> None:
    n_sep, n_re = (3, 2) if model.m_re else (2, 0)
    last = model.decoded(n_sep, n_re)[-1:]
    found = counted(model, 0.55, last) - extra(model, 0.55, last)
    assert found == macs(model, 0.55, n_sep=n_sep, n_re=n_re)


def test_the_formula_of_a_training_step_gives_what_is_counted(model: ModelConfig) -> None:
    depths = model.decoded()
    found = counted(model, 0.3, depths) - extra(model, 0.3, depths)
    assert 3 * found == training_macs(model, 0.3)


def counted(model: ModelConfig, seconds: float, depths: tuple[Depth, ...]) -> int:
    """Multiply-adds of the products in a pass over a mixture, decoded at these depths."""
    built = TISDiSS.from_config(model).to("meta").eval()
    for module in built.modules():
        if isinstance(module, nn.LSTM):
            module.forward = partial(_lstm_products, module)
    samples = round(seconds * model.codec.sample_rate)
    mixture = torch.empty(1, samples, device="meta")
    built.stft.inverse = lambda spectrum, samples: torch.empty(
        *spectrum.shape[:-2], samples, device="meta"
    )
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        list(built.outputs(mixture, depths))
    return counter.get_total_flops() // 2


def extra(model: ModelConfig, seconds: float, depths: tuple[Depth, ...]) -> int:
    """Products of a pass to these depths that only our way of computing has."""
    built, grid, last = TISDiSS.from_config(model), shape(model, seconds), depths[-1]
    sep = sum(norms(built.separator)) * last.n_sep * grid.points
    codec = grid.frames * _padding(model, decodes=len(depths))
    if built.reconstructor is None:
        return sep + codec
    re = sum(norms(built.reconstructor)) * model.n_src * grid.points
    return sep + codec + last.n_re * (re + model.m_re * grid.points * _short_rows(model))


def _padding(model: ModelConfig, decodes: int) -> int:
    """Multiply-adds per frame of bands that are padded to the widest."""
    size, layers = model.codec_size, model.codec.entry.layers
    widest = max(map(len, size.bands), default=0)
    padded = replace(size, bands=tuple(range(widest) for _ in size.bands))
    decoder = layers.decoder_macs(padded) - layers.decoder_macs(size)
    encoder = layers.encoder_macs(padded) - layers.encoder_macs(size)
    return encoder + decodes * model.n_src * decoder


def norms(part: nn.Module) -> Iterator[int]:
    """For each norm that sums its groups by a product, multiply-adds of a point."""
    for module in part.modules():
        if isinstance(module, RMSGroupNorm):
            yield 2 * module.groups * module.scale.numel()


def _short_rows(model: ModelConfig) -> int:
    """What one speaker path does more or (negative) less per point: rows of `n_src` positions."""
    block, length = model.block, model.n_src
    pairs = block.attention_dim * (4 * block.n_heads - 8) if length == 2 else 0
    if block.ffn_stride > 1 or length >= block.ffn_kernel:
        return pairs
    taps = (length - block.ffn_kernel) * (length + block.ffn_kernel - 1)
    return pairs + 3 * taps * block.channels * block.ffn_hidden[-1]
