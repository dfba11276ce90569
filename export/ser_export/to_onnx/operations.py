"""Converts Keras's operations (from `keras.ops` and arithmetic on tensors) to ONNX nodes.

Their classes aren't public in Keras, so the table has the classes' names.
"""

from collections.abc import Callable, Sequence

import keras
import numpy as np
from onnx import TensorProto, helper

from ser_export.from_keras.layer_settings import unsupported_layer
from ser_export.to_onnx.nodes import Graph, Tensor

_END = np.iinfo(np.int64).max


def _align_axes(graph: Graph, operation: keras.Operation, operands: Sequence[Tensor | float]) -> list[Tensor | str]:
    """Gives all tensors the axes of the first one, and stores numbers as weights."""
    first = next(operand for operand in operands if isinstance(operand, Tensor))
    return [
        graph.transposed(operand, first.order)
        if isinstance(operand, Tensor)
        else graph.weight(f"{operation.name}/{index}", np.float32(operand))
        for index, operand in enumerate(operands)
    ]


def _elementwise(op: str) -> Callable[..., Tensor]:
    def convert(graph: Graph, operation: keras.Operation, *operands: Tensor | float) -> Tensor:
        return graph.add(op, _align_axes(graph, operation, operands), operation.name)

    return convert


def _not_equal(graph: Graph, operation: keras.Operation, *operands: Tensor | float) -> Tensor:
    equal = graph.add("Equal", _align_axes(graph, operation, operands), f"{operation.name}/equal")
    return graph.add("Not", [equal], operation.name)


def _cast(graph: Graph, operation: keras.Operation, x: Tensor) -> Tensor:
    return graph.add("Cast", [x], operation.name, to=helper.np_dtype_to_tensor_dtype(np.dtype(operation.dtype)))


def _reduced(x: Tensor, operation: keras.Operation) -> tuple[int, tuple[int, ...]]:
    """The axis that an operation reduces, and the order of the remaining ones."""
    if operation.axis is None or len(operation.axis) != 1:
        raise unsupported_layer(operation, f"with axis={operation.axis!r} can't be exported, only over a single axis")
    (axis,) = operation.axis
    reduced = axis % len(x.order)
    order = x.order if operation.keepdims else tuple(a - (a > reduced) for a in x.order if a != reduced)
    return x.axis(axis), order


def _sum(graph: Graph, operation: keras.Operation, x: Tensor) -> Tensor:
    axis, order = _reduced(x, operation)
    axes = graph.weight(f"{operation.name}/axes", np.array([axis]))
    return graph.add("ReduceSum", [x, axes], operation.name, order, keepdims=int(operation.keepdims))


def _max(graph: Graph, operation: keras.Operation, x: Tensor) -> Tensor:
    axis, order = _reduced(x, operation)
    return graph.add("ReduceMax", [x], operation.name, order, axes=[axis], keepdims=int(operation.keepdims))


def _any(graph: Graph, operation: keras.Operation, x: Tensor) -> Tensor:
    """As the maximum of floats: ONNX can't reduce bools before opset 20."""
    axis, order = _reduced(x, operation)
    x = graph.add("Cast", [x], f"{operation.name}/numbers", to=TensorProto.FLOAT)
    x = graph.add("ReduceMax", [x], f"{operation.name}/max", order, axes=[axis], keepdims=int(operation.keepdims))
    return graph.add("Cast", [x], operation.name, to=TensorProto.BOOL)


def _softmax(graph: Graph, operation: keras.Operation, x: Tensor) -> Tensor:
    return graph.add("Softmax", [x], operation.name, axis=x.axis(operation.axis))


def _get_item(graph: Graph, operation: keras.Operation, x: Tensor, key: Sequence[slice | None]) -> Tensor:
    """Slices; new axes where the key has None."""
    x, parts = graph.transposed(x), [part for part in key if part is not None]
    if not all(isinstance(part, slice) and (part.step or 1) > 0 for part in parts):
        raise unsupported_layer(operation, f"of {key!r} can't be exported, only forward slices and new axes")
    slices = {axis: part for axis, part in enumerate(parts) if part != slice(None)}
    if slices:
        columns = {
            "starts": [part.start or 0 for part in slices.values()],
            "ends": [_END if part.stop is None else part.stop for part in slices.values()],
            "axes": list(slices),
            "steps": [part.step or 1 for part in slices.values()],
        }
        names = [graph.weight(f"{operation.name}/{name}", np.array(column)) for name, column in columns.items()]
        x = graph.add("Slice", [x, *names], f"{operation.name}/slice")
    if None in key:
        axes = [axis for axis, part in enumerate(key) if part is None]
        order = tuple(range(len(x.order) + len(axes)))
        x = graph.add("Unsqueeze", [x, graph.weight(f"{operation.name}/new", np.array(axes))], operation.name, order)
    return x


def _stack(graph: Graph, operation: keras.Operation, xs: Sequence[Tensor]) -> Tensor:
    """The new axis goes where a convolution needs its channels, wherever Keras has it."""
    new, one = operation.axis % (len(xs[0].order) + 1), graph.weight(f"{operation.name}/new", np.array([1]))
    batch, *rest = (axis + (axis >= new) for axis in xs[0].order)
    order = (batch, new, *rest)
    parts = [
        graph.add("Unsqueeze", [x, one], f"{operation.name}/{index}", order)
        for index, x in enumerate(_align_axes(graph, operation, xs))
    ]
    return graph.add("Concat", parts, operation.name, axis=1)


def _concatenate(graph: Graph, operation: keras.Operation, xs: Sequence[Tensor]) -> Tensor:
    return graph.add("Concat", _align_axes(graph, operation, xs), operation.name, axis=xs[0].axis(operation.axis))


OPERATIONS: dict[str, Callable[..., Tensor]] = {
    "Any": _any,
    "Cast": _cast,
    "Concatenate": _concatenate,
    "GetItem": _get_item,
    "Max": _max,
    "Multiply": _elementwise("Mul"),
    "NotEqual": _not_equal,
    "Softmax": _softmax,
    "Stack": _stack,
    "Subtract": _elementwise("Sub"),
    "Sum": _sum,
    "TrueDivide": _elementwise("Div"),
}
