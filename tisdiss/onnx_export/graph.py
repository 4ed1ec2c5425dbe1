"""Writes an ONNX graph node by node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NewType

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

from tisdiss import __version__

OPSET = 17
IR_VERSION = 9
"""Format of the file; runtimes since 2023 read it."""
LAST = np.iinfo(np.int64).max
"""The end of an axis, for slices."""

Value = NewType("Value", str)
"""The name of a tensor in a graph."""
Shape = Sequence[int | str]
"""Sizes of a tensor; a name is a size that is known at run time."""


class Graph:
    """Nodes and constants in the order of execution; equal constants are stored once."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[bytes, tuple[Value, np.ndarray]] = {}

    def constant(self, data: Tensor | np.ndarray | Sequence[int] | float) -> Value:
        """A tensor: float32, or int64 for whole numbers."""
        if isinstance(data, Tensor):
            data = data.detach().cpu().numpy()
        array = np.asarray(data)
        array = array.astype(np.int64 if array.dtype.kind in "iu" else np.float32)
        key = repr((array.shape, array.dtype.str)).encode() + array.tobytes()
        name = Value(f"c{len(self.constants)}")
        return self.constants.setdefault(key, (name, array))[0]

    def add(self, kind: str, *inputs: Value, **attributes: Any) -> Value:
        """The output of a node."""
        return self.split(kind, *inputs, outputs=1, **attributes)[0]

    def split(self, kind: str, *inputs: Value, outputs: int, **attributes: Any) -> list[Value]:
        """The outputs of a node."""
        names = [Value(f"v{len(self.nodes)}_{k}") for k in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), list(names), **attributes))
        return names

    # --- arithmetic ---

    def plus(self, a: Value, b: Value | Tensor | float) -> Value:
        return self.add("Add", a, self._value(b))

    def minus(self, a: Value, b: Value | Tensor | float) -> Value:
        return self.add("Sub", a, self._value(b))

    def times(self, a: Value, b: Value | Tensor | float) -> Value:
        return self.add("Mul", a, self._value(b))

    def over(self, a: Value, b: Value | Tensor | float) -> Value:
        return self.add("Div", a, self._value(b))

    def product(self, a: Value, b: Value | Tensor) -> Value:
        """Matrix product over the last two axes."""
        return self.add("MatMul", a, self._value(b))

    def mean(self, a: Value, *axes: int) -> Value:
        return self.add("ReduceMean", a, axes=list(axes), keepdims=1)

    def total(self, a: Value, *axes: int, keep: bool = True) -> Value:
        return self.add("ReduceSum", a, self.constant(axes), keepdims=int(keep))

    def _value(self, given: Value | Tensor | float) -> Value:
        return given if isinstance(given, str) else self.constant(given)

    # --- shapes ---

    def turned(self, a: Value, *axes: int) -> Value:
        return self.add("Transpose", a, perm=list(axes))

    def shaped(self, a: Value, *sizes: int) -> Value:
        """Reshaped; 0 keeps the size at this place, -1 is what remains."""
        return self.add("Reshape", a, self.constant(sizes))

    def shape(self, a: Value, start: int = 0, end: int | None = None) -> Value:
        """Sizes from `start` to before `end`."""
        ends = {} if end is None else {"end": end}
        return self.add("Shape", a, start=start, **ends)

    def like(self, a: Value, shape: Value) -> Value:
        return self.add("Reshape", a, shape)

    def sizes(self, *parts: Value | int) -> Value:
        """A shape out of sizes and parts of other shapes."""
        values = [self.constant([p]) if isinstance(p, int) else p for p in parts]
        return self.add("Concat", *values, axis=0)

    def merged(self, a: Value) -> Value:
        """The first two axes as one."""
        return self.like(a, self.sizes(-1, self.shape(a, 2)))

    def part(self, a: Value, start: int, end: int, axis: int) -> Value:
        return self.add("Slice", a, *map(self.constant, ([start], [end], [axis])))

    def halves(self, a: Value, axis: int) -> list[Value]:
        """Two parts of an axis of the same size."""
        return self.split("Split", a, outputs=2, axis=axis)

    def padded(self, a: Value, before: Sequence[int], after: Sequence[int], mode: str) -> Value:
        return self.add("Pad", a, self.constant([*before, *after]), mode=mode)

    def model(
        self, inputs: Mapping[Value, Shape], outputs: Mapping[str, tuple[Value, Shape]], name: str
    ) -> onnx.ModelProto:
        """The checked model; `outputs` gives each name its value."""
        nodes = [
            *self.nodes,
            *(helper.make_node("Identity", [value], [out]) for out, (value, _) in outputs.items()),
        ]
        graph = helper.make_graph(
            nodes,
            name,
            [_described(each, shape) for each, shape in inputs.items()],
            [_described(each, shape) for each, (_, shape) in outputs.items()],
            [numpy_helper.from_array(array, each) for each, array in self.constants.values()],
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            producer_name="tisdiss",
            producer_version=__version__,
            ir_version=IR_VERSION,
        )
        onnx.checker.check_model(model, full_check=True)
        return model


def _described(name: str, shape: Shape) -> onnx.ValueInfoProto:
    kind = TensorProto.INT64 if name == "samples" else TensorProto.FLOAT
    return helper.make_tensor_value_info(name, kind, list(shape))
