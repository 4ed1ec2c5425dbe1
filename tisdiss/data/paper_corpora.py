"""Opens the paper's corpora in place.

`layouts.py` has their folders. Every file is decoded once into the cache by the rules of any
recording (`audio.py`); the first of several channels is taken, as in the recipes. A training
mixture with a file that breaks a rule is left out and counted. In validation and test it is an
error, because results on a smaller set are not comparable.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tisdiss.config import DataConfig
from tisdiss.data.decoded import JoinedStore, open_joined
from tisdiss.data.draw import rank
from tisdiss.data.layouts import Layout, Part, Roles, layout_of, stems
from tisdiss.data.mixed_sets import StoredMixture, StoredMixtures
from tisdiss.data.source import Source, Tally, Utterance, report_of
from tisdiss.machine.progress import Progress, silent

SHOWN = 3


def open_stored(
    config: DataConfig,
    n_src: int,
    *,
    root: Path,
    cache: Path,
    on_progress: Progress = silent,
) -> tuple[Source, dict[str, StoredMixtures]]:
    """The source and its three sets ("train", "val", "test") for a config."""
    layout = layout_of(config.source)
    condition = layout.condition(config.condition)
    home = layout.find(root, sample_rate=config.sample_rate, n_src=n_src, condition=condition)
    roles = layout.roles(condition, n_src)
    limits = {
        "train": config.train_mixtures,
        "val": config.val_mixtures,
        "test": config.test_mixtures,
    }
    listed, notes = {}, []
    for part in _parts(layout, config.train_set):
        dynamic = config.dynamic and part.split == "train"
        everything = list(_listed(home, layout, part, roles, config.sample_rate, dynamic=dynamic))
        if dynamic:
            _need_for_dynamic(home / part.folder, roles)
        listed[part.split] = _first(everything, limits[part.split])
        if len(listed[part.split]) < len(everything) and part.split == "train":
            notes.append(f"train: {limits['train']} of {len(everything)} stored mixtures")
    names = [name for rows in listed.values() for stored in rows for name in stored.files]
    store = open_joined(
        home, names, sample_rate=config.sample_rate, cache=cache, channel=0, on_progress=on_progress
    )
    refused = Tally()
    kept = {
        split: _whole(home, store, rows, split, refused, config.max_seconds, config.sample_rate)
        for split, rows in listed.items()
    }
    source = _source(config, condition, kept, store, refused, "; ".join(notes))
    sets = {s: StoredMixtures(source, rows, seed=config.seed) for s, rows in kept.items()}
    return source, sets


def _parts(layout: Layout, train_set: str) -> list[Part]:
    """One part per split; `train_set` selects one of several training parts."""
    several = [p.folder for p in layout.parts if p.split == "train"]
    others = {f for f in several if f != train_set} if len(several) > 1 else set()
    return [p for p in layout.parts if p.folder not in others]


def _need_for_dynamic(folder: Path, roles: Roles) -> None:
    for role in roles.summands:
        if not (folder / role).is_dir():
            raise ValueError(
                f"{folder}: dynamic mixing of {roles.mixture} needs {role} there too; make it with"
                " the corpus' scripts, or set dynamic: false"
            )


def _listed(
    home: Path, layout: Layout, part: Part, roles: Roles, sample_rate: int, *, dynamic: bool
) -> Iterator[StoredMixture]:
    """The mixtures of a part; ValueError if a mixture or a source is missing."""
    there = {role: stems(home / part.folder / role) for role in roles.needed}
    if not there[roles.mixture]:
        raise ValueError(
            f"{home / part.folder / roles.mixture}: no mixtures there.\n"
            + layout.expected(sample_rate)
        )
    for role in roles.needed[1:]:
        single = sorted(set(there[roles.mixture]) ^ set(there[role]))
        if single:
            raise ValueError(
                f"{home / part.folder}: {len(single)} files are only in one of {roles.mixture} and"
                f" {role}, such as {single[0]}.wav; `tisdiss data check` shows them"
            )
    for stem in there[roles.mixture]:
        speakers = layout.speakers(stem)
        if len(speakers) != len(roles.sources):
            raise ValueError(
                f"{home / part.folder / roles.mixture / stem}.wav: the name has {len(speakers)}"
                f" speakers, not {len(roles.sources)}; remove it, it is not from {layout.title}"
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


def _first(rows: list[StoredMixture], limit: int) -> list[StoredMixture]:
    """At most `limit` rows, chosen by a hash, so independently of the speakers."""
    if limit >= len(rows):
        return rows
    return sorted(sorted(rows, key=lambda m: rank(m.id))[:limit], key=lambda m: m.id)


def _whole(
    home: Path,
    store: JoinedStore,
    rows: list[StoredMixture],
    split: str,
    refused: Tally,
    max_seconds: float | None,
    sample_rate: int,
) -> list[StoredMixture]:
    """The mixtures whose files are usable, with their lengths."""
    cap = None if max_seconds is None or split == "train" else round(max_seconds * sample_rate)
    kept, bad = [], []
    for stored in rows:
        if fault := _fault(store, stored):
            bad.append(f"{home / fault[0]}: {fault[1]}")
            refused.add(fault[1], fault[0])
            continue
        samples = store.entries[stored.mixture].samples
        kept.append(replace(stored, samples=samples if cap is None else min(samples, cap)))
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
    config: DataConfig,
    condition: str,
    kept: dict[str, list[StoredMixture]],
    store: JoinedStore,
    refused: Tally,
    note: str,
) -> Source:
    utterances = tuple(
        Utterance(name, speaker, split, m.samples, "", store.entries[name].digest)
        for split, rows in kept.items()
        for m in rows
        for name, speaker in zip(m.sources, m.speakers, strict=True)
    )
    report = report_of(utterances, config.sample_rate, f"{condition} mixtures as stored") | {
        "files": len(store.entries),
        "refused": dict(sorted(refused.rows.items())),
        "converted": {},
    }
    return Source(config.source, config.sample_rate, utterances, report, store, note)
