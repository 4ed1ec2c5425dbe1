"""Small sources of generated sound, and a folder of speakers written to disk."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tisdiss.data import Source, synthetic
from tisdiss.data.draw import Draw

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
