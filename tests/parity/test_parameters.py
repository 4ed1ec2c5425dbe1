"""Trainable parameters of every model row of the paper, as the released classes have them."""

import pytest
import torch

from tisdiss.baselines.tf_locoformer import tf_locoformer
from tisdiss.config import ModelConfig
from tisdiss.model import TISDiSS

UNUSED_RESIDUAL = 257  # the released class has a residual module that a single Sep-Block never uses

ROWS = {
    "sep1x2-re1x3-l1": 8_011_779,
    "sep1x2-re1x3-l3": 8_011_779,
    "sep1x2-re1x3-l1+3": 8_011_779,
    "sep1x2-re1x3-l1x2+3": 8_011_779,
    "sep1x2-re1x6-l1+6": 8_011_779,
    "sep1x2-re2x2-l1+1x2": 11_163_011,
    "sep6x1-l6x1": 17_334_147,
    "sep2x3-l1x3": 7_355_267,
    "sep1x6-l1x6": 4_860_547,
    "sep2x1-re3x1-l1": 16_808_963,
    "sep2x1-re3x1-l3": 16_808_963,
    "sep2x1-re3x1-l1+3": 16_808_963,
    "sep2x1-re3x1-l1x2+3": 16_808_963,
    "sep1x1-re1x3-l1+3": 8_011_779 - UNUSED_RESIDUAL,
    "sep1x2-re1x2-l1+2": 8_011_779,
    "sep1x2-re1x4-l1+4": 8_011_779,
    "sep1x2-re2x4-l1+1x4": 11_163_011,
    "sep1x2-re1x3-l1+3-spksplitconv2d": 5_946_371,
    "sep1x2-re1x3-l1+3-melbandsplit": 18_813_539,
    "sep1x2-re1x3-l1+3-melbandsplit-conv1d": 8_200_547,
    "sep1x2-re1x3-l1+3-bandsplit": 8_061_482,
    "sep1x2-re1x3-l1+3-bandsplit-linear": 19_008_391,
    "sep1x2-re1x3-l1+3-bandsplit-conv1d": 8_111_239,
    "fla-tf-locoformer-sep6x1-l1": 15_081_988,
    "fla-tf-locoformer-sep9x1-l1": 22_619_332,
    "fla-tf-locoformer-sep1x6-l1x6": 2_519_748,
    "tf-locoformer-sep6x1-l1": 14_975_620,
    "tf-locoformer-sep9x1-l1": 22_459_780,
    "tf-locoformer-sep6x1-l6x1": 14_975_620,
    "tf-locoformer-sep3x2-l1x2": 7_491_460,
    "tf-locoformer-sep2x3-l1x3": 4_996_740,
    "tf-locoformer-sep1x6-l1x6": 2_502_020,
}


def _parameters(config: ModelConfig) -> int:
    with torch.device("meta"):
        model = TISDiSS.from_config(config)
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize("name", ROWS)
def test_parameter_count_of_a_row(name: str) -> None:
    assert _parameters(ModelConfig.from_name(name)) == ROWS[name]


@pytest.mark.parametrize(
    ("size", "count"), [("s", 5_125_220), ("m", 14_975_620), ("l", 22_459_780)]
)
def test_parameter_count_of_a_tf_locoformer_size(size: str, count: int) -> None:
    assert _parameters(tf_locoformer(size)) == count


def test_tf_locoformer_m_is_as_large_on_the_whamr_grid() -> None:
    config = tf_locoformer("m", codec={"n_fft": 256, "hop": 64})
    assert _parameters(config) == 14_975_620
