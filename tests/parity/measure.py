"""How far our model lies from the released one on the golden vectors.

    python tests/parity/measure.py [folder]

prints the largest deviation per file as a Markdown table. The tests in this folder assert the same
numbers.
"""

import copy
import functools
import json
import math
import re
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from tisdiss.config import LossConfig
from tisdiss.losses import multi_depth_loss, pair_losses, pit_loss
from tisdiss.model import TISDiSS
from tisdiss.released import tisdiss as espnet

GOLDEN = Path(__file__).parent / "golden"
Arrays = dict[str, np.ndarray]


class Row(NamedTuple):
    """Largest deviations of one file; NaN where it has nothing to compare with."""

    file: str
    depths: int
    wave64: float
    """Final waves in float64, relative to their peak."""
    loss64: float
    """PIT losses of every depth and the total in float64, relative."""
    wave32: float
    """Waves of every depth in float32, relative to their peak."""
    infer32: float
    """The same at inference depths other than the trained ones."""
    loss32: float
    """PIT losses of every depth and the total in float32, dB."""
    pair32: float
    """Losses of every source with every estimate in float32, dB."""
    gradient32: float
    """Selected gradients and the norm of all, relative."""
    permutations: bool
    """Whether every depth and utterance has the released permutation, in both precisions."""


def golden_files(folder: Path = GOLDEN) -> list[Path]:
    """o12 is left out: there the released model returns the mixture."""
    return [path for path in sorted(folder.glob("o??_*.npz")) if not path.name.startswith("o12")]


def read(path: Path) -> tuple[dict[str, Any], Arrays]:
    """A golden file's settings and its arrays."""
    arrays = dict(np.load(path))
    return json.loads(str(arrays.pop("meta_json"))), arrays


def measure(folder: Path = GOLDEN) -> list[Row]:
    full = folder / "full_sep1x2_re1x6.npz"
    return [measure_file(path) for path in golden_files(folder)] + [measure_full(full)]


@functools.cache
def measure_file(path: Path) -> Row:
    meta, golden = read(path)
    model = espnet.build(meta)
    espnet.load(model, {key: golden[f"sd/{key}"] for key in _names(golden, "sd/")})
    single = _losses(model, golden, torch.float32)
    single["total"].backward()
    double = _losses(copy.deepcopy(model).double(), golden, torch.float64)
    permutations = torch.as_tensor(golden["layer_perm"])
    return Row(
        file=path.stem.split("_")[0],
        depths=len(single["waves"]),
        wave64=peak_deviation(double["waves"][-1], golden["f64/wave_final"]),
        loss64=max(
            _relative(double["pit"], golden["f64/layer_pit_loss"]),
            _relative(double["total"], golden["f64/total_loss"]),
        ),
        wave32=max(_wave_deviations(single["waves"], golden)),
        infer32=max(_inference_deviations(model, golden), default=math.nan),
        loss32=max(
            _largest(single["pit"], golden["layer_pit_loss"]),
            _largest(single["total"], golden["total_loss"]),
        ),
        pair32=_largest(single["pairs"], golden["layer_pair_loss"]),
        gradient32=max(_gradient_deviations(model, golden)),
        permutations=all(torch.equal(run["order"], permutations) for run in (single, double)),
    )


@functools.cache
def measure_full(path: Path) -> Row:
    """The model of the paper's size, at each of its seven depths."""
    meta, golden = read(path)
    model = espnet.build(meta)
    espnet.load(model, recipe_weights(model))
    with torch.no_grad():
        run = _losses(model, golden, torch.float32)
    return Row(
        file="full",
        depths=len(run["waves"]),
        wave64=math.nan,
        loss64=math.nan,
        wave32=max(_wave_deviations(run["waves"], golden)),
        infer32=math.nan,
        loss32=max(
            _largest(run["pit"], golden["layer_pit_loss"]),
            _largest(run["total"], golden["total_loss"]),
        ),
        pair32=math.nan,
        gradient32=math.nan,
        permutations=True,
    )


def recipe_weights(model: TISDiSS) -> dict[str, np.ndarray]:
    """The full-size file's weights, which its meta data describe instead of storing them."""
    weights = {}
    for key, ours in espnet.export(model).items():
        name = key.removeprefix("separator.")
        seed = zlib.crc32(name.encode()) & 0x7FFFFFFF
        uniform = np.random.RandomState(seed).uniform(-1, 1, tuple(ours.shape))
        if name.endswith("rope.freqs"):
            value = ours.numpy()
        elif ours.ndim > 1:
            fans = (ours.shape[0] + ours.shape[1]) * math.prod(ours.shape[2:])
            value = uniform * math.sqrt(6 / fans)
        elif name == "concat_block.1.weight":
            value = np.full(1, 0.25)
        elif name.endswith("gamma") or name == "conv.1.weight":
            value = 1 + 0.1 * uniform
        else:
            value = 0.1 * uniform
        weights[key] = value.astype(np.float32)
    return weights


def peak_deviation(waves: Tensor, golden: np.ndarray) -> float:
    return _largest(waves, golden) / float(np.abs(golden).max())


def released_gradients(model: TISDiSS) -> dict[str, Tensor]:
    """Gradients under the released names."""
    twin = copy.deepcopy(model)
    for mine, theirs in zip(twin.parameters(), model.parameters(), strict=True):
        mine.data = torch.zeros_like(theirs) if theirs.grad is None else theirs.grad.clone()
    return espnet.export(twin)


def markdown(rows: list[Row]) -> str:
    """One line per file; dashes where a file has nothing to compare with."""
    head = ["file", "depths", "wave f64", "loss f64", "wave f32", "other depths f32"]
    head += ["loss f32 [dB]", "pair loss f32 [dB]", "gradient f32", "permutations"]
    lines = [head, ["---"] * len(head)]
    for row in rows:
        numbers = ["-" if math.isnan(x) else f"{x:.1e}" for x in row[2:9]]
        lines.append([row.file, str(row.depths), *numbers, "equal" if row[9] else "DIFFER"])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _losses(model: TISDiSS, golden: Arrays, dtype: torch.dtype) -> dict[str, Tensor]:
    """Waves, pair losses, PIT losses, permutations and the flat mean over the depths."""
    mixture, sources = (torch.as_tensor(golden[name]).to(dtype) for name in ("mix", "refs"))
    lengths = torch.as_tensor(golden["lens"]) if "lens" in golden else None
    waves = model.all_depths(mixture, lengths)
    config = LossConfig()
    pairs = pair_losses(waves, sources, clamp=config.clamp)
    total, pit = multi_depth_loss(waves, sources, model.config.decoded(), config)
    order = pit_loss(pairs)[1]
    return {"waves": waves, "pairs": pairs, "pit": pit, "order": order, "total": total}


def _wave_deviations(waves: Tensor, golden: Arrays) -> Iterator[float]:
    for name in _names(golden, "wave/"):
        stored = golden[f"wave/{name}"]  # may hold the first utterance only
        yield peak_deviation(waves[int(name)][: len(stored)], stored)
    if "f64/wave_final" in golden:
        yield peak_deviation(waves[-1], golden["f64/wave_final"])


def _inference_deviations(model: TISDiSS, golden: Arrays) -> Iterator[float]:
    mixture = torch.as_tensor(golden["mix"])[:1]
    for name in _names(golden, "infer_wave_b0/"):
        n_sep, n_re = map(int, re.fullmatch(r"nsep(\d+)_nre(\d+)", name).groups())
        with torch.no_grad():
            waves = model(mixture, n_sep=n_sep, n_re=n_re)
        yield peak_deviation(waves[0], golden[f"infer_wave_b0/{name}"])


def _gradient_deviations(model: TISDiSS, golden: Arrays) -> Iterator[float]:
    ours = released_gradients(model)
    for name in _names(golden, "grad/"):
        stored = torch.as_tensor(golden[f"grad/{name}"])
        yield ((ours[name] - stored).norm() / stored.norm()).item()
    total = torch.stack([p.grad.norm() for p in model.parameters()]).norm()
    yield _relative(total, golden["grad_norm_total"])


def _names(golden: Arrays, prefix: str) -> list[str]:
    return [name.removeprefix(prefix) for name in golden if name.startswith(prefix)]


def _largest(ours: Tensor, golden: np.ndarray) -> float:
    return float(np.abs(ours.detach().numpy() - golden).max())


def _relative(ours: Tensor, golden: np.ndarray) -> float:
    return float((np.abs(ours.detach().numpy() - golden) / np.abs(golden)).max())


if __name__ == "__main__":
    print(markdown(measure(*map(Path, sys.argv[1:2]))))
