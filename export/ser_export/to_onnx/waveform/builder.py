"""Builds ONNX graphs by calling operators: each call adds a node and gives the name of its output.

    x = g("Add", x, np.float32(1))

Constants are given as they are: NumPy arrays and scalars, an int for an int64 scalar, a list of ints for a vector.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Value = str | int | list[int] | npt.NDArray[Any] | np.generic
_PREFIX = "waveform/"  # of all names, so that none is one of the network's


class Builder:
    """The nodes so far of one graph; a loop's body shares the constants of the graph around it.

    Args:
        around: the builder of the graph that a body is in.
    """

    def __init__(self, around: "Builder | None" = None):
        self.nodes: list[onnx.NodeProto] = []
        self.value_infos: list[onnx.ValueInfoProto] = []
        self.constants: dict[tuple[Any, ...], onnx.TensorProto] = {} if around is None else around.constants
        self._counts: dict[str, int] = {} if around is None else around._counts

    def __call__(self, op: str, *inputs: Value, **attributes: Any) -> str:
        """Adds a node with one output."""
        (output,) = self.several(op, 1, *inputs, **attributes)
        return output

    def several(self, op: str, count: int, *inputs: Value, **attributes: Any) -> list[str]:
        """Adds a node with so many outputs."""
        name = self.name(op)
        outputs = [name] if count == 1 else [f"{name}/{i}" for i in range(count)]
        self.nodes.append(helper.make_node(op, [self.constant(x) for x in inputs], outputs, name=name, **attributes))
        return outputs

    def slice(self, x: str, start: Value, stop: Value) -> str:
        """The rows from `start` to `stop`, (1,) int64 each."""
        return self("Slice", x, start, stop, [0])

    def name(self, op: str) -> str:
        """One that nothing has."""
        self._counts[op] = self._counts.get(op, 0) + 1
        return f"{_PREFIX}{op}_{self._counts[op]}"

    def loop(self, trips: str, body: "Callable[[Builder, str], Sequence[str]]", outputs: int) -> list[str]:
        """Runs a body that keeps no state so many times.

        Args:
            trips: (1,) or () int64.
            body: gets its builder and the number of the iteration, () int64; returns float32 tensors.
            outputs: how many of them.

        Returns:
            Each of them of all iterations, stacked.
        """
        inner, name = Builder(self), self.name("body")
        number, go = f"{name}/number", f"{name}/go"
        made = [inner("Identity", output) for output in body(inner, number)]
        on = inner("Identity", go)
        graph = helper.make_graph(
            inner.nodes,
            name,
            [
                helper.make_tensor_value_info(number, TensorProto.INT64, []),
                helper.make_tensor_value_info(go, TensorProto.BOOL, []),
            ],
            [
                helper.make_tensor_value_info(on, TensorProto.BOOL, []),
                *(helper.make_tensor_value_info(output, TensorProto.FLOAT, None) for output in made),
            ],
            value_info=inner.value_infos,
        )
        return self.several("Loop", outputs, trips, "", body=graph)

    def constant(self, value: Value) -> str:
        """The name of a value, which is stored once."""
        if isinstance(value, str):
            return value
        array = np.asarray(value, order="C")
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self.constants:
            self.constants[key] = numpy_helper.from_array(array, self.name("constant"))
        return self.constants[key].name
