"""The interval of a mean over mixtures with recurring speakers, and over the seeds of training.

The value of mixture m, averaged over its speakers and over the seeds, is modelled as

    y[m] = mean + (sum of u[s] over its speakers) / (their number) + e[m]

with independent normal effects u of speakers (share rho of the variance) and e of mixtures (share
1 - rho). The speakers are crossed: each appears in mixtures with many others. The share rho is
unknown. The interval averages over its posterior, from the prior Beta(1/2, 1/2) and the restricted
likelihood (REML, the likelihood of the residuals after the mean is removed; Patterson and Thompson,
1971). Given rho, the mean follows a t distribution. The result is the t test over mixtures if the
speakers explain no variance, and a t test over speakers if they explain all of it.

Several seeds add the noise of training: a second t distribution, from the variance between the
seeds' means, with one degree of freedom less than there are seeds (the sum of both is the
Behrens-Fisher distribution). With one seed the interval is about these weights, not the recipe.

In simulations of 1500 test sets each, with shares rho of 0.06, 0.18, 0.35 and 1, 95 % intervals
held the true mean in 94 to 95 % of cases with 29 speakers in 300 mixtures, in 95 to 97 % with 10 in
120, and in 95 to 99 % with 5 in 60. For rho = 0 the intervals are too wide (98, 99 and 100 %).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import t

_LOGITS = np.linspace(-12, 12, 97)
"""Logits of the share rho at which its posterior is evaluated."""
_NEGLIGIBLE = 1e-5
"""Points of the posterior with less probability are left out."""
_LEVELS = expit(np.linspace(-18, 18, 145))
"""Probabilities whose quantiles represent one of two distributions that are added."""
_MASSES = _LEVELS * (1 - _LEVELS) / (_LEVELS * (1 - _LEVELS)).sum()
"""Probability mass of each of these quantiles."""
_SMOOTH = 0.3
"""Distance between these quantiles, in scales of their distribution."""
_NO_NOISE = 1e-300
_ZERO = 1e-10
"""Relative size below which a variance is rounding."""


@dataclass(frozen=True)
class Design:
    """The speakers of the mixtures: `weights` (mixture, speaker); every row sums to 1."""

    weights: np.ndarray

    @classmethod
    def of(cls, casts: Sequence[Sequence[str]]) -> "Design":
        """The design of mixtures with these speakers; ValueError for a mixture without any."""
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
        """The weights, scaled so that the speakers' variance of a mixture is 1 on average."""
        return self.weights / np.sqrt((self.weights**2).sum(axis=1).mean())

    @cached_property
    def _directions(self) -> tuple[np.ndarray, np.ndarray]:
        """Unit vectors (mixture, k) of the speakers' effects without the mean; their variances."""
        centred = self._scaled - self._scaled.mean(axis=0)
        vectors, singular, _ = np.linalg.svd(centred, full_matrices=False)
        nonzero = singular > 1e-8 * np.sqrt(len(centred))
        return vectors[:, nonzero], singular[nonzero] ** 2

    @cached_property
    def _mean_variance(self) -> float:
        """The variance of the mean over mixtures for rho = 1."""
        return float((self._scaled.mean(axis=0) ** 2).sum())

    def spread(self, values: np.ndarray, mixtures: float | None = None) -> "Spread":
        """The deviation of the mean of `values` (mixture,) from the true mean, over test material.

        `mixtures` replaces the number of mixtures, for planning more of the same speakers.
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
    """The distribution of a mean's deviation from the truth.

    A mixture of t distributions around 0 for the test material, plus the noise of training.
    """

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
        """The same with noise of training, as a t distribution of its own."""
        return Spread(self.weights, self.scales, self.df, scale, df)

    def below(self, x: float) -> float:
        """The probability of a deviation below x."""
        if not self.scales.any():
            return float(t.cdf(x / max(self.noise_scale, _NO_NOISE), self.noise_df))
        if not self.noise_scale:
            return float(t.cdf(x / self.scales, self.df) @ self.weights)
        # Quantiles replace the distribution of the test material, which has the lighter tails,
        # unless the noise is too narrow to be smooth between them.
        if self.noise_scale > _SMOOTH * (self.weights @ self.scales):
            rest = x - self.scales[:, None] * t.ppf(_LEVELS, self.df)
            return float(self.weights @ t.cdf(rest / self.noise_scale, self.noise_df) @ _MASSES)
        rest = x - self.noise_scale * t.ppf(_LEVELS, self.noise_df)
        return float(_MASSES @ t.cdf(rest[:, None] / self.scales, self.df) @ self.weights)

    def half_width(self, level: float) -> float:
        """Half the width of the interval at confidence `level`; 0 without any variance."""
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
        """The two-sided p value of a true mean of 0."""
        return float(min(1.0, 2 * (1 - self.below(abs(mean)))))
