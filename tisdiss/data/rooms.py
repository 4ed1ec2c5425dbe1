"""Rooms: impulse responses of talkers in shoebox rooms, with the direct sound at zero delay.

A room is a recipe (size, places, T60) drawn from a seed; pyroomacoustics simulates it by image
sources. Each response is divided by its direct sound and shifted, so that the direct sound is
exactly 1 at sample 0. The anechoic reference is therefore the dry source itself, without delay
relative to the mixture. Sizes and places follow WHAMR!: rooms 5-10 m wide, 3-4 m high, talkers
0.66-2 m away.
"""

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from math import ceil, cos, exp, log, pi, sin
from pathlib import Path

import numpy as np

from tisdiss.data.decoded import locked
from tisdiss.data.draw import Draw
from tisdiss.data.source import canonical_hash
from tisdiss.machine.extras import need
from tisdiss.machine.progress import Progress, silent
from tisdiss.records.files import write_atomic

FORMAT = 1  # version of the simulation and of the files in the cache
SPEED_OF_SOUND = 343.0
DECAY_KEPT = 0.75  # of T60: the response ends at -45 dB
STEP = 2.0**-20  # responses are rounded to it
CACHED = "rooms"


@dataclass(frozen=True)
class Room:
    """A room in metres and seconds, rounded to millimetres and milliseconds."""

    size: tuple[float, float, float]
    microphone: tuple[float, float, float]
    talkers: tuple[tuple[float, float, float], ...]
    t60: float


def draw_room(draw: Draw, *, n_src: int, t60_seconds: tuple[float, float]) -> Room:
    """A room with a microphone near its middle and `n_src` talkers around it."""
    size = (draw.uniform(5, 10), draw.uniform(5, 10), draw.uniform(3, 4))
    middle = [side / 2 + draw.uniform(-0.2, 0.2) for side in size[:2]]
    microphone = (*middle, draw.uniform(0.9, 1.8))
    talkers = []
    for _ in range(n_src):
        distance, angle = draw.uniform(0.66, 2.0), draw.uniform(0, 2 * pi)
        height = draw.uniform(0.9, 1.8)
        talkers.append(
            (middle[0] + distance * cos(angle), middle[1] + distance * sin(angle), height)
        )
    return Room(
        _rounded(size),
        _rounded(microphone),
        tuple(map(_rounded, talkers)),
        round(draw.uniform(*t60_seconds), 3),
    )


def _rounded(point: Sequence[float]) -> tuple[float, float, float]:
    x, y, z = (round(value, 3) for value in point)
    return x, y, z


def impulse_responses(room: Room, sample_rate: int) -> np.ndarray:
    """Float64 (n_src, taps): the direct sound is 1 at sample 0, and reflections follow."""
    taps = _taps(room, sample_rate)
    whole, direct = _simulate(room, sample_rate, _order(room)), _simulate(room, sample_rate, 0)
    result = np.zeros((len(room.talkers), taps))
    for row, talker, echoes, first in zip(result, room.talkers, whole, direct, strict=True):
        echoes = np.array(echoes, np.float64)
        echoes[: len(first)] -= first
        distance = float(np.linalg.norm(np.subtract(talker, room.microphone)))
        start = _lead() + round(distance / SPEED_OF_SOUND * sample_rate)
        part = (
            echoes[start : start + taps] * distance
        )  # the direct sound has amplitude 1 / distance
        row[: len(part)] = np.rint(part / STEP) * STEP
        row[0] = 1.0
    return result


def _taps(room: Room, sample_rate: int) -> int:
    return round(DECAY_KEPT * room.t60 * sample_rate)


def _simulate(room: Room, sample_rate: int, order: int) -> list[np.ndarray]:
    import pyroomacoustics

    threads = pyroomacoustics.constants.get("num_threads")
    pyroomacoustics.constants.set("num_threads", 1)  # it affects the order of summation
    try:
        shoebox = pyroomacoustics.ShoeBox(
            room.size,
            fs=sample_rate,
            materials=pyroomacoustics.Material(_absorption(room)),
            max_order=order,
        )
        shoebox.set_sound_speed(SPEED_OF_SOUND)
        shoebox.add_microphone(room.microphone)
        for talker in room.talkers:
            shoebox.add_source(talker)
        shoebox.compute_rir()
        return shoebox.rir[0]
    finally:
        pyroomacoustics.constants.set("num_threads", threads)


def _lead() -> int:
    """Samples by which pyroomacoustics delays all sounds: half its interpolation filter."""
    import pyroomacoustics

    return int(pyroomacoustics.constants.get("frac_delay_length")) // 2


def _absorption(room: Room) -> float:
    """Energy absorption of the walls by Eyring's formula; Sabine's fails for very dry rooms."""
    x, y, z = room.size
    surface = 2 * (x * y + y * z + z * x)
    return 1 - exp(-24 * log(10) / SPEED_OF_SOUND * x * y * z / (surface * room.t60))


def _order(room: Room) -> int:
    """The order of reflections that covers the kept length of the response."""
    x, y, z = room.size
    shortest = min(a * b / (a * a + b * b) ** 0.5 for a, b in ((x, y), (y, z), (z, x)))
    return ceil(SPEED_OF_SOUND * DECAY_KEPT * room.t60 / shortest)


class Rooms:
    """A bank of rooms, simulated once and kept in the cache. Pickles as a path."""

    def __init__(self, rooms: Sequence[Room], path: Path) -> None:
        self.rooms, self._path = tuple(rooms), path
        self._mapped: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.rooms)

    def __getstate__(self) -> dict:
        return {"rooms": self.rooms, "_path": self._path, "_mapped": None}

    def responses(self, i: int) -> np.ndarray:
        """Float32 (n_src, taps) of room `i`, without the zeros that pad shorter responses."""
        if self._mapped is None:
            self._mapped = np.load(self._path, mmap_mode="r")
        used = np.count_nonzero(self._mapped[i].any(axis=0)[::-1].cumsum())
        return np.asarray(self._mapped[i, :, :used])

    def manifest(self) -> list[dict]:
        return [asdict(room) for room in self.rooms]


def open_rooms(
    split: str,
    n_rooms: int,
    *,
    n_src: int,
    t60_seconds: tuple[float, float],
    sample_rate: int,
    seed: int,
    cache: Path,
    on_progress: Progress = silent,
) -> Rooms:
    """The rooms of a split, different for each split; simulated now unless the cache has them."""
    need("rooms", "choose condition clean or noisy")
    low, high = t60_seconds
    if not 0.05 <= low <= high:
        raise ValueError(f"t60_seconds={t60_seconds}: give (lowest, highest), at least 0.05 s")
    rooms = [
        draw_room(Draw("room", seed, split, i), n_src=n_src, t60_seconds=t60_seconds)
        for i in range(n_rooms)
    ]
    recipe = {"format": FORMAT, "rate": sample_rate, "rooms": [asdict(room) for room in rooms]}
    folder = cache / CACHED
    path = folder / f"{canonical_hash(recipe)[:20]}.npy"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with locked(path.with_suffix(".lock")):
            if not path.exists():
                _write(path, rooms, sample_rate, on_progress)
                write_atomic(path.with_suffix(".json"), json.dumps(recipe))
    return Rooms(rooms, path)


def _write(
    path: Path, rooms: Sequence[Room], sample_rate: int, on_progress: Callable[[int, int], None]
) -> None:
    longest = max(_taps(room, sample_rate) for room in rooms)
    bank = np.zeros((len(rooms), len(rooms[0].talkers), longest), np.float32)
    for i, room in enumerate(rooms):
        responses = impulse_responses(room, sample_rate)
        bank[i, :, : responses.shape[1]] = responses
        on_progress(i + 1, len(rooms))
    buffer = io.BytesIO()
    np.save(buffer, bank)
    write_atomic(path, buffer.getvalue())
