"""The number of training examples per second that one worker loads from cached audio."""

import tempfile
import time
from pathlib import Path

import torch

from tisdiss.config import DataConfig
from tisdiss.data.corpus import open_corpus
from tisdiss.wave import write_wav

SPEAKERS, UTTERANCES, RATE = 24, 6, 8000


def measure(seconds: float = 4.0, examples: int = 300) -> dict[str, float]:
    """Examples per second of processor time, two speakers at 8 kHz: fixed and dynamic mixtures."""
    with tempfile.TemporaryDirectory() as folder:
        speech = _recordings(Path(folder) / "speech", seconds + 2)
        return {
            kind: _rate(speech, Path(folder) / "cache", kind == "dynamic", seconds, examples)
            for kind in ("fixed", "dynamic")
        }


def _rate(speech: Path, cache: Path, dynamic: bool, seconds: float, examples: int) -> float:
    config = DataConfig(
        segment_seconds=seconds,
        dynamic=dynamic,
        train_mixtures=examples,
        val_mixtures=1,
        test_mixtures=1,
    )
    mixtures = open_corpus(config, 2, speech=speech, cache=cache).train
    count = min(examples, len(mixtures))
    began = time.process_time()
    for i in range(count):
        mixtures.crop(0, i, seconds)
    return count / (time.process_time() - began)


def _recordings(folder: Path, seconds: float) -> Path:
    generator = torch.Generator().manual_seed(0)
    for speaker in range(SPEAKERS):
        (folder / f"speaker{speaker:02d}").mkdir(parents=True)
        for k in range(UTTERANCES):
            sound = 0.1 * torch.randn(round(seconds * RATE), generator=generator)
            write_wav(folder / f"speaker{speaker:02d}" / f"{k}.wav", sound, RATE)
    return folder
