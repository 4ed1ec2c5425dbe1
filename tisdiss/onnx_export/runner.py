"""Runs a model that `tisdiss export --onnx` wrote, with numpy and onnxruntime alone.

    python runner.py talk.wav out --n-re 3     one WAV file per speaker, 16 bit

    separator = Separator("folder")
    estimates = separator.separate(samples, n_re=3)      (n_src, samples)
    estimates = separator.separate_long(samples)         in parts, for recordings of minutes

N_re is how often the reconstructor runs. A WAV file has 16-bit samples at the model's rate; its
channels are averaged.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import wave
from collections.abc import Iterator, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

FORMAT = "tisdiss-onnx-1"
MAX_PASSES = 100
PART_SECONDS = 20.0
OVERLAP_SECONDS = 4.0
FULL_SCALE = 32768.0


class Separator:
    """The graphs of a folder, loaded; `threads` is the number that onnxruntime may use."""

    def __init__(self, folder: str | Path = ".", *, threads: int = 1) -> None:
        self.folder = Path(folder)
        self.about = _about(self.folder)
        self.sample_rate: int = self.about["sample_rate"]
        self.n_src: int = self.about["n_src"]
        self.n_re: int = self.about["n_re"]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        names = [name for name in self.about["files"] if name.endswith(".onnx")]
        self.graphs = {
            name.removesuffix(".onnx"): onnxruntime.InferenceSession(
                str(self.folder / name), options, providers=["CPUExecutionProvider"]
            )
            for name in names
        }

    def separate(self, mixture: Any, n_re: int | None = None) -> np.ndarray:
        """Estimates (n_src, samples) of (samples,) at `sample_rate`, at depth N_re.

        A batch (batch, samples) gives (batch, n_src, samples). The depth is that of training if
        None. Raises ValueError for a depth, shape or length that the model does not take.
        """
        depth = self.n_re if n_re is None else n_re
        return next(self.repetitions(mixture, [depth]))

    def repetitions(self, mixture: Any, n_re: Sequence[int]) -> Iterator[np.ndarray]:
        """The estimates of `separate` at each ascending depth, out of one pass."""
        self._check_depths(n_re)
        given = np.asarray(mixture, dtype=np.float32)
        batch = given[None] if given.ndim == 1 else given
        self._check_samples(batch)
        state = self._run("encode", {"mixture": batch})
        state["samples"] = np.array([batch.shape[1]])
        for depth in range(max(n_re) + 1):
            if depth:
                state["features"] = self._run("repeat", state)["repeated"]
            if depth in n_re:
                estimates = self._run("decode", state)["estimates"]
                yield estimates[0] if given.ndim == 1 else estimates

    def separate_long(
        self, mixture: Any, n_re: int | None = None, *, part_seconds: float = PART_SECONDS
    ) -> np.ndarray:
        """Estimates (n_src, samples) of (samples,) of any length, in overlapping parts.

        Memory grows with the square of a part. In an overlap the speakers of the later part are
        reordered and their signs flipped to correlate best with the earlier part; then both are
        cross-faded. A mixture of up to one part is separated whole.
        """
        given = np.asarray(mixture, dtype=np.float32)
        part = round(part_seconds * self.sample_rate)
        step = part - round(min(OVERLAP_SECONDS, part_seconds / 2) * self.sample_rate)
        starts = [*range(0, max(1, len(given) - part + 1), step)]
        if starts[-1] + part < len(given):
            starts.append(len(given) - part)
        whole = self.separate(given[:part], n_re)
        for start in starts[1:]:
            after = self.separate(given[start : start + part], n_re)
            whole = np.concatenate([whole[:, :start], _joined(whole[:, start:], after)], axis=1)
        return whole

    def _run(self, name: str, state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        graph = self.graphs[name]
        inputs = {each.name: state[each.name] for each in graph.get_inputs()}
        outputs = [each.name for each in graph.get_outputs()]
        return dict(zip(outputs, graph.run(outputs, inputs), strict=True))

    def _check_depths(self, n_re: Sequence[int]) -> None:
        if not n_re or list(n_re) != sorted(set(n_re)):
            raise ValueError(f"n_re={list(n_re)}: give distinct depths in ascending order")
        least, most = (1, MAX_PASSES) if "repeat" in self.graphs else (0, 0)
        if not least <= n_re[0] <= n_re[-1] <= most:
            raise ValueError(f"n_re={list(n_re)}: this model takes {least} to {most}")

    def _check_samples(self, batch: np.ndarray) -> None:
        least = self.about["least_samples"]
        if batch.ndim != 2 or batch.shape[1] < least:
            raise ValueError(
                f"a mixture of shape {batch.shape}: give (samples,) or (batch, samples) with at "
                f"least {least} samples"
            )
        if not np.isfinite(batch).all():
            raise ValueError("the mixture has values that are not finite")


def _joined(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Cross-fade two (n_src, samples); `before` covers the first samples of `after`."""
    overlap, numbers = before.shape[1], range(len(before))
    correlation = before @ after[:, :overlap].T
    order = max(permutations(numbers), key=lambda order: abs(correlation[numbers, order]).sum())
    sign = np.where(correlation[numbers, order] < 0, -1, 1).astype(np.float32)
    after = sign[:, None] * after[list(order)]
    fade = np.linspace(0, 1, overlap, dtype=np.float32)
    crossfade = before + fade * (after[:, :overlap] - before)
    return np.concatenate([crossfade, after[:, overlap:]], axis=1)


def in_level(mixture: np.ndarray, estimates: np.ndarray) -> np.ndarray:
    """Estimates (n_src, samples) scaled so that their sum is nearest to the mixture."""
    wide = estimates.astype(np.float64)
    gram = wide @ wide.T
    ridge = 1e-6 * np.trace(gram) / len(wide) * np.eye(len(wide))
    if not gram.any():
        return estimates
    factors = np.linalg.solve(gram + ridge, wide @ mixture.astype(np.float64))
    return (factors[:, None] * wide).astype(np.float32)


def read_wav(path: Path, sample_rate: int) -> np.ndarray:
    """The samples of a 16-bit WAV file, the mean of its channels, within ±1."""
    with wave.open(str(path), "rb") as file:
        if file.getsampwidth() != 2 or file.getframerate() != sample_rate:
            raise ValueError(
                f"{path}: {8 * file.getsampwidth()} bit at {file.getframerate()} Hz; convert it to "
                f"16 bit at {sample_rate} Hz"
            )
        data = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
        return data.reshape(-1, file.getnchannels()).mean(axis=1).astype(np.float32) / FULL_SCALE


def write_wav(path: Path, samples: np.ndarray, sample_rate: int) -> None:
    """Write samples as 16-bit WAV; what is louder than full scale is cut off."""
    data = np.clip(np.rint(samples * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(data.tobytes())


def _about(folder: Path) -> dict[str, Any]:
    """model.json; ValueError if it or a graph is not as it was written."""
    path = folder / "model.json"
    if not path.is_file():
        raise ValueError(f"{folder}: no model.json; name a folder of `tisdiss export --onnx`")
    about: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if about.get("format") != FORMAT:
        raise ValueError(f"{path}: format {about.get('format')!r}, {FORMAT!r} is needed")
    for name, expected in about["files"].items():
        if name.endswith(".onnx"):
            content = (folder / name).read_bytes()
            if hashlib.sha256(content).hexdigest() != expected:
                raise ValueError(f"{folder / name}: changed since it was written; export it again")
    return about


def main(arguments: list[str] | None = None) -> int:
    """Separate WAV files; an error is one line."""
    parser = argparse.ArgumentParser(description="Separate the speakers of a WAV file.")
    parser.add_argument("file", type=Path, help="16-bit WAV at the model's rate")
    parser.add_argument("out", type=Path, help="folder for one file per speaker")
    parser.add_argument("--n-re", type=int, help="depth; the trained one by default")
    parser.add_argument("--model", type=Path, default=Path(__file__).parent, help="its folder")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    try:
        separator = Separator(options.model, threads=options.threads)
        mixture = read_wav(options.file, separator.sample_rate)
        estimates = in_level(mixture, separator.separate_long(mixture, options.n_re))
        options.out.mkdir(parents=True, exist_ok=True)
        for number, samples in enumerate(estimates, start=1):
            path = options.out / f"{options.file.stem}_speaker{number}.wav"
            if path.exists():
                raise ValueError(f"{path} exists; name another folder")
            write_wav(path, samples, separator.sample_rate)
            print(path)
    except (ValueError, OSError, EOFError, wave.Error) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
