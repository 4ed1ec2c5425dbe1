"""The paper's corpora where they lie: stored mixtures, read in place, nothing renamed.

`layouts.py` says where things are. The mixture is read as it was stored, not summed again. Every
file is decoded once into the cache, by the same rules as any recording (`audio.py`); of several
channels the first is taken, as the recipes do. A training mixture with a file that breaks a rule is
left out and counted; in validation and test it is an error, for a smaller set is another one.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from tisdiss.config import DataConfig
from tisdiss.data.audio import active_rms, is_silent
from tisdiss.data.draw import Draw, rank
from tisdiss.data.layouts import Layout, Part, Roles, layout_of, stems
from tisdiss.data.mixture import LEVEL_DBFS, REDRAWS, Example, add, crop_samples, gains
from tisdiss.data.source import Source, Tally, Utterance, canonical_hash, report_of
from tisdiss.data.store import JoinedStore, open_joined

SHOWN = 3


@dataclass(frozen=True)
class StoredMixture:
    """One stored mixture: its files below the corpus, and how many of their samples are used."""

    id: str
    mixture: str
    sources: tuple[str, ...]
    heard: tuple[str, ...]
    noise: str
    speakers: tuple[str, ...]
    samples: int

    @property
    def files(self) -> tuple[str, ...]:
        names = (self.mixture, *self.sources, *self.heard, self.noise)
        return tuple(dict.fromkeys(name for name in names if name))


class StoredMixtures:
    """Mixtures as they lie on disk: the same face as `MixtureSet`."""

    def __init__(self, source: Source, mixtures: Sequence[StoredMixture], *, seed: int = 0) -> None:
        self.source, self.mixtures, self.seed = source, tuple(mixtures), seed

    def __len__(self) -> int:
        return len(self.mixtures)

    def __getitem__(self, i: int) -> Example:
        """The whole mixture."""
        return self._example(self.mixtures[i], 0, self.mixtures[i].samples)

    def crop(self, epoch: int, i: int, seconds: float) -> Example:
        """A random part of mixture `i`, other in each epoch; zeros follow where it is shorter."""
        stored, wanted = self.mixtures[i], crop_samples(seconds, self.source.sample_rate)
        draw = Draw("crop", self.seed, epoch, i)
        for _ in range(REDRAWS if stored.samples > wanted else 1):
            start = draw.integer(max(0, stored.samples - wanted) + 1)
            part = self._example(stored, start, wanted)
            if not any(is_silent(s.numpy(), self.source.sample_rate) for s in part.sources):
                break
        return part

    def rows(self) -> list[dict]:
        """One row a mixture: the manifest."""
        return [asdict(m) for m in self.mixtures]

    @cached_property
    def manifest_hash(self) -> str:
        """SHA-256 of names, lengths and decoded sound; where the corpus lies is not in it."""
        entries = self.source.store.entries
        sound = [[entries[name].digest for name in m.files] for m in self.mixtures]
        return canonical_hash({"stored": self.rows(), "sound": sound})

    def _example(self, stored: StoredMixture, start: int, wanted: int) -> Example:
        count = min(wanted, stored.samples - start)
        signals = np.zeros((1 + len(stored.sources), wanted), np.float32)
        for row, name in zip(signals, (stored.mixture, *stored.sources), strict=True):
            row[:count] = self.source.store.read(name, start, count)
        return Example(
            torch.from_numpy(signals[0]),
            torch.from_numpy(signals[1:]),
            stored.id,
            stored.speakers,
            ("",) * len(stored.sources),
            count,
        )


class DynamicStored:
    """Dynamic mixing of a stored corpus: sources of different mixtures, for every (seed, epoch, i).

    Each source is brought to the same active level plus its gain. In a reverberant corpus, what is
    heard moves with its anechoic source; the noise is that of the first source's mixture and keeps
    its level against it.
    """

    def __init__(
        self, base: StoredMixtures, *, length: int, gain_db: float, seconds: float
    ) -> None:
        self.base, self.source = base, base.source
        self.length, self.gain_db, self.seconds = length, gain_db, seconds
        self.n_src = len(base.mixtures[0].sources)

    def __len__(self) -> int:
        return self.length

    def crop(self, epoch: int, i: int, seconds: float | None = None) -> Example:
        """Example `i` of an epoch; depends on nothing that was drawn before."""
        wanted = crop_samples(seconds or self.seconds, self.source.sample_rate)
        draw = Draw("dynamic-stored", self.base.seed, epoch, i)
        for _ in range(REDRAWS):
            chosen = [self._slot(draw) for _ in range(self.n_src)]
            speakers = tuple(m.speakers[k] for m, k in chosen)
            if len(set(speakers)) < self.n_src:
                continue
            windows = [self._window(draw, m, wanted) for m, _ in chosen]
            sources = self._read(((m.sources[k] for m, k in chosen)), windows, wanted)
            if not any(is_silent(s, self.source.sample_rate) for s in sources):
                break
        else:
            raise ValueError(
                f"{REDRAWS} draws gave no {self.n_src} different audible speakers; are there enough"
                f" in the {len(self.base)} training mixtures?"
            )
        heard = self._read((m.heard[k] for m, k in chosen), windows, wanted)
        factors = self._factors(draw, sources)
        sources *= factors[:, None]
        heard *= factors[:, None]
        mixture = add(heard)
        if chosen[0][0].noise:
            mixture += factors[0] * self._read([chosen[0][0].noise], windows[:1], wanted)[0]
        peak = max(np.float32(1), np.abs(mixture).max())
        mixture, sources = mixture / peak, sources / peak
        return Example(
            torch.from_numpy(mixture),
            torch.from_numpy(sources),
            f"train-e{epoch}-{i}",
            speakers,
            ("",) * self.n_src,
            wanted,
        )

    @cached_property
    def manifest_hash(self) -> str:
        """SHA-256 of the stored mixtures and of everything that decides what is drawn."""
        recipe = {"length": self.length, "gain_db": self.gain_db, "seconds": self.seconds}
        return canonical_hash(
            {"base": self.base.manifest_hash, "seed": self.base.seed, "dynamic": recipe}
        )

    def _slot(self, draw: Draw) -> tuple[StoredMixture, int]:
        stored = self.base.mixtures[draw.integer(len(self.base))]
        return stored, draw.integer(self.n_src)

    @staticmethod
    def _window(draw: Draw, stored: StoredMixture, wanted: int) -> tuple[int, int]:
        count = min(wanted, stored.samples)
        return draw.integer(stored.samples - count + 1), count

    def _read(
        self, names: Sequence[str] | Iterator[str], windows: list[tuple[int, int]], wanted: int
    ) -> np.ndarray:
        signals = np.zeros((len(windows), wanted), np.float32)
        for row, name, (start, count) in zip(signals, names, windows, strict=True):
            row[:count] = self.source.store.read(name, start, count)
        return signals

    def _factors(self, draw: Draw, sources: np.ndarray) -> np.ndarray:
        rate = self.source.sample_rate
        levels = gains(draw, self.n_src, self.gain_db)
        return np.array(
            [
                10 ** ((LEVEL_DBFS + gain) / 20) / active_rms(s, rate)
                for s, gain in zip(sources, levels, strict=True)
            ],
            np.float32,
        )


def open_stored(
    config: DataConfig,
    n_src: int,
    *,
    root: Path,
    cache: Path,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Source, dict[str, StoredMixtures]]:
    """The source and its three sets ("train", "val", "test"), as the config asks."""
    layout = layout_of(config.source)
    condition = layout.condition(config.condition)
    home = layout.find(root, sample_rate=config.sample_rate, n_src=n_src, condition=condition)
    roles = layout.roles(condition, n_src)
    if config.dynamic:
        _need_for_dynamic(home, layout, roles)
    asked = {
        "train": config.train_mixtures,
        "val": config.val_mixtures,
        "test": config.test_mixtures,
    }
    found, notes = {}, []
    for part in _parts(layout, config.train_set):
        everything = list(
            _listed(home, layout, part, roles, config.dynamic and part.split == "train")
        )
        found[part.split] = _first(everything, asked[part.split])
        if len(found[part.split]) < len(everything) and part.split == "train":
            notes.append(f"train: {asked['train']} of {len(everything)} stored mixtures")
    names = [name for rows in found.values() for stored in rows for name in stored.files]
    store = open_joined(
        home, names, sample_rate=config.sample_rate, cache=cache, channel=0, on_progress=on_progress
    )
    refused = Tally()
    kept = {
        split: _whole(home, store, rows, split, refused, config.max_seconds, config.sample_rate)
        for split, rows in found.items()
    }
    source = _source(layout, condition, kept, store, refused, config.sample_rate, "; ".join(notes))
    sets = {s: StoredMixtures(source, rows, seed=config.seed) for s, rows in kept.items()}
    return source, sets


def _parts(layout: Layout, train_set: str) -> list[Part]:
    """One part a split; where a corpus has several for training, the asked one."""
    several = [p.folder for p in layout.parts if p.split == "train"]
    unwanted = {f for f in several if f != train_set} if len(several) > 1 else set()
    return [p for p in layout.parts if p.folder not in unwanted]


def _need_for_dynamic(home: Path, layout: Layout, roles: Roles) -> None:
    for role in roles.summands:
        if not (home / layout.parts[0].folder / role).is_dir():
            raise ValueError(
                f"{home}: dynamic mixing of {roles.mixture} needs {role} in the training folder;"
                " make it with the corpus' scripts, or set dynamic: false"
            )


def _listed(
    home: Path, layout: Layout, part: Part, roles: Roles, dynamic: bool
) -> Iterator[StoredMixture]:
    """The mixtures of a part; ValueError where one half is missing."""
    there = {role: stems(home / part.folder / role) for role in roles.needed}
    if not there[roles.mixture]:
        raise ValueError(
            f"{home / part.folder / roles.mixture}: no mixtures there.\n{layout.example}"
        )
    for role in roles.needed[1:]:
        lost = sorted(set(there[roles.mixture]) ^ set(there[role]))
        if lost:
            raise ValueError(
                f"{home / part.folder}: {roles.mixture} and {role} do not hold the same"
                f" {len(lost)} files, such as {lost[0]}.wav; `tisdiss data check` lists what is lost"
            )
    for stem in there[roles.mixture]:
        speakers = layout.speakers(stem)
        if len(speakers) != len(roles.sources):
            raise ValueError(
                f"{home / part.folder / roles.mixture / stem}.wav: the name tells {len(speakers)}"
                f" speakers, not {len(roles.sources)}; it is no {layout.title} mixture, remove it"
            )

        def path(role: str, stem: str = stem) -> str:
            return f"{part.folder}/{role}/{stem}.wav"

        yield StoredMixture(
            stem,
            path(roles.mixture),
            tuple(map(path, roles.sources)),
            tuple(map(path, roles.heard)) if dynamic else (),
            path(roles.noise) if dynamic and roles.noise else "",
            speakers,
            0,
        )


def _first(rows: list[StoredMixture], wanted: int) -> list[StoredMixture]:
    """All, or so many of them in an order that has nothing to do with the speakers."""
    if wanted >= len(rows):
        return rows
    return sorted(sorted(rows, key=lambda m: rank(m.id))[:wanted], key=lambda m: m.id)


def _whole(
    home: Path,
    store: JoinedStore,
    rows: list[StoredMixture],
    split: str,
    refused: Tally,
    max_seconds: float | None,
    sample_rate: int,
) -> list[StoredMixture]:
    """The mixtures whose files can be used, with their lengths."""
    cap = None if max_seconds is None or split == "train" else round(max_seconds * sample_rate)
    kept, bad = [], []
    for stored in rows:
        if fault := _fault(store, stored):
            bad.append(f"{home / fault[0]}: {fault[1]}")
            refused.add(fault[1], fault[0])
            continue
        samples = store.entries[stored.mixture].samples
        used = samples if cap is None else min(samples, cap)
        kept.append(StoredMixture(**(vars(stored) | {"samples": used})))
    if bad and (split != "train" or not kept):
        raise ValueError(
            f"{len(bad)} of {len(rows)} {split} mixtures cannot be used; replace these files:\n"
            + "\n".join(bad[:SHOWN])
            + ("\n..." if len(bad) > SHOWN else "")
        )
    return kept


def _fault(store: JoinedStore, stored: StoredMixture) -> tuple[str, str] | None:
    """The first file that breaks a rule, and the rule."""
    samples = store.entries[stored.mixture].samples
    for name in stored.files:
        entry = store.entries[name]
        if entry.refused:
            return name, entry.refused
        if wrong := [c for c in entry.converted if "resampled" in c]:
            return name, f"wrong rate, {wrong[0].split(':')[0]}"
        if entry.samples != samples:
            return name, "not as long as its mixture"
    return None


def _source(
    layout: Layout,
    condition: str,
    kept: dict[str, list[StoredMixture]],
    store: JoinedStore,
    refused: Tally,
    sample_rate: int,
    note: str,
) -> Source:
    utterances = tuple(
        Utterance(name, speaker, split, m.samples, "", store.entries[name].digest)
        for split, rows in kept.items()
        for m in rows
        for name, speaker in zip(m.sources, m.speakers, strict=True)
    )
    report = report_of(utterances, sample_rate, f"{condition} mixtures as stored") | {
        "files": len(store.entries),
        "refused": dict(sorted(refused.rows.items())),
        "converted": {},
    }
    return Source(layout.name, sample_rate, utterances, report, store, note)
