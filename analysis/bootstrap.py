"""The check beside the intervals of `mixed_model.py`: a bootstrap clustered by speaker.

In each draw as many speakers as the test set has are drawn with replacement; c(s) counts how often
speaker s was drawn. A mixture weighs the product of c(s) over its speakers, so it is in as often as
all of its speakers are together; draws that leave no mixture are dropped. The interval holds the
middle 95 % of the draws. It is about test speakers alone; the noise of training is not in it.

It is too wide where mixtures differ for reasons other than their speakers (Owen, "The pigeonhole
bootstrap", 2007), and too narrow where speakers are few: on simulated scores, mostly due to their
speakers, it held the truth in 90 % of cases with 18 speakers and in 78 % with 5.
"""

import numpy as np

from tisdiss.analysis.cube import Cast, Cube

DRAWS = 2000


class SpeakerBootstrap:
    """Draws of the speakers of a test set; all rows and depths see the same ones."""

    def __init__(self, cast: Cast, rng: np.random.Generator, draws: int = DRAWS) -> None:
        n = cast.n_speakers
        # a slot that a mixture does not have points at the extra column of ones
        counts = np.ones((draws, n + 1))
        counts[:, :-1] = rng.multinomial(n, np.full(n, 1 / n), size=draws)
        weights = np.ones((draws, len(cast.mixtures)))
        for slot in range(len(cast.slots)):
            weights *= counts[:, cast.speakers[:, slot]]
        self.weights = weights[weights.any(axis=1)]

    def means(self, cube: Cube) -> np.ndarray:
        """(draw, depth): the mean over mixtures, then over seeds."""
        means = cube.mixture_means()
        defined = np.isfinite(means)
        flat = np.where(defined, means, 0.0).reshape(len(means), -1)
        mass = self.weights @ defined.reshape(len(means), -1).astype(float)
        drawn = self.weights @ flat / np.where(mass > 0, mass, np.nan)
        return drawn.reshape(len(drawn), *means.shape[1:]).mean(axis=1)

    def interval(self, cube: Cube, level: float) -> tuple[np.ndarray, np.ndarray]:
        """The ends of the middle share of the draws, each (depth,)."""
        low, high = np.nanquantile(self.means(cube), [(1 - level) / 2, (1 + level) / 2], axis=0)
        return low, high
