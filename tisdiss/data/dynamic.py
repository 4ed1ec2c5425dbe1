"""Dynamic mixing: a new mixture for every epoch and index, determined by the seed.

Any worker can make any example in any order, and a resumed training gets the same ones.
"""

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from tisdiss.data.audio import is_silent
from tisdiss.data.condition import Acoustics
from tisdiss.data.draw import Draw
from tisdiss.data.mixture import REDRAWS, Example, crop_samples, gains, mix, voices
from tisdiss.data.source import Source, Utterance, canonical_hash

SILENT_SHARE = (0.2, 0.7)
"""Range of the share of a crop in which a speaker is silent, with `turns`; parts of it may lie
outside the crop."""
FADE_SECONDS = 0.02


class DynamicMixtures:
    """New speakers, utterances, offsets and gains for every (seed, epoch, i): dynamic mixing.

    Speakers are drawn uniformly, then one of their utterances. If it is shorter than the crop,
    further utterances of that speaker follow (the same one if there is no other), so a crop has its
    full length. A silent source is drawn again. With `speed`, each source is played up to that
    share faster or slower. With `pairs` "different-sexes", a woman and a man are drawn, in either
    order, and speakers of unknown sex are left out. In a share `turns` of the mixtures, one speaker
    is silent for a part of the crop.
    """

    def __init__(
        self,
        source: Source,
        split: str,
        *,
        n_src: int,
        length: int,
        gain_db: float,
        seconds: float,
        seed: int,
        acoustics: Acoustics | None = None,
        speed: float = 0.0,
        pairs: str = "any",
        turns: float = 0.0,
    ) -> None:
        self.source, self.split, self.n_src, self.length = source, split, n_src, length
        self.gain_db, self.seconds, self.seed = gain_db, seconds, seed
        self.acoustics, self.speed, self.turns = acoustics, speed, turns
        where = f"split {split!r} of {source.name}"
        self._voices = voices(source.split(split), n_src, where)
        self._sexes = () if pairs == "any" else by_sex(self._voices, n_src, where)

    def __len__(self) -> int:
        return self.length

    def crop(self, epoch: int, i: int, seconds: float | None = None) -> Example:
        """Example `i` of an epoch, independent of earlier examples."""
        seconds = self.seconds if seconds is None else seconds
        count = crop_samples(seconds, self.source.sample_rate)
        draw = Draw("dynamic", self.seed, self.split, epoch, i)
        talkers = self._draw_talkers(draw)
        pace = Draw("speed", self.seed, self.split, epoch, i)
        parts = [self._part_at_speed(draw, pace, voice, count) for voice in talkers]
        if self.turns:
            self._silence_one(parts, Draw("turns", self.seed, self.split, epoch, i))
        mixture, sources = mix(
            parts, gains(draw, self.n_src, self.gain_db), self.source.sample_rate
        )
        speakers = tuple(v[0].speaker for v in talkers)
        if self.acoustics:
            place = Draw("acoustics", self.seed, self.split, epoch, i)
            mixture, sources = self.acoustics.apply(place, sources, speakers)
        return Example.of(
            mixture,
            sources,
            f"{self.split}-e{epoch}-{i}",
            speakers,
            tuple(v[0].sex for v in talkers),
            count,
        )

    @cached_property
    def manifest_hash(self) -> str:
        """SHA-256 of the source and of everything that determines the examples."""
        plain: dict[str, object] = {
            "source": self.source.manifest_hash,
            "dynamic": self.recipe(),
        }
        if self.speed:
            plain["speed"] = self.speed
        if self.turns:
            plain["turns"] = self.turns
        if self._sexes:
            plain["pairs"] = "different-sexes"
        if self.acoustics:
            plain["acoustics"] = self.acoustics.manifest()
        return canonical_hash(plain)

    def recipe(self) -> dict:
        return {
            "split": self.split,
            "n_src": self.n_src,
            "length": self.length,
            "gain_db": self.gain_db,
            "seconds": self.seconds,
            "seed": self.seed,
        }

    def _silence_one(self, parts: list[np.ndarray], draw: Draw) -> None:
        """Silence one speaker in a part of a share of the mixtures, if something is left."""
        if draw.uniform(0, 1) >= self.turns:
            return
        chosen, count = draw.integer(len(parts)), len(parts[0])
        length = round(draw.uniform(*SILENT_SHARE) * count)
        start = round(draw.uniform(-length / 2, count - length / 2))
        quieter = parts[chosen] * gap(count, start, start + length, self.source.sample_rate)
        if not is_silent(quieter, self.source.sample_rate):
            parts[chosen] = quieter

    def _draw_talkers(self, draw: Draw) -> list[list[Utterance]]:
        """The utterances of each speaker of a mixture."""
        if not self._sexes:
            return draw.distinct(self._voices, self.n_src)
        return draw.shuffled([group[draw.integer(len(group))] for group in self._sexes])

    def _part_at_speed(
        self, draw: Draw, pace: Draw, voice: Sequence[Utterance], count: int
    ) -> np.ndarray:
        """A part of a speaker's utterances, at a random speed in whole twentieths."""
        if not self.speed:
            return self._part(draw, voice, count)
        twentieths = round(20 * pace.uniform(1 - self.speed, 1 + self.speed))
        part = self._part(draw, voice, -(-count * twentieths // 20))
        from scipy.signal import resample_poly

        return resample_poly(part, 20, twentieths)[:count].astype(np.float32)

    def _part(self, draw: Draw, voice: Sequence[Utterance], count: int) -> np.ndarray:
        for _ in range(REDRAWS):
            part = self._window(draw, voice, count)
            if not is_silent(part, self.source.sample_rate):
                return part
        raise ValueError(
            f"speaker {voice[0].speaker!r}: {REDRAWS} crops of {count} samples were silent;"
            " remove the recordings that are mostly silence"
        )

    def _window(self, draw: Draw, voice: Sequence[Utterance], count: int) -> np.ndarray:
        first = voice[draw.integer(len(voice))]
        if first.samples >= count:
            return self.source.read(first, draw.integer(first.samples - count + 1), count)
        line = [first]
        others = [*draw.shuffled([u for u in voice if u is not first]), first]
        while (total := sum(u.samples for u in line)) < count:
            line.append(others[(len(line) - 1) % len(others)])
        start = draw.integer(total - count + 1)
        return np.concatenate([self.source.read(u) for u in line])[start : start + count]


def gap(samples: int, start: int, end: int, rate: int) -> np.ndarray:
    """Float32 (samples,): 0 from sample `start` to `end`, else 1, with short slopes outside."""
    at = np.arange(samples)
    distance = np.maximum(start - at, at - end + 1)
    return np.clip(distance / (FADE_SECONDS * rate), 0, 1).astype(np.float32)


def by_sex(
    voices: list[list[Utterance]], n_src: int, where: str
) -> tuple[list[list[Utterance]], list[list[Utterance]]]:
    """The voices of women and those of men; ValueError if they make no pair."""
    if n_src != 2:
        raise ValueError(
            f"pairs=different-sexes: n_src={n_src} speakers are not a pair; set data.pairs: any"
        )
    women, men = ([voice for voice in voices if voice[0].sex == sex] for sex in "fm")
    if not women or not men:
        raise ValueError(
            f"pairs=different-sexes: {where} has {len(women)} women, {len(men)} men and "
            f"{len(voices) - len(women) - len(men)} speakers of unknown sex; fill the column sex "
            "(f or m) of speakers.csv, add speakers, or set data.pairs: any"
        )
    return women, men
