"""Ways to run the same model: recomputation, bfloat16 products, some rows at a time."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from tisdiss.kernels.compiled import library

CHUNK = 2**20
"""Features (row x length x channel) that a path processes at a time without gradients on a CPU."""


def set_recompute(model: nn.Module, on: bool) -> None:
    """Turn recomputation on or off, which does not change results.

    It keeps about a fifteenth of the memory for the gradient, at a third more products.
    """
    for module in model.modules():
        if hasattr(module, "recompute"):
            module.recompute = on  # type: ignore[assignment]


def recomputed(work: Callable[[Tensor], Tensor], x: Tensor, *, on: bool) -> Tensor:
    """work(x); `on` keeps only x for the gradient and repeats the work in the backward pass."""
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
    """Whether trainings are faster with bfloat16 products: on a GPU, or a CPU that has them.

    On a CPU only with the compiled routines: without, the casts cost more than the products save.
    """
    if torch.device(device).type == "cpu":
        has_products = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
        return has_products and library() is not None
    return torch.cuda.is_bf16_supported()


def takes_bf16(precision: str, device: str) -> bool:
    """Whether a training of this precision runs products in bfloat16 on a device."""
    return precision == "bf16" or (precision == "auto" and bf16_pays(device))


def in_bf16(on: bool, x: Tensor) -> AbstractContextManager[object]:
    """A context in which matrix products run in bfloat16; sums keep their type."""
    return torch.autocast(x.device.type, torch.bfloat16) if on else nullcontext()


def in_float32(x: Tensor) -> AbstractContextManager[object]:
    """A context inside `in_bf16` in which products keep the type of what they multiply."""
    computes = x.device.type != "meta"  # where costs are counted, there is no autocast
    return torch.autocast(x.device.type, enabled=False) if computes else nullcontext()


def rows_at_a_time(x: Tensor) -> int:
    """Rows of x (rows, length, channels) per step; few on a CPU to keep intermediates small."""
    if x.device.type != "cpu":
        return len(x)
    return max(1, CHUNK // (x.shape[1] * x.shape[2]))
