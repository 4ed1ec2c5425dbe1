"""SepReformer's cost by formula: the published figures, and what a built model has and does."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tisdiss.baselines.sepreformer import SepReformer
from tisdiss.baselines.sepreformer.attention import QUERIES
from tisdiss.config.sepreformer import DOWN_PAIRS, UP_TRIPLES, SepReformerConfig, sepreformer
from tisdiss.cost.sepreformer_formulas import head_macs, macs, parameters, training_macs

BASE = sepreformer("base")
LARGE = sepreformer("large")
SHARED = sepreformer("large", splitter="shared")
SMALL = SepReformerConfig(
    n_src=3, encoder_channels=12, channels=8, stages=3, n_heads=2, local_kernel=7, max_offset=20
)
SIZES = {"base": BASE, "large": LARGE, "large, shared": SHARED, "small": SMALL}
FOUR_SECONDS = 32_000


@pytest.mark.parametrize(
    ("config", "inference", "training"),
    [
        (BASE, 14_147_840, 14_691_584),
        (LARGE, 59_428_608, 61_022_976),
        (SHARED, 55_222_016, 56_816_384),
    ],
)
def test_parameters_of_the_released_sizes(
    config: SepReformerConfig, inference: int, training: int
) -> None:
    assert parameters(config, early_heads=False) == inference
    assert parameters(config) == training


@pytest.mark.parametrize(
    ("config", "inference", "with_heads"),
    [(BASE, 82.43, 91.08), (LARGE, 316.65, 342.07), (SHARED, 316.65, 342.07)],
)
def test_multiply_adds_of_the_released_sizes(
    config: SepReformerConfig, inference: float, with_heads: float
) -> None:
    """The released early heads run at the rate of the encoder, ours at that of their features."""
    frames = config.frames(FOUR_SECONDS)
    whole = macs(config, FOUR_SECONDS)
    assert whole / 1e9 == pytest.approx(inference, abs=0.005)
    heads = config.stages * head_macs(config, frames, frames)
    assert (whole + heads) / 1e9 == pytest.approx(with_heads, abs=0.005)
    assert whole < training_macs(config, FOUR_SECONDS) / 3 < whole + heads / 2


def test_multiply_adds_of_two_seconds() -> None:
    assert macs(BASE, 16_000) / 1e9 == pytest.approx(40.40, abs=0.005)


@pytest.mark.parametrize("config", SIZES.values(), ids=SIZES)
def test_a_built_model_has_as_many_parameters(config: SepReformerConfig) -> None:
    with torch.device("meta"):
        model = SepReformer(config)
    early = sum(p.numel() for p in model.early_heads.parameters())
    assert sum(p.numel() for p in model.parameters()) == parameters(config)
    assert parameters(config) - early == parameters(config, early_heads=False)


def counted(config: SepReformerConfig, samples: int, depths: range) -> int:
    with torch.device("meta"):
        model = SepReformer(config).eval()
        mixture = torch.empty(1, samples)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        list(model.outputs(mixture, depths))
    return counter.get_total_flops() // 2


def spare(config: SepReformerConfig, samples: int, depth: int) -> int:
    """Products with offsets that none but other queries of the same part need."""
    length = config.frames_padded(samples) // 2**config.stages
    parts = [min(QUERIES, length - start) for start in range(0, length, QUERIES)]
    layers = (config.stages + 1) * DOWN_PAIRS + depth * UP_TRIPLES * config.n_src
    return layers * config.channels * sum(part**2 for part in parts)


@pytest.mark.parametrize("config", SIZES.values(), ids=SIZES)
def test_a_built_model_does_as_many_multiply_adds(config: SepReformerConfig) -> None:
    last = config.depths[-1:]
    found = counted(config, FOUR_SECONDS, last) - spare(config, FOUR_SECONDS, config.stages)
    assert found == macs(config, FOUR_SECONDS)


@pytest.mark.parametrize("samples", [100, 5_000])
def test_every_depth_does_as_many_multiply_adds(samples: int) -> None:
    for depth in SMALL.depths:
        found = counted(SMALL, samples, range(depth, depth + 1))
        assert found - spare(SMALL, samples, depth) == macs(SMALL, samples, depth)
    found = counted(SMALL, samples, SMALL.depths) - spare(SMALL, samples, SMALL.stages)
    assert 3 * found == training_macs(SMALL, samples)
