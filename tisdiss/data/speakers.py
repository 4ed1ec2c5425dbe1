"""A user's folder of speakers as a source of speech.

Two optional csv files list the audio files to use, their speakers and their splits; without them
every file is used and a hash decides the split (`source.py`). A mistake in a csv file is a
ValueError with its row; an audio file that cannot be used is only counted.
"""

import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from tisdiss.data.decoded import open_store
from tisdiss.data.lists import composed, find_list, table_rows
from tisdiss.data.source import SPLIT_NAMES, SPLITS, Listed, Source, Tally, build
from tisdiss.data.walk import none_left, recordings
from tisdiss.machine.progress import Progress, silent

LAYOUT = """\
A folder of speakers has one sub-folder for each speaker, with that speaker's recordings in it:
    speakers/alice/one.flac
    speakers/alice/two.wav
    speakers/bob/three.flac
Optional beside them: speakers.csv (columns speaker, split, sex), utterances.csv (column file).
Folders train, val and test with such folders in them are splits."""

SPLIT_OF = {name: split for split, names in SPLIT_NAMES.items() for name in names}
SPLIT_LIKE = re.compile(rf"({'|'.join(SPLIT_OF)})(?:[-_ .].*|\d*)$")
LISTS = ("speakers.csv", "utterances.csv")
LIST_STEMS = frozenset({"speaker", "speakers", "utterance", "utterances"})
LIST_SUFFIXES = frozenset({".csv", ".tsv", ".txt", ".xls", ".xlsx", ".ods"})
_OTHER_NAMES = {
    "speaker": ("spk", "spkr", "speaker_id", "speakerid", "id", "voice", "name"),
    "file": ("filename", "file_name", "path", "audio", "wav", "utterance"),
    "split": ("set", "subset", "partition", "fold", "part", "use", "usage"),
    "sex": ("gender",),
}
"""Other names that people give these columns."""


def folder(root: Path, *, sample_rate: int, cache: Path, on_progress: Progress = silent) -> Source:
    """Every recording below a folder of speakers; its csv files, or else a hash, decide splits."""
    root = Path(root)
    if not root.is_dir():
        raise ValueError(f"{root} is not a folder.\n{LAYOUT}")
    refused = Tally()
    names = _in_folders(recordings(root, refused), refused)
    listed = _listed(root, names, refused)
    if not listed:
        why = none_left(refused)
        raise ValueError(f"{root} holds no recordings that can be used. {why}\n{LAYOUT}")
    store = open_store(
        root,
        [u.id for u in listed],
        sample_rate=sample_rate,
        cache=cache,
        on_progress=on_progress,
    )
    return build(root.resolve().name, listed, store, refused, sample_rate=sample_rate)


def _in_folders(names: list[str], refused: Tally) -> list[str]:
    """The files that are in a speaker's folder; others are counted."""
    for name in names:
        if "/" not in name:
            refused.add("not in a speaker's folder", name)
    return [name for name in names if "/" in name]


def _listed(root: Path, names: list[str], refused: Tally) -> list[Listed]:
    """The files to use, by the csv files."""
    _count_other_lists(root, refused)
    speakers = _read_speakers(find_list(root, "speakers.csv"))
    files = _read_files(root, names, refused, bool(speakers))
    listed, spelled = [], dict[str, str]()
    for name, (label, split) in files.items():
        key = composed(label)
        speaker, row = spelled.setdefault(key, label), speakers.get(key)
        if speakers and row is None:
            refused.add("its speaker is not in speakers.csv", name)
            continue
        facts = row or {"split": "", "sex": ""}
        if split and facts["split"] not in ("", split):
            raise ValueError(
                f"{root}: {name} is in split {split!r} by utterances.csv, its speaker in"
                f" {facts['split']!r} by speakers.csv; leave the split empty in one of them"
            )
        listed.append(Listed(name, speaker, split or facts["split"], facts["sex"]))
    for key in sorted(speakers.keys() - spelled.keys()):
        refused.add("listed in speakers.csv but without a recording", key)
    if len({bool(item.split) for item in listed}) == 2:
        unsplit = next(item for item in listed if not item.split)
        raise ValueError(
            f"{root}: {unsplit.id} has no split while others have; give every speaker of"
            " speakers.csv a split, or leave the column out and a hash decides"
        )
    return listed


def _count_other_lists(root: Path, refused: Tally) -> None:
    """Count files that look like one of the lists under another name."""
    for path in sorted(root.iterdir()):
        name = path.name.lower()
        stem = Path(name).stem.removesuffix(".csv")
        if name not in LISTS and stem in LIST_STEMS and Path(name).suffix in LIST_SUFFIXES:
            refused.add(f"a list that is not read; call it {' or '.join(LISTS)}", path.name)


def _read_speakers(path: Path) -> dict[str, dict[str, str]]:
    rows: dict[str, dict[str, str]] = {}
    for place, row in _rows(path, "speaker", ("split", "sex")):
        name = composed(row["speaker"])
        if name in rows:
            raise ValueError(f"{place}: speaker {row['speaker']!r} appears twice; keep one row")
        sex = row.get("sex", "").lower()[:1]
        split = _checked_split(place, row)
        rows[name] = {"split": split, "sex": sex if sex in ("f", "m") else ""}
    return rows


def _read_files(
    root: Path, names: list[str], refused: Tally, has_speakers: bool
) -> dict[str, tuple[str, str]]:
    """File -> (speaker, split or ""), from utterances.csv or else from the folders."""
    path = find_list(root, "utterances.csv")
    if not path.exists():
        return _by_folders(root, names, has_speakers)
    present = {composed(name): name for name in names}
    files: dict[str, tuple[str, str]] = {}
    for place, row in _rows(path, "file", ("speaker", "split")):
        listed = PurePosixPath(row["file"].replace("\\", "/"))
        if listed.is_absolute() or ".." in listed.parts:
            raise ValueError(
                f"{place}: file {row['file']!r} leaves the folder; give a path below {root}"
            )
        name = present.get(composed(str(listed)), str(listed))
        if name in files:
            raise ValueError(f"{place}: file {row['file']!r} appears twice; keep one row")
        split = _checked_split(place, row)
        if composed(name) in present:
            files[name] = (row.get("speaker") or PurePosixPath(name).parts[0], split)
        else:
            refused.add("listed in utterances.csv but missing or not audio", name)
    for name in sorted(set(names) - set(files)):
        refused.add("not listed in utterances.csv", name)
    return files


def _by_folders(root: Path, names: list[str], has_speakers: bool) -> dict[str, tuple[str, str]]:
    """The top folder is the speaker; if the top folders are splits, the next one is."""
    parts = {name: PurePosixPath(name).parts for name in names}
    tops = {top for top, *_ in parts.values()}
    if not has_speakers:
        _check_not_too_high(root, parts)
    if has_speakers or not _are_splits(tops):
        return {name: (top, "") for name, (top, *_) in parts.items()}
    return {name: (rest[0], SPLIT_OF[top.lower()]) for name, (top, *rest) in parts.items()}


def _are_splits(tops: set[str]) -> bool:
    return len(tops) > 1 and {top.lower() for top in tops}.issubset(SPLIT_OF)


def _are_parts(tops: set[str]) -> bool:
    """Whether all folders, or a training and another one, look like train-clean-100 or dev2."""
    words = [match[1] for top in tops if (match := SPLIT_LIKE.match(top.lower()))]
    plain = {word for word in words if len(word) > 2}  # tr, cv and tt may be initials
    return len(tops) > 1 and (len(words) == len(tops) or ("train" in plain and len(plain) > 1))


def _check_not_too_high(root: Path, parts: dict[str, tuple[str, ...]]) -> None:
    """Raise ValueError for a folder above one of speakers, or with splits but without speakers."""
    tops = {top for top, *_ in parts.values()}
    if _are_splits(tops):
        for name, (top, *rest) in parts.items():
            if len(rest) < 2:
                raise ValueError(
                    f"{root}: its folders {', '.join(sorted(tops))} look like splits, but {name} "
                    f"is in no speaker's folder; give each speaker one, such as {top}/alice/"
                )
    elif _are_parts(tops):
        raise ValueError(
            f"{root}: its folders {', '.join(sorted(tops))} look like splits, not like speakers;"
            " give one of them, call them train, val and test, or list every recording in"
            " utterances.csv (columns file, speaker, split); LibriSpeech is a source of its own"
        )
    below = {rest[0] for _, *rest in parts.values() if len(rest) > 1}
    if len(tops) == 1 and len(below) > 1:
        (top,) = tops
        raise ValueError(
            f"{root} has one folder, {top}, with {len(below)} folders of recordings in it, as if "
            f"it were one speaker; if those are the speakers, name {root / top}"
        )


def _rows(path: Path, needed: str, others: tuple[str, ...]) -> Iterable[tuple[str, dict[str, str]]]:
    """("file, row n", row) of each row; nothing if the file is absent."""
    if not path.exists():
        return
    known = {name: _OTHER_NAMES[name] for name in (needed, *others)}
    for place, row in table_rows(path, (needed,), known):
        if not row[needed]:
            raise ValueError(f"{place}: column {needed!r} is empty; fill it or drop the row")
        yield place, row


def _checked_split(place: str, row: dict[str, str]) -> str:
    split = row.get("split", "").lower()
    if split and split not in SPLITS:
        raise ValueError(f"{place}: split {row['split']!r} is not one of {', '.join(SPLITS)}")
    return split
