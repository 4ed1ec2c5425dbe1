"""The detectable difference: the true difference that a comparison finds in 80 % of cases.

A comparison finds a difference if its 95 % interval does not hold 0. Its estimate varies with the
test material and with the trainings. The variance between trainings is estimated from the seeds,
so the width of the interval varies, too; power is averaged over that width.
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
"""Number of equally probable values of the noise that is estimated from the seeds."""
_KNOTS = 8
"""Number of noise values for which the interval is computed; its width is interpolated between."""


@dataclass(frozen=True)
class Precision:
    """The random variation of a comparison."""

    test: Spread
    """The variation over the test material."""
    noise: float
    """Standard deviation of the difference between trainings, for one seed."""

    def detectable(self, seeds: int) -> float:
        """The difference found in `POWER` of cases with this number of seeds; 0 without variation.

        One seed cannot estimate the noise, so `noise` is then taken as known.
        """
        if seeds == 1 or not self.noise:
            total = Spread.one(math.hypot(self._width, self.noise), self.test.df)
            return _effect(np.array([total.half_width(_LEVEL)]), math.hypot(self._sd, self.noise))
        return self._detectable(self.noise / math.sqrt(seeds), seeds - 1)

    def _detectable(self, scale: float, df: float) -> float:
        """The same with noise of standard error `scale`, estimated with `df` degrees of freedom."""
        levels = (np.arange(_NOISES) + 0.5) / _NOISES
        noises = scale * np.sqrt(chi2.ppf(levels, df) / df)
        knots = np.linspace(noises[0], noises[-1], _KNOTS)
        widths = [self._flat.with_noise(float(knot), df).half_width(_LEVEL) for knot in knots]
        return _effect(np.interp(noises, knots, widths), math.hypot(self._sd, scale))

    def half_width(self, seeds: int, level: float) -> float:
        """Half the width of the interval of several seeds whose estimated noise is the true one."""
        scale = self.noise / math.sqrt(seeds)
        return self._flat.with_noise(scale, seeds - 1).half_width(level)

    @property
    def _flat(self) -> Spread:
        """The variation over the test material as one t distribution."""
        return Spread.one(self._width, self.test.df)

    @property
    def _sd(self) -> float:
        return math.sqrt(float(self.test.weights @ self.test.scales**2))

    @property
    def _width(self) -> float:
        """The scale of one t distribution with an interval of the same width."""
        quantile = float(t.ppf((1 + _LEVEL) / 2, self.test.df))
        return self.test.half_width(_LEVEL) / quantile


def detectable(spread: Spread) -> float:
    """The difference found in `POWER` of cases by a comparison with this spread."""
    test = Spread(spread.weights, spread.scales, spread.df)
    if not spread.noise_scale:
        return Precision(test, 0.0).detectable(1)
    return Precision(test, 0.0)._detectable(spread.noise_scale, spread.noise_df)


def _effect(widths: np.ndarray, sd: float) -> float:
    """The true difference that is found in `POWER` of cases.

    An estimate of standard deviation `sd` finds it if it is larger than the half width of the
    interval; the elements of `widths` are equally probable half widths.
    """
    if not sd:
        return 0.0

    def excess(truth: float) -> float:
        power = norm.sf((widths - truth) / sd) + norm.cdf((-widths - truth) / sd)
        return float(power.mean()) - POWER

    return float(brentq(excess, 0.0, float(widths.max()) + 2 * sd, xtol=1e-6 * sd))
