"""LibriSpeech as a source of speech, in the layout of its unpacked archives.

    LibriSpeech/dev-clean/84/121123/84-121123-0000.flac

`build/download.py` fetches it. If there are training, dev and test parts, they are the splits, and
no speaker is in two; otherwise a hash splits the speakers.
"""

from pathlib import Path, PurePosixPath

from tisdiss.data.decoded import open_joined
from tisdiss.data.lists import list_text
from tisdiss.data.source import Listed, Source, Tally, build
from tisdiss.data.walk import none_left, recordings
from tisdiss.machine.progress import Progress, silent

SPLIT_OF = {"train-clean-100": "train", "train-clean-360": "train", "train-other-500": "train"} | {
    "dev-clean": "val",
    "dev-other": "val",
    "test-clean": "test",
    "test-other": "test",
}
ADVICE = """\
Give the folder LibriSpeech, with dev-clean and others in it, or fetch a part:
    tisdiss data download librispeech dev-clean"""


def librispeech(
    root: Path, *, sample_rate: int, cache: Path, on_progress: Progress = silent
) -> Source:
    """Every utterance of the parts below `root`; sexes are from SPEAKERS.TXT."""
    home = next((p for p in (Path(root), Path(root) / "LibriSpeech") if _parts(p)), None)
    if home is None:
        raise ValueError(f"{root} holds no LibriSpeech.\n{ADVICE}")
    parts, sexes = _parts(home), _sexes(home / "SPEAKERS.TXT")
    official = {SPLIT_OF[part] for part in parts} == {"train", "val", "test"}
    refused = Tally()
    paths = [
        PurePosixPath(name)
        for part in parts
        for name in recordings(home, refused, home / part)
        if name.endswith(".flac") and name.count("/") == 3
    ]
    listed = [
        Listed(
            str(path),
            path.parts[1],
            SPLIT_OF[path.parts[0]] if official else "",
            sexes.get(path.parts[1], ""),
        )
        for path in paths
    ]
    if not listed:
        raise ValueError(f"{root} holds no LibriSpeech. {none_left(refused)}\n{ADVICE}")
    store = open_joined(
        home,
        [u.id for u in listed],
        sample_rate=sample_rate,
        cache=cache,
        on_progress=on_progress,
    )
    return build("librispeech", listed, store, refused, sample_rate=sample_rate)


def _parts(home: Path) -> list[str]:
    return [part for part in SPLIT_OF if any((home / part).glob("*/*/*.flac"))]


def _sexes(path: Path) -> dict[str, str]:
    """Speaker -> "f" or "m", from lines such as "84   | F | dev-clean | ..."."""
    if not path.is_file():
        return {}
    rows = (line.split("|") for line in list_text(path).split("\n"))
    return {
        row[0].strip(): row[1].strip().lower()
        for row in rows
        if len(row) > 2 and row[0].strip().isdigit()
    }
