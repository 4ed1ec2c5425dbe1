"""Speed of the exported graphs against torch: `python benchmarks/onnx_speed.py [MODEL ...]`.

Both run one thread on the same mixture, in turn; the real-time factor is processor seconds per
second of sound, a median of rounds. Prints one line per model, length and depth.
"""

import argparse
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch
from timing import interleaved

from tisdiss.checkpoint import load_model
from tisdiss.machine.memory import keep_freed_memory
from tisdiss.model import TISDiSS
from tisdiss.onnx_export.export import export_onnx
from tisdiss.onnx_export.runner import Separator
from tisdiss.shipped import weights_of


@torch.inference_mode()
def by_torch(model: TISDiSS, mixture: torch.Tensor, n_re: int) -> np.ndarray:
    return model(mixture[None], n_re=n_re)[0].numpy()


def compare(name: str, model: TISDiSS, seconds: float, n_re: int, repeats: int) -> str:
    """One line: real-time factors of both, their ratio, spread and largest difference."""
    torch.manual_seed(0)
    mixture = 0.1 * torch.randn(round(seconds * model.config.codec.sample_rate))
    with tempfile.TemporaryDirectory() as folder:
        export_onnx(model, Path(folder))
        separator = Separator(folder, threads=1)
        ours = partial(by_torch, model, mixture, n_re)
        graphs = partial(separator.separate, mixture.numpy(), n_re)
        times = interleaved(
            {"torch": ours, "onnx": graphs}, device="cpu", repeats=repeats, budget=120.0
        )
        apart = np.abs(ours() - graphs()).max() / np.abs(ours()).max()
    rtf = {key: timing.median / seconds for key, timing in times.items()}
    spread = max(timing.spread for timing in times.values())
    return (
        f"{name:24} {seconds:4g} s  N_re = {n_re:2}  torch {rtf['torch']:.3f}  "
        f"onnxruntime {rtf['onnx']:.3f}  x{rtf['torch'] / rtf['onnx']:.2f}  "
        f"spread {spread:.0%}  difference {apart:.0e}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=["base"])
    parser.add_argument("--seconds", type=float, nargs="+", default=[2.0, 8.0])
    parser.add_argument("--n-re", type=int, nargs="+", default=[1, 3, 10])
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    for name in options.models:
        model = load_model(weights_of(name))
        for seconds in options.seconds:
            for n_re in options.n_re:
                print(compare(name, model, seconds, n_re, options.repeats), flush=True)


if __name__ == "__main__":
    main()
