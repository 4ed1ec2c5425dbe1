"""The blocks of separator, splitter and reconstructor as nodes; formulas are in `layers.py`."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from tisdiss.kernels.attention import rotary_frequencies
from tisdiss.layers import Attention, FeedForward, LocoformerPath, Residual, RMSGroupNorm
from tisdiss.onnx_export.graph import Graph, Value
from tisdiss.reconstructor import TriplePath
from tisdiss.separator import DualPath
from tisdiss.splitter import ConvSplitter, NoSplit, SwiGLUSplitter


def refused(part: nn.Module) -> ValueError:
    return ValueError(f"{type(part).__name__}: this part of a model cannot be exported to ONNX")


def norm(graph: Graph, part: nn.Module, x: Value) -> Value:
    """A norm over the channels of (rows, length, channels)."""
    if isinstance(part, nn.LayerNorm):
        weight, bias = (graph.constant(p) for p in (part.weight, part.bias))
        return graph.add("LayerNormalization", x, weight, bias, axis=-1, epsilon=part.eps)
    if not isinstance(part, RMSGroupNorm):
        raise refused(part)
    channels = len(part.scale)
    grouped = graph.shaped(x, 0, 0, part.groups, channels // part.groups)
    root = graph.add("Sqrt", graph.mean(graph.times(grouped, grouped), -1))
    scaled = graph.over(grouped, graph.plus(root, part.eps))
    return graph.times(graph.shaped(scaled, 0, 0, channels), part.scale)


def attention(graph: Graph, part: Attention, x: Value) -> Value:
    """Softmax attention with rotary positions.

    The weights have the even channels of a head before the odd ones, which leaves scores as they
    are, and those of q have the factor 1 / sqrt(head_dim).
    """
    heads, size = part.n_heads, part.qkv.weight.shape[0] // (3 * part.n_heads)
    qkv = graph.product(x, _halved(part.qkv.weight, heads, size).T)
    qkv = graph.turned(graph.shaped(qkv, 0, 0, 3 * heads, size), 0, 2, 1, 3)
    lengths = graph.constant([2 * heads, heads])
    qk, v = graph.split("Split", qkv, lengths, outputs=2, axis=1)
    q, k = graph.halves(_rotated(graph, qk, size), axis=1)
    shares = graph.add("Softmax", graph.product(q, graph.turned(k, 0, 1, 3, 2)), axis=-1)
    joined = graph.turned(graph.product(shares, v), 0, 2, 1, 3)
    return graph.product(graph.shaped(joined, 0, 0, heads * size), part.out.weight.T)


def _halved(weight: Tensor, heads: int, size: int) -> Tensor:
    """The weight of q | k | v as `attention` says."""
    q, k, v = weight.detach().unflatten(0, (3, heads, size)).unbind(0)
    order = [*range(0, size, 2), *range(1, size, 2)]
    return torch.cat([q[:, order] * size**-0.5, k[:, order], v]).flatten(0, 1)


def _rotated(graph: Graph, x: Value, size: int) -> Value:
    """(rows, heads, length, size), each pair of channels turned by its position's angle."""
    length = graph.add("Squeeze", graph.shape(x, 2, 3))
    positions = graph.add("Range", _scalar(graph, 0), length, _scalar(graph, 1))
    angle = graph.times(
        graph.shaped(graph.add("Cast", positions, to=1), -1, 1), rotary_frequencies(size)
    )
    cos, sin = graph.add("Cos", angle), graph.add("Sin", angle)
    even, odd = graph.halves(x, axis=-1)
    turned = (
        graph.minus(graph.times(even, cos), graph.times(odd, sin)),
        graph.plus(graph.times(even, sin), graph.times(odd, cos)),
    )
    return graph.add("Concat", *turned, axis=-1)


def _scalar(graph: Graph, number: int) -> Value:
    return graph.constant(torch.tensor(number))


def feed_forward(graph: Graph, part: FeedForward, x: Value) -> Value:
    """ConvSwiGLU along the length of (rows, length, channels)."""
    (kernel,), (stride,) = part.conv.kernel_size, part.conv.stride
    edge, length = kernel - stride, graph.shape(x, 1, 2)
    plane = graph.turned(x, 0, 2, 1)
    if stride > 1:
        plane = _filled(graph, plane, length, kernel, stride)
    gate = _gated(graph, part.conv, plane, pads=[edge, edge], strides=[stride])
    out = _transposed(graph, part.deconv, gate, pads=[edge, edge], strides=[stride])
    if stride > 1:
        axis = graph.constant([2])
        out = graph.add("Slice", out, graph.constant([0]), length, axis)
    return graph.turned(out, 0, 2, 1)


def _filled(graph: Graph, plane: Value, length: Value, kernel: int, stride: int) -> Value:
    """Zeros at the end, so that the strides cover the whole length."""
    one = graph.constant([stride])
    rest = graph.add("Mod", graph.add("Add", length, graph.constant([kernel])), one)
    missing = graph.add("Mod", graph.add("Sub", one, rest), one)
    zeros = graph.constant([0, 0, 0, 0, 0])
    return graph.add("Pad", plane, graph.add("Concat", zeros, missing, axis=0))


def _gated(graph: Graph, conv: nn.Conv1d | nn.Conv2d, plane: Value, **geometry: list[int]) -> Value:
    """value * silu(gate) of the halves of a convolution's output."""
    assert conv.bias is not None
    weight, bias = graph.constant(conv.weight), graph.constant(conv.bias)
    value, gate = graph.halves(graph.add("Conv", plane, weight, bias, **geometry), axis=1)
    return graph.times(value, graph.times(gate, graph.add("Sigmoid", gate)))


def _transposed(
    graph: Graph,
    deconv: nn.ConvTranspose1d | nn.ConvTranspose2d,
    plane: Value,
    **geometry: list[int],
) -> Value:
    assert deconv.bias is not None
    weight, bias = graph.constant(deconv.weight), graph.constant(deconv.bias)
    return graph.add("ConvTranspose", plane, weight, bias, **geometry)


PLANE = {"pads": [1, 1, 1, 1]}
"""The geometry of a 3x3 convolution."""


def path(graph: Graph, part: nn.Module, x: Value) -> Value:
    """x + work(norm(x)) for each part of a Locoformer path."""
    if not isinstance(part, LocoformerPath):
        raise refused(part)
    for step in (part.before, part.attention, part.after):
        if step is None:
            continue
        first, work = cast("tuple[nn.Module, nn.Module]", step)
        if type(work) not in _WORK:
            raise refused(work)
        x = graph.plus(x, _WORK[type(work)](graph, work, norm(graph, first, x)))  # type: ignore[operator]
    return x


_WORK = {Attention: attention, FeedForward: feed_forward}


def dual_path(graph: Graph, part: nn.Module, x: Value) -> Value:
    """Paths along the bins and the frames of (batch, frames, bins, channels)."""
    if not isinstance(part, DualPath):
        raise refused(part)
    for axis in part.axes:
        if axis == "f":
            x = _by_rows(graph, part.frequency, x)
        else:
            turned = _by_rows(graph, part.time, graph.turned(x, 0, 2, 1, 3))
            x = graph.turned(turned, 0, 2, 1, 3)
    return x


def _by_rows(graph: Graph, part: nn.Module, x: Value) -> Value:
    """A path along the third of four axes."""
    return graph.like(path(graph, part, graph.merged(x)), graph.shape(x))


def triple_path(graph: Graph, part: nn.Module, x: Value) -> Value:
    """Dual path of each speaker, then a path over (batch, speakers, frames, bins, channels)."""
    if not isinstance(part, TriplePath):
        raise refused(part)
    x = graph.like(dual_path(graph, part.dual_path, graph.merged(x)), graph.shape(x))
    turned = graph.turned(x, 0, 2, 3, 1, 4)
    rows = graph.like(turned, graph.sizes(-1, graph.shape(turned, 3)))
    crossed = graph.like(path(graph, part.speaker, rows), graph.shape(turned))
    return graph.turned(crossed, 0, 3, 1, 2, 4)


def residual(graph: Graph, part: Residual, encoded: Value, x: Value) -> Value:
    added = graph.plus(graph.times(graph.plus(encoded, x), part.scale), part.bias)
    return graph.add("PRelu", added, graph.constant(part.activation.weight))


def splitter(graph: Graph, part: nn.Module, x: Value) -> Value:
    """(batch, frames, bins, channels) -> (batch, n_src, frames, bins, channels)."""
    if isinstance(part, NoSplit):
        return graph.add("Unsqueeze", x, graph.constant([1]))
    if not isinstance(part, SwiGLUSplitter | ConvSplitter):
        raise refused(part)
    channels, plane = part.conv.in_channels, graph.turned(x, 0, 3, 1, 2)
    if isinstance(part, SwiGLUSplitter):
        out = _transposed(graph, part.deconv, _gated(graph, part.conv, plane, **PLANE), **PLANE)
    else:
        assert part.conv.bias is not None
        weight, bias = graph.constant(part.conv.weight), graph.constant(part.conv.bias)
        out = graph.add("Conv", plane, weight, bias, **PLANE)
    by_speaker = graph.shaped(graph.turned(out, 0, 2, 3, 1), 0, 0, 0, part.n_src, channels)
    return graph.turned(by_speaker, 0, 3, 1, 2, 4)
