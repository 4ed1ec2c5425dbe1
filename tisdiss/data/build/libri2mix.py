"""Libri2Mix from LibriSpeech, by the official metadata.

A row names two utterances, a WHAM! noise, and a linear gain for each. Each is multiplied by its
gain, resampled, and cut to the shortest (`min`) or padded to the longest (`max`). `mix_clean` is
the sum of the utterances, `mix_both` includes the noise. This follows LibriMix's own script, also
in the conversion to 16-bit samples.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

import numpy as np

from tisdiss.data.layouts import LIBRI2MIX, Part
from tisdiss.data.lists import table_rows
from tisdiss.data.walk import files_below
from tisdiss.sound.decode import Refused, read_sound

RATE = 16000
LIST_OF = {
    "train-360": "train-clean-360",
    "train-100": "train-clean-100",
    "dev": "dev-clean",
    "test": "test-clean",
}


@dataclass(frozen=True)
class Row:
    """One mixture; `place` is file and row, for messages. A noise file comes last."""

    place: str
    name: str
    files: tuple[str, ...]
    gains: tuple[float, ...]


def read_list(lists: Path, part: Part, *, noisy: bool, n_src: int = 2) -> list[Row]:
    """The rows of a list such as libri2mix_test-clean.csv; a ValueError gives the row."""
    name = f"libri{n_src}mix_{LIST_OF[part.folder]}.csv"
    path = min((path for path in files_below(lists) if path.name == name), default=None)
    if path is None:
        raise ValueError(f"{lists}: no {name} there; give the folder of LibriMix's metadata")
    roles = [f"source_{i + 1}" for i in range(n_src)] + (["noise"] if noisy else [])
    columns = ("mixture_ID", *(f"{r}_{c}" for r in roles for c in ("path", "gain")))
    return [_row(place, row, roles) for place, row in table_rows(path, columns)]


def _row(place: str, row: dict[str, str], roles: list[str]) -> Row:
    files, gains = [], []
    for role in roles:
        name, text = row[f"{role}_path"] or "", row[f"{role}_gain"] or ""
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not path.suffix:
            raise ValueError(f"{place}: {role}_path {name!r} is not a path below the corpus")
        try:
            gain = float(text)
        except ValueError:
            gain = float("nan")
        if not 0 < gain < float("inf"):
            raise ValueError(f"{place}: {role}_gain {text!r} is not a positive number")
        files.append(name)
        gains.append(gain)
    name = row["mixture_ID"] or ""
    if not name or "/" in name:
        raise ValueError(f"{place}: mixture_ID {name!r} is not a file name")
    n_speakers = len(set(LIBRI2MIX.speakers(name)))
    if n_speakers != len([role for role in roles if role != "noise"]):
        raise ValueError(f"{place}: {name!r} does not name different speakers")
    return Row(place, name, tuple(files), tuple(gains))


def missing(
    rows: list[Row], speech: Path, noise: Path | None, n_src: int = 2
) -> list[tuple[str, Path]]:
    """Place and first absent file of each row that lacks one; each file is looked up once."""
    exists = cache(Path.is_file)
    first = (
        (r, next((p for p in _paths(r, speech, noise, n_src) if not exists(p)), None)) for r in rows
    )
    return [(row.place, path) for row, path in first if path]


def _paths(row: Row, speech: Path, noise: Path | None, n_src: int) -> list[Path]:
    return [(speech if i < n_src else noise or speech) / name for i, name in enumerate(row.files)]


def mixture_of(
    row: Row, speech: Path, noise: Path | None, sample_rate: int, mode: str, n_src: int = 2
) -> Iterator[tuple[str, np.ndarray]]:
    """("s1", float), ("s2", float), ["noise", float], then the mixtures."""
    signals = [_read(path) for path in _paths(row, speech, noise, n_src)]
    longest = max(len(s) for s in signals[:n_src])
    if len(signals) > n_src:
        signals[n_src] = _extended(signals[n_src][:longest], longest)
    from scipy.signal import resample_poly

    scaled = [
        resample_poly(s * np.float32(gain), sample_rate, RATE)
        for s, gain in zip(signals, row.gains, strict=True)
    ]
    samples = (min if mode == "min" else max)(map(len, scaled))
    scaled = [np.pad(s[:samples], (0, max(0, samples - len(s)))) for s in scaled]
    for i in range(n_src):
        yield LIBRI2MIX.source.format(i + 1), scaled[i]
    if len(scaled) > n_src:
        yield "noise", scaled[n_src]
        yield LIBRI2MIX.mixtures["noisy"], _sum(scaled)
    yield LIBRI2MIX.mixtures["clean"], _sum(scaled[:n_src])


def _sum(signals: list[np.ndarray]) -> np.ndarray:
    total = np.zeros_like(signals[0])
    for signal in signals:
        total += signal
    return total


def _read(path: Path) -> np.ndarray:
    """The first channel in float32; `Refused` for another rate than the recipe's."""
    try:
        signal, rate = read_sound(path)
    except Refused as refusal:
        raise Refused(f"{path}: {refusal}") from refusal
    if rate != RATE:
        raise Refused(f"{path}: {rate} Hz, but the recipe needs {RATE} Hz")
    return signal[:, 0].astype(np.float32)


def _extended(noise: np.ndarray, samples: int) -> np.ndarray:
    """The noise at this length, repeated with cross-fades of half a second."""
    half = RATE // 2
    window = np.hanning(RATE + 1)
    rise, fall = window[: half + 1], window[half::-1]
    longer = noise
    while len(longer) < samples:
        if len(noise) <= len(rise):
            raise Refused(f"noise of {len(noise)} samples is too short to be repeated")
        seam = longer[-len(fall) :] * fall + noise[: len(rise)] * rise
        longer = np.concatenate([longer[: -len(fall)], seam, noise[len(rise) :]])
    return longer[:samples].astype(np.float32)
