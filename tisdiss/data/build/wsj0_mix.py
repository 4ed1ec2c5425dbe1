"""WSJ0-2mix from WSJ0 itself, by the official lists.

A row of a list names two utterances and two gains in dB that sum to zero. Each utterance is
resampled, divided by the root of its official active level (ITU-T P.56, in a list of its own), and
multiplied by its gain. Both are cut to the shorter, and all signals are scaled so that the loudest
sample is 0.9. This follows the authors' recipe; their Matlab resampler differs from ours by about
-70 dB.

WSJ0 may be WAV or the original SPHERE `.wv1`. Its `.wv2` files are the second microphone, with
which results are 1-2 dB worse; they are never used.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from tisdiss.data.layouts import WSJ0_2MIX, Part
from tisdiss.data.lists import list_lines
from tisdiss.data.walk import files_below
from tisdiss.sound.decode import Refused, read_sound

RATE = 16000
PEAK = 0.9
SETS = frozenset({"si_tr_s", "si_dt_05", "si_et_05"})
SUFFIXES = (".wv1", ".wav", ".flac")
"""In order of preference, because a .wav may be from either microphone."""
HEADER_BYTES = 1024
SPH2PIPE = "install sph2pipe on the PATH, or convert the files with `sph2pipe -f wav`"


@dataclass(frozen=True)
class Row:
    """One mixture of a list; `place` is file and row, for messages."""

    place: str
    name: str
    utterances: tuple[str, ...]
    gains_db: tuple[float, ...]
    levels: tuple[float, ...]


def key_of(utterance: str) -> str:
    """ "wsj0/si_tr_s/01t/01to030v.wav" -> "si_tr_s/01t/01to030v", in lower case."""
    return "/".join(PurePosixPath(utterance.lower()).with_suffix("").parts[-3:])


def find_utterances(root: Path) -> dict[str, Path]:
    """The file of each utterance below `root`, wherever the discs were copied to."""
    files: dict[str, dict[str, Path]] = {}
    for path in files_below(root):
        if path.parts[-3:-2] and path.parts[-3].lower() in SETS:
            files.setdefault(key_of("/".join(path.parts[-3:])), {})[path.suffix.lower()] = path
    if not files:
        raise ValueError(f"{root} holds no WSJ0: none of {', '.join(sorted(SETS))} is below it")
    usable = {}
    for key, versions in files.items():
        best = next((s for s in SUFFIXES if s in versions), None)
        if best:
            usable[key] = versions[best]
    second = sum(".wv2" in versions for versions in files.values())
    if second and not usable:
        raise ValueError(
            f"{root} holds only .wv2 files ({second}), the second microphone: results with them are"
            " 1-2 dB worse. Copy the .wv1 files of the discs"
        )
    return usable


def read_levels(lists: Path) -> dict[str, float]:
    """The active level of each utterance, from the activlev_*.txt of the lists."""
    levels = {}
    for path in sorted(path for path in files_below(lists) if path.match("activlev_*.txt")):
        for place, line in list_lines(path):
            try:
                name, value = line.split()
                levels[name] = float(value)
            except ValueError:
                raise ValueError(
                    f"{place}: {line!r} is not a name and a level; restore the file"
                ) from None
    if not levels:
        raise ValueError(f"{lists}: no activlev_*.txt there; give the folder of the official lists")
    return levels


def read_list(lists: Path, part: Part, levels: dict[str, float], n_src: int = 2) -> list[Row]:
    """The rows of a list such as mix_2_spk_tr.txt; a ValueError gives the row."""
    name = f"mix_{n_src}_spk_{part.folder}.txt"
    path = min((path for path in files_below(lists) if path.name == name), default=None)
    if path is None:
        raise ValueError(f"{lists}: no {name} there; give the folder of the official lists")
    return [_row(place, line, levels, n_src) for place, line in list_lines(path)]


def _row(place: str, line: str, levels: dict[str, float], n_src: int) -> Row:
    words = line.split()
    names, texts = words[0::2], words[1::2]
    try:
        gains = tuple(float(text) for text in texts)
    except ValueError:
        gains = ()
    if len(names) != n_src or len(gains) != n_src:
        raise ValueError(f"{place}: {line!r} is not {n_src} times an utterance and its gain in dB")
    if n_src == 2 and abs(sum(gains)) > 1e-6:
        raise ValueError(f"{place}: the gains {texts[0]} and {texts[1]} do not sum to zero")
    for name in names:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or len(path.parts) < 3:
            example = "wsj0/si_tr_s/01t/01to030v.wav"
            raise ValueError(f"{place}: {name!r} is not a path such as {example}")
        if path.stem not in levels:
            raise ValueError(f"{place}: no activlev_*.txt has a level for {path.stem!r}")
    stems = [PurePosixPath(name).stem for name in names]
    if len({stem[:3] for stem in stems}) < n_src:
        raise ValueError(f"{place}: one speaker twice; a mixture has different speakers")
    title = "_".join(word for pair in zip(stems, texts, strict=True) for word in pair)
    return Row(place, title, tuple(map(key_of, names)), gains, tuple(levels[s] for s in stems))


def missing(rows: list[Row], utterances: dict[str, Path]) -> list[tuple[str, str]]:
    """Place and first absent utterance of each row that lacks one."""
    absent = [(row.place, [u for u in row.utterances if u not in utterances]) for row in rows]
    return [(place, names[0]) for place, names in absent if names]


def mixture_of(
    row: Row, utterances: dict[str, Path], sample_rate: int, mode: str
) -> Iterator[tuple[str, np.ndarray]]:
    """("s1", int16), ("s2", int16), ..., ("mix", int16); the mixture last."""
    from scipy.signal import resample_poly

    scaled = [
        resample_poly(read_utterance(utterances[u]), sample_rate, RATE)
        / np.sqrt(level)
        * 10 ** (gain / 20)
        for u, level, gain in zip(row.utterances, row.levels, row.gains_db, strict=True)
    ]
    samples = (min if mode == "min" else max)(map(len, scaled))
    sources = np.stack([np.pad(s[:samples], (0, max(0, samples - len(s)))) for s in scaled])
    mixture = sources.sum(axis=0)
    scale = PEAK / max(np.abs(mixture).max(), np.abs(sources).max())
    for i, source in enumerate(sources):
        yield WSJ0_2MIX.source.format(i + 1), _int16(source * scale)
    yield WSJ0_2MIX.mixtures["clean"], _int16(mixture * scale)


def _int16(signal: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(32768 * signal), -32768, 32767).astype(np.int16)


def read_utterance(path: Path) -> np.ndarray:
    """Float64 samples at 16 kHz; raises `Refused` for a file that WSJ0 does not have."""
    fields = sphere_fields(path)
    shortened = "shorten" in fields.get("sample_coding", "")
    try:
        signal, rate = _read_shortened(path) if shortened else read_sound(path)
    except Refused as refusal:
        raise Refused(f"{path}: {refusal}") from refusal
    if len(signal) < int(fields.get("sample_count", 0)):
        raise Refused(f"{path}: ends earlier than its header says")
    if rate != RATE:
        raise Refused(f"{path}: {rate} Hz, but WSJ0 has {RATE} Hz")
    if signal.shape[1] != 1:
        raise Refused(f"{path}: {signal.shape[1]} channels, but WSJ0 has one")
    return signal[:, 0]


def sphere_fields(path: Path) -> dict[str, str]:
    """The header of a SPHERE file, from lines such as "sample_rate -i 16000"; {} for others."""
    with path.open("rb") as file:
        header = file.read(HEADER_BYTES)
    if not header.startswith(b"NIST_1A"):
        return {}
    lines = header.decode("latin-1").partition("end_head")[0].splitlines()
    return {words[0]: words[2] for line in lines if len(words := line.split(None, 2)) == 3}


def _read_shortened(path: Path) -> tuple[np.ndarray, int]:
    """Read SPHERE that is compressed by shorten, as on the original discs."""
    tool = shutil.which("sph2pipe")
    if tool is None:
        raise Refused(f"SPHERE compressed by shorten, which only sph2pipe reads; {SPH2PIPE}")
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder, "plain.wav")
        done = subprocess.run(
            [tool, "-f", "wav", "-p", path, plain], capture_output=True, text=True, check=False
        )
        if done.returncode or not plain.exists():
            raise Refused(f"sph2pipe cannot read it: {done.stderr.strip() or 'no message'}")
        return read_sound(plain)
