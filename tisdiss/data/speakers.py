"""A folder of speakers as a source of speech: what a user brings.

The audio files are found, the two optional csv files say which of them to use, who speaks and which
split they belong to; without them every file is used and a hash decides the split (`source.py`).
A mistake in a csv file is an error with its row; a file that cannot be used is counted, not fatal.
"""

import csv
import io
import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from tisdiss.data.audio import SUFFIXES
from tisdiss.data.source import SPLITS, Listed, Source, Tally, build
from tisdiss.data.store import open_store
from tisdiss.progress import Progress, silent

LAYOUT = """\
A folder of speakers has one sub-folder for each speaker, with that speaker's recordings in it:
    speakers/alice/one.flac
    speakers/alice/two.wav
    speakers/bob/three.flac
Optional beside them: speakers.csv (columns speaker, split, sex), utterances.csv (column file)."""


def folder(root: Path, *, sample_rate: int, cache: Path, on_progress: Progress = silent) -> Source:
    """Every recording below a folder of speakers, as its csv files or else a hash split it."""
    root = Path(root)
    if not root.is_dir():
        raise ValueError(f"{root} is not a folder.\n{LAYOUT}")
    refused = Tally()
    names = _audio_files(root, refused)
    listed = _listed(root, names, refused)
    if not listed:
        raise ValueError(f"{root} holds no recordings that can be used.\n{LAYOUT}")
    store = open_store(
        root,
        [u.id for u in listed],
        sample_rate=sample_rate,
        cache=cache,
        on_progress=on_progress,
    )
    return build(root.resolve().name, listed, store, refused, sample_rate=sample_rate)


def _audio_files(root: Path, refused: Tally) -> list[str]:
    """Audio files in the speakers' folders, as sorted posix paths below the root."""
    inside = root.resolve()
    names = []
    for folder_path, folders, files in os.walk(root):
        folders.sort()
        for name in sorted(folders + files):
            path = Path(folder_path, name)
            relative = path.relative_to(root).as_posix()
            if path.is_symlink() and not path.resolve().is_relative_to(inside):
                refused.add("a symbolic link that leaves the folder", relative)
            elif name in files and path.suffix.lower() in SUFFIXES:
                if not relative.isprintable():
                    refused.add("a name with unprintable characters", ascii(relative))
                elif not path.is_file():
                    refused.add("no regular file", relative)
                elif path.parent == root:
                    refused.add("not in a speaker's folder", relative)
                else:
                    names.append(relative)
    return sorted(names)


def _listed(root: Path, names: list[str], refused: Tally) -> list[Listed]:
    """What to use of the files that are there, as the csv files say."""
    speakers = _read_speakers(root / "speakers.csv")
    files = _read_files(root / "utterances.csv", names, refused)
    listed = []
    for name, (speaker, split) in files.items():
        row = speakers.get(speaker)
        if speakers and row is None:
            refused.add("its speaker is not in speakers.csv", name)
            continue
        known = row or {"split": "", "sex": ""}
        if split and known["split"] not in ("", split):
            raise ValueError(
                f"{root}: {name} is in split {split!r} by utterances.csv, its speaker in"
                f" {known['split']!r} by speakers.csv; let one of them leave the split empty"
            )
        listed.append(Listed(name, speaker, split or known["split"], known["sex"]))
    if len({bool(item.split) for item in listed}) == 2:
        unsplit = next(item for item in listed if not item.split)
        raise ValueError(
            f"{root}: {unsplit.id} has no split while others have; give every speaker of"
            " speakers.csv a split, or leave the column out and a hash decides"
        )
    return listed


def _read_speakers(path: Path) -> dict[str, dict[str, str]]:
    rows = {}
    for place, row in _csv_rows(path, "speaker"):
        if row["speaker"] in rows:
            raise ValueError(f"{place}: speaker {row['speaker']!r} is there twice; keep one row")
        sex = (row.get("sex") or "").strip().lower()[:1]
        split = _checked_split(place, row)
        rows[row["speaker"]] = {"split": split, "sex": sex if sex in ("f", "m") else ""}
    return rows


def _read_files(path: Path, names: list[str], refused: Tally) -> dict[str, tuple[str, str]]:
    """File -> (speaker, split or ""); without the csv, every file and its folder's name."""
    if not path.exists():
        return {name: (PurePosixPath(name).parts[0], "") for name in names}
    present, files = set(names), {}
    for place, row in _csv_rows(path, "file"):
        listed = PurePosixPath(row["file"])
        if listed.is_absolute() or ".." in listed.parts:
            raise ValueError(
                f"{place}: file {row['file']!r} leaves the folder; give a path below {path.parent}"
            )
        name = str(listed)
        if name in files:
            raise ValueError(f"{place}: file {row['file']!r} is there twice; keep one row")
        split = _checked_split(place, row)
        if name in present:
            files[name] = (row.get("speaker") or listed.parts[0], split)
        else:
            refused.add("listed in utterances.csv but not there, or no audio", name)
    for name in sorted(present - set(files)):
        refused.add("not listed in utterances.csv", name)
    return files


def _csv_rows(path: Path, needed: str) -> Iterable[tuple[str, dict[str, str]]]:
    """("file, row n", row) of each row; nothing where the file is absent."""
    if not path.exists():
        return
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text; save it as such") from error
    reader = csv.DictReader(io.StringIO(text, newline=""))
    if needed not in (reader.fieldnames or []):
        raise ValueError(f"{path} has no column {needed!r}; its first row names the columns")
    for row in reader:
        place = f"{path}, row {reader.line_num}"
        if not row[needed]:
            raise ValueError(f"{place}: column {needed!r} is empty; fill it or drop the row")
        yield place, row


def _checked_split(place: str, row: dict[str, str]) -> str:
    split = row.get("split") or ""
    if split and split not in SPLITS:
        raise ValueError(f"{place}: split {split!r} is none of {', '.join(SPLITS)}")
    return split
