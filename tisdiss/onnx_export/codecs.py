"""Encoders and decoders as nodes; formulas are in `codec.py` and `bands.py`.

Inside the graphs a spectrum is real: (batch, re | im, frames, bins), and estimates are (batch,
n_src, re | im, frames, bins).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tisdiss.bands import (
    BandMap,
    ConvBandDecoder,
    ConvBandEncoder,
    LinearBandDecoder,
    LinearBandEncoder,
)
from tisdiss.codec import ConvDecoder, ConvEncoder, JointConvDecoder, MaskDecoder
from tisdiss.onnx_export.blocks import PLANE, refused
from tisdiss.onnx_export.graph import LAST, Graph, Value


def encoder(graph: Graph, part: nn.Module, spectrum: Value) -> Value:
    """Features (batch, frames, bins or bands, channels)."""
    if isinstance(part, ConvEncoder):
        return _conv_encoder(graph, part, spectrum)
    if isinstance(part, LinearBandEncoder):
        return _linear_encoder(graph, part, spectrum)
    if isinstance(part, ConvBandEncoder):
        return _band_encoder(graph, part, spectrum)
    raise refused(part)


def _conv_encoder(graph: Graph, part: ConvEncoder, spectrum: Value) -> Value:
    assert part.conv.bias is not None
    weight, bias = graph.constant(part.conv.weight), graph.constant(part.conv.bias)
    x = graph.add("Conv", spectrum, weight, bias, **PLANE)
    x = graph.minus(x, graph.mean(x, 1, 2, 3))
    deviation = graph.add("Sqrt", graph.plus(graph.mean(graph.times(x, x), 1, 2, 3), part.norm.eps))
    x = graph.turned(graph.over(x, deviation), 0, 2, 3, 1)
    return graph.plus(graph.times(x, part.norm.weight), part.norm.bias)


def _in_bands(graph: Graph, bands: BandMap, spectrum: Value) -> Value:
    """(batch, bands, frames, values of a band), padded with zeros to the widest band."""
    parts = graph.turned(spectrum, 0, 2, 3, 1)
    parts = graph.padded(parts, (0, 0, 0, 0), (0, 0, 1, 0), "constant")
    taken = graph.add("Gather", parts, graph.constant(bands.bins), axis=2)
    split = graph.shaped(taken, 0, 0, bands.n_bands, bands.padded)
    return graph.turned(split, 0, 2, 1, 3)


def _linear_encoder(graph: Graph, part: LinearBandEncoder, spectrum: Value) -> Value:
    x = _in_bands(graph, part.map, spectrum)
    norm = graph.add("Sqrt", graph.total(graph.times(x, x), -1))
    x = graph.over(x, graph.add("Max", norm, graph.constant(1e-12)))
    scale = part.map.pad(part.gamma) * (2 * part.map.widths).float().sqrt()[:, None]
    weight = scale[..., None] * part.map.pad(part.weight)
    return _from_bands(graph, x, weight, part.bias)


def _from_bands(graph: Graph, x: Value, weight: Tensor, bias: Tensor) -> Value:
    """A linear map for each band, then (batch, frames, bands, channels)."""
    mapped = graph.plus(graph.product(x, weight), bias[:, None])
    return graph.turned(mapped, 0, 2, 1, 3)


def _band_encoder(graph: Graph, part: ConvBandEncoder, spectrum: Value) -> Value:
    x, taps = _in_bands(graph, part.map, spectrum), part.weight.shape[2]
    frames = graph.add("Cast", graph.shape(x, 2, 3), to=1)
    count = graph.times(frames, 2.0 * part.map.widths[:, None, None].float())
    inside = (part.map.row_index.view(part.map.n_bands, 1, -1) < part.map.rows).float()
    mean = graph.over(graph.total(x, 2, 3), count)
    x = graph.times(graph.minus(x, mean), inside)
    variance = graph.over(graph.total(graph.times(x, x), 2, 3), count)
    x = graph.over(x, graph.add("Sqrt", graph.plus(variance, part.eps)))
    gamma, beta = (part.map.pad(p)[:, None] for p in (part.gamma, part.beta))
    x = graph.plus(graph.times(x, gamma), beta)
    x = _shifted(graph, x, range(taps))
    weight = part.map.pad(part.weight).permute(0, 3, 1, 2).flatten(1, 2)
    return _from_bands(graph, x, weight, part.bias)


def _shifted(graph: Graph, x: Value, starts: range) -> Value:
    """Copies of the frames (second axis from the end), moved, side by side on the last axis."""
    most = len(starts) - 1
    if not most:
        return x
    rank = 4 if starts.step > 0 else 5
    edge = [0] * (rank - 2) + [most // 2, 0]
    x = graph.padded(x, edge, edge, "constant")
    parts = [graph.part(x, k, k - most or LAST, rank - 2) for k in starts]
    return graph.add("Concat", *parts, axis=-1)


def decoder(graph: Graph, part: nn.Module, features: Value, spectrum: Value | None) -> Value:
    """Estimates (batch, n_src, re | im, frames, bins)."""
    if isinstance(part, MaskDecoder):
        assert spectrum is not None
        return _masked(graph, decoder(graph, part.inner, features, None), spectrum)
    if isinstance(part, ConvDecoder | JointConvDecoder):
        return _conv_decoder(graph, part, features)
    if isinstance(part, LinearBandDecoder):
        return _linear_decoder(graph, part, features)
    if isinstance(part, ConvBandDecoder):
        return _band_decoder(graph, part, features)
    raise refused(part)


def _conv_decoder(graph: Graph, part: ConvDecoder | JointConvDecoder, features: Value) -> Value:
    deconv = part.deconv
    assert isinstance(deconv, nn.ConvTranspose2d) and deconv.bias is not None
    weight, bias = graph.constant(deconv.weight), graph.constant(deconv.bias)
    plane = graph.turned(graph.merged(features), 0, 3, 1, 2)
    out = graph.add("ConvTranspose", plane, weight, bias, **PLANE)
    first = graph.shape(features, 0, 1)
    n_src = part.n_src if isinstance(part, JointConvDecoder) else graph.shape(features, 1, 2)
    return graph.like(out, graph.sizes(first, n_src, 2, graph.shape(features, 2, 4)))


def _linear_decoder(graph: Graph, part: LinearBandDecoder, features: Value) -> Value:
    x = graph.turned(features, 0, 1, 3, 2, 4)
    for weight, bias in ((part.weight_in, part.bias_in), (part.weight_mid, part.bias_mid)):
        x = graph.add("Tanh", graph.plus(graph.product(x, weight), bias[:, None]))
    out = part.map.pad(part.weight_out).transpose(1, 2).flatten(1, 2).transpose(1, 2)
    shift = part.map.pad(part.bias_out).transpose(1, 2).flatten(1, 2)[:, None]
    value, gate = graph.halves(graph.plus(graph.product(x, out), shift), axis=-1)
    return _merged(graph, part.map, graph.times(value, graph.add("Sigmoid", gate)))


def _band_decoder(graph: Graph, part: ConvBandDecoder, features: Value) -> Value:
    taps = part.weight.shape[2]
    x = _shifted(graph, graph.turned(features, 0, 1, 3, 2, 4), range(taps - 1, -1, -1))
    weight = part.map.pad(part.weight).permute(0, 3, 2, 1).flatten(1, 2)
    mapped = graph.plus(graph.product(x, weight), part.map.pad(part.bias)[:, None])
    return _merged(graph, part.map, mapped)


def _merged(graph: Graph, bands: BandMap, x: Value) -> Value:
    """(batch, n_src, bands, frames, values) as estimates; bands that overlap are summed."""
    parts = graph.shaped(graph.turned(x, 0, 1, 3, 2, 4), 0, 0, 0, -1, 2)
    if bands.overlap > 1:
        parts = graph.padded(parts, (0, 0, 0, 0, 0), (0, 0, 0, 1, 0), "constant")
    slots = bands.slots.view(-1, bands.overlap)
    taken = graph.add("Gather", parts, graph.constant(slots), axis=3)
    return graph.turned(graph.total(taken, 4, keep=False), 0, 1, 4, 2, 3)


def _masked(graph: Graph, masks: Value, spectrum: Value) -> Value:
    """The complex product of masks and the mixture's spectrum."""
    mixture = graph.add("Unsqueeze", spectrum, graph.constant([1]))
    (a, b), (c, d) = graph.halves(masks, axis=2), graph.halves(mixture, axis=2)
    real = graph.minus(graph.times(a, c), graph.times(b, d))
    imaginary = graph.plus(graph.times(a, d), graph.times(b, c))
    return graph.add("Concat", real, imaginary, axis=2)


# --- between waveform and spectrum --------------------------------------------------------------


def analysed(graph: Graph, mixture: Value, n_fft: int, hop: int) -> tuple[Value, Value]:
    """The spectrum of (batch, samples) at unit deviation, and the deviation (batch, 1)."""
    samples = graph.add("Cast", graph.shape(mixture, 1, 2), to=1)
    centred = graph.minus(mixture, graph.mean(mixture, 1))
    energy = graph.total(graph.times(centred, centred), 1)
    deviation = graph.add("Sqrt", graph.over(energy, graph.minus(samples, 1.0)))
    sounds = graph.add("Greater", deviation, graph.constant(0.0))
    scale = graph.add("Where", sounds, deviation, graph.constant(1.0))
    wave = graph.add("Unsqueeze", graph.over(mixture, scale), graph.constant([1]))
    edge = [0, 0, n_fft // 2]
    wave = graph.padded(wave, edge, edge, "reflect")
    forward, _, _ = _fourier(n_fft)
    rows = graph.add("Conv", wave, graph.constant(forward[:, None]), strides=[hop])
    bins = n_fft // 2 + 1
    parts = graph.like(rows, graph.sizes(graph.shape(rows, 0, 1), 2, bins, graph.shape(rows, 2)))
    return graph.turned(parts, 0, 1, 3, 2), scale


def synthesised(
    graph: Graph, estimates: Value, samples: Value, scale: Value, n_fft: int, hop: int
) -> Value:
    """Waveforms (batch, n_src, samples) of estimates, at the level of the mixture."""
    turned = graph.turned(estimates, 0, 1, 2, 4, 3)
    rows = graph.like(turned, graph.sizes(-1, n_fft + 2, graph.shape(turned, 4)))
    _, inverse, square = _fourier(n_fft)
    kernel, weight = graph.constant(inverse[:, None]), graph.constant(square[None, None])
    wave = graph.add("ConvTranspose", rows, kernel, strides=[hop])
    first = graph.part(graph.part(rows, 0, 1, 0), 0, 1, 1)
    ones = graph.plus(graph.times(first, 0.0), 1.0)
    envelope = graph.add("ConvTranspose", ones, weight, strides=[hop])
    start, axis = graph.constant([n_fft // 2]), graph.constant([2])
    end = graph.add("Add", samples, start)
    inside = [graph.add("Slice", each, start, end, axis) for each in (wave, envelope)]
    wave = graph.like(graph.over(*inside), graph.sizes(graph.shape(estimates, 0, 2), -1))
    return graph.times(wave, graph.add("Unsqueeze", scale, graph.constant([2])))


def _fourier(n_fft: int) -> tuple[Tensor, Tensor, Tensor]:
    """Windowed bases (re | im of all bins, n_fft) forward and inverse, and the window's square."""
    window = torch.hann_window(n_fft, dtype=torch.float64)
    spectra = torch.fft.rfft(torch.eye(n_fft, dtype=torch.float64))  # samples, bins
    forward = torch.cat([spectra.real, spectra.imag], dim=1).T * window
    unit = torch.eye(n_fft // 2 + 1, dtype=torch.float64).to(torch.complex128)
    inverse = torch.cat([torch.fft.irfft(unit, n_fft), torch.fft.irfft(1j * unit, n_fft)])
    return forward, inverse * window, window.square()
