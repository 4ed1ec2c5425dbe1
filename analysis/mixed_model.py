"""An interval for a mean over mixtures whose speakers recur, and over the seeds of its trainings.

The value of mixture m, averaged over its speakers and over the seeds, is modelled as

    y[m] = mean + (sum of u[s] over its speakers) / (their number) + e[m]

with independent normal effects u of speakers (variance share rho) and e of mixtures (1 - rho). Two
speakers are crossed: each meets many others. The share is not known, so it is not fixed at an
estimate: the interval averages over its posterior under the prior Beta(1/2, 1/2), with the
restricted likelihood (REML: the likelihood of what is left when the mean is taken out; Patterson
and Thompson, 1971). Given the share, the mean follows a t distribution. This reduces to the t test
over mixtures where speakers explain nothing, and to one over speakers where they explain all.

Several seeds add the noise of training: a second t distribution, with one degree of freedom less
than there are seeds, from the variance between the seeds' means (Behrens and Fisher's sum of two).
With one seed the interval is about these weights, not about the recipe.

Measured on 1500 simulated test sets each, 95 % intervals held the truth in 94 to 95 % of cases for
shares of 0.06, 0.18, 0.35 and 1 with 29 speakers in 300 mixtures, in 95 to 97 % with 10 in 120, and
in 95 to 99 % with 5 in 60. Where speakers explain nothing they are too wide (98, 99 and 100 %).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import t

_LOGITS = np.linspace(-12, 12, 97)
"""Of the speakers' share: where its posterior is evaluated."""
_NEGLIGIBLE = 1e-5
"""Of the posterior: what is left out."""
_LEVELS = expit(np.linspace(-18, 18, 145))
"""Of a distribution function: points that stand for one of two distributions that add up."""
_MASSES = _LEVELS * (1 - _LEVELS) / (_LEVELS * (1 - _LEVELS)).sum()
_SMOOTH = 0.3
"""Scales of the one that are as wide as its points lie apart."""
_NO_NOISE = 1e-300
_ZERO = 1e-10
"""Relative size below which a variance is rounding."""


@dataclass(frozen=True)
class Design:
    """Which speakers the mixtures have: `weights` (mixture, speaker), each row with the sum 1."""

    weights: np.ndarray

    @classmethod
    def of(cls, casts: Sequence[Sequence[str]]) -> "Design":
        """From the speakers of each mixture; ValueError for a mixture without any."""
        names = {name: at for at, name in enumerate(sorted({s for cast in casts for s in cast}))}
        weights = np.zeros((len(casts), len(names)))
        for m, cast in enumerate(casts):
            if not cast:
                raise ValueError(f"mixture {m} has no speaker")
            for name in cast:
                weights[m, names[name]] += 1 / len(cast)
        return cls(weights)

    @cached_property
    def _scaled(self) -> np.ndarray:
        """Speaker loadings under which a mixture's variance by speakers is 1 on average."""
        return self.weights / np.sqrt((self.weights**2).sum(axis=1).mean())

    @cached_property
    def _directions(self) -> tuple[np.ndarray, np.ndarray]:
        """Unit vectors (mixture, k) in which speakers act when the mean is out; their variances."""
        centred = self._scaled - self._scaled.mean(axis=0)
        vectors, singular, _ = np.linalg.svd(centred, full_matrices=False)
        acts = singular > 1e-8 * np.sqrt(len(centred))
        return vectors[:, acts], singular[acts] ** 2

    @cached_property
    def _mean_variance(self) -> float:
        """Of the mean over mixtures, where all variance is the speakers'."""
        return float((self._scaled.mean(axis=0) ** 2).sum())

    def spread(self, values: np.ndarray, mixtures: float | None = None) -> "Spread":
        """How far the mean of `values` (mixture,) may be from the truth, over test material.

        `mixtures`: as if there were so many, of the same speakers.
        """
        n = len(values)
        mixtures = mixtures or n
        centred = values - values.mean()
        total = float(centred @ centred)
        vectors, variances = self._directions
        if n < 2 or total <= _ZERO**2 * max(1.0, float(values @ values)):
            return Spread.one(0.0, 1.0)
        within = (vectors.T @ centred) ** 2
        rest = max(0.0, total - float(within.sum()))
        if len(variances) == 0:
            return Spread.one(np.sqrt(total / (n - 1) / mixtures), mixtures - 1)
        if rest <= _ZERO * total:  # the speakers explain all
            scale = np.sqrt((within / variances).mean() * self._mean_variance)
            return Spread.one(scale, len(variances))
        share = expit(_LOGITS)[:, None]
        each = share * variances + (1 - share)
        squares = (within / each).sum(axis=1) + rest / (1 - share[:, 0])
        free = n - 1 - len(variances)
        log_density = -0.5 * (
            np.log(each).sum(axis=1)
            + free * np.log(1 - share[:, 0])
            + (n - 1) * np.log(squares)
            - np.log(share[:, 0] * (1 - share[:, 0]))  # the prior, over the logit
        )
        density = np.exp(log_density - log_density.max())
        density /= density.sum()
        kept = density > _NEGLIGIBLE
        of_mean = share[:, 0] * self._mean_variance + (1 - share[:, 0]) / mixtures
        scales = np.sqrt(squares / (n - 1) * of_mean)
        return Spread(density[kept] / density[kept].sum(), scales[kept], mixtures - 1)


@dataclass(frozen=True)
class Spread:
    """A mixture of t distributions around 0, and beside it the noise of training."""

    weights: np.ndarray
    scales: np.ndarray
    df: float
    noise_scale: float = 0.0
    noise_df: float = 1.0

    @classmethod
    def one(cls, scale: float, df: float) -> "Spread":
        """A single t distribution."""
        return cls(np.ones(1), np.array([scale]), df)

    def with_noise(self, scale: float, df: float) -> "Spread":
        """The same and what trainings differ by: a t distribution of its own."""
        return Spread(self.weights, self.scales, self.df, scale, df)

    def below(self, x: float) -> float:
        """The probability of a deviation below x."""
        if not self.scales.any():
            return float(t.cdf(x / max(self.noise_scale, _NO_NOISE), self.noise_df))
        if not self.noise_scale:
            return float(t.cdf(x / self.scales, self.df) @ self.weights)
        # the one with light tails in points, if the other is wide enough to be smooth between them
        if self.noise_scale > _SMOOTH * (self.weights @ self.scales):
            rest = x - self.scales[:, None] * t.ppf(_LEVELS, self.df)
            return float(self.weights @ t.cdf(rest / self.noise_scale, self.noise_df) @ _MASSES)
        rest = x - self.noise_scale * t.ppf(_LEVELS, self.noise_df)
        return float(_MASSES @ t.cdf(rest[:, None] / self.scales, self.df) @ self.weights)

    def half_width(self, level: float) -> float:
        """Of the interval that holds the truth with probability `level`; 0 without any variance."""
        upper = (1 + level) / 2
        reach = float(t.ppf(upper, max(1, self.df)) * self.scales.max())
        if self.noise_scale:
            reach += float(t.ppf(1 - (1 - upper) / 4, self.noise_df)) * self.noise_scale
        if reach == 0:
            return 0.0
        while self.below(reach) < upper:
            reach *= 2
        return float(brentq(lambda x: self.below(x) - upper, 0.0, reach, xtol=1e-6 * reach))

    def p_value(self, mean: float) -> float:
        """Two-sided, for a truth of 0."""
        return float(min(1.0, 2 * (1 - self.below(abs(mean)))))
