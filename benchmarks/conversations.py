"""Conversations of two known voices: turns of 2 to 8 s, pauses, and little overlap.

The speech is a folder of speakers as in `data.source: folder`, with speakers.csv, which gives the
sex and the split of each. Turns are cut from a speaker's recordings, which repeat in random order.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

RATE = 8000
TURN = (2.0, 8.0)
"""Seconds of a turn."""
PAUSES = {"close": (0.1, 4.0), "sparse": (2.0, 20.0)}
"""Seconds between two turns that do not overlap."""
INTERRUPTED, INTO = 0.5, (0.8, 2.5)
"""Share of turns that begin before the one before them ends, and by how many seconds."""
GOES_ON = 0.2
"""Share of turns of the same speaker as the one before."""
PAIRS = ("fm", "ff", "mm")
ONE_CORPUS = "so"


@dataclass(frozen=True)
class Conversation:
    name: str
    sources: np.ndarray
    """(2, samples), float32."""

    @property
    def mixture(self) -> np.ndarray:
        return self.sources.sum(0)

    @property
    def overlap(self) -> float:
        """Share of the time with speech in which both speak."""
        both, either = (f(self.active(0.1), axis=0).mean() for f in (np.all, np.any))
        return float(both / either)

    def active(self, seconds: float) -> np.ndarray:
        """(2, frames of that many seconds): whether a speaker is within 35 dB of his level."""
        power = np.square(framed(self.sources, seconds)).mean(-1)
        return power > 10**-3.5 * np.quantile(power, 0.95, axis=1, keepdims=True)


def framed(signals: np.ndarray, seconds: float) -> np.ndarray:
    """(signals, frames, samples of a frame); samples after the last whole frame are dropped."""
    size = round(seconds * RATE)
    count = signals.shape[1] // size
    return signals[:, : count * size].reshape(len(signals), count, size)


def voices(speech: Path, sex: str, seconds: float = 30.0) -> list[str]:
    """Test speakers of a sex ("f", "m") with enough speech, in the order of the table."""
    with (speech / "speakers.csv").open(encoding="utf-8") as file:
        return [
            row["speaker"]
            for row in csv.DictReader(file)
            if row["split"] == "test" and row["sex"] == sex and float(row["seconds"]) >= seconds
        ]


def pair(speech: Path, sexes: str, number: int) -> tuple[str, str]:
    """The pair of this number; odd ones are of one corpus, with equal microphones and rooms."""
    first, second = (
        [name for name in voices(speech, sex) if number % 2 == 0 or name.startswith(ONE_CORPUS)]
        for sex in sexes
    )
    a = first[number // 2 % len(first)]
    others = [name for name in second if name != a]
    return a, others[(number // 2 * 3 + 1) % len(others)]


def converse(
    speech: Path, sexes: str, number: int, seconds: float, pauses: str = "close"
) -> Conversation:
    """A conversation of a pair; the same arguments give the same one."""
    rng = np.random.default_rng([number, PAIRS.index(sexes)])
    names = pair(speech, sexes, number)
    gains = (0.0, float(rng.uniform(-5, 5)))
    lines = [_Line(speech / name, rng, level) for name, level in zip(names, gains, strict=True)]
    sources = np.zeros((2, round(seconds * RATE)), np.float32)
    end, who = 0.0, int(rng.integers(2))
    while True:
        interrupts = rng.random() < INTERRUPTED and end > INTO[1]
        begin = end - rng.uniform(*INTO) if interrupts else end + rng.uniform(*PAUSES[pauses])
        turn = lines[who].turn(rng.uniform(*TURN))
        start = round(begin * RATE)
        if start + len(turn) > sources.shape[1]:
            return Conversation(f"{names[0]} and {names[1]}", sources)
        sources[who, start : start + len(turn)] += turn
        end = max(end, begin + len(turn) / RATE)
        if interrupts or rng.random() >= GOES_ON:
            who = 1 - who


def short(speech: Path, speakers: int, seconds: float) -> list[np.ndarray]:
    """Recordings (speakers, samples) of one or two voices who speak all the time."""
    names = voices(speech, "f") + voices(speech, "m")
    if speakers == 1:
        each = [([name], np.random.default_rng(k)) for k, name in enumerate(names)]
    else:
        each = []
        for k in range(16):
            rng = np.random.default_rng(100 + k)
            each.append((list(rng.choice(names, 2, replace=False)), rng))
    return [
        np.stack(
            [
                _Line(speech / name, rng, float(rng.uniform(-5, 5)) if j else 0.0).turn(seconds)
                for j, name in enumerate(who)
            ]
        )
        for who, rng in each
    ]


class _Line:
    """A speaker's recordings, one after another."""

    def __init__(self, folder: Path, rng: np.random.Generator, gain_db: float) -> None:
        self.files, self.rng = sorted(folder.glob("*.flac")), rng
        self.gain, self.rest = 10 ** (gain_db / 20), np.zeros(0, np.float32)

    def turn(self, seconds: float) -> np.ndarray:
        samples, fade = round(seconds * RATE), np.linspace(0, 1, RATE // 50, dtype=np.float32)
        while len(self.rest) < samples:
            order = self.rng.permutation(len(self.files))
            sounds = [soundfile.read(self.files[k], dtype="float32")[0] for k in order]
            self.rest = np.concatenate([self.rest, *sounds])
        turn, self.rest = self.rest[:samples] * self.gain, self.rest[samples:]
        turn[: len(fade)] *= fade
        turn[-len(fade) :] *= fade[::-1]
        return turn
