"""Released settings and key names to ours, and back."""

import argparse
import datetime
import re
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from released_settings import TINY
from safetensors.torch import save_file
from torch import Tensor

from tisdiss.baselines.tf_gridnet import tf_gridnet
from tisdiss.config import ModelConfig
from tisdiss.depths import Depth
from tisdiss.released import tisdiss as espnet

FLAGS = (
    "encoder_decoder",
    "encoder_multi_decoder",
    "encoder_n_layers_multi_decoder",
    "reconstructor_multi_decoder",
    "reconstructor_n_layers_multi_decoder",
    "spliter_loss",
)
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "conv2d splitter": {"spk_spliter_type": "conv2d"},
    "layernorm, one feed-forward": {
        "norm_type": "layernorm",
        "ffn_type": "swiglu_conv1d",
        "ffn_hidden_dim": 4,
    },
    "masked, tf": {"mask": True, "tf_order": "tf", "num_spk": 3},
    "residual in both": {"reconstructor_repeat_residual_module": True, "encoder_repeat_times": 1},
    "mel linear": {"band_split": True, "num_bands": 32, "mlp_expansion_factor": 1},
    "mel conv1d": {
        "band_split": True,
        "band_split_encoder_type": "conv1d",
        "band_split_decoder_type": "conv1d",
    },
    "bands conv1d": {
        "band_split": True,
        "split_type": "bandsplit",
        "band_split_encoder_type": "conv1d",
        "band_split_decoder_type": "conv1d",
    },
    "tiger": {"band_split": True, "split_type": "tiger"},
}


def _meta(**settings: Any) -> dict[str, Any]:
    return {"separator_conf": TINY | settings}


def _weights(meta: dict[str, Any]) -> dict[str, Tensor]:
    """Released names with random values, as the released model would hold them."""
    torch.manual_seed(0)
    exported = espnet.export(espnet.build(meta))
    return {k: v if "rope" in k else torch.randn_like(v) for k, v in exported.items()}


@pytest.mark.parametrize("settings", VARIANTS.values(), ids=VARIANTS)
def test_export_gives_back_what_was_loaded(settings: dict[str, Any]) -> None:
    meta = _meta(**settings)
    weights, model = _weights(meta), espnet.build(meta)
    espnet.load(model, weights)
    exported = espnet.export(model)
    assert list(exported) == list(weights)
    assert all(torch.equal(exported[k], weights[k]) for k in weights)


@pytest.mark.parametrize("settings", VARIANTS.values(), ids=VARIANTS)
def test_every_parameter_has_a_released_name(settings: dict[str, Any]) -> None:
    meta = _meta(**settings)
    model = espnet.build(meta)
    for parameter in model.parameters():
        torch.nn.init.constant_(parameter, torch.nan)
    espnet.load(model, _weights(meta))
    assert all(parameter.isfinite().all() for parameter in model.parameters())


def test_tiger_keys_have_the_released_shapes() -> None:
    meta = _meta(band_split=True, split_type="tiger")
    shapes = {k: tuple(v.shape) for k, v in espnet.export(espnet.build(meta)).items()}
    assert shapes["separator.tiger_encoder.BN.20.0.weight"] == (4,)
    assert shapes["separator.tiger_encoder.BN.20.1.weight"] == (8, 4, 1)
    assert shapes["separator.tiger_decoder.mask.20.0.weight"] == (1,)
    assert shapes["separator.tiger_decoder.mask.20.1.weight"] == (8, 8, 1)


def test_tiger_encoder_rows_are_all_real_then_all_imaginary() -> None:
    meta = _meta(band_split=True, split_type="tiger")
    model, weights = espnet.build(meta), _weights(meta)
    weights["separator.tiger_encoder.BN.17.0.weight"] = torch.tensor([1.0, 2.0, 3.0, 4.0])
    espnet.load(model, weights)
    rows = slice(2 * 17, 2 * 17 + 4)  # band 17 is the first of width 2
    assert model.encoder.gamma[rows].tolist() == [1.0, 3.0, 2.0, 4.0]


def test_all_mistakes_are_listed_with_the_nearest_name() -> None:
    weights = _weights(_meta())
    weights["separator.conv.0.wieght"] = weights.pop("separator.conv.0.weight")
    weights["separator.conv.1.bias"] = torch.zeros(3)
    weights["separator.encoder_blocks.0.freq_path.attn.rope.freqs"] *= 1.001
    with pytest.raises(ValueError) as error:
        espnet.load(espnet.build(_meta()), weights)
    lines = str(error.value).splitlines()
    assert len(lines) == 5
    assert "  missing separator.conv.0.weight (nearest: separator.conv.0.wieght)" in lines
    assert "  unexpected separator.conv.0.wieght (nearest: separator.conv.0.weight)" in lines
    assert "  separator.conv.1.bias has shape (3,), expected (8,)" in lines
    assert "rope.freqs differs from the rotary frequencies" in str(error.value)


def test_a_refused_load_changes_nothing() -> None:
    model = espnet.build(_meta())
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with pytest.raises(ValueError, match=r"missing separator\.conv\.0\.bias"):
        espnet.load(model, {k: v for k, v in _weights(_meta()).items() if "conv.0.b" not in k})
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())


@pytest.mark.parametrize("present", [True, False])
def test_a_single_sep_block_needs_no_residual_weights(present: bool) -> None:
    meta = _meta(encoder_repeat_times=1)
    weights = {k: v for k, v in _weights(meta).items() if present or "concat_block" not in k}
    espnet.load(espnet.build(meta), weights)


def test_two_repetitions_need_the_residual_weights() -> None:
    weights = {k: v for k, v in _weights(_meta()).items() if "concat_block" not in k}
    with pytest.raises(ValueError, match=r"missing separator\.concat_block\.0\.weight"):
        espnet.load(espnet.build(_meta()), weights)


def test_a_file_of_released_weights_is_read(tmp_path: Path) -> None:
    weights = _weights(_meta())
    torch.save(weights, tmp_path / "valid.loss.ave_5best.pth")
    model = espnet.load_released(tmp_path / "valid.loss.ave_5best.pth", _meta())
    assert torch.equal(model.encoder.conv.bias, weights["separator.conv.0.bias"])


def _places(depths: Sequence[Depth]) -> list[tuple[str, int]]:
    return [(depth.stage, depth.block) for depth in depths]


def _released_depths(
    flags: dict[str, bool], blocks: tuple[int, int, int, int]
) -> list[tuple[str, int]]:
    """The released forward pass's conditions, spelt out."""
    m_sep, n_sep, m_re, n_re = blocks
    depths = []
    for i in range(m_sep * n_sep):
        end, many, layers = i % m_sep == m_sep - 1, *list(flags.values())[1:3]
        last_pass = i >= (n_sep - 1) * m_sep
        wanted = (many and end) or (layers and many) or (layers and not many and last_pass)
        if flags["encoder_decoder"] and (wanted or i == m_sep * n_sep - 1):
            depths.append(("split" if i == m_sep * n_sep - 1 else "sep", i))
    if not flags["encoder_decoder"] and flags["spliter_loss"]:
        depths.append(("split", m_sep * n_sep - 1))
    for i in range(m_re * n_re):
        end, many, layers = i % m_re == m_re - 1, *list(flags.values())[3:5]
        last_pass = i >= (n_re - 1) * m_re
        wanted = (many and end) or (layers and many) or (layers and not many and last_pass)
        if wanted or i == m_re * n_re - 1:
            depths.append(("re", i))
    return depths


@pytest.mark.parametrize("blocks", list(product((1, 2), (1, 3), (1, 2), (1, 3))))
def test_every_combination_of_flags_decodes_the_released_depths(
    blocks: tuple[int, int, int, int],
) -> None:
    names = ("encoder_n_layers", "encoder_repeat_times")
    names += ("reconstructor_n_layers", "reconstructor_repeat_times")
    for values in product((False, True), repeat=len(FLAGS)):
        flags = dict(zip(FLAGS, values, strict=True))
        config = espnet.model_config(_meta(**flags, **dict(zip(names, blocks, strict=True))))
        assert _places(config.decoded()) == _released_depths(flags, blocks), (flags, blocks)
        deeper = (blocks[0], blocks[1] + 1, blocks[2], blocks[3] + 2)
        assert _places(config.decoded(deeper[1], deeper[3])) == _released_depths(flags, deeper)


@pytest.mark.parametrize("flags", list(product((False, True), repeat=2)))
def test_flags_without_early_split(flags: tuple[bool, bool]) -> None:
    settings = dict(zip(FLAGS[1:3], flags, strict=True)) | {"encoder_decoder": True}
    settings |= {"reconstructor_n_layers": 0, "encoder_n_layers": 2}
    depths = espnet.model_config(_meta(**settings)).decoded()
    wanted = _released_depths(dict.fromkeys(FLAGS, False) | settings, (2, 2, 0, 0))
    assert _places(depths) == wanted


def test_the_released_recipe_is_the_paper_model() -> None:
    recipe = {
        "separator": "tisdiss",
        "encoder_conf": {"n_fft": 128, "hop_length": 64},
        "model_conf": {"normalize_variance": True},
        "sample_rate": 8000,
        "separator_conf": {
            "norm_type": "rmsgroupnorm",
            "ffn_type": ["swiglu_conv1d", "swiglu_conv1d"],
            "ffn_hidden_dim": [384, 384],
            "reconstructor_repeat_times": 6,
            "repeat_residual_module": True,
            "reconstructor_repeat_residual_module": False,
            "encoder_decoder": False,
            "encoder_multi_decoder": False,
            "reconstructor_n_layers_multi_decoder": True,
            "spliter_loss": True,
        },
    }
    assert espnet.model_config(recipe) == ModelConfig.from_name("sep1x2-re1x6-l1+6")


@pytest.mark.parametrize("kind", ["tisdiss", "tflocoformer"])
def test_a_released_model_may_take_the_mixture_as_it_is(kind: str) -> None:
    settings = TINY if kind == "tisdiss" else {"emb_dim": 8, "norm_type": "rmsgroupnorm"}
    meta = {"kind": kind, "separator_conf": settings}
    plain, normalising = (
        espnet.build(meta | {"model_conf": {"normalize_variance": value}})
        for value in (False, True)
    )
    assert (plain.config.normalize_variance, normalising.config.normalize_variance) == (False, True)
    espnet.load(normalising, espnet.export(plain))
    mixture = 5 * torch.randn(1, 700, generator=torch.Generator().manual_seed(1))
    at_unit = mixture / mixture.std()
    assert torch.allclose(plain(at_unit) * mixture.std(), normalising(mixture), atol=1e-4)
    assert (plain(mixture) - normalising(mixture)).abs().max() > 1e-2


def test_absent_settings_are_the_released_defaults() -> None:
    config = espnet.model_config({"separator_conf": {}})
    assert (config.name, config.sep_residual, config.re_residual) == (
        "sep1x2-re1x3-l1x2+3",
        False,
        False,
    )
    assert config.block.ffn_hidden == (384,)


def test_tf_locoformer_settings() -> None:
    meta = {"kind": "tflocoformer", "separator_conf": {"n_layers": 3, "n_repeats": 2}}
    assert espnet.model_config(meta).name == "tf-locoformer-sep3x2-l1"
    meta["separator_conf"]["decode_each_repeat"] = True
    assert espnet.model_config(meta).name == "tf-locoformer-sep3x2-l1x2"


def test_tf_gridnet_settings() -> None:
    meta = {"separator": "tfgridnetv2", "separator_conf": {"emb_dim": 128, "emb_ks": 1}}
    config = espnet.model_config(meta)
    assert config == tf_gridnet("espnet-v2", block=config.block)
    assert (config.block.channels, config.block.eps) == (128, 1e-5)
    plain = espnet.model_config({"separator": "tfgridnet"})
    assert plain == tf_gridnet("espnet", block=plain.block)


@pytest.mark.parametrize("version", [1, 2])
def test_released_tf_gridnets_are_what_is_exported(version: int) -> None:
    kind = {1: "tfgridnet", 2: "tfgridnetv2"}[version]
    sizes = {"emb_dim": 8, "lstm_hidden_units": 3, "n_layers": 1, "n_fft": 16, "stride": 8}
    models = [espnet.build({"kind": kind, "separator_conf": sizes}) for _ in range(2)]
    espnet.load(models[1], espnet.export(models[0]))
    for mine, theirs in zip(*(model.parameters() for model in models), strict=True):
        assert torch.equal(mine, theirs)
    weights = espnet.export(models[0])
    weights["separator.blocks.0.intra_rnn.bias"] = weights.pop("separator.deconv.bias")
    with pytest.raises(ValueError, match=r"missing separator\.deconv\.bias"):
        espnet.load(models[1], weights)


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        ({"kind": "tfgridnet", "separator_conf": {"emb_dims": 8}}, r"\(nearest: emb_dim\)"),
        ({"kind": "tfgridnet", "separator_conf": {"n_imics": 2}}, "n_imics=2: only 1 is"),
        ({"kind": "sepformer"}, "kind='sepformer': the released separators are tflocoformer, ti"),
        (_meta(n_head=3), r"does not have: n_head \(nearest: n_heads\)"),
        (_meta(split_compress=True), "split_compress=True: only False is supported"),
        (_meta(dropout=0.1), "dropout=0.1: only 0.0 is supported"),
        (_meta(ffn_type=["conv1d", "conv1d"]), "only type supported is swiglu_conv1d"),
        (_meta(ffn_hidden_dim=[4]), "give as many widths as types"),
        (_meta(spk_spliter_type="linear"), "choose swiglu_conv_deconv2d or conv2d"),
        (_meta(reconstructor_n_layers=0), "set encoder_decoder to True"),
        (_meta(reconstructor_repeat_times=0), "set both to 0"),
        (_meta(norm_type="batchnorm"), "batchnorm"),
        (_meta(band_split=True, band_split_encoder_type="conv1d"), "same kind on both sides"),
        (_meta(band_split=True, split_type="tiger", sample_rate=16000), "band widths"),
        (_meta(band_split=True, stft_n_fft=256), "stft_n_fft=256 must equal the STFT's 128"),
        (_meta() | {"normalize_variance": "maybe"}, "normalize_variance"),
    ],
)
def test_what_cannot_be_expressed_is_refused_by_name(meta: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        espnet.model_config(meta)


def wrapped(weights: dict[str, Tensor]) -> dict[str, Any]:
    """Weights as other tools save them, by what they do with them."""
    bare = {k.removeprefix("separator."): v for k, v in weights.items()}
    times = {"time": datetime.timedelta(seconds=3), "loss": np.float64(1.5), "n": np.float32(2)}
    return {
        "DataParallel": {f"module.{k}": v for k, v in weights.items()},
        "torch.compile": {f"_orig_mod.{k}": v for k, v in weights.items()},
        "both": {f"_orig_mod.module.{k}": v for k, v in weights.items()},
        "compiled inside": {k.replace("path", "path._orig_mod"): v for k, v in weights.items()},
        "ESPnet": {"model": weights, "optimizers": [{"state": {0: {"exp_avg": torch.ones(2)}}}],
                   "reporter": {"epoch": 3, "stats": {1: {"valid": times}}}},
        "Lightning": {"epoch": 3, "state_dict": {f"model.{k}": v for k, v in weights.items()},
                      "hyper_parameters": argparse.Namespace(lr=1e-3)},
        "nested": {"state": {"net": {f"net.module.{k}": v for k, v in bare.items()}}},
        "averaged": {"n_averaged": torch.ones(1), **{f"module.{k}": v for k, v in weights.items()}},
        "without separator.": bare,
        "counted": {**weights, "epoch": 3},
        "float64": {k: v.double() for k, v in weights.items()},
        "arrays": {k: v.numpy() for k, v in weights.items()},
    }  # fmt: skip


@pytest.mark.parametrize("tool", wrapped({}))
def test_weights_are_found_in_what_other_tools_save(tool: str, tmp_path: Path) -> None:
    weights = _weights(_meta())
    held = wrapped(weights)[tool]
    model = espnet.build(_meta())
    espnet.load(model, held)
    exported = espnet.export(model)
    assert all(torch.equal(exported[k], weights[k]) for k in weights)
    if tool != "arrays":
        torch.save(held, tmp_path / "x.ckpt")
        loaded = espnet.export(espnet.load_released(tmp_path / "x.ckpt", _meta()))
        assert all(torch.equal(loaded[k], weights[k]) for k in weights)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_half_precision_weights_become_the_models(kind: torch.dtype, tmp_path: Path) -> None:
    weights = {k: v.to(kind) for k, v in _weights(_meta()).items()}
    torch.save(weights, tmp_path / "x.pth")
    exported = espnet.export(espnet.load_released(tmp_path / "x.pth", _meta()))
    assert all(torch.equal(exported[k], weights[k].float()) for k in weights if "rope" not in k)


def test_a_safetensors_file_is_read_too(tmp_path: Path) -> None:
    weights = _weights(_meta())
    save_file({k: v.contiguous() for k, v in weights.items()}, tmp_path / "x.safetensors")
    exported = espnet.export(espnet.load_released(tmp_path / "x.safetensors", _meta()))
    assert all(torch.equal(exported[k], weights[k]) for k in weights)


class Foreign:
    """Makes a file when it is unpickled."""

    def __init__(self, flag: Path) -> None:
        self.flag = flag

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.flag,)


def spoilt(weights: dict[str, Tensor], flag: Path) -> dict[str, tuple[Any, str]]:
    """What is not certain, with a part of what is said of it."""
    name = "separator.conv.1.bias"
    return {
        "list": ([weights], "holds a list: tensors by name are needed"),
        "tensor": (torch.ones(3), "holds a Tensor: tensors by name are needed"),
        "nothing": (None, "holds a NoneType: tensors by name are needed"),
        "empty": ({}, "holds no tensors but nothing at all"),
        "numbers": ({"lr": 1, "epoch": 2}, "holds no tensors but lr, epoch"),
        "many numbers": ({f"name{k}": k for k in range(5000)}, "holds no tensors but name0, name1"),
        "two sets": ({"model": weights, "ema": weights}, "sets of weights that fit, model, ema"),
        "other parts": ({**weights, "decoder.window": torch.ones(4)}, "unexpected decoder.window"),
        "half": ({k: v for k, v in weights.items() if "blocks" in k}, "missing separator.conv.0."),
        "others": ({f"x{k}.w": torch.ones(1) for k in range(2000)}, "and 2"),
        "long names": ({"x" * 100_000: torch.ones(1)}, "unexpected xxx"),
        "integers": ({**weights, name: torch.ones(8).byte()}, "float tensor but torch.uint8"),
        "NaN": ({**weights, name: torch.full((8,), torch.nan)}, "values that are not finite"),
        "collapsing": ({**weights, f"module.{name}": torch.ones(8)}, f"unexpected module.{name}"),
        "foreign": ({**weights, "trainer": Foreign(flag)}, "nothing of it was read or executed"),
    }  # fmt: skip


@pytest.mark.parametrize("kind", spoilt({}, Path()))
def test_other_checkpoints_are_refused_in_few_words(kind: str, tmp_path: Path) -> None:
    flag, path = tmp_path / "executed", tmp_path / "x.pth"
    held, message = spoilt(_weights(_meta()), flag)[kind]
    torch.save(held, path)
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        espnet.load_released(path, _meta())
    assert str(error.value).startswith(f"{path}: ")
    assert len(str(error.value).replace(str(path), "")) < 500 and not flag.exists()


@pytest.mark.parametrize("content", [b"", b"\x80\x02N.", b"PK\x03\x04", b"no weights", b"\0" * 999])
@pytest.mark.parametrize("name", ["x.pth", "x.safetensors"])
def test_files_of_another_kind_are_refused(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name}: ") as error:
        espnet.load_released(tmp_path / name, _meta())
    assert len(str(error.value)) < 500
