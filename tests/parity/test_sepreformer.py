"""SepReformer: waves, losses, statistics and every gradient's norm, as released and as trained."""

import copy
import functools
import math
from pathlib import Path
from typing import Any

import measure
import numpy as np
import pytest
import torch
from torch import Tensor

from tisdiss.baselines.sepreformer import SepReformer, TrainingLoss
from tisdiss.baselines.sepreformer.losses import magnitude_pairs, time_pairs
from tisdiss.config.sepreformer_loss import SepReformerLossConfig
from tisdiss.losses import pit_loss
from tisdiss.released import build, export, load

FILES = sorted(measure.GOLDEN.glob("sepreformer_o*.npz"))
CASES, SIGNALS = measure.read(measure.GOLDEN / "sepreformer_losses_open.npz")
PAIRS = {"time": time_pairs, "mag": magnitude_pairs}
ROUNDING = {torch.float64: 1e-12, torch.float32: 1e-5}
PREFIX = {torch.float64: "f64/", torch.float32: ""}


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def path(request: pytest.FixtureRequest) -> Path:
    return request.param


@pytest.fixture(params=[torch.float64, torch.float32], ids=["float64", "float32"])
def dtype(request: pytest.FixtureRequest) -> torch.dtype:
    return request.param


def weights(meta: dict[str, Any], golden: measure.Arrays) -> dict[str, np.ndarray]:
    """The released tensors; the slim files hold them in a row."""
    shapes = meta["sd_shapes"]
    ends = np.cumsum([math.prod(shape) for shape in shapes.values()])
    rows = np.split(golden["sd"], ends[:-1])
    return {name: row.reshape(shapes[name]) for name, row in zip(shapes, rows, strict=True)}


@functools.cache
def released(path: Path) -> tuple[SepReformer, measure.Arrays, dict[str, Any]]:
    """Our model with the golden weights, the golden arrays, and their meta data."""
    meta, golden = measure.read(path)
    model = build(meta)
    load(model, weights(meta, golden))
    return model, golden, meta


@functools.cache
def evaluated(path: Path, dtype: torch.dtype) -> tuple[Tensor, TrainingLoss]:
    """All outputs and the losses with the running statistics."""
    model, mixture, sources = prepared(path, dtype)
    with torch.no_grad():
        loss = model.eval().training_loss(mixture, sources, released(path)[2]["epoch"])
        return model.all_depths(mixture), loss


@functools.cache
def trained(path: Path, dtype: torch.dtype) -> tuple[SepReformer, TrainingLoss]:
    """The model after one pass with the statistics of the batch, with gradients."""
    model, mixture, sources = prepared(path, dtype)
    loss = model.train().training_loss(mixture, sources, released(path)[2]["epoch"])
    loss.total.backward()
    return model, loss


def prepared(path: Path, dtype: torch.dtype) -> tuple[SepReformer, Tensor, Tensor]:
    model, golden, _ = released(path)
    mixture, sources = (torch.as_tensor(golden[name]).to(dtype) for name in ("mix", "refs"))
    return copy.deepcopy(model).to(dtype), mixture, sources


def check_losses(loss: TrainingLoss, path: Path, prefix: str, within: float) -> None:
    """Released parts are sums over speakers; ours are means."""
    model, golden, _ = released(path)
    n_src = model.config.n_src
    assert loss.total.item() == pytest.approx(golden[f"{prefix}loss_total"].item(), abs=within)
    assert n_src * loss.time.item() == pytest.approx(
        golden[f"{prefix}loss_time"].item(), abs=within
    )
    magnitude = n_src * loss.magnitude.detach().numpy()
    assert magnitude == pytest.approx(golden[f"{prefix}loss_mag"], abs=within)


def test_names_are_the_released_ones_in_their_order(path: Path) -> None:
    model, golden, meta = released(path)
    ours, theirs = export(model), weights(meta, golden)
    assert list(ours) == list(theirs)
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)
    assert [name for name in ours if name in meta["param_names"]] == meta["param_names"]
    assert sum(p.numel() for p in model.parameters()) == meta["n_params"]


def test_waves_of_every_depth_are_equal(path: Path, dtype: torch.dtype) -> None:
    *early, last = evaluated(path, dtype)[0]
    golden = released(path)[1]
    assert measure.peak_deviation(last, golden["f64/wave_final"]) < ROUNDING[dtype]
    for depth, waves in enumerate(early):
        stored = golden[f"f64/wave_aux/{depth}"]
        assert measure.peak_deviation(waves[: len(stored)], stored) < ROUNDING[dtype]


def test_losses_are_equal(path: Path, dtype: torch.dtype) -> None:
    loss, prefix = evaluated(path, dtype)[1], PREFIX[dtype]
    check_losses(loss, path, prefix, within=1e-11 if prefix else 1e-4)


def test_losses_are_equal_in_training(path: Path, dtype: torch.dtype) -> None:
    loss, prefix = trained(path, dtype)[1], PREFIX[dtype]
    check_losses(loss, path, f"{prefix}train/", within=1e-11 if prefix else 3e-4)


def test_waves_are_equal_in_training(path: Path, dtype: torch.dtype) -> None:
    model, mixture, _ = prepared(path, dtype)
    with torch.no_grad():
        waves = model.train()(mixture)
    golden = released(path)[1]["f64/train/wave_final"]
    assert measure.peak_deviation(waves, golden) < ROUNDING[dtype]


def test_running_statistics_move_alike(path: Path) -> None:
    model, _ = trained(path, torch.float64)
    _, golden, meta = released(path)
    ours = export(model)
    sums = [ours[name].sum().item() for name in meta["bn_names"]]
    assert sums == pytest.approx(golden["train/bn_running_sum_after"], abs=1e-12)
    counters = [ours[name] for name in ours if name.endswith("num_batches_tracked")]
    assert counters and all(counter == 1 for counter in counters)


def test_every_gradient_is_as_long(path: Path, dtype: torch.dtype) -> None:
    model, _ = trained(path, dtype)
    _, golden, meta = released(path)
    gradients = measure.released_gradients(model)
    norms = torch.stack([gradients[name].norm() for name in meta["param_names"]]).double()
    each, whole = golden["f64/train/grad_norm_each"], golden["f64/train/grad_norm"].item()
    within = 1e-12 if dtype == torch.float64 else 1e-4
    assert np.abs(norms.numpy() - each).max() < within * each.max()
    assert norms.norm().item() == pytest.approx(whole, rel=within)


@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize("case", CASES["cases"])
def test_losses_of_single_cases_are_equal(case: str, kind: str) -> None:
    """Where estimates are the references, the magnitude loss is rounding alone."""
    estimates, sources = (torch.tensor(SIGNALS[f"{case}/{x}"]).double() for x in ("est", "ref"))
    estimates.requires_grad_()
    pairs = PAIRS[kind](estimates, sources, SepReformerLossConfig())
    loss = sources.shape[1] * pit_loss(pairs)[0].mean()
    (gradient,) = torch.autograd.grad(loss, estimates)
    golden, length = (SIGNALS[f"{case}/{x}_{kind}"].item() for x in ("loss", "grad_norm"))
    if (case, kind) == ("identical", "mag"):
        assert loss.item() == pytest.approx(golden, abs=1) and gradient.isfinite().all()
    else:
        assert loss.item() == pytest.approx(golden, abs=1e-12)
        assert gradient.norm().item() == pytest.approx(length, rel=1e-12, abs=0)


def test_every_file_is_there() -> None:
    assert [path.stem for path in FILES] == ["sepreformer_o01", "sepreformer_o02"]
