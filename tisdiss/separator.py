"""The separator: M_sep dual-path blocks applied N_sep times (Sec. 2.1, Fig. 1b)."""

from collections.abc import Callable, Iterator

from torch import Tensor, nn

from tisdiss.config import BlockConfig
from tisdiss.layers import Residual, build_path


def along_bins(path: nn.Module, features: Tensor) -> Tensor:
    """A path over the bins of each frame, which is a row of its own."""
    return path(features.flatten(0, 1)).unflatten(0, features.shape[:2])


def along_frames(path: nn.Module, features: Tensor) -> Tensor:
    """A path over the frames of each bin, which is a row of its own."""
    turned = features.transpose(1, 2)
    return path(turned.flatten(0, 1)).unflatten(0, turned.shape[:2]).transpose(1, 2)


ALONG = {"f": along_bins, "t": along_frames}


class DualPath(nn.Module):
    """A frequency path and a time path; `tf_order` says which comes first.

    (batch, frames, bins, channels) -> the same shape.
    """

    def __init__(self, *, path: Callable[[], nn.Module], tf_order: str) -> None:
        super().__init__()
        self.frequency = path()
        self.time = path()
        self.axes = tf_order

    def forward(self, features: Tensor) -> Tensor:
        paths = {"f": self.frequency, "t": self.time}
        for axis in self.axes:
            features = ALONG[axis](paths[axis], features)
        return features


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
