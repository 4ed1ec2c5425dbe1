"""Permutation-invariant SI-SNR against brute force and assignment, and the weights of Eq. 1."""

import itertools
import math

import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from tisdiss.config import LossConfig, ModelConfig
from tisdiss.depths import Depth
from tisdiss.losses import depth_weights, multi_depth_loss, pair_losses, pit_loss
from tisdiss.metrics import si_snr

CLAMP = 1e-7
SEEDS = range(4)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def decibels(pair: Tensor) -> list[float]:
    return pair.flatten().tolist()


@pytest.mark.parametrize("n_src", [2, 3, 4])
@pytest.mark.parametrize("seed", SEEDS)
def test_three_ways_to_find_the_best_permutation_agree(n_src: int, seed: int) -> None:
    pairs = noise(5, n_src, n_src, seed=seed)
    losses, orders = pit_loss(pairs)
    for matrix, loss, order in zip(pairs, losses, orders, strict=True):
        brute = min(
            (sum(matrix[j, p[j]] for j in range(n_src)) / n_src, p)
            for p in itertools.permutations(range(n_src))
        )
        rows, columns = linear_sum_assignment(matrix.numpy())
        assert tuple(order.tolist()) == brute[1] == tuple(columns.tolist())
        assert loss.item() == pytest.approx(brute[0].item(), rel=1e-12)
        assert loss.item() == pytest.approx(matrix.numpy()[rows, columns].mean(), rel=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_loss_ignores_the_order_of_the_sources(seed: int) -> None:
    estimates, sources = noise(2, 3, 900, seed=seed), noise(2, 3, 900, seed=seed + 100)
    shuffled = sources[:, torch.randperm(3, generator=torch.Generator().manual_seed(seed))]
    one, other = (pit_loss(pair_losses(estimates, s, clamp=CLAMP))[0] for s in (sources, shuffled))
    torch.testing.assert_close(one, other, rtol=1e-12, atol=0)


def test_a_loss_in_inference_mode_leaves_later_ones_trainable() -> None:
    with torch.inference_mode():
        pit_loss(torch.zeros(1, 5, 5))  # no other test has five sources
    pairs = torch.zeros(1, 5, 5, requires_grad=True)
    pit_loss(pairs)[0].sum().backward()
    assert pairs.grad is not None


def test_pairs_are_source_by_estimate() -> None:
    sources = noise(1, 2, 900)
    estimates = torch.stack([sources[:, 1] + noise(1, 900, seed=1), sources[:, 0]], dim=1)
    pairs = pair_losses(estimates, sources, clamp=CLAMP)[0]
    assert pairs[0, 1] == pytest.approx(-70, abs=0.01)
    assert -3 < pairs[1, 0] < 3 and pairs[0, 0] > 10
    assert pit_loss(pairs)[1].tolist() == [1, 0]


@pytest.mark.parametrize("level", [0.01, 0.3, 10.0])
def test_a_pair_loss_is_negative_si_snr(level: float) -> None:
    sources = noise(1, 2, 900)
    estimates = 5 * sources + level * noise(1, 2, 900, seed=1) + 3
    pairs = pair_losses(estimates, sources, clamp=CLAMP)
    own = -si_snr(estimates, sources)
    torch.testing.assert_close(pairs.diagonal(dim1=1, dim2=2), own, rtol=1e-9, atol=1e-9)


def test_by_hand_orthogonal_noise_of_equal_power_is_0_db() -> None:
    time = torch.arange(800) / 800
    sine, cosine = (f(2 * math.pi * 10 * time).double() for f in (torch.sin, torch.cos))
    (loss,) = decibels(pair_losses((sine + cosine)[None], sine[None], clamp=CLAMP))
    assert loss == pytest.approx(0, abs=1e-5)
    (loss,) = decibels(pair_losses((sine + 0.1 * cosine)[None], sine[None], clamp=CLAMP))
    assert loss == pytest.approx(-20, abs=1e-4)


@pytest.mark.parametrize("silent", ["estimate", "source", "both"])
def test_a_silent_signal_costs_70_db_and_has_no_gradient(silent: str) -> None:
    estimates, sources = noise(1, 900), noise(1, 900, seed=1)
    estimates = torch.zeros_like(estimates) if silent != "source" else estimates
    sources = torch.zeros_like(sources) if silent != "estimate" else sources
    estimates.requires_grad_()
    loss = pair_losses(estimates, sources, clamp=CLAMP)
    loss.sum().backward()
    assert decibels(loss) == [pytest.approx(70, abs=1e-5)]
    assert not estimates.grad.any()


@pytest.mark.parametrize(("offset", "inside"), [(0.0, False), (1e-5, False), (1e-2, True)])
def test_beyond_the_clamp_there_is_no_gradient(offset: float, inside: bool) -> None:
    source = noise(1, 900)
    estimate = (source + offset * noise(1, 900, seed=1)).requires_grad_()
    loss = pair_losses(estimate, source, clamp=CLAMP)
    loss.sum().backward()
    assert bool(estimate.grad.any()) is inside
    assert (loss.item() == pytest.approx(-70, abs=1e-5)) is not inside


def test_the_clamp_is_a_setting() -> None:
    source = noise(1, 900)
    assert decibels(pair_losses(source, source, clamp=1e-3)) == [pytest.approx(-29.996, abs=1e-3)]
    assert decibels(pair_losses(source, 0 * source, clamp=0.0)) == [math.inf]


def test_float32_losses_agree_with_float64() -> None:
    sources = noise(2, 2, 900)
    estimates = sources + 0.1 * noise(2, 2, 900, seed=1)
    double = pair_losses(estimates, sources, clamp=CLAMP)
    single = pair_losses(estimates.float(), sources.float(), clamp=CLAMP)
    own = torch.eye(2, dtype=torch.bool).expand_as(double)
    torch.testing.assert_close(single[own].double(), double[own], rtol=0, atol=1e-3)


DEPTHS = ModelConfig.from_name("sep1x3-re1x4-l1x3+4").decoded()  # 2 sep, split, 3 re, last


@pytest.mark.parametrize(
    ("config", "weights"),
    [
        (LossConfig(), [1 / 7] * 7),
        (LossConfig(weights={"sep": 0.5, "last": 2}), [0.5 / 7] * 2 + [1 / 7] * 4 + [2 / 7]),
        (LossConfig(average="eq1"), [1 / 8, 1 / 8, 1 / 4, 1 / 12, 1 / 12, 1 / 12, 1 / 4]),
        (
            LossConfig(average="eq1", weights={"re": 0.3, "split": 0.0}),
            [1 / 8, 1 / 8, 0, 0.1 / 4, 0.1 / 4, 0.1 / 4, 1 / 4],
        ),
    ],
)
def test_weights_of_the_depths_by_hand(config: LossConfig, weights: list[float]) -> None:
    assert depth_weights(DEPTHS, config) == pytest.approx(weights)


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("sep1x2-re1x3-l1", [1]),
        ("sep1x2-re1x6-l1+6", [1 / 3, *[1 / 15] * 5, 1 / 3]),
        ("sep1x2-re1x1-l1+1", [1 / 2, 1 / 2]),
        ("sep1x6-l1x6", [*[1 / 10] * 5, 1 / 2]),
    ],
)
def test_only_active_terms_count_in_equation_1(name: str, weights: list[float]) -> None:
    depths = ModelConfig.from_name(name).decoded()
    assert depth_weights(depths, LossConfig(average="eq1")) == pytest.approx(weights)


def test_an_unknown_term_has_no_weight() -> None:
    with pytest.raises(ValueError, match="Input should be 'last', 'sep', 'split' or 're'"):
        LossConfig(weights={"lst": 1})


@pytest.mark.parametrize("average", ["flat", "eq1"])
def test_the_total_is_the_weighted_sum_over_depths(average: str) -> None:
    config = LossConfig(average=average, weights={"split": 0.25})
    depths = [Depth("split", 2, 0, 1), Depth("re", 2, 1, 0), Depth("re", 2, 2, 1)]
    estimates, sources = noise(3, 2, 2, 900), noise(2, 2, 900, seed=1)
    total, by_depth = multi_depth_loss(estimates, sources, depths, config)
    alone = [pit_loss(pair_losses(e, sources, clamp=CLAMP))[0].mean().item() for e in estimates]
    assert by_depth.tolist() == pytest.approx(alone, rel=1e-12)
    weights = depth_weights(depths, config)
    expected = sum(w * loss for w, loss in zip(weights, alone, strict=True))
    assert total.item() == pytest.approx(expected, rel=1e-12)


def test_each_depth_and_utterance_has_its_own_permutation() -> None:
    sources = noise(2, 2, 900)
    near = sources + 0.1 * noise(2, 2, 900, seed=1)
    mixed = torch.stack([near[0], near[1].flip(0)])
    estimates = torch.stack([near, mixed])
    orders = pit_loss(pair_losses(estimates, sources, clamp=CLAMP))[1]
    assert orders.tolist() == [[[0, 1], [0, 1]], [[0, 1], [1, 0]]]
    depths = [Depth("split", 2, 0, 1), Depth("re", 2, 1, 0)]
    _, (one, other) = multi_depth_loss(estimates, sources, depths, LossConfig())
    assert one == other
