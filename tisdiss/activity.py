"""Decides who speaks when, from the levels of the estimates, and mutes the others.

Regions are 1.1 s long, around each frame of 0.1 s. An estimate is inactive in a region

- if the mixture there is more than `QUIET_DB` below the level of its loudest parts, or
- if its own part is more than `BELOW_DB` below the mixture there. Its own part is what a louder
  estimate, scaled, leaves of it: little, when a model gives one voice to two outputs.

Where one speaker alone is active, the output of this speaker is the mixture. Changes are
cross-faded over a frame. A speaker is absent from a recording

- if the estimate is clear in less than `PRESENT` of the speech: it is clear where it is the loudest
  or its own part is within `CLEAR_DB` of the mixture, or
- if it is a copy of another over the whole recording (`COPY_OF_ALL`).

The output of the only speaker of a recording is the mixture throughout.
"""

from array import array

import torch
from torch import Tensor

FRAME_SECONDS, REGION = 0.1, 11
"""Length of a frame, and frames of a region."""
BELOW_DB, CLEAR_DB = 12.0, 8.0
QUIET_DB = 45.0
COPY_OF_ALL = 0.75
PRESENT = 0.05
LOUD = 0.95
"""The level of the loudest parts is this quantile of the regions' levels."""


class Activity:
    """Collects, piece by piece, the energies that tell who is active.

    They take 4 (n_src + 1)² bytes per frame: 1.3 MB an hour for two speakers.
    """

    def __init__(self, n_src: int, rate: int) -> None:
        self.frame = max(1, round(FRAME_SECONDS * rate))
        self.rest = torch.empty(1 + n_src, 0)
        self.gram = array("f")
        """(frames, 1 + n_src, 1 + n_src) of the mixture and the estimates. An array, because small
        tensors between large ones would keep the memory of those from being used again."""

    def add(self, mixture: Tensor, estimates: Tensor) -> None:
        """Add a piece: mixture (samples,), estimates (n_src, samples)."""
        signals = torch.cat([self.rest, torch.cat([mixture[None], estimates])], dim=1)
        whole = signals.shape[1] // self.frame * self.frame
        self._add(signals[:, :whole].reshape(len(signals), -1, self.frame))
        self.rest = signals[:, whole:]

    def _add(self, frames: Tensor) -> None:
        by_frame = frames.transpose(0, 1)
        self.gram.frombytes((by_frame @ by_frame.transpose(1, 2)).numpy().tobytes())

    def speakers(self, factors: Tensor) -> "Speakers":
        """Who speaks when, if the estimates are scaled by `factors` (n_src,)."""
        if self.rest.shape[1]:
            self._add(self.rest[:, None])
            self.rest = self.rest[:, :0]
        scale = torch.cat([torch.ones(1), factors])
        gram = torch.frombuffer(self.gram, dtype=torch.float32).reshape(-1, *2 * scale.shape)
        gram = gram * torch.outer(scale, scale)
        return Speakers(_active(gram), self.frame)


def heard(mixture: Tensor, estimates: Tensor, rate: int) -> Tensor:
    """(n_present, samples): the estimates of speakers who are there, muted while they are silent.

    The mixture is (samples,); the estimates (n_src, samples) have the level of `level.in_level`. A
    lone speaker is the mixture.
    """
    activity = Activity(len(estimates), rate)
    activity.add(mixture, estimates)
    return activity.speakers(torch.ones(len(estimates))).outputs(mixture, estimates, 0)


class Speakers:
    """Who speaks when."""

    def __init__(self, active: Tensor, frame: int) -> None:
        """`active` is (frames, n_src)."""
        self.frame = frame
        self.present = active.any(0).nonzero()[:, 0]
        """Indices of the speakers who are there, (n_present,)."""
        mine = active[:, self.present].float()
        alone = mine * (mine.sum(1, keepdim=True) == 1)
        if len(self.present) == 1:
            mine = alone = torch.ones_like(mine)
        self.share_of_mixture, self.share_of_estimate = alone.T, (mine - alone).T

    def outputs(self, mixture: Tensor, estimates: Tensor, start: int) -> Tensor:
        """(n_present, samples): the output for a piece that begins at sample `start`.

        The mixture is (samples,), the scaled estimates (n_src, samples).
        """
        at = (start + torch.arange(len(mixture)).double() + 0.5) / self.frame - 0.5
        at = at.clamp(0, self.share_of_mixture.shape[1] - 1)
        before = at.long()
        after = (before + 1).clamp(max=self.share_of_mixture.shape[1] - 1)
        fade = (at - before).float()

        def faded(share: Tensor) -> Tensor:
            return torch.lerp(share[:, before], share[:, after], fade)

        of_mixture, of_estimate = faded(self.share_of_mixture), faded(self.share_of_estimate)
        return of_mixture * mixture + of_estimate * estimates[self.present]


def _active(gram: Tensor) -> Tensor:
    """(frames, n_src) of the energies of all frames (frames, 1 + n_src, 1 + n_src)."""
    region = _smooth(gram)
    energy = region.diagonal(dim1=1, dim2=2)
    mixture, level = energy[:, :1], energy[:, 1:]
    loud = mixture > 10 ** (-QUIET_DB / 10) * mixture.quantile(LOUD)
    own = level * (1 - _shared(region[:, 1:, 1:]))
    active = loud & (own > 10 ** (-BELOW_DB / 10) * mixture)
    is_loudest = level == level.amax(1, keepdim=True)
    clear = active & (is_loudest | (own > 10 ** (-CLEAR_DB / 10) * mixture))
    active &= clear.sum(0) > PRESENT * active.any(1).sum()
    everything = gram[:, 1:, 1:].sum(0, keepdim=True, dtype=torch.float64)
    return active & (_shared(everything) <= COPY_OF_ALL**2)


def _smooth(gram: Tensor) -> Tensor:
    """The mean over the region around each frame."""
    columns = gram.flatten(1).T[None]
    mean = torch.nn.functional.avg_pool1d(
        columns, REGION, stride=1, padding=REGION // 2, count_include_pad=False
    )
    return mean[0].T.reshape(gram.shape)


def _shared(gram: Tensor) -> Tensor:
    """(frames, n_src): the largest squared correlation of an estimate with a louder one."""
    energy = gram.diagonal(dim1=1, dim2=2)
    norms = energy[:, :, None] * energy[:, None]
    n_src = gram.shape[1]
    later = torch.ones(n_src, n_src).tril(-1).bool()
    louder = (energy[:, None] > energy[:, :, None]) | (
        (energy[:, None] == energy[:, :, None]) & later
    )
    squared = torch.where(norms > 0, gram.square() / norms, 0.0)
    return (squared * louder).amax(-1).clamp(max=1)
