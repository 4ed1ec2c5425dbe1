"""The sound files that `separate` reads and writes: which they are, and checks before any work."""

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

SUFFIXES = re.compile(
    r"\.(wave?|bwf|rf64|w64|flac|og[ga]|opus|mp[123]|aiff?|aifc|au|snd|caf|sph|nist"
    r"|m4[ab]|aac|e?ac3|amr|ape|wma|wv|tta|spx|mka|weba"
    r"|mp4|m4v|mov|mkv|webm|avi|mpe?g|m?ts|m2ts|wmv|flv|ogv|3gp|3g2)",
    re.IGNORECASE,
)
"""Files of a folder that are taken for recordings. A file that is named may have any suffix."""


@dataclass(frozen=True)
class Source:
    """A recording and what its outputs are called."""

    path: Path
    name: Path
    """Of the outputs, relative to the output folder and without `_speaker1.wav`."""
    called: str = ""
    """What messages call it; its path if empty."""

    @property
    def label(self) -> str:
        return self.called or shown(self.path)


def shown(path: Path | str) -> str:
    """A path on one line: characters that cannot be printed are escaped."""
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape", "surrogatepass").decode()
        for each in str(path)
    )


def sources_of(paths: Sequence[Path], out: Path) -> list[Source]:
    """The recordings that the paths name, in a stable order.

    A folder stands for the sound files in it and in its sub-folders, by suffix, without hidden ones
    and without the output folder; their outputs keep the path relative to it. Raises ValueError for
    a path that is not there and for a folder without sound files.
    """
    sources = []
    for path in paths:
        if not path.is_dir():
            check_file(path)
            sources.append(Source(path, Path(path.stem)))
            continue
        found = [Source(f, f.relative_to(path).with_suffix("")) for f in _within(path, out)]
        if not found:
            raise ValueError(f"{shown(path)}: no sound file in this folder, by the suffixes")
        sources += found
    return sources


def _within(folder: Path, out: Path) -> Iterator[Path]:
    for at, folders, files in os.walk(folder):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and Path(at, name).resolve() != out.resolve()
        )
        for name in sorted(files):
            if not name.startswith(".") and SUFFIXES.fullmatch(Path(name).suffix):
                yield Path(at, name)


def speaker_file(name: Path, folder: Path, speaker: int) -> Path:
    """The output file of one speaker: `folder`/<name>_speaker1.wav and so on."""
    return folder / name.parent / f"{name.name}_speaker{speaker}.wav"


def check_file(path: Path) -> None:
    """Raise ValueError unless there is a file at the path."""
    if path.is_dir():
        raise ValueError(f"{shown(path)} is a folder; name the sound files in it")
    if not path.exists():
        raise ValueError(f"{shown(path)}: no such sound file")
    if not path.is_file():
        raise ValueError(f"{shown(path)}: a pipe or device; pass it as standard input: - < FILE")


def check_sources(sources: Sequence[Source]) -> None:
    """Raise ValueError unless the outputs of all sources have different names."""
    counts = Counter(source.name for source in sources)
    for source in sources:
        if counts[source.name] > 1:
            raise ValueError(
                f"{shown(source.path)}: {counts[source.name]} of the files are called "
                f"{shown(source.name)!r} and would overwrite each other's speakers; separate them "
                "into different folders (-o)"
            )


def check_folder(folder: Path) -> None:
    """Raise ValueError if the output folder, or a folder above it, is a file."""
    for place in (folder, *folder.parents):
        if place.exists() and not place.is_dir():
            raise ValueError(f"{shown(folder)}: {shown(place)} is a file; name a folder (-o)")


def check_targets(sources: Sequence[Source], folder: Path, n_src: int, *, force: bool) -> None:
    """Raise ValueError if an output would replace an input, or another file without `force`."""
    inputs = {source.path.resolve() for source in sources}
    for source in sources:
        for speaker in range(1, n_src + 1):
            target = speaker_file(source.name, folder, speaker)
            if target.resolve() in inputs:
                raise ValueError(
                    f"{shown(target)} is an input, and the result of {shown(source.path)} would "
                    "replace it; choose another folder (-o)"
                )
            if target.exists() and not force:
                raise ValueError(
                    f"{shown(target)} exists; choose another folder (-o), or replace the file "
                    "with --force"
                )
