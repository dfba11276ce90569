"""Smaller weights: float16, or int8 with a scale for each output row.

In ONNX the stored weights are followed by `Cast` and `Mul`, which ONNX Runtime folds when it opens the file: a smaller
file, no slower, whose arithmetic stays float32; and it shrinks GRU and RNN, which onnxruntime's own `quantize_dynamic`
leaves alone.
TFLite's converter makes weights small by itself (`tflite`), given the precision's name. What LiteRT multiplies int8
weights with it rounds to int8 as well: see `ser_edge.models.tolerances`.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from ser_export.verification.verify import ExportError

__all__ = ["ONNX_PRECISIONS", "rows_to_int8"]

_SMALLEST = 256  # values; below it a weight isn't worth its nodes
# Axes that an output adds up, by the number of axes: of Dense, of recurrent layers, of convolutions.
_INPUTS = {2: (0,), 3: (2,), 4: (1, 2, 3)}


def rows_to_int8(
    weights: npt.NDArray[np.float32], axes: tuple[int, ...]
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float16]]:
    """Symmetric int8, with a scale for all that lies along `axes`.

    Returns:
        (same shape) int8, and float16 scales that broadcast: weights = values * scales, within half a scale.
    """
    largest = np.abs(weights).max(axis=axes, keepdims=True)
    scales = np.maximum(largest / 127, np.finfo(np.float16).tiny).astype(np.float16)
    values = np.rint(weights / scales.astype(np.float32)).clip(-127, 127)
    return values.astype(np.int8), scales


def _to_float16(weight: onnx.TensorProto) -> tuple[list[onnx.TensorProto], list[onnx.NodeProto]]:
    small = numpy_helper.from_array(numpy_helper.to_array(weight).astype(np.float16), f"{weight.name}/float16")
    return [small], [helper.make_node("Cast", [small.name], [weight.name], to=TensorProto.FLOAT)]


def _to_int8(weight: onnx.TensorProto) -> tuple[list[onnx.TensorProto], list[onnx.NodeProto]]:
    array = numpy_helper.to_array(weight)
    if weight.name.endswith("/B"):  # a recurrent layer's biases: a row has too few values to share a scale
        return _to_float16(weight)
    values, scales = rows_to_int8(array, _INPUTS[array.ndim])
    stored = [
        numpy_helper.from_array(part, f"{weight.name}/{name}") for part, name in ((values, "int8"), (scales, "scale"))
    ]
    casts = [helper.make_node("Cast", [s.name], [f"{s.name}/cast"], to=TensorProto.FLOAT) for s in stored]
    product = helper.make_node("Mul", [c.output[0] for c in casts], [weight.name])
    return stored, [*casts, product]


_Shrink = Callable[[onnx.TensorProto], tuple[list[onnx.TensorProto], list[onnx.NodeProto]]]


def _shrunk(model: onnx.ModelProto, shrink: _Shrink) -> onnx.ModelProto:
    """A copy whose weights are stored small."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    graph = made.graph
    weights, nodes = [], []
    for weight in graph.initializer:
        array = numpy_helper.to_array(weight)
        if array.dtype == np.float32 and array.size >= _SMALLEST:
            stored, before = shrink(weight)
            weights += stored
            nodes += before
        else:
            weights.append(weight)
    everything = [*nodes, *graph.node]
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(weights)
    graph.node.extend(everything)
    onnx.checker.check_model(made, full_check=True)
    return made


def _impossible(reason: str) -> Callable[[onnx.ModelProto], onnx.ModelProto]:
    def refuse(model: onnx.ModelProto) -> onnx.ModelProto:
        raise ExportError(reason)

    return refuse


ONNX_PRECISIONS: dict[str, Callable[[onnx.ModelProto], onnx.ModelProto]] = {
    "float32": lambda model: model,
    "float16": lambda model: _shrunk(model, _to_float16),
    "int8": lambda model: _shrunk(model, _to_int8),
    "int8-per-tensor": _impossible("for tflite-runtime 2.14 only: any ONNX Runtime reads int8"),
    "int8-full": _impossible("ONNX Runtime has no integer kernels for RNN, LSTM and GRU"),
}
