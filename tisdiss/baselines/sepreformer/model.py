"""SepReformer as a whole (public repository, revision 43cbad8).

    encoder -> projection -> R stages down -> bottleneck -> splitter -> R stages up -> head

Each stage down halves the frames. The splitter makes a feature map for each speaker out of the
bottleneck's and out of what each stage down had before it halved, which the stages up take in.
A depth is how many stages up have run. The main output has depth R; before each stage up an early
head can decode what is there, as a mask for the encoder's output.
"""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tisdiss.baselines.sepreformer.attention import Offsets
from tisdiss.baselines.sepreformer.blocks import (
    DownSampling,
    GlobalBlock,
    LocalBlock,
    SpeakerBlock,
    WholeNorm,
)
from tisdiss.baselines.sepreformer.losses import TrainingLoss, training_loss
from tisdiss.config.sepreformer import DOWN_PAIRS, UP_TRIPLES, SepReformerConfig
from tisdiss.config.sepreformer_loss import SepReformerLossConfig


class SepReformer(nn.Module):
    """Separates a mixture (batch, samples) into (batch, n_src, samples)."""

    def __init__(self, config: SepReformerConfig) -> None:
        super().__init__()
        self.config = config
        n, channels, stages = config.encoder_channels, config.channels, range(config.stages)
        self.encoder = nn.Conv1d(1, n, config.kernel, stride=config.stride, bias=False)
        self.norm = WholeNorm(n, eps=config.norm_eps)
        self.project = nn.Linear(n, channels, bias=False)
        self.offsets = Offsets(config.head_width, reach=config.max_offset)
        self.stages_down = nn.ModuleList(StageDown(config) for _ in stages)
        self.down_samplings = nn.ModuleList(DownSampling(config) for _ in stages)
        self.bottleneck = StageDown(config)
        self.splitters = nn.ModuleList(Splitter(config) for _ in range(config.splitters))
        self.stages_up = nn.ModuleList(StageUp(config) for _ in stages)
        self.early_heads = nn.ModuleList(Head(config) for _ in stages)
        self.head = Head(config)

    def forward(self, mixture: Tensor) -> Tensor:
        """The main output, (batch, n_src, samples); early heads are not computed."""
        return next(self.outputs(mixture, self.config.depths[-1:]))

    def all_depths(self, mixture: Tensor) -> Tensor:
        """Every output as (depth, batch, n_src, samples), the main one last."""
        return torch.stack(list(self.outputs(mixture, self.config.depths)))

    def outputs(self, mixture: Tensor, depths: Sequence[int]) -> Iterator[Tensor]:
        """Waveforms (batch, n_src, samples) at ascending depths, each as soon as it is ready.

        Nothing is computed beyond the last of them. ValueError for other depths than 0 to R, or a
        mixture that is not (batch, samples) of the model's type.
        """
        if not depths or list(depths) != sorted(set(depths) & set(self.config.depths)):
            raise ValueError(
                f"depths={list(depths)}: give some of 0 to {self.config.stages}, each once and in "
                "ascending order"
            )
        own = self.encoder.weight.dtype
        if mixture.dim() != 2 or mixture.dtype != own:
            raise ValueError(
                f"mixture of shape {tuple(mixture.shape)}, type {mixture.dtype}: give "
                f"(batch, samples) of {own}"
            )
        return self._outputs(mixture, depths)

    def training_loss(
        self,
        mixture: Tensor,
        sources: Tensor,
        epoch: int,
        config: SepReformerLossConfig | None = None,
    ) -> TrainingLoss:
        """The number to minimise in an epoch, counted from 1, and its parts, in dB.

        mixture (batch, samples), sources (batch, n_src, samples).
        """
        *early, last = self.outputs(mixture, self.config.depths)
        return training_loss(torch.stack(early), last, sources, epoch, config or self.config.loss)

    def _outputs(self, mixture: Tensor, depths: Sequence[int]) -> Iterator[Tensor]:
        samples = mixture.shape[-1]
        missing = self.config.samples_padded(samples) - samples
        encoded = F.gelu(self.encoder(F.pad(mixture, (0, missing)).unsqueeze(1)))
        frames = encoded.shape[-1]
        mixed = self.project(self.norm(encoded.transpose(1, 2)))
        mixed = F.pad(mixed, (0, 0, 0, self.config.frames_padded(samples) - frames))
        for depth, features in zip(depths, self._features(mixed, depths), strict=True):
            if depth == self.config.stages:
                waves = self.head(features[:, :frames])
            else:
                waves = self.early_heads[depth](features, encoded)
            yield waves.unflatten(0, (-1, self.config.n_src))[..., :samples]

    def _features(self, mixed: Tensor, depths: Sequence[int]) -> Iterator[Tensor]:
        """Features (batch * n_src, frames, channels) at each of `depths`."""
        offsets = self.offsets(mixed.shape[1] // 2**self.config.stages)
        skips = []
        for stage, halve in zip(self.stages_down, self.down_samplings, strict=True):
            skips.append(stage(mixed, offsets))
            mixed = halve(skips[-1])
        skips.append(self.bottleneck(mixed, offsets))
        features = self._split(skips)
        for depth, stage in enumerate(self.stages_up):
            if depth in depths:
                yield features
            if depth == depths[-1]:
                return
            features = stage(features, self._split(skips), offsets)
        yield features

    def _split(self, skips: list[Tensor]) -> Tensor:
        """The last of `skips` by speaker, taken away from them."""
        mixed = skips.pop()
        scale = len(skips) if self.config.splitter == "separate" else 0
        return self.splitters[scale](mixed)


class StageDown(nn.Module):
    """Global and local blocks in turn, on mixtures."""

    def __init__(self, config: SepReformerConfig) -> None:
        super().__init__()
        self.global_blocks = nn.ModuleList(GlobalBlock(config) for _ in range(DOWN_PAIRS))
        self.local_blocks = nn.ModuleList(LocalBlock(config) for _ in range(DOWN_PAIRS))

    def forward(self, x: Tensor, offsets: Tensor) -> Tensor:
        for far, near in zip(self.global_blocks, self.local_blocks, strict=True):
            x = near(far(x, offsets))
        return x


class StageUp(nn.Module):
    """Twice as many frames, fused with the split skip; then global, local and speaker blocks."""

    def __init__(self, config: SepReformerConfig) -> None:
        super().__init__()
        self.fuse = nn.Linear(2 * config.channels, config.channels)
        self.global_blocks = nn.ModuleList(GlobalBlock(config) for _ in range(UP_TRIPLES))
        self.local_blocks = nn.ModuleList(LocalBlock(config) for _ in range(UP_TRIPLES))
        self.speaker_blocks = nn.ModuleList(SpeakerBlock(config) for _ in range(UP_TRIPLES))

    def forward(self, x: Tensor, skip: Tensor, offsets: Tensor) -> Tensor:
        x = self.fuse(torch.cat([x.repeat_interleave(2, dim=1), skip], dim=-1))
        blocks = (self.global_blocks, self.local_blocks, self.speaker_blocks)
        for far, near, across in zip(*blocks, strict=True):
            x = across(near(far(x, offsets)))
        return x


class Splitter(nn.Module):
    """One feature map becomes one for each speaker, normed by itself.

    (batch, frames, channels) -> (batch * n_src, frames, channels), a mixture's speakers adjacent.
    """

    def __init__(self, config: SepReformerConfig) -> None:
        super().__init__()
        self.n_src = config.n_src
        width = config.n_src * config.channels
        self.expand = nn.Linear(config.channels, 4 * width)
        self.reduce = nn.Linear(2 * width, width)
        self.norm = WholeNorm(config.channels, eps=config.norm_eps)

    def forward(self, x: Tensor) -> Tensor:
        split = self.reduce(F.glu(self.expand(x))).unflatten(-1, (self.n_src, -1))
        return self.norm(split.transpose(1, 2).flatten(0, 1))


class Head(nn.Module):
    """Features to a waveform for each row: (rows, frames, channels) -> (rows, samples)."""

    def __init__(self, config: SepReformerConfig) -> None:
        super().__init__()
        channels, n = config.channels, config.encoder_channels
        self.expand = nn.Linear(channels, 4 * channels)
        self.reduce = nn.Linear(2 * channels, n)
        self.decoder = nn.ConvTranspose1d(n, 1, config.kernel, stride=config.stride, bias=False)

    def forward(self, features: Tensor, encoded: Tensor | None = None) -> Tensor:
        """With the encoder's output (batch, n, frames), decode that under a mask of `features`.

        These have fewer frames then, which are repeated to as many by the nearest-frame rule.
        """
        coded = self.reduce(F.glu(self.expand(features))).transpose(1, 2)
        if encoded is not None:
            mask = F.interpolate(torch.relu(coded), size=encoded.shape[-1])
            masked = mask.unflatten(0, (len(encoded), -1)) * encoded.unsqueeze(1)
            coded = masked.flatten(0, 1)
        return self.decoder(coded).squeeze(1)
