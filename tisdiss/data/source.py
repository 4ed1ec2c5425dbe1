"""A source of speech: its recordings, with their speakers and splits.

`speakers.py` builds a source from any folder of speakers, `prompts.py` from Debian's voice prompts,
`librispeech.py` from LibriSpeech; `tisdiss/speech_sources.py` is the table of all. `audio.py`
refuses unusable files, a store (`decoded.py`) has the decoded samples, and `mixture.py` makes
mixtures of them.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from tisdiss.data.decoded import Store
from tisdiss.data.draw import rank

SPLITS = ("train", "val", "test")
SPLIT_NAMES = {
    "train": ("train", "tr"),
    "val": ("val", "cv", "dev", "valid", "validation"),
    "test": ("test", "tt", "eval"),
}
"""Names of the folder of each split."""
SPEAKER_FRACTIONS = {"test": 0.1, "val": 0.1}
UTTERANCE_FRACTIONS = {"test": 0.2, "val": 0.1}
MIN_SPEAKERS = 6


@dataclass(frozen=True)
class Utterance:
    """One recording. `id` is its path below the source's root; `digest` that of its samples."""

    id: str
    speaker: str
    split: str
    samples: int
    sex: str = ""
    digest: str = ""


@dataclass(frozen=True)
class Source:
    """Recordings with their speakers and splits. Every figure made from them shows `note`."""

    name: str
    sample_rate: int
    utterances: tuple[Utterance, ...]
    report: dict
    store: Store = field(repr=False, compare=False)
    note: str = ""

    def split(self, name: str) -> tuple[Utterance, ...]:
        if name not in SPLITS:
            raise ValueError(f"no split {name!r}; choose from {', '.join(SPLITS)}")
        return tuple(u for u in self.utterances if u.split == name)

    def read(self, utterance: Utterance, start: int = 0, samples: int | None = None) -> np.ndarray:
        """Float32 samples, by default the whole utterance."""
        return self.store.read(utterance.id, start, samples)

    @cached_property
    def manifest_hash(self) -> str:
        """SHA-256 of ids, speakers, splits and decoded sound, independent of the files' folder."""
        rows = sorted(
            [u.id, u.speaker, u.split, u.samples, u.sex, u.digest] for u in self.utterances
        )
        return canonical_hash({"sample_rate": self.sample_rate, "utterances": rows})

    def summary(self) -> str:
        """Counts of the source and of refused and converted files, in a few lines."""
        lines = [f"{self.name}: {self.report['speakers']} speakers, {self.report['split_rule']}"]
        for split, row in self.report["splits"].items():
            lines.append("  {}: {utterances} utterances, {hours:.2f} h".format(split, **row))
        for kind in ("refused", "converted"):
            for rule, row in self.report[kind].items():
                lines.append(f"  {kind} {row['count']}: {rule} (such as {row['example']})")
        return "\n".join(lines)


def canonical_hash(value: object) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


class Tally:
    """Counts per rule, each with the first file as an example."""

    def __init__(self) -> None:
        self.rows: dict[str, dict] = {}

    def add(self, rule: str, example: str) -> None:
        self.rows.setdefault(rule, {"count": 0, "example": example})["count"] += 1


@dataclass(frozen=True)
class Listed:
    """A candidate file, used if its sound passes; with `split` "" a hash decides the split."""

    id: str
    speaker: str
    split: str = ""
    sex: str = ""


def build(
    name: str,
    listed: Iterable[Listed],
    store: Store,
    refused: Tally,
    *,
    sample_rate: int,
    by_speaker: bool = True,
    note: str = "",
) -> Source:
    """The source of the files that pass; a duplicate of a sound is refused."""
    kept, seen, converted = [], set(), Tally()
    listed = sorted(listed, key=lambda item: item.id)
    for item in listed:
        entry = store.entries[item.id]
        rule = entry.refused or ("the same sound as another file" if entry.digest in seen else "")
        if rule:
            refused.add(rule, item.id)
            continue
        seen.add(entry.digest)
        kept.append(item)
        for done in entry.converted:
            converted.add(done, item.id)
    if not kept:
        raise ValueError(
            f"{name}: no file can be used, because of these rules:"
            f" {'; '.join(refused.rows) or 'there are no files'}"
        )
    splits, rule, hash_note = _decide_splits(kept, by_speaker)
    utterances = tuple(
        Utterance(u.id, u.speaker, splits[u.id], e.samples, u.sex, e.digest)
        for u in kept
        for e in [store.entries[u.id]]
    )
    report = report_of(utterances, sample_rate, rule) | {
        "files": len(kept) + sum(row["count"] for row in refused.rows.values()),
        "refused": dict(sorted(refused.rows.items())),
        "converted": dict(sorted(converted.rows.items())),
    }
    return Source(name, sample_rate, utterances, report, store, note or hash_note)


def report_of(utterances: tuple[Utterance, ...], sample_rate: int, rule: str) -> dict:
    """Counts of speakers, utterances and hours, in all and in each split."""
    splits = {}
    for split in SPLITS:
        rows = [u for u in utterances if u.split == split]
        splits[split] = {
            "utterances": len(rows),
            "speakers": len({u.speaker for u in rows}),
            "hours": round(sum(u.samples for u in rows) / sample_rate / 3600, 4),
        }
    speakers = len({u.speaker for u in utterances})
    return {
        "utterances": len(utterances),
        "speakers": speakers,
        "split_rule": rule,
        "splits": splits,
    }


def _decide_splits(kept: list[Listed], by_speaker: bool) -> tuple[dict[str, str], str, str]:
    """The split of every id, the rule in words, and a note if training has test voices."""
    if all(item.split for item in kept):
        splits = {item.id: item.split for item in kept}
        return splits, "split as listed", _shared_voices(kept, splits)
    speakers = sorted({item.speaker for item in kept})
    if by_speaker and len(speakers) >= MIN_SPEAKERS:
        of_speaker = _ranked(speakers, SPEAKER_FRACTIONS, at_least=2)
        splits = {item.id: of_speaker[item.speaker] for item in kept}
        rule = "speaker-disjoint split 80/10/10 by SHA-256 of the speaker's name"
        return splits, rule, ""
    splits = {}
    for speaker in speakers:
        own = [item.id for item in kept if item.speaker == speaker]
        splits |= _ranked(own, UTTERANCE_FRACTIONS, at_least=1)
    rule = "utterance-disjoint split 70/10/20 by SHA-256 of the file's name, in each voice"
    return splits, rule, _shared_voices(kept, splits)


def _ranked(names: list[str], fractions: Mapping[str, float], at_least: int) -> dict[str, str]:
    """In hash order, the first go to test, the next to val, the rest to train (all of 1 or 2)."""
    order = sorted(names, key=rank)
    splits = dict.fromkeys(order, "train")
    if len(order) < 3:
        return splits
    start = 0
    for split, fraction in fractions.items():
        stop = start + max(at_least, round(fraction * len(order)))
        splits |= dict.fromkeys(order[start:stop], split)
        start = stop
    return splits


def _shared_voices(kept: list[Listed], splits: Mapping[str, str]) -> str:
    voices = {s: {u.speaker for u in kept if splits[u.id] == s} for s in SPLITS}
    shared = voices["train"] & voices["test"]
    if not shared:
        return ""
    return f"test set: unheard utterances of {len(shared)} voices that were heard in training"
