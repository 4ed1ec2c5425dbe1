"""One training in several processes (ranks), each of which computes its share of every batch.

`torchrun` starts them; without it there is one, and this module has no effect. All ranks hold
the same weights: they start from the same seed, and after each backward pass the gradients are
replaced by their mean over the ranks, which is the gradient of the whole batch. Only the first rank
writes files.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")
PATIENCE = timedelta(minutes=10)
"""A rank that waits longer than this for another gives up, and the run ends."""


@dataclass(frozen=True)
class Ranks:
    """The rank of this process and the number of ranks; by default it is the only one."""

    rank: int = 0
    world: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the rank that logs and writes."""
        return self.rank == 0

    def share(self, batch: Sequence[T]) -> Sequence[T]:
        """This rank's part of a global batch; ValueError unless all parts are equal."""
        if len(batch) % self.world:
            raise ValueError(
                f"batch_size={len(batch)} cannot be shared equally by {self.world} processes; "
                "choose a multiple"
            )
        size = len(batch) // self.world
        return batch[self.rank * size : (self.rank + 1) * size]

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its mean over the ranks, all in one message."""
        if self.world == 1:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        dist.all_reduce(flat)
        flat /= self.world
        parts = flat.split([tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view_as(tensor))

    def indices(self, n: int) -> range:
        """Which of n items this rank computes."""
        return range(self.rank, n, self.world)

    def gather(self, values: Sequence[Tensor], n: int) -> Tensor:
        """All n numbers in order and exact; `values` are those of this rank, at `indices(n)`."""
        if self.world == 1:
            return torch.stack(list(values))
        device = self.device if not values else values[0].device
        whole = torch.zeros(n, device=device)
        for i, value in zip(self.indices(n), values, strict=True):
            whole[i] = value
        dist.all_reduce(whole)  # x + 0 is exact
        return whole

    def any(self, claim: bool) -> bool:
        """Whether the claim is true on some rank."""
        if self.world == 1:
            return claim
        vote = torch.tensor([float(claim)], device=self.device)
        dist.all_reduce(vote, op=dist.ReduceOp.MAX)
        return bool(vote.item())

    def in_turn(self, work: Callable[[], T]) -> T:
        """Do work that may delete files: first on the first rank, then on the others."""
        if self.world == 1:
            return work()
        if self.first:
            result = work()
            self.any(False)
            return result
        self.any(False)
        return work()

    @property
    def device(self) -> str:
        """The device of the tensors that ranks exchange."""
        return "cuda" if dist.get_backend() == "nccl" else "cpu"


ALONE = Ranks()


def ranks() -> Ranks:
    """The ranks of the processes that `joined` connected; `ALONE` if none."""
    if not (dist.is_available() and dist.is_initialized()):
        return ALONE
    return Ranks(dist.get_rank(), dist.get_world_size())


@contextmanager
def joined(device: str) -> Iterator[str]:
    """Join the processes that torchrun started, while the block runs; yields this rank's device."""
    gpu = device.startswith("cuda")
    if gpu:
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if gpu else "gloo", timeout=PATIENCE)
    try:
        yield device
    finally:
        dist.destroy_process_group()
