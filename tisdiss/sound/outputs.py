"""Checks of the files that `separate` reads and writes, before anything is loaded."""

from collections.abc import Sequence
from pathlib import Path


def speaker_file(source: Path, folder: Path, speaker: int) -> Path:
    """The output file of one speaker: `folder`/<name>_speaker1.wav and so on."""
    return folder / f"{Path(source).stem}_speaker{speaker}.wav"


def check_file(source: Path) -> None:
    """Raise ValueError unless the source is a file."""
    if source.is_dir():
        raise ValueError(f"{source} is a folder; name the sound files in it")
    if not source.is_file():
        raise ValueError(f"{source}: no such sound file")


def check_sources(sources: Sequence[Path]) -> None:
    """Raise ValueError unless all sources are files whose outputs have different names."""
    for source in sources:
        check_file(source)
    names = [source.stem for source in sources]
    for source, name in zip(sources, names, strict=True):
        if names.count(name) > 1:
            raise ValueError(
                f"{source}: {names.count(name)} of the files are called {name!r} and would "
                "overwrite each other's speakers; separate them into different folders (-o)"
            )


def check_folder(folder: Path) -> None:
    """Raise ValueError if the output folder, or a folder above it, is a file."""
    for place in (folder, *folder.parents):
        if place.exists() and not place.is_dir():
            raise ValueError(f"{folder}: {place} is a file; name a folder (-o)")


def check_targets(sources: Sequence[Path], folder: Path, n_src: int, *, force: bool) -> None:
    """Raise ValueError if an output would replace an input, or another file without `force`."""
    inputs = [source.resolve() for source in sources]
    for source in sources:
        for speaker in range(1, n_src + 1):
            target = speaker_file(source, folder, speaker)
            if target.resolve() in inputs:
                raise ValueError(
                    f"{target} is an input, and the result of {source} would replace it; choose "
                    "another folder (-o)"
                )
            if target.exists() and not force:
                raise ValueError(
                    f"{target} exists; choose another folder (-o), or replace the file with --force"
                )
