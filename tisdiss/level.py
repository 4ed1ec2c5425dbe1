"""The level of estimates: a separator leaves scale and polarity open, the mixture decides them.

SI-SNR scores an estimate up to a factor, so a model is free in it. Here each speaker gets one
factor for the whole recording: those with which the scaled estimates sum to the mixture with the
least squared error. Who was louder stays louder, and what is written to a file does not clip.
"""

import torch
from torch import Tensor

RIDGE = 1e-6
"""Share of the mean energy that keeps equal or silent estimates from growing without bounds."""


class Levels:
    """Collects, piece by piece, what the factors depend on."""

    def __init__(self, n_src: int) -> None:
        self.among = torch.zeros(n_src, n_src, dtype=torch.float64)
        self.with_mixture = torch.zeros(n_src, dtype=torch.float64)
        self.peaks = torch.zeros(n_src)

    def add(self, mixture: Tensor, estimates: Tensor) -> None:
        """Take in a piece: mixture (samples,), estimates (n_src, samples)."""
        if not estimates.shape[-1]:
            return
        wide = estimates.double()
        self.among += wide @ wide.T
        self.with_mixture += wide @ mixture.double()
        self.peaks = torch.maximum(self.peaks, estimates.abs().amax(dim=-1))

    def factors(self) -> Tensor:
        """(n_src,): least squares over all that was added, sign included; 0 for silence."""
        energy = self.among.trace() / len(self.among)
        if not energy > 0:
            return torch.zeros(len(self.among))
        ridge = RIDGE * energy * torch.eye(len(self.among), dtype=torch.float64)
        return torch.linalg.solve(self.among + ridge, self.with_mixture).float()

    def peak_factors(self, peak: float) -> Tensor:
        """(n_src,): each speaker to this peak, in the polarity that the mixture decides."""
        sign = torch.where(self.factors() < 0, -1.0, 1.0)
        return torch.where(self.peaks > 0, sign * peak / self.peaks, 0.0)

    def fitting(self, factors: Tensor) -> float:
        """What all factors are multiplied by so that no sample exceeds full scale; at most 1."""
        highest = float((factors.abs() * self.peaks).max())
        return min(1.0, 1.0 / highest) if highest > 0 else 1.0


def in_level(mixture: Tensor, estimates: Tensor) -> Tensor:
    """Estimates (n_src, samples) at the level and polarity that they have in the mixture."""
    levels = Levels(len(estimates))
    levels.add(mixture, estimates)
    return levels.factors()[:, None] * estimates
