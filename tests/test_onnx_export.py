"""Exported graphs give torch's numbers at any depth and length, and run without torch."""

import json
import subprocess
import sys
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tisdiss.checkpoint import load_model
from tisdiss.model import TISDiSS
from tisdiss.shipped import base_model
from tisdiss.stitch import stitched

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from tisdiss.onnx_export.export import export_onnx
from tisdiss.onnx_export.runner import Separator, in_level

DEPTHS = range(1, 11)
LENGTHS = (150, 700, 1000, 1601, 2500)
ONE_WIDTH = {"norm": "layernorm", "tf_order": "tf", "ffn_hidden": (6,), "ffn_stride": 2}
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "paper": ("sep1x2-re1x3-l1+3", {}),
    "bands, masked": (
        "sep1x2-re1x3-l1+3",
        {"mask": True, "codec": {"kind": "bands-conv1d", "n_fft": 256, "hop": 128}},
    ),
    "linear mel bands": (
        "sep1x2-re1x3-l1+3",
        {"splitter": "conv2d", "codec": {"kind": "mel-linear", "n_fft": 256, "hop": 64}},
    ),
    "three speakers, residuals, two blocks": (
        "sep2x2-re2x2-l1",
        {"n_src": 3, "re_residual": True, **ONE_WIDTH},
    ),
}


def build(tiny: Any, name: str, changes: dict[str, Any]) -> TISDiSS:
    torch.manual_seed(0)
    model = TISDiSS.from_config(tiny(name, **changes)).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


def worst(model: TISDiSS, separator: Separator, samples: int, depths: list[int]) -> float:
    """The largest difference over all depths, relative to the loudest sample."""
    torch.manual_seed(samples)
    mixture = 0.1 * torch.randn(2, samples)
    with torch.inference_mode():
        expected = list(model.repetitions(mixture, depths)) if depths[0] else [model(mixture)]
    found = list(separator.repetitions(mixture.numpy(), depths))
    assert len(found) == len(expected) == len(depths)
    pairs = zip(found, (each.numpy() for each in expected), strict=True)
    return max(np.abs(one - other).max() / np.abs(other).max() for one, other in pairs)


@pytest.mark.parametrize("variant", VARIANTS)
def test_graphs_and_torch_agree_at_every_depth_and_length(
    tiny: Any, variant: str, tmp_path: Path
) -> None:
    name, changes = VARIANTS[variant]
    model = build(tiny, name, changes)
    export_onnx(model, tmp_path)
    separator = Separator(tmp_path)
    assert max(worst(model, separator, n, list(DEPTHS)) for n in LENGTHS) < 1e-4


def test_a_model_without_reconstructor_has_one_depth(tiny: Any, tmp_path: Path) -> None:
    model = build(tiny, "tf-locoformer-sep2x1-l1", {"mask": True})
    export_onnx(model, tmp_path)
    assert not (tmp_path / "repeat.onnx").exists()
    separator = Separator(tmp_path)
    assert max(worst(model, separator, n, [0]) for n in LENGTHS) < 1e-4
    with pytest.raises(ValueError, match=r"n_re=\[3\]: this model takes 0 to 0"):
        separator.separate(np.ones(1000), n_re=3)


@pytest.mark.slow
def test_the_shipped_model_agrees_at_every_depth_and_length(tmp_path: Path) -> None:
    model = load_model(base_model())
    export_onnx(model, tmp_path)
    separator = Separator(tmp_path)
    lengths = (2000, 8000, 12345, 24000, 32001)
    assert max(worst(model, separator, n, list(DEPTHS)) for n in lengths) < 1e-4


def test_silence_stays_silent_and_a_single_mixture_has_no_batch_axis(
    tiny: Any, tmp_path: Path
) -> None:
    model = build(tiny, *VARIANTS["paper"])
    export_onnx(model, tmp_path)
    estimates = Separator(tmp_path).separate(np.zeros(900))
    expected = model(torch.zeros(1, 900))[0].detach().numpy()
    assert estimates.shape == (2, 900) and np.isfinite(estimates).all()
    np.testing.assert_allclose(estimates, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "changes", "part"),
    [
        ("tf-gridnet-sep2x1-l1", {}, "GridBlock"),
        ("sep1x1-re1x1-l1", {"codec": {"kind": "tiger", "n_fft": 256, "hop": 128}}, "TigerDecoder"),
    ],
)
def test_a_model_without_graphs_is_refused_and_nothing_is_written(
    tiny: Any, name: str, changes: dict[str, Any], part: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=f"{part}: this part of a model cannot be exported"):
        export_onnx(build(tiny, name, changes), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("mixture", "n_re", "message"),
    [
        (np.ones(30), 1, r"shape \(1, 30\): give .* at least 65 samples"),
        (np.ones((1, 1, 900)), 1, r"shape \(1, 1, 900\)"),
        (np.full(900, np.nan), 1, "not finite"),
        (np.ones(900), 0, r"n_re=\[0\]: this model takes 1 to 100"),
        (np.ones(900), 101, r"n_re=\[101\]: this model takes 1 to 100"),
    ],
)
def test_the_runner_refuses_what_it_cannot_separate(
    small: Path, mixture: np.ndarray, n_re: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Separator(small).separate(mixture, n_re)


@pytest.fixture(scope="module")
def small(tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    export_onnx(build(tiny, *VARIANTS["paper"]), folder)
    return folder


@pytest.mark.parametrize("samples", [700, 1600, 1601, 2000, 4321])
def test_long_mixtures_are_joined_as_torch_joins_them(small: Path, samples: int) -> None:
    separator, (part, overlap) = Separator(small), (1600, 800)
    mixture = np.random.default_rng(1).standard_normal(samples).astype(np.float32)
    found = separator.separate_long(mixture, 2, part_seconds=0.2)

    def separate(wave: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(separator.separate(wave.numpy(), 2))

    pieces = stitched(separate, [torch.from_numpy(mixture)], part=part, overlap=overlap)
    np.testing.assert_allclose(found, torch.cat(list(pieces), dim=1).numpy(), atol=1e-5)
    assert found.shape == (2, samples)


def test_a_changed_graph_is_not_run(small: Path, tmp_path: Path) -> None:
    for file in small.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "repeat.onnx").write_bytes((small / "decode.onnx").read_bytes())
    with pytest.raises(ValueError, match=r"repeat\.onnx: changed since it was written"):
        Separator(tmp_path)
    with pytest.raises(ValueError, match=r"no model\.json"):
        Separator(tmp_path / "none")


def test_the_folder_says_what_is_in_it(small: Path) -> None:
    about = json.loads((small / "model.json").read_text())
    assert (about["model"], about["n_re"], about["n_sep"]) == ("sep1x2-re1x3-l1+3", 3, 2)
    assert set(about["files"]) == {"encode.onnx", "repeat.onnx", "decode.onnx", "runner.py"}
    assert {file.name for file in small.iterdir()} == {*about["files"], "model.json"}


RUN = """
import sys, runner
assert not {"torch", "tisdiss"} & set(sys.modules)
raise SystemExit(runner.main(sys.argv[1:]))
"""


def test_the_runner_separates_a_file_without_torch(small: Path, tmp_path: Path) -> None:
    samples = (0.1 * np.random.default_rng(0).standard_normal(2000) * 32768).astype("<i2")
    with wave.open(str(tmp_path / "talk.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    words = [sys.executable, "-c", RUN, "talk.wav", "out", "--n-re", "6"]
    environment = {"PYTHONPATH": str(small)}
    done = subprocess.run(
        words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    names = ["out/talk_speaker1.wav", "out/talk_speaker2.wav"]
    assert done.stdout.split() == names
    mixture = samples.astype(np.float32) / 32768
    expected = in_level(mixture, Separator(small).separate(mixture, 6))
    for name, estimate in zip(names, expected, strict=True):
        with wave.open(str(tmp_path / name), "rb") as file:
            assert (file.getframerate(), file.getnframes()) == (8000, 2000)
            written = np.frombuffer(file.readframes(2000), "<i2") / 32768
        np.testing.assert_allclose(written, np.clip(estimate, -1, 1), atol=1e-4)
    again = subprocess.run(
        words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert again.returncode == 2 and "out/talk_speaker1.wav exists" in again.stderr


def test_estimates_sum_to_the_mixture_as_nearly_as_they_can() -> None:
    rng = np.random.default_rng(0)
    sources = rng.standard_normal((2, 500)).astype(np.float32)
    levelled = in_level(sources.sum(0), sources * np.array([[-3.0], [0.2]], np.float32))
    np.testing.assert_allclose(levelled, sources, atol=1e-3)
    assert not in_level(np.zeros(9), np.zeros((2, 9))).any()
