"""The true difference that a comparison finds in 80 % of cases, at 5 % two-sided.

Its estimate varies with the test material and with the trainings. The interval knows the second
part from the seeds alone, so its own width varies, too: power is averaged over that.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.stats import chi2, norm, t

from tisdiss.analysis.mixed_model import Spread

POWER = 0.80
_LEVEL = 0.95
_NOISES = 200
"""Equally probable values of the noise that seeds show."""
_KNOTS = 8
"""Noises for which the interval is computed; between them its width is interpolated."""


@dataclass(frozen=True)
class Precision:
    """How a comparison varies."""

    test: Spread
    """Over the test material."""
    noise: float
    """Standard deviation between trainings: of the difference that one seed shows."""

    def detectable(self, seeds: int) -> float:
        """The difference found in `POWER` of cases by so many seeds; 0 where nothing varies.

        One seed shows no noise: what counts there is the noise that is known otherwise.
        """
        if seeds == 1 or not self.noise:  # as if it were known
            known = Spread.one(math.hypot(self._width, self.noise), self.test.df)
            return _found(np.array([known.half_width(_LEVEL)]), math.hypot(self._sd, self.noise))
        return self._detectable(self.noise / math.sqrt(seeds), seeds - 1)

    def _detectable(self, scale: float, df: float) -> float:
        """With noise of a standard error that is known from so many degrees of freedom."""
        levels = (np.arange(_NOISES) + 0.5) / _NOISES
        shown = scale * np.sqrt(chi2.ppf(levels, df) / df)
        knots = np.linspace(shown[0], shown[-1], _KNOTS)
        widths = [self._flat.with_noise(float(knot), df).half_width(_LEVEL) for knot in knots]
        return _found(np.interp(shown, knots, widths), math.hypot(self._sd, scale))

    def half_width(self, seeds: int, level: float) -> float:
        """Of the interval that several seeds give, if they show the noise as it is."""
        scale = self.noise / math.sqrt(seeds)
        return self._flat.with_noise(scale, seeds - 1).half_width(level)

    @property
    def _flat(self) -> Spread:
        """One t distribution for the test material."""
        return Spread.one(self._width, self.test.df)

    @property
    def _sd(self) -> float:
        return math.sqrt(float(self.test.weights @ self.test.scales**2))

    @property
    def _width(self) -> float:
        """The scale of the one t distribution whose interval is as wide."""
        quantile = float(t.ppf((1 + _LEVEL) / 2, self.test.df))
        return self.test.half_width(_LEVEL) / quantile


def detectable(spread: Spread) -> float:
    """The difference found in `POWER` of cases, with the noise that an interval holds."""
    test = Spread(spread.weights, spread.scales, spread.df)
    if not spread.noise_scale:
        return Precision(test, 0.0).detectable(1)
    return Precision(test, 0.0)._detectable(spread.noise_scale, spread.noise_df)


def _found(widths: np.ndarray, sd: float) -> float:
    """The truth at which an estimate of that deviation leaves the interval in `POWER` of cases."""
    if not sd:
        return 0.0

    def lacks(truth: float) -> float:
        found = norm.sf((widths - truth) / sd) + norm.cdf((-widths - truth) / sd)
        return float(found.mean()) - POWER

    return float(brentq(lacks, 0.0, float(widths.max()) + 2 * sd, xtol=1e-6 * sd))
