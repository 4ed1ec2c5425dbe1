"""The level of estimates: the mixture determines scale and polarity, which a separator does not.

SI-SNR ignores the scale of an estimate, so a model may output any. Each speaker gets one factor for
the whole recording: the factors with which the estimates sum to the mixture with the least squared
error. The louder speaker stays louder.
"""

import torch
from torch import Tensor

RIDGE = 1e-6
"""Ridge, as a share of the mean energy, that bounds the factors of equal or silent estimates."""


class Levels:
    """Collects, piece by piece, the sums that determine the factors."""

    def __init__(self, n_src: int) -> None:
        self.gram = torch.zeros(n_src, n_src, dtype=torch.float64)
        self.projection = torch.zeros(n_src, dtype=torch.float64)

    def add(self, mixture: Tensor, estimates: Tensor) -> None:
        """Add a piece: mixture (samples,), estimates (n_src, samples)."""
        if not estimates.shape[-1]:
            return
        wide = estimates.double()
        self.gram += wide @ wide.T
        self.projection += wide @ mixture.double()

    def factors(self) -> Tensor:
        """(n_src,): signed least-squares factors over all pieces; 0 for silence."""
        energy = self.gram.trace() / len(self.gram)
        if not energy > 0:
            return torch.zeros(len(self.gram))
        ridge = RIDGE * energy * torch.eye(len(self.gram), dtype=torch.float64)
        return torch.linalg.solve(self.gram + ridge, self.projection).float()


def fitted(estimates: Tensor) -> Tensor:
    """Estimates (n_src, samples), attenuated by one factor if a sample exceeds full scale."""
    peak = float(estimates.abs().max())
    return estimates / peak if peak > 1 else estimates


def in_level(mixture: Tensor, estimates: Tensor) -> Tensor:
    """Estimates (n_src, samples) with the level and polarity that they have in the mixture."""
    levels = Levels(len(estimates))
    levels.add(mixture, estimates)
    return levels.factors()[:, None] * estimates
