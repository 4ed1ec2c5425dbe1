"""Compares the cost of the plain reference implementation with that of the released code.

The released code was measured on another machine, so seconds cannot be compared. Two costs do not
depend on the machine: multiply-adds as PyTorch counts them, and bytes that autograd keeps.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cases
import torch
from reference import loss, reference
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode


def saved_bytes(work: Callable[[], Tensor]) -> int:
    """Bytes that the autograd graph of `work` keeps; each storage counts once."""
    storages: dict[int, int] = {}

    def count(tensor: Tensor) -> Tensor:
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        kept = work()
    del kept
    return sum(storages.values())


def _forward(model: torch.nn.Module, x: Tensor) -> float:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(x)
    return counter.get_total_flops() / 1e9


def _step(model: torch.nn.Module, x: Tensor) -> float:
    with FlopCounterMode(display=False) as counter:
        loss(model.all_depths(x), torch.randn(len(x), 2, x.shape[1])).backward()
    return counter.get_total_flops() / 1e9


def _saved(model: torch.nn.Module, x: Tensor) -> float:
    bins = 65 * (x.shape[1] // 64 + 1)
    return saved_bytes(lambda: model.all_depths(x)) / bins / 1e3


@dataclass(frozen=True)
class Cost:
    """One cost of a pass over `seconds` of sound at `width` channels."""

    what: str
    released: float
    """The cost of the released code."""
    unit: str
    width: int
    seconds: float
    count: Callable[[torch.nn.Module, Tensor], float]

    def measure(self) -> dict:
        """The cost of the released code, of the reference and of ours."""
        model, x = cases.build(self.width, "cpu"), cases.mixture(self.seconds, "cpu")
        return {
            "what": self.what,
            "unit": self.unit,
            "released": self.released,
            "reference": self.count(reference(model), x),
            "ours": self.count(model, x),
        }


FORWARD = Cost("forward, 128 channels, 0.25 s", 137.553, "GFLOP", 128, 0.25, _forward)
LONG = Cost("forward, 32 channels, 4 s", 150.0, "GFLOP", 32, 4.0, _forward)
STEP = Cost("training step, 128 channels, 0.25 s", 412.7, "GFLOP", 128, 0.25, _step)
SAVED = Cost("saved for the gradient, 128 channels", 487.0, "kB a bin", 128, 0.25, _saved)
SMALL = Cost("saved for the gradient, 32 channels", 124.0, "kB a bin", 32, 0.25, _saved)
COSTS = (FORWARD, LONG, STEP, SAVED, SMALL)
