"""Stores the weights of an ONNX graph in float16, or in int8 with a scale for each output row.

`Cast` and `Mul` nodes restore them, which ONNX Runtime folds when it opens the file: the file is smaller, no slower,
and its arithmetic stays float32. Unlike onnxruntime's `quantize_dynamic` this includes GRU and RNN. Only large products
are computed in integers (`integer_products`).
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from ser_export.errors import ExportError
from ser_export.to_onnx.quantization.input_moments import input_moments
from ser_export.to_onnx.quantization.integer_products import with_integer_products
from ser_export.to_onnx.quantization.rounding import rows_to_int8

_MIN_SIZE = 256  # values; for fewer the added nodes cost more than they save
# Axes that an output sums over, by the number of axes: of products, recurrent layers and convolutions.
_INPUT_AXES = {2: (0,), 3: (2,), 4: (1, 2, 3)}


def _to_float16(weight: onnx.TensorProto) -> tuple[list[onnx.TensorProto], list[onnx.NodeProto]]:
    small = numpy_helper.from_array(numpy_helper.to_array(weight).astype(np.float16), f"{weight.name}/float16")
    return [small], [helper.make_node("Cast", [small.name], [weight.name], to=TensorProto.FLOAT)]


def _to_int8(weight: onnx.TensorProto) -> tuple[list[onnx.TensorProto], list[onnx.NodeProto]]:
    array = numpy_helper.to_array(weight)
    if array.ndim == 1 or weight.name.endswith("/B"):  # biases and the like: too few values in a row to share a scale
        return _to_float16(weight)
    values, scales = rows_to_int8(array, _INPUT_AXES[array.ndim])
    stored = [
        numpy_helper.from_array(part, f"{weight.name}/{name}") for part, name in ((values, "int8"), (scales, "scale"))
    ]
    casts = [helper.make_node("Cast", [s.name], [f"{s.name}/cast"], to=TensorProto.FLOAT) for s in stored]
    product = helper.make_node("Mul", [c.output[0] for c in casts], [weight.name])
    return stored, [*casts, product]


_Quantize = Callable[[onnx.TensorProto], tuple[list[onnx.TensorProto], list[onnx.NodeProto]]]


def _quantized(model: onnx.ModelProto, quantize: _Quantize) -> onnx.ModelProto:
    """A copy with quantised weights."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    graph = made.graph
    weights, nodes = [], []
    for weight in graph.initializer:
        array = numpy_helper.to_array(weight)
        if array.dtype == np.float32 and array.size >= _MIN_SIZE:
            stored, restoring = quantize(weight)
            weights += stored
            nodes += restoring
        else:
            weights.append(weight)
    nodes += graph.node
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(weights)
    graph.node.extend(nodes)
    onnx.checker.check_model(made, full_check=True)
    return made


_Inputs = npt.NDArray[np.float32] | None  # (n, frames, coefficients) normalised, to which rounding is fitted


def _unsupported(reason: str) -> Callable[..., onnx.ModelProto]:
    def refuse(model: onnx.ModelProto, inputs: _Inputs = None) -> onnx.ModelProto:
        raise ExportError(reason, code="export-unsupported-precision")

    return refuse


def _float32(model: onnx.ModelProto, inputs: _Inputs = None) -> onnx.ModelProto:
    return model


def _float16(model: onnx.ModelProto, inputs: _Inputs = None) -> onnx.ModelProto:
    return _quantized(model, _to_float16)


def _int8(model: onnx.ModelProto, inputs: _Inputs = None) -> onnx.ModelProto:
    moments = {} if inputs is None else input_moments(model, inputs)
    return _quantized(with_integer_products(model, moments), _to_int8)


ONNX_PRECISIONS: dict[str, Callable[..., onnx.ModelProto]] = {  # of a graph and, as far as there are any, inputs
    "float32": _float32,
    "float16": _float16,
    "int8": _int8,
    "int8-per-tensor": _unsupported("for tflite-runtime 2.14 only: any ONNX Runtime reads int8"),
    "int8-full": _unsupported("ONNX Runtime has no integer kernels for RNN, LSTM and GRU"),
}
