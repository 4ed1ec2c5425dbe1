"""Costs are counted from settings alone, and agree with the tables of the paper's models."""

import subprocess
import sys

import pytest

from tisdiss.baselines.fla_tf_locoformer import fla_tf_locoformer
from tisdiss.baselines.tf_gridnet import tf_gridnet
from tisdiss.baselines.tf_locoformer import tf_locoformer
from tisdiss.config import BlockConfig, CodecConfig, GridConfig, ModelConfig
from tisdiss.cost.formulas import (
    macs,
    macs_per_second,
    parameters,
    shape,
    training_bytes,
    training_macs,
)

ROWS = [  # name, parameters, GMAC of 4 s at the training depth, of a training forward pass
    ("sep1x2-re1x3-l1+3", 8_011_779, 1080.6, 1081.1),
    ("sep1x2-re1x6-l1+6", 8_011_779, 1908.6, 1909.5),
    ("sep1x2-re2x2-l1+1x2", 11_163_011, 1356.6, 1356.9),
    ("sep6x1-l6x1", 17_334_147, 604.0, 988.9),
    ("sep2x3-l1x3", 7_355_267, 604.0, 758.0),
    ("sep1x6-l1x6", 4_860_547, 604.0, 988.9),
    ("sep2x1-re3x1-l1", 16_808_963, 1080.6, 1080.6),
    ("sep2x1-re3x1-l3", 16_808_963, 1080.6, 1080.9),
    ("sep2x1-re3x1-l1x2+3", 16_808_963, 1080.6, 1158.1),
    ("sep1x2-re1x3-l1x2+3", 8_011_779, 1080.6, 1158.1),
    ("sep1x2-re2x4-l1+1x4", 11_163_011, 2460.5, 2461.1),
    ("sep1x2-re1x3-l1+3-spksplitconv2d", 5_946_371, 1013.4, 1013.9),
    ("sep1x2-re1x3-l1+3-melbandsplit", 18_813_539, 548.8, 581.1),
    ("sep1x2-re1x3-l1+3-melbandsplit-conv1d", 8_200_547, 538.2, 538.4),
    ("sep1x2-re1x3-l1+3-bandsplit", 8_061_482, 554.5, 554.6),
    ("sep1x2-re1x3-l1+3-bandsplit-linear", 19_008_391, 565.4, 598.3),
    ("sep1x2-re1x3-l1+3-bandsplit-conv1d", 8_111_239, 554.5, 554.6),
    ("tf-locoformer-sep6x1-l1", 14_975_620, 527.1, 527.1),
    ("tf-locoformer-sep3x2-l1x2", 7_491_460, 527.1, 527.3),
    ("tf-locoformer-sep1x6-l1x6", 2_502_020, 527.1, 527.9),
]


@pytest.mark.parametrize(("name", "params", "forward", "training"), ROWS)
def test_costs_of_the_papers_models(name, params, forward, training):
    model = ModelConfig.from_name(name)
    assert parameters(model) == params
    assert macs(model, 4) / 1e9 == pytest.approx(forward, abs=0.06)
    assert training_macs(model, 4) / 3e9 == pytest.approx(training, abs=0.1)


@pytest.mark.parametrize(
    ("size", "params", "giga"), [("s", 5_125_220, 382.8), ("m", 14_975_620, 1042.1)]
)
def test_costs_on_the_grid_of_whamr(size, params, giga):
    model = tf_locoformer(size, codec=CodecConfig(n_fft=256).model_dump())
    assert parameters(model) == params
    assert macs(model, 4) / 1e9 == pytest.approx(giga, abs=0.06)


SIDE_BY_SIDE = {"grid": {"window": 4, "hop": 4}, "codec": {"n_fft": 256}}


@pytest.mark.parametrize(
    ("size", "changes", "params", "giga"),  # as measured of ESPnet's, with the LSTMs by hand
    [
        ("article", {}, 14_435_602, 460.9),
        ("article", {"grid": {"hidden": 256, "version": 2}}, 14_435_602, 509.2),
        ("article", {"codec": {"n_fft": 256}}, 14_521_042, 921.2),
        ("article", {"codec": {"n_fft": 256}, "grid": {"hidden": 256, "version": 2}}, None, 975.0),
        ("espnet", {}, 8_175_874, 262.0),
        ("espnet", {"grid": {"version": 2}}, 8_175_874, 289.1),
        ("espnet-v2", {}, 7_034_194, None),
        ("espnet-v2", SIDE_BY_SIDE, 16_053_010, None),
        (
            "espnet-v2",
            SIDE_BY_SIDE | {"grid": {"window": 4, "hop": 4, "version": 2}},
            16_057_618,
            None,
        ),
    ],
)
def test_costs_of_tf_gridnet(size, changes, params, giga):
    model = tf_gridnet(size, **changes)
    assert params is None or parameters(model) == params
    assert giga is None or macs(model, 4) / 1e9 == pytest.approx(giga, abs=0.06)


@pytest.mark.parametrize(
    ("changes", "params", "giga"),  # as measured of the released class, in G of 4 s
    [
        ({}, 15_081_988, 507.04),
        ({"m_sep": 9}, 22_619_332, 760.45),
        ({"codec": {"n_fft": 256}}, 15_081_988, 1002.16),
        ({"focused": {"gated": False}}, 14_981_380, None),
        ({"focused": {"kernel": 0}}, 15_080_836, None),
        ({"focused": {"norm": "rmsgroupnorm"}}, 15_080_452, 507.04),
        ({"focused": {"layers": ["f-linear", "t-softmax"]}}, 15_081_988, 528.85),
        ({"focused": {"layers": ["f-linear", "t-linear"]}}, 15_188_356, None),
        ({"focused": {"layers": ["f-linear", "t-linear"], "gated": False}}, 14_987_140, None),
    ],
)
def test_costs_of_fla_tf_locoformer(changes, params, giga):
    model = fla_tf_locoformer("m", **changes)
    assert parameters(model) == params
    assert giga is None or macs(model, 4) / 1e9 == pytest.approx(giga, abs=0.006)


def test_linear_attention_grows_with_the_length_alone():
    model = fla_tf_locoformer("m")
    at = [macs(model, seconds) / 1e9 for seconds in (1, 8, 32)]
    assert at == pytest.approx([128.6, 1011.7, 4039.6], abs=0.06)


def test_each_repetition_costs_one_re_block():
    model = ModelConfig()
    at = [macs(model, 4, n_re=n_re) / 1e9 for n_re in (1, 2, 10)]
    assert at == pytest.approx([528.7, 804.7, 3012.5], abs=0.06)
    assert macs(model, 4, n_sep=1, n_re=1) / 1e9 == pytest.approx(440.9, abs=0.06)


def test_equal_cost_of_one_block_twice_and_two_blocks_once():
    one, two = (ModelConfig.from_name(f"sep1x2-re{m}") for m in ("1x4-l1+4", "2x2-l1+1x2"))
    assert macs_per_second(one, 4) == macs_per_second(two, 2)


VARIANTS = {
    "narrow": {"block": {"channels": 16, "attention_dim": 8, "n_heads": 2, "ffn_hidden": (24,)}},
    "layernorm": {"block": {"channels": 8, "norm": "layernorm", "ffn_hidden": (12, 20)}},
    "stride": {"block": {"channels": 8, "ffn_hidden": (12, 12), "ffn_stride": 2}},
    "three speakers": {"n_src": 3, "block": {"channels": 8, "ffn_hidden": (12, 12)}},
    "one pass": {"n_sep": 1, "block": {"channels": 8, "ffn_hidden": (12, 12)}},
    "residual": {"n_sep": 1, "re_residual": True, "block": {"channels": 8, "ffn_hidden": (12,)}},
    **{
        f"grid {grid.window} {grid.hop} {grid.version}": {
            "architecture": "tf-gridnet",
            "grid": grid,
        }
        | {"m_re": 0, "n_re": 0, "losses": ["last"], "sep_residual": False}
        for grid in (
            GridConfig(hidden=6),
            GridConfig(hidden=6, hop=4),
            GridConfig(hidden=6, hop=4, version=2, n_heads=2, qk_size=100),
        )
    },
    **{
        name: {
            **{"architecture": "fla-tf-locoformer", "focused": focused, "n_src": 3},
            **{"m_re": 0, "n_re": 0, "losses": ["last"], "sep_residual": False},
            "block": {"channels": 12, "attention_dim": 24, "ffn_hidden": (10, 14)},
        }
        for name, focused in {
            "linear on frames": {},
            "linear, RMS norms": {"norm": "rmsgroupnorm", "norm_groups": 3, "kernel": 3},
            "linear, bare": {"gated": False, "kernel": 0},
            "linear on both": {"layers": ["t-linear", "f-linear", "t-softmax"]},
        }.items()
    },
    **{
        kind: {"codec": {"kind": kind, "n_fft": 256}, "block": {"channels": 8}}
        for kind in ("mel-linear", "mel-conv1d", "bands-linear", "bands-conv1d", "tiger")
    },
}


@pytest.mark.parametrize("name", VARIANTS)
def test_parameters_are_those_of_the_model_that_is_built(name):
    from tisdiss.model import TISDiSS

    settings = dict(VARIANTS[name])
    block = BlockConfig(**{"attention_dim": 8, **settings.pop("block", {"channels": 8})})
    codec = CodecConfig(**settings.pop("codec", {}))
    model = ModelConfig(block=block, codec=codec, **settings)
    built = TISDiSS.from_config(model).parameters()
    assert parameters(model) == sum(p.numel() for p in built if p.requires_grad)


def test_memory_of_training_grows_with_batch_and_depth():
    model = ModelConfig()
    one, two = (training_bytes(model, 4.0, batch) for batch in (1, 2))
    assert two - one == one - 4 * 4 * parameters(model)
    assert training_bytes(ModelConfig.from_name("sep1x2-re1x6-l1+6"), 4.0, 1) > one


def test_counting_needs_no_torch():
    code = (
        "import sys; from tisdiss.config import ModelConfig;"
        "from tisdiss.cost.formulas import macs;"
        "macs(ModelConfig.from_name('sep1x2-re1x3-l1+3-melbandsplit'), 4);"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        *("tf-locoformer-sep6x1-l1", "tf-gridnet-sep6x1-l1", "sep2x3-l1x3"),
        "fla-tf-locoformer-sep6x1-l1",
        *("sep1x2-re1x3-l1+3", "sep1x2-re1x3-l1+3-bandsplit"),
    ],
)
def test_a_measurement_finds_the_same_but_for_taps_on_padding(name):
    from tisdiss.cost.measured import macs_by_part
    from tisdiss.model import TISDiSS

    model = ModelConfig.from_name(name)
    measured = sum(macs_by_part(TISDiSS.from_config(model), 4.0).values())
    block, grid = model.block, shape(model, 4.0)
    # The speaker path over 2 speakers: 5 positions of 4 taps, of which we compute 2.
    skipped = 3 * 5 * (block.ffn_kernel - 2) * block.channels * block.ffn_hidden[-1]
    counted = macs(model, 4.0) - model.m_re * model.n_re * grid.points * skipped
    assert measured == pytest.approx(counted, rel=5e-3)  # attention is counted in tiles


GRIDS = [
    GridConfig(hidden=24),
    GridConfig(hidden=48, hop=2),
    GridConfig(hidden=32, version=2),
    GridConfig(hidden=24, hop=4, version=2),
]
MEMORY = [
    *(("sep1x2-re1x3-l1+3", GRIDS[0]), ("sep3x1-l3x1", GRIDS[0])),
    ("tf-locoformer-sep3x2-l1x2", GRIDS[0]),
    ("fla-tf-locoformer-sep3x2-l1x2", GRIDS[0]),
    *(("tf-gridnet-sep1x2-l1x2", grid) for grid in GRIDS),
]


@pytest.mark.parametrize(("name", "grid"), MEMORY, ids=str)
def test_memory_is_about_what_autograd_keeps(name, grid):
    import torch

    from tisdiss.model import TISDiSS

    block = BlockConfig(
        channels=16, attention_dim=16, n_heads=2, norm_groups=2, ffn_hidden=(48, 48)
    )
    model = ModelConfig.from_name(name, ModelConfig(block=block, grid=grid))
    built, kept = TISDiSS.from_config(model), {}
    weights = {p.untyped_storage().data_ptr() for p in built.parameters()}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        outputs = built.all_depths(torch.randn(2, 2000))
    assert outputs.requires_grad
    counted = training_bytes(model, 0.25, 2) - 16 * parameters(model)
    assert sum(kept.values()) == pytest.approx(counted, rel=0.2)
