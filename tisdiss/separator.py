"""The separator: M_sep dual-path blocks applied N_sep times (Sec. 2.1, Fig. 1b)."""

from collections.abc import Callable, Iterator

from torch import Tensor, nn

from tisdiss.config import BlockConfig
from tisdiss.layers import Residual, build_path


class DualPath(nn.Module):
    """A frequency path and a time path; `tf_order` says which comes first.

    (batch, frames, bins, channels) -> the same shape.
    """

    def __init__(self, *, path: Callable[[], nn.Module], tf_order: str) -> None:
        super().__init__()
        self.frequency = path()
        self.time = path()
        steps = {"f": self._along_frequency, "t": self._along_time}
        self._steps = [steps[axis] for axis in tf_order]

    def forward(self, features: Tensor) -> Tensor:
        for step in self._steps:
            features = step(features)
        return features

    def _along_frequency(self, features: Tensor) -> Tensor:
        return self.frequency(features.flatten(0, 1)).unflatten(0, features.shape[:2])

    def _along_time(self, features: Tensor) -> Tensor:
        turned = features.transpose(1, 2)
        return self.time(turned.flatten(0, 1)).unflatten(0, turned.shape[:2]).transpose(1, 2)


def dual_path(config: BlockConfig) -> DualPath:
    """A Sep-Block, or the time-frequency half of a Re-Block."""
    return DualPath(path=lambda: build_path(config), tf_order=config.tf_order)


class Separator(nn.Module):
    """Repeats its blocks; with a residual, adds the encoder's features before all but the first."""

    def __init__(
        self, *, blocks: int, block: Callable[[], nn.Module], residual: Residual | None
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(block() for _ in range(blocks))
        self.residual = residual

    def forward(self, encoded: Tensor, n_sep: int) -> Iterator[Tensor]:
        """Features after each of the M_sep * N_sep blocks, as they are computed."""
        features = encoded
        for i in range(n_sep * len(self.blocks)):
            if i and self.residual is not None:
                features = self.residual(encoded, features)
            features = self.blocks[i % len(self.blocks)](features)
            yield features
