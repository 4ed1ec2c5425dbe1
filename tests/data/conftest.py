"""Small sources of generated sound, a folder of speakers, and small versions of the corpora."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tisdiss.data import Source, synthetic
from tisdiss.data.audio import active_rms
from tisdiss.data.build import libri2mix, wsj0_mix
from tisdiss.data.build.prepare import prepare
from tisdiss.data.draw import Draw
from tisdiss.data.layouts import LIBRI2MIX, WSJ0_2MIX

RATE = 8000


def noise(name: str, seconds: float = 1.0, rate: int = RATE, level: float = 0.1) -> np.ndarray:
    """The same noise for the same name; multiples of 2**-15, so that 16 bits hold it exactly."""
    draw = Draw("noise", name)
    values = [draw.uniform(-level, level) for _ in range(round(seconds * rate))]
    return np.rint(np.array(values) * 32768) / 32768


@pytest.fixture(scope="session")
def voices() -> Source:
    return synthetic(8, utterances=4, seconds=1.2)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes a file below tmp_path/speakers and returns its path."""

    def write_file(
        name: str, signal: np.ndarray | None = None, rate: int = RATE, subtype: str | None = None
    ) -> Path:
        path = tmp_path / "speakers" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        signal = noise(name) if signal is None else signal
        if subtype != "FLOAT":  # whole steps of 16 bits: the library would scale by 32767
            signal = np.clip(np.rint(signal * 32768), -32768, 32767).astype(np.int16)
        soundfile.write(path, signal, rate, subtype=subtype)
        return path

    return write_file


@pytest.fixture
def speakers(tmp_path: Path, write: Callable[..., Path]) -> Path:
    """Seven speakers with two short recordings each."""
    for speaker in "abcdefg":
        for k in range(2):
            name = f"{speaker}/{k}.wav"
            write(name, noise(name, 0.6))
    return tmp_path / "speakers"


LISTS = Path(__file__).parent / "lists"


@pytest.fixture(scope="session")
def lists() -> Path:
    """Rows of our own in the formats of the official lists."""
    return LISTS


@pytest.fixture(scope="session")
def speech16k() -> Source:
    """Generated voices at 16 kHz, long enough for the mixtures of the paper's corpora."""
    return synthetic(6, utterances=2, seconds=5.0, sample_rate=16000)


class Recordings:
    """Sounds for the utterances of a list: another one for each name, one speaker a voice."""

    def __init__(self, speech: Source) -> None:
        self.speech = speech

    def signal(self, speaker: str, name: str) -> np.ndarray:
        speakers = sorted({u.speaker for u in self.speech.utterances})
        own = speakers[Draw("speaker", speaker).integer(len(speakers))]
        mine = [u for u in self.speech.utterances if u.speaker == own]
        chosen = mine[Draw("utterance", name).integer(len(mine))]
        rolled = np.roll(self.speech.read(chosen), Draw("roll", name).integer(chosen.samples))
        return rolled.astype(np.float64)


@pytest.fixture(scope="session")
def make_wsj0(speech16k) -> Callable[..., Path]:
    """Writes a WSJ0 with the utterances of these rows, at their official levels."""

    def make(root: Path, rows, suffix: str = ".wv1", level_db: float = 0.0) -> Path:
        recordings = Recordings(speech16k)
        for row in rows:
            for key, level in zip(row.utterances, row.levels, strict=True):
                path = root / "disc" / "wsj0" / f"{key}{suffix}"
                path.parent.mkdir(parents=True, exist_ok=True)
                signal = recordings.signal(path.parent.name, path.stem)
                signal *= np.sqrt(level) / active_rms(signal, 16000) * 10 ** (level_db / 20)
                container = "WAV" if suffix == ".wav" else "NIST"
                soundfile.write(path, signal, 16000, format=container, subtype="PCM_16")
        return root

    return make


@pytest.fixture(scope="session")
def make_librispeech(speech16k) -> Callable[..., tuple[Path, Path]]:
    """Writes a LibriSpeech and a folder of WHAM! noise with the files of these rows."""

    def make(root: Path, rows) -> tuple[Path, Path]:
        recordings = Recordings(speech16k)
        for row in rows:
            for name in row.files:
                if name.endswith(".flac"):
                    path = root / "LibriSpeech" / name
                    signal = recordings.signal(path.parts[-3], path.stem)
                else:
                    path = root / "noise" / name
                    signal = noise(name, 0.7, 16000)[:, None] * [1.0, 0.5]
                path.parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(path, signal, 16000)
        return root / "LibriSpeech", root / "noise"

    return make


@pytest.fixture(scope="session")
def wsj0_rows(lists):
    """All rows of our own WSJ0 lists."""
    folder = lists / "wsj0-mix"
    levels = wsj0_mix.read_levels(folder)
    return [r for p in WSJ0_2MIX.parts for r in wsj0_mix.read_list(folder, p, levels)]


@pytest.fixture(scope="session")
def wsj0_2mix(tmp_path_factory, lists, make_wsj0, wsj0_rows) -> Path:
    """A small WSJ0-2mix, built from a small WSJ0. Copy before changing it."""
    root = tmp_path_factory.mktemp("wsj0")
    make_wsj0(root / "wsj0", wsj0_rows)
    prepare("wsj0-2mix", root / "wsj0", root / "mixed", lists=lists / "wsj0-mix")
    return root / "mixed"


@pytest.fixture(scope="session")
def libri_rows(lists):
    """All rows of our own Libri2Mix lists, with noise."""
    parts = [p for p in LIBRI2MIX.parts if p.folder != "train-360"]
    return [row for p in parts for row in libri2mix.read_list(lists / "libri2mix", p, noisy=True)]


@pytest.fixture(scope="session")
def libri_2mix(tmp_path_factory, lists, make_librispeech, libri_rows) -> Path:
    """A small Libri2Mix with mix_clean, mix_both and noise. Copy before changing it."""
    root = tmp_path_factory.mktemp("libri")
    speech, wham = make_librispeech(root, libri_rows)
    options = {"lists": lists / "libri2mix", "noise": wham, "condition": "noisy"}
    prepare("libri2mix", speech, root / "mixed", **options)
    return root / "mixed"


@pytest.fixture(scope="session")
def whamr(tmp_path_factory, wsj0_2mix) -> Path:
    """A small WHAMR! of two channels: the second one is only noise."""
    root = tmp_path_factory.mktemp("whamr")
    response = np.array([1.0, *([0.0] * 79), 0.4, *([0.0] * 159), 0.2])
    for part in ("tr", "cv", "tt"):
        for path in sorted((wsj0_2mix / "wav8k/min" / part / "mix").glob("*.wav")):
            dry = [soundfile.read(path.parents[1] / s / path.name)[0] * 0.4 for s in ("s1", "s2")]
            wet = [np.convolve(s, response)[: len(s)] for s in dry]
            extra = 0.5 * noise(path.stem, len(dry[0]) / RATE)
            signals = {"s1_anechoic": dry[0], "s2_anechoic": dry[1], "s1_reverb": wet[0]}
            signals |= {"s2_reverb": wet[1], "noise": extra}
            signals["mix_both_reverb"] = wet[0] + wet[1] + extra
            for role, signal in signals.items():
                both = np.stack([signal, noise(role, len(signal) / RATE)], axis=1)
                target = root / "wav8k" / "min" / part / role / path.name
                target.parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(target, both, RATE, subtype="PCM_16")
    return root
