"""The STFT bins of each band (paper Fig. 2h). No torch here, because planning counts with them."""

import math
from collections.abc import Sequence
from itertools import pairwise

Bands = Sequence[Sequence[int]]


def mel_bands(*, n_bands: int, n_fft: int, sample_rate: int) -> tuple[tuple[int, ...], ...]:
    """Bins of each band of a Slaney mel filterbank from 0 Hz to the Nyquist frequency.

    A bin belongs to each band whose triangle is positive at the bin. The first band also gets the
    first bin and the last band the last one, where all triangles are zero.
    """
    n_bins = n_fft // 2 + 1
    edges = _mel_edges(n_bands, sample_rate / 2)
    tolerance = 1e-6  # Hz; excludes bins that only rounding puts inside a triangle
    bands = [
        [k for k in range(n_bins) if low + tolerance < k * sample_rate / n_fft < high - tolerance]
        for low, high in zip(edges[:-2], edges[2:], strict=True)
    ]
    bands[0] = sorted({0, *bands[0]})
    bands[-1] = sorted({*bands[-1], n_bins - 1})
    return _checked(bands, n_bins, f"{n_bands} mel bands at n_fft={n_fft}")


def tiger_bands(*, n_fft: int) -> tuple[tuple[int, ...], ...]:
    """TIGER's 33 bands: the first bin alone, then 16 bands of width u, 8 of 2u and 8 of 4u.

    u = n_fft / 128, so the widths fill the spectrum exactly. If u is not an integer, each band edge
    is rounded to the nearest bin. Bands that become empty (n_fft < 128) are left out.
    """
    units = [*range(16), *range(16, 32, 2), *range(32, 65, 4)]
    edges = [0, *(1 + math.floor(k * n_fft / 128 + 0.5) for k in units)]
    bands = [range(*pair) for pair in pairwise(edges) if pair[0] < pair[1]]
    return _checked(bands, n_fft // 2 + 1, f"33 bands at n_fft={n_fft}")


def _mel_edges(n_bands: int, top: float) -> list[float]:
    """The n_bands + 2 corner frequencies in Hz: linear below 1 kHz, logarithmic above (Slaney)."""
    per_mel, knee, log_step = 200 / 3, 15.0, math.log(6.4) / 27
    top_mel = top / per_mel if top < 1000 else knee + math.log(top / 1000) / log_step
    mels = [top_mel * i / (n_bands + 1) for i in range(n_bands + 2)]
    return [m * per_mel if m < knee else 1000 * math.exp((m - knee) * log_step) for m in mels]


def _checked(bands: Bands, n_bins: int, layout: str) -> tuple[tuple[int, ...], ...]:
    empty = [i for i, band in enumerate(bands) if not band]
    missing = sorted(set(range(n_bins)) - {k for band in bands for k in band})
    if empty or missing:
        raise ValueError(
            f"{layout}: empty bands {empty}, uncovered bins {missing}; every band needs a bin and "
            "every bin a band: use fewer bands or a longer n_fft"
        )
    return tuple(tuple(band) for band in bands)
