"""Noisy and reverberant conditions: adds a room and noise to the clean sources of a mixture.

The clean sources stay the references. Each is convolved with a response of a room (`rooms.py`), and
noise (`noise.py`) is added at a random SNR: the active level of the loudest clean source above the
level of the noise, as in WHAM!.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tisdiss.data.audio import active_rms
from tisdiss.data.convolution import convolved
from tisdiss.data.draw import Draw
from tisdiss.data.noise import Noise
from tisdiss.data.rooms import Rooms

FORMAT = 2
"""Version of the mixtures that this code makes."""


@dataclass(frozen=True)
class Acoustics:
    """Rooms and noise of one split; either may be absent."""

    sample_rate: int
    rooms: Rooms | None = None
    noise: Noise | None = None
    snr_db: tuple[float, float] = (-6.0, 3.0)

    def apply(
        self, draw: Draw, sources: np.ndarray, speakers: Sequence[str]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Mixture (samples,) and its anechoic sources (n_src, samples), float32.

        If the mixture's peak exceeds 1, all are divided by it.
        """
        samples = sources.shape[1]
        images = sources
        if self.rooms:
            responses = self.rooms.responses(draw.integer(len(self.rooms)))
            images = convolved(sources, responses)[:, :samples].astype(np.float32)
        mixture = images.sum(axis=0, dtype=np.float32)
        if self.noise:
            snr_db = draw.uniform(*self.snr_db)
            noise = self.noise.samples(draw, samples, speakers)
            loudest = max(active_rms(source, self.sample_rate) for source in sources)
            level = float(np.sqrt(np.mean(np.square(noise, dtype=np.float64))))
            mixture += noise * np.float32(loudest * 10 ** (-snr_db / 20) / max(level, 1e-9))
        peak = max(np.float32(1), np.abs(mixture).max())
        return mixture / peak, sources / peak

    def manifest(self) -> dict[str, object]:
        """All settings that determine the sound."""
        plain: dict[str, object] = {"format": FORMAT}
        if self.rooms:
            plain["rooms"] = self.rooms.manifest()
        if self.noise:
            plain |= {"noise": self.noise.manifest(), "snr_db": list(self.snr_db)}
        return plain
