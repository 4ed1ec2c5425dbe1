"""The reconstructor: M_re triple-path blocks applied N_re times (Sec. 2.1, Fig. 1c)."""

from collections.abc import Callable, Iterator

from torch import Tensor, nn

from tisdiss.config import BlockConfig
from tisdiss.layers import LocoformerPath, Residual, build_path
from tisdiss.separator import DualPath, dual_path


class TriplePath(nn.Module):
    """Frequency and time paths within each speaker, then a path across the speakers.

    (batch, n_src, frames, bins, channels) -> the same shape. The speaker path has a single
    feed-forward and rotary positions, so its output depends on the order of the speakers.
    """

    def __init__(self, *, dual_path: DualPath, speaker: LocoformerPath) -> None:
        super().__init__()
        self.dual_path = dual_path
        self.speaker = speaker

    def forward(self, features: Tensor) -> Tensor:
        features = self.dual_path(features.flatten(0, 1)).unflatten(0, features.shape[:2])
        turned = features.permute(0, 2, 3, 1, 4)  # batch, frames, bins, n_src, channels
        crossed = self.speaker(turned.flatten(0, 2)).unflatten(0, turned.shape[:3])
        return crossed.permute(0, 3, 1, 2, 4).contiguous()  # one copy instead of one per reader


def triple_path(config: BlockConfig) -> TriplePath:
    """A Re-Block; its speaker path keeps only the feed-forward after the attention."""
    speaker = build_path(config, ffn_hidden=config.ffn_hidden[-1:])
    return TriplePath(dual_path=dual_path(config), speaker=speaker)


class Reconstructor(nn.Module):
    """Repeats its blocks; with a residual, adds the encoder's features before every block."""

    def __init__(
        self, *, blocks: int, block: Callable[[], TriplePath], residual: Residual | None
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(block() for _ in range(blocks))
        self.residual = residual

    def forward(self, encoded: Tensor, features: Tensor, n_re: int) -> Iterator[Tensor]:
        """Features after each of the M_re * N_re blocks, as they are computed."""
        for i in range(n_re * len(self.blocks)):
            if self.residual is not None:
                features = self.residual(encoded.unsqueeze(1), features)
            features = self.blocks[i % len(self.blocks)](features)
            yield features
