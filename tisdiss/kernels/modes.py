"""Ways to run the same model: recomputation instead of memory, bfloat16 products, rows in parts."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from tisdiss.kernels.compiled import library

CHUNK = 2**20
"""Features (row x length x channel) that a path takes at a time where no gradient is asked for."""


def set_recompute(model: nn.Module, on: bool) -> None:
    """Keep about a fifteenth for the gradient, for a third more products and equal results."""
    for module in model.modules():
        if hasattr(module, "recompute"):
            module.recompute = on  # type: ignore[assignment]


def recomputed(work: Callable[[Tensor], Tensor], x: Tensor, *, on: bool) -> Tensor:
    """`work(x)`; `on` keeps only x for the gradient and repeats the work in the backward pass."""
    if on and torch.is_grad_enabled():
        return checkpoint(work, x, use_reentrant=False, preserve_rng_state=False)
    return work(x)


def set_bf16(model: nn.Module, on: bool) -> None:
    """Run the matrix products of paths and splitter in bfloat16.

    Weights, norms, rotations, residuals, codec and STFT stay in float32.
    """
    for module in model.modules():
        if hasattr(module, "bf16"):
            module.bf16 = on  # type: ignore[assignment]


def bf16_pays(device: str) -> bool:
    """Whether trainings are faster with bfloat16 products: on a GPU, or a CPU with AMX.

    On a CPU only with the compiled routines: without, the casts cost more than the products save.
    """
    if torch.device(device).type == "cpu":
        return torch.cpu._is_amx_tile_supported() and library() is not None
    return torch.cuda.is_bf16_supported()


def in_bf16(on: bool, x: Tensor) -> AbstractContextManager[object]:
    """Inside, matrix products take bfloat16; sums stay as they are."""
    return torch.autocast(x.device.type, torch.bfloat16) if on else nullcontext()


def rows_at_a_time(x: Tensor) -> int:
    """How many rows of x (rows, length, channels) keep what lies between layers small on a CPU."""
    if x.device.type != "cpu":
        return len(x)
    return max(1, CHUNK // (x.shape[1] * x.shape[2]))
