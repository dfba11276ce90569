"""Converts Keras's operations (from `keras.ops` and arithmetic on tensors) to ONNX nodes.

Their classes aren't public in Keras, so the table has the classes' names.
"""

from collections.abc import Callable, Sequence

import keras
import numpy as np
import numpy.typing as npt
from onnx import TensorProto, helper

from ser_export.from_keras.layer_settings import unsupported_layer
from ser_export.to_onnx.nodes import END, Graph, Tensor

_Operand = Tensor | float | npt.NDArray[np.float32]


def _align_axes(graph: Graph, operation: keras.Operation, operands: Sequence[_Operand]) -> list[Tensor | str]:
    """Gives all tensors the axes of the first one, or Keras's beside an array, and stores numbers as weights."""
    first = next(operand for operand in operands if isinstance(operand, Tensor))
    if any(not isinstance(operand, Tensor) and np.ndim(operand) for operand in operands):
        first = graph.transposed(first)
    return [
        graph.transposed(operand, first.order)
        if isinstance(operand, Tensor)
        else graph.weight(f"{operation.name}/{index}", np.float32(operand))
        for index, operand in enumerate(operands)
    ]


def _elementwise(op: str) -> Callable[..., Tensor]:
    def convert(graph: Graph, operation: keras.Operation, *operands: _Operand) -> Tensor:
        return graph.add(op, _align_axes(graph, operation, operands), operation.name)

    return convert


def _not_equal(graph: Graph, operation: keras.Operation, *operands: _Operand) -> Tensor:
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


def _cumsum(graph: Graph, operation: keras.Operation, x: Tensor) -> Tensor:
    if operation.axis is None:
        raise unsupported_layer(operation, "with axis=None can't be exported, only along an axis")
    return graph.add(
        "CumSum", [x, graph.weight(f"{operation.name}/axis", np.array(x.axis(operation.axis)))], operation.name
    )


def _gelu(graph: Graph, operation: keras.Operation, x: Tensor) -> Tensor:
    """As ONNX Runtime knows it: it makes one operator of these."""
    if operation.approximate:
        raise unsupported_layer(operation, "with approximate=True can't be exported, only the exact one")
    name = operation.name
    constants = {"root": 2**0.5, "one": 1, "half": 0.5}
    root, one, half = (graph.weight(f"{name}/{part}", np.float32(value)) for part, value in constants.items())
    y = graph.add("Erf", [graph.add("Div", [x, root], f"{name}/scaled")], f"{name}/erf")
    y = graph.add("Mul", [x, graph.add("Add", [y, one], f"{name}/sum")], f"{name}/product")
    return graph.add("Mul", [y, half], name)


def _ones_like(graph: Graph, operation: keras.Operation, x: Tensor) -> Tensor:
    dtype = helper.np_dtype_to_tensor_dtype(np.dtype(operation.output.dtype))
    shape = graph.add("Shape", [x], f"{operation.name}/shape", (0,))
    one = helper.make_tensor("one", dtype, [1], [1])
    return graph.add("ConstantOfShape", [shape], operation.name, x.order, value=one)


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
            "ends": [END if part.stop is None else part.stop for part in slices.values()],
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
    "Add": _elementwise("Add"),
    "Any": _any,
    "Cast": _cast,
    "Concatenate": _concatenate,
    "Cos": _elementwise("Cos"),
    "Cumsum": _cumsum,
    "Gelu": _gelu,
    "GetItem": _get_item,
    "Max": _max,
    "Multiply": _elementwise("Mul"),
    "NotEqual": _not_equal,
    "OnesLike": _ones_like,
    "Sin": _elementwise("Sin"),
    "Softmax": _softmax,
    "Stack": _stack,
    "Subtract": _elementwise("Sub"),
    "Sum": _sum,
    "TrueDivide": _elementwise("Div"),
}
