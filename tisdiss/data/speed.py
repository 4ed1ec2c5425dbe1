"""How fast training examples come: loading must never be what a GPU waits for."""

import time
from typing import Protocol

from torch.utils.data import DataLoader, Dataset

from tisdiss.data.mixture import Example


class Crops(Protocol):
    """A training set: any of the mixture sets."""

    def __len__(self) -> int: ...

    def crop(self, epoch: int, i: int, seconds: float) -> Example: ...


class _Endless(Dataset):
    """Crop after crop, of every epoch."""

    def __init__(self, mixtures: Crops, seconds: float, count: int) -> None:
        self.mixtures, self.seconds, self.count = mixtures, seconds, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, k: int) -> int:
        epoch, i = divmod(k, len(self.mixtures))
        return len(self.mixtures.crop(epoch, i, self.seconds).mixture)


def examples_per_second(
    mixtures: Crops, *, seconds: float = 4.0, count: int = 200, workers: int = 0
) -> float:
    """Crops of `seconds` made in a second, by this process (0) or by so many workers.

    Starting the workers, and one crop of each to map the cache, is not counted.
    """
    warm = max(1, 2 * workers)
    loader = DataLoader(
        _Endless(mixtures, seconds, warm + count), num_workers=workers, batch_size=None
    )
    began = time.perf_counter()
    for k, _ in enumerate(loader, 1):
        if k == warm:
            began = time.perf_counter()
    return count / (time.perf_counter() - began)
