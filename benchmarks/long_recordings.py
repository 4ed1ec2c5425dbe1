"""Does memory grow with the length of a recording? `python benchmarks/long_recordings.py`

Writes long_recordings.json and README.md into build/benchmarks/long_recordings. A generated
recording is separated from disk to disk in a process of its own, whose peak memory is read at the
end. The model is a stand-in that halves the mixture, so that hours take seconds; the memory of a
real model does not depend on the length either, because it gets parts of a minute.
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor

from tisdiss.analysis.inventory import write_own
from tisdiss.checkpoint import load_model
from tisdiss.machine.memory import keep_freed_memory
from tisdiss.recordings import Wishes, separate_file
from tisdiss.shipped import base_model

RATE = 8000
MINUTES = (2, 120)
KINDS = ("wav", "m4a", "mp3")
"""m4a is decoded by ffmpeg and skipped without it."""


class Halves(torch.nn.Module):
    """A "model" that gives each speaker half of the mixture."""

    def __init__(self) -> None:
        super().__init__()
        self.config, self.weight = (
            load_model(base_model()).config,
            torch.nn.Parameter(torch.ones(1)),
        )

    def forward(self, mixture: Tensor, n_sep: int | None = None, n_re: int | None = None) -> Tensor:
        return torch.stack([mixture / 2] * 2, dim=1)


def recording(path: Path, minutes: int) -> Path:
    """Noise in syllables, as loud as speech."""
    wav = path.with_suffix(".wav")
    kind = "MP3" if path.suffix == ".mp3" else "WAV"
    target = path if kind == "MP3" else wav
    rng = np.random.default_rng(0)
    syllables = 0.55 + 0.45 * np.sin(2 * np.pi * 3 * np.arange(60 * RATE) / RATE)
    with soundfile.SoundFile(target, "w", RATE, 1, format=kind) as file:
        for _ in range(minutes):
            file.write(0.1 * syllables * rng.standard_normal(60 * RATE))
    if path.suffix == ".m4a":
        words = ["ffmpeg", "-nostdin", "-v", "error", "-i", str(wav), "-c:a", "aac", str(path)]
        subprocess.run(words, check=True)
        wav.unlink()
    return path


def child(path: Path) -> None:
    """Separate one recording; print the peak memory in MiB and the seconds of computing."""
    torch.set_num_threads(1)
    keep_freed_memory()  # as the `tisdiss` command does
    with tempfile.TemporaryDirectory(dir=path.parent) as out:
        separate_file(Halves(), path, Path(out), Wishes(find_speakers=True))  # type: ignore[arg-type]
        left = [each.name for each in Path(out).iterdir()]
    assert left == [f"{path.stem}_speaker1.wav"], left
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"mib": used.ru_maxrss / 1024, "seconds": used.ru_utime + used.ru_stime}))


def measure(kind: str, minutes: int, folder: Path) -> dict[str, float | str]:
    path = recording(folder / f"{minutes}.{kind}", minutes)
    words = [sys.executable, __file__, "--child", str(path)]
    done = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    path.unlink()
    return {"kind": kind, "minutes": minutes, **{k: round(v, 1) for k, v in done.items()}}


def page(rows: list[dict[str, float | str]]) -> str:
    lines = [
        "# Memory by the length of a recording\n",
        "Peak memory of a process that separates a recording from disk to disk, mono at "
        f"{RATE} Hz, with `--speakers auto`; the model is a stand-in that halves the mixture. "
        "`python benchmarks/long_recordings.py` measures this. m4a is decoded by ffmpeg, a process "
        "of its own.\n",
        "| recording | minutes | peak memory (MiB) | processor time (s) |",
        "|---|--:|--:|--:|",
    ]
    lines += [
        f"| {r['kind']} | {r['minutes']} | {r['mib']:.0f} | {r['seconds']:.0f} |" for r in rows
    ]
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/benchmarks/long_recordings"))
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        child(asked.child)
        return
    kinds = [kind for kind in KINDS if kind != "m4a" or shutil.which("ffmpeg")]
    rows: list[dict[str, float | str]] = []
    with tempfile.TemporaryDirectory() as folder:
        for kind, minutes in product(kinds, MINUTES):
            rows.append(measure(kind, minutes, Path(folder)))
            print(rows[-1], flush=True)
    text = json.dumps({"peaks": rows}, indent=1) + "\n"
    files = {"long_recordings.json": text, "README.md": page(rows)}
    write_own(asked.out, {name: each.encode() for name, each in files.items()})


if __name__ == "__main__":
    main()
