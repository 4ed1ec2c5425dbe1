"""Mixtures of different speakers, made from recipes that are the same on every machine.

A recipe has the utterances, their starts and their gains. `MixtureSet` has a list of recipes (for
validation, test, and training as in the paper); `dynamic.py` draws a new recipe for every example.
Both use `mix`: each source is scaled to the same active level over the mixed samples, then gets its
gain; so the drawn gains are the level differences. The mixture is the float32 sum of the sources.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import combinations, product
from typing import TYPE_CHECKING, Any

import numpy as np

from tisdiss.data.audio import FRAME_SECONDS, active_rms, is_silent
from tisdiss.data.condition import Acoustics
from tisdiss.data.draw import Draw
from tisdiss.data.source import Source, Utterance, canonical_hash

if TYPE_CHECKING:
    from torch import Tensor  # slow to import, and planning does not need it

LEVEL_DBFS = -25.0
REDRAWS = 100


@dataclass(frozen=True)
class Mixture:
    """A recipe: source k is `samples` samples of utterance k from `starts[k]`, at `gains_db[k]`."""

    id: str
    utterances: tuple[str, ...]
    starts: tuple[int, ...]
    gains_db: tuple[float, ...]
    samples: int


@dataclass(frozen=True)
class Example:
    """A mixture (samples,) and its sources (n_src, samples).

    The first `samples` are valid; a crop of a shorter mixture has zeros after them.
    """

    mixture: Tensor
    sources: Tensor
    id: str
    speakers: tuple[str, ...]
    sexes: tuple[str, ...]
    samples: int

    @classmethod
    def of(cls, mixture: np.ndarray, sources: np.ndarray, *rest: Any) -> Example:
        """An example from arrays, whose memory its tensors share."""
        import torch

        return cls(torch.from_numpy(mixture), torch.from_numpy(sources), *rest)


class MixtureSet:
    """A fixed list of mixtures of one source."""

    def __init__(
        self,
        source: Source,
        mixtures: Sequence[Mixture],
        *,
        seed: int = 0,
        acoustics: Acoustics | None = None,
    ) -> None:
        self.source, self.acoustics = source, acoustics
        self.mixtures = tuple(mixtures)
        self.seed = seed
        self._utterances = {u.id: u for u in source.utterances}

    def __len__(self) -> int:
        return len(self.mixtures)

    def __getitem__(self, i: int) -> Example:
        """The whole mixture."""
        mixture = self.mixtures[i]
        return self._example(mixture, *self._render(mixture))

    def crop(self, epoch: int, i: int, seconds: float) -> Example:
        """A random part of mixture `i`, different in each epoch; zero-padded if it is too short."""
        recipe, count = self.mixtures[i], crop_samples(seconds, self.source.sample_rate)
        mixture, sources = self._render(recipe)
        draw = Draw("crop", self.seed, epoch, i)
        for _ in range(REDRAWS if recipe.samples > count else 1):
            start = draw.integer(max(0, recipe.samples - count) + 1)
            part = sources[:, start : start + count]
            if not any(is_silent(source, self.source.sample_rate) for source in part):
                break
        padding = ((0, 0), (0, count - part.shape[1]))
        return self._example(
            recipe,
            np.pad(mixture[None, start : start + count], padding)[0],
            np.pad(part, padding),
        )

    def rows(self) -> list[dict]:
        """The manifest: one row per mixture, with its speakers."""
        return [asdict(m) | {"speakers": self._of(m, "speaker")} for m in self.mixtures]

    @cached_property
    def manifest_hash(self) -> str:
        """SHA-256 of the recipes and of the sound they are made of."""
        plain: dict[str, object] = {"source": self.source.manifest_hash, "mixtures": self.rows()}
        if self.acoustics:
            plain |= {"acoustics": self.acoustics.manifest(), "seed": self.seed}
        return canonical_hash(plain)

    def _of(self, mixture: Mixture, attribute: str) -> tuple[str, ...]:
        return tuple(getattr(self._utterances[u], attribute) for u in mixture.utterances)

    def _render(self, mixture: Mixture) -> tuple[np.ndarray, np.ndarray]:
        parts = [
            self.source.read(self._utterances[name], start, mixture.samples)
            for name, start in zip(mixture.utterances, mixture.starts, strict=True)
        ]
        clean = mix(parts, mixture.gains_db, self.source.sample_rate)
        if not self.acoustics:
            return clean
        draw = Draw("acoustics", self.seed, mixture.id)
        return self.acoustics.apply(draw, clean[1], self._of(mixture, "speaker"))

    def _example(self, recipe: Mixture, mixture: np.ndarray, sources: np.ndarray) -> Example:
        return Example.of(
            mixture,
            sources,
            recipe.id,
            self._of(recipe, "speaker"),
            self._of(recipe, "sex"),
            min(recipe.samples, len(mixture)),
        )


def crop_samples(seconds: float, sample_rate: int) -> int:
    if seconds < FRAME_SECONDS:
        raise ValueError(f"seconds={seconds:g}: a crop has at least {FRAME_SECONDS:g} s")
    return round(seconds * sample_rate)


def mix(
    parts: Sequence[np.ndarray], gains_db: Sequence[float], sample_rate: int
) -> tuple[np.ndarray, np.ndarray]:
    """Mixture (samples,) and sources (n_src, samples) at equal active level plus their gains.

    If the mixture's peak exceeds 1, all are divided by it; the mixture stays their exact sum.
    """
    sources = np.stack(parts)
    for source, gain_db in zip(sources, gains_db, strict=True):
        level = 10 ** ((LEVEL_DBFS + gain_db) / 20)
        source *= np.float32(level / active_rms(source, sample_rate))
    mixture = add(sources)
    peak = np.abs(mixture).max()
    if peak > 1:
        sources /= peak
        mixture = add(sources)
    return mixture, sources


def add(sources: np.ndarray) -> np.ndarray:
    """The sum in the order of the sources, so that rounding is the same on all machines."""
    total = sources[0].copy()
    for source in sources[1:]:
        total += source
    return total


def gains(draw: Draw, n_src: int, gain_db: float) -> tuple[float, ...]:
    """(g, -g) for two speakers, independent gains for more; uniform in ±`gain_db`."""
    values = [round(draw.uniform(-gain_db, gain_db), 4) for _ in range(n_src - (n_src == 2))]
    return (values[0], -values[0]) if n_src == 2 else tuple(values)


def voices(utterances: Sequence[Utterance], n_src: int, where: str) -> list[list[Utterance]]:
    """Utterances by speaker, in the order of names; ValueError for fewer than `n_src` speakers."""
    by_speaker: dict[str, list[Utterance]] = {}
    for utterance in sorted(utterances, key=lambda u: u.id):
        by_speaker.setdefault(utterance.speaker, []).append(utterance)
    if len(by_speaker) < n_src:
        raise ValueError(
            f"{where} has {len(by_speaker)} speakers; a mixture needs {n_src} different ones."
            " Add speakers, or allow shorter utterances with a smaller min_seconds"
        )
    return [by_speaker[speaker] for speaker in sorted(by_speaker)]


MAX_SILENT = 2000
"""Number of consecutive mixtures with a silent source after which the search stops."""


def fixed_set(
    source: Source,
    split: str,
    *,
    n_mixtures: int,
    n_src: int,
    gain_db: float,
    min_seconds: float,
    max_seconds: float | None,
    seed: int,
    acoustics: Acoustics | None = None,
) -> MixtureSet:
    """A set of different mixtures, each as long as its shortest utterance (`min` mode).

    Utterances start at 0, unless `max_seconds` limits the length: then the starts are drawn.
    Utterances shorter than `min_seconds` and mixtures with a silent source are left out. Raises
    ValueError if there are too few different mixtures.
    """
    rate = source.sample_rate
    long_enough = [u for u in source.split(split) if u.samples >= min_seconds * rate]
    where = f"split {split!r} of {source.name}, with utterances of at least {min_seconds:g} s,"
    groups = voices(long_enough, n_src, where)
    cap = None if max_seconds is None else round(max_seconds * rate)
    draw = Draw("fixed", seed, split)
    mixtures: list[Mixture] = []
    silent = 0
    for chosen in _tuples(draw, groups, n_src, n_mixtures, where):
        recipe = _recipe(draw, chosen, f"{split}-{len(mixtures):05d}", gain_db, cap)
        if _audible(source, chosen, recipe):
            mixtures.append(recipe)
            silent = 0
        else:
            silent += 1
        if len(mixtures) == n_mixtures:
            return MixtureSet(source, mixtures, seed=seed, acoustics=acoustics)
        if silent == MAX_SILENT:
            break
    raise ValueError(
        f"{where} yields {len(mixtures)} mixtures of audible speech, not {n_mixtures}; request"
        " fewer, or add recordings"
    )


def _recipe(
    draw: Draw, chosen: Sequence[Utterance], name: str, gain_db: float, cap: int | None
) -> Mixture:
    shortest = min(u.samples for u in chosen)
    samples = shortest if cap is None else min(shortest, cap)
    capped = samples < shortest
    starts = [draw.integer(u.samples - samples + 1) if capped else 0 for u in chosen]
    levels = gains(draw, len(chosen), gain_db)
    return Mixture(name, tuple(u.id for u in chosen), tuple(starts), levels, samples)


def _audible(source: Source, chosen: Sequence[Utterance], recipe: Mixture) -> bool:
    return not any(
        is_silent(source.read(u, start, recipe.samples), source.sample_rate)
        for u, start in zip(chosen, recipe.starts, strict=True)
    )


def _tuples(
    draw: Draw, groups: list[list[Utterance]], n_src: int, n_mixtures: int, where: str
) -> Iterator[list[Utterance]]:
    """Different tuples of utterances: random ones if more than twice as many exist, else all."""
    possible = _count([len(group) for group in groups], n_src)
    if possible < n_mixtures:
        raise ValueError(
            f"{where} yields {possible} different mixtures, not {n_mixtures}; request fewer, or add"
            " recordings"
        )
    if possible > 2 * n_mixtures:
        return _random_tuples(draw, groups, n_src)
    everything = [list(t) for chosen in combinations(groups, n_src) for t in product(*chosen)]
    return iter([draw.shuffled(chosen) for chosen in draw.shuffled(everything)])


def _count(sizes: Sequence[int], n_src: int) -> int:
    """How many sets of `n_src` utterances of different speakers there are."""
    counts = [1] + [0] * n_src
    for size in sizes:
        for k in range(n_src, 0, -1):
            counts[k] += counts[k - 1] * size
    return counts[n_src]


def _random_tuples(
    draw: Draw, groups: list[list[Utterance]], n_src: int
) -> Iterator[list[Utterance]]:
    """Draw speakers uniformly, then an utterance of each; ends after 10,000 repeats in a row."""
    seen: set[frozenset[str]] = set()
    repeats = 0
    while repeats < 10_000:
        chosen = [group[draw.integer(len(group))] for group in draw.distinct(groups, n_src)]
        key = frozenset(u.id for u in chosen)
        repeats = repeats + 1 if key in seen else 0
        if key not in seen:
            seen.add(key)
            yield chosen
