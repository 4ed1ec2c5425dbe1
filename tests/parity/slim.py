"""Copy golden files into the repository without the arrays that other arrays imply.

    python tests/parity/slim.py <folder of golden files> <folder of baselines>

Left out: the separated spectra (their inverse STFT, the waves, stay), the mixture's STFT except in
one file (stft_open.npz has its own), the last depth's float32 waves (the float64 ones stay), and
o12, whose output is the mixture. Of the other depths' waves the first utterance stays; the losses
of every utterance stay. Deterministic: the same input gives the same bytes.
"""

import json
import shutil
import sys
from pathlib import Path

import numpy as np

KEEP_STFT = "o02"  # the padded batch, whose frames beyond an utterance's end are zeroed
COPY = ("full_sep1x2_re1x6.npz", "stft_open.npz", "train_trace_open.npz", "scheduler_open.json")


def slim(source: Path, target: Path) -> None:
    arrays = dict(np.load(source))
    depths = sum(name.startswith("wave/") for name in arrays)
    for name in list(arrays):
        spectrum = name == "stft" and not source.name.startswith(KEEP_STFT)
        if name.startswith("sep_out/") or spectrum or name == f"wave/{depths - 1}":
            del arrays[name]
        elif name.startswith("wave/"):
            arrays[name] = arrays[name][:1]
    np.savez_compressed(target, **arrays)


def slim_baseline(source: Path, target: Path) -> None:
    arrays = dict(np.load(source))
    del arrays["wave_final"]
    np.savez_compressed(target, **arrays)


def slim_sepreformer(source: Path, target: Path) -> None:
    """Waves stay in float64 alone, early ones of the first utterance; SI-SNRi is no part of it.

    A thousand weights become one array, `sd`, with their names and shapes in the meta data.
    """
    arrays = dict(np.load(source))
    weights = {name: arrays.pop(name) for name in list(arrays) if name.startswith("sd/")}
    for name in list(arrays):
        if name.startswith(("wave_", "train/wave_")) or name.endswith("/sisnri"):
            del arrays[name]
        elif name.startswith("f64/wave_aux/"):
            arrays[name] = arrays[name][:1]
    if weights:
        shapes = {name.removeprefix("sd/"): value.shape for name, value in weights.items()}
        meta = json.loads(str(arrays["meta_json"])) | {"sd_shapes": shapes}
        flat = [value.ravel().astype(np.float32) for value in weights.values()]
        arrays |= {"sd": np.concatenate(flat), "meta_json": np.array(json.dumps(meta))}
    np.savez_compressed(target, **arrays)


def main(source: Path, baselines: Path) -> None:
    target = Path(__file__).parent / "golden"
    for pattern in ("tfgridnet_v?_o??.npz", "fla_o??.npz"):
        for path in baselines.glob(pattern):
            slim_baseline(path, target / path.name)
    for path in baselines.glob("sepreformer_*.npz"):
        slim_sepreformer(path, target / path.name)
    for path in sorted(source.glob("o[01]?_*.npz")):
        if not path.name.startswith("o12"):
            slim(path, target / path.name)
    for name in COPY:
        shutil.copyfile(source / name, target / name)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
