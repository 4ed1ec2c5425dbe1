"""TF-GridNet (both versions) and FLA-TFLocoformer: waves, losses, permutations, gradient norms."""

import copy
import functools
from pathlib import Path
from typing import NamedTuple

import measure
import numpy as np
import pytest
import torch
from torch import Tensor

from tisdiss.config import LossConfig
from tisdiss.losses import pair_losses, pit_loss
from tisdiss.model import TISDiSS
from tisdiss.released import tisdiss as espnet

FILES = sorted(
    path for name in ("tfgridnet_*", "fla_*") for path in measure.GOLDEN.glob(f"{name}.npz")
)


class Pass(NamedTuple):
    """What one pass gives, and the golden values of its precision."""

    waves: Tensor
    loss: float
    order: Tensor
    norms: Tensor
    """Of each parameter's gradient, in the released order."""
    golden: measure.Arrays


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def path(request: pytest.FixtureRequest) -> Path:
    return request.param


@functools.cache
def released(path: Path) -> tuple[TISDiSS, measure.Arrays, list[str]]:
    """Our model with the golden weights, the golden arrays, and the released names."""
    meta, golden = measure.read(path)
    model = espnet.build(meta)
    weights = {name[3:]: value for name, value in golden.items() if name.startswith("sd/")}
    espnet.load(model, weights)
    return model, golden, [f"separator.{name}" for name in meta["param_names"]]


@functools.cache
def passed(path: Path, dtype: torch.dtype) -> Pass:
    model, golden, names = released(path)
    model = copy.deepcopy(model).to(dtype)
    mixture, sources = (torch.as_tensor(golden[name]).to(dtype) for name in ("mix", "refs"))
    waves = model(mixture, torch.as_tensor(golden["lens"]))
    losses, order = pit_loss(pair_losses(waves, sources, clamp=LossConfig().clamp))
    losses.mean().backward()
    gradients = measure.released_gradients(model)
    norms = torch.stack([gradients[name].norm() for name in names])
    prefix = "f64/" if dtype == torch.float64 else ""
    own = {k: golden[prefix + k] for k in ("loss", "perm", "grad_norm")}
    more = {k: golden[f"f64/{k}"] for k in ("wave_final", "grad_norm_each")}
    return Pass(waves, losses.mean().item(), order, norms, own | more)


def test_names_are_the_released_ones_in_their_order(path: Path) -> None:
    model, golden, names = released(path)
    ours = espnet.export(model)
    assert [name for name in ours if "rope" not in name] == names
    assert [name for name in golden if name.startswith("sd/")] == [
        name.replace("separator.", "sd/") for name in ours
    ]
    for name in ours:
        assert np.array_equal(ours[name], golden[name.replace("separator.", "sd/")])


def test_float64_waves_and_losses_are_equal(path: Path) -> None:
    found = passed(path, torch.float64)
    assert measure.peak_deviation(found.waves, found.golden["wave_final"]) < 1e-12
    assert found.loss == pytest.approx(found.golden["loss"], abs=1e-11)


def test_float32_waves_and_losses_agree(path: Path) -> None:
    found = passed(path, torch.float32)
    assert measure.peak_deviation(found.waves, found.golden["wave_final"]) < 1e-5
    assert found.loss == pytest.approx(found.golden["loss"], abs=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_permutations_are_equal(path: Path, dtype: torch.dtype) -> None:
    found = passed(path, dtype)
    assert np.array_equal(found.order, found.golden["perm"])


def test_every_float64_gradient_is_as_long(path: Path) -> None:
    found = passed(path, torch.float64)
    deviation = np.abs(found.norms.numpy() - found.golden["grad_norm_each"])
    assert deviation.max() < 1e-11 * found.golden["grad_norm_each"].max()
    assert found.norms.norm().item() == pytest.approx(found.golden["grad_norm"], rel=1e-11)


def test_float32_gradients_agree(path: Path) -> None:
    found = passed(path, torch.float32)
    assert found.norms.norm().item() == pytest.approx(found.golden["grad_norm"], rel=1e-4)


def test_every_file_is_there() -> None:
    gridnet = [f"tfgridnet_{version}_{file}" for version in ("v1", "v2") for file in ("o01", "o02")]
    assert [path.stem for path in FILES] == ["fla_o01", "fla_o02", *gridnet]
