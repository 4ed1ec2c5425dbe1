"""Writes a model as a folder of ONNX graphs that keep N_re as an argument.

    encode.onnx   mixture -> encoded, features, scale (and the spectrum, for a model with a mask)
    repeat.onnx   encoded, features -> features: one repetition of the reconstructor
    decode.onnx   features, scale, samples (and the spectrum) -> estimates
    model.json    names, sizes and hashes
    runner.py     runs them, with numpy and onnxruntime alone

N_sep is that of training; N_re is how often `repeat.onnx` is called. Batch and length are free.
"""

from __future__ import annotations

import hashlib
import json
from importlib import resources
from pathlib import Path

import onnx

from tisdiss.model import TISDiSS
from tisdiss.onnx_export.blocks import dual_path, residual, splitter, triple_path
from tisdiss.onnx_export.codecs import analysed, decoder, encoder, synthesised
from tisdiss.onnx_export.graph import Graph, Shape, Value
from tisdiss.records.files import JsonObject, write_atomic

FORMAT = "tisdiss-onnx-1"


def export_onnx(model: TISDiSS, folder: Path) -> list[Path]:
    """Write the files of a model; returns their paths.

    Raises ValueError, before anything is written, for a model with parts that have no graph here.
    """
    graphs = {"encode.onnx": _encode(model), "decode.onnx": _decode(model)}
    if model.reconstructor is not None:
        graphs["repeat.onnx"] = _repeat(model)
    files = {name: graph.SerializeToString() for name, graph in sorted(graphs.items())}
    files["runner.py"] = resources.files("tisdiss.onnx_export").joinpath("runner.py").read_bytes()
    files["model.json"] = json.dumps(_about(model, files), indent=1).encode() + b"\n"
    for name, content in files.items():
        write_atomic(folder / name, content)
    return [folder / name for name in files]


def _about(model: TISDiSS, files: dict[str, bytes]) -> JsonObject:
    config = model.config
    return {
        "format": FORMAT,
        "model": config.name,
        "sample_rate": config.codec.sample_rate,
        "n_src": config.n_src,
        "n_sep": config.n_sep,
        "n_re": config.n_re,
        "least_samples": config.codec.n_fft // 2 + 1,
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    }


def _shapes(model: TISDiSS) -> dict[str, Shape]:
    config = model.config
    grid: Shape = ("frames", config.codec.positions, config.block.channels)
    streams: Shape = ("batch", config.n_src if config.has_splitter else 1)
    return {
        "mixture": ("batch", "samples"),
        "encoded": ("batch", *grid),
        "features": (*streams, *grid),
        "spectrum": ("batch", 2, "frames", config.codec.bins),
        "scale": ("batch", 1),
        "samples": (1,),
        "estimates": ("batch", config.n_src, "samples"),
    }


def _encode(model: TISDiSS) -> onnx.ModelProto:
    """Analysis, encoder, all passes of the separator, splitter."""
    graph, config, shapes = Graph(), model.config, _shapes(model)
    mixture = Value("mixture")
    spectrum, scale = analysed(graph, mixture, config.codec.n_fft, config.codec.hop)
    encoded = features = encoder(graph, model.encoder, spectrum)
    blocks = list(model.separator.blocks)
    for i in range(config.n_sep * len(blocks)):
        if i and model.separator.residual is not None:
            features = residual(graph, model.separator.residual, encoded, features)
        features = dual_path(graph, blocks[i % len(blocks)], features)
    outputs = {"features": splitter(graph, model.splitter, features), "scale": scale}
    if model.reconstructor is not None:
        outputs["encoded"] = encoded
    if config.mask:
        outputs["spectrum"] = spectrum
    described = {name: (value, shapes[name]) for name, value in outputs.items()}
    return graph.model({mixture: shapes["mixture"]}, described, "encode")


def _repeat(model: TISDiSS) -> onnx.ModelProto:
    """One repetition of the reconstructor."""
    assert model.reconstructor is not None
    graph, shapes = Graph(), _shapes(model)
    start, features = Value("features"), Value("features")
    inputs: dict[Value, Shape] = {start: shapes["features"]}
    for block in model.reconstructor.blocks:
        if model.reconstructor.residual is not None:
            encoded = Value("encoded")
            inputs[encoded] = shapes["encoded"]
            aligned = graph.add("Unsqueeze", encoded, graph.constant([1]))
            features = residual(graph, model.reconstructor.residual, aligned, features)
        features = triple_path(graph, block, features)
    return graph.model(inputs, {"repeated": (features, shapes["features"])}, "repeat")


def _decode(model: TISDiSS) -> onnx.ModelProto:
    """Decoder and synthesis."""
    graph, config, shapes = Graph(), model.config, _shapes(model)
    names = ["features", "scale", "samples", *(["spectrum"] if config.mask else [])]
    inputs = {Value(name): shapes[name] for name in names}
    spectrum = Value("spectrum") if config.mask else None
    spectra = decoder(graph, model.decoder, Value("features"), spectrum)
    estimates = synthesised(
        graph, spectra, Value("samples"), Value("scale"), config.codec.n_fft, config.codec.hop
    )
    return graph.model(inputs, {"estimates": (estimates, shapes["estimates"])}, "decode")
