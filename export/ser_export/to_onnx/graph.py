"""Converts a Keras network to an ONNX graph with free batch size and length, operation by operation."""

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import onnx
from onnx import TensorProto, helper, numpy_helper

from ser_export.from_keras.layer_settings import unsupported_layer
from ser_export.to_onnx.layers import LAYERS
from ser_export.to_onnx.nodes import Graph, Tensor
from ser_export.to_onnx.operations import OPERATIONS

_OPSET = 17
_IR_VERSION = 8  # belongs to opset 17: old readers can open the file
_INPUT, _OUTPUT = "features", "probabilities"


def build_graph(model: keras.Model) -> onnx.ModelProto:
    """Converts a Keras model, Sequential or functional.

    Args:
        model: takes (batch, frames, coefficients), returns (batch, labels).

    Raises:
        ExportError: an operation, or a setting of one, that the tables don't support; the message names it.
    """
    graph = Graph()
    network = keras.Function(model.inputs, model.outputs)
    # Keras's own traversal, from inputs to outputs; it calls what the function returns instead of each operation.
    (answer,) = network._run_through_graph([Tensor(_INPUT, (0, 1, 2))], partial(_converter, graph))
    for node in graph.nodes:
        if list(node.output) == [answer.name]:
            node.output[0] = _OUTPUT
    coefficients, labels = model.input_shape[-1], model.output_shape[-1]
    onnx_graph = helper.make_graph(
        graph.nodes,
        model.name,
        [helper.make_tensor_value_info(_INPUT, TensorProto.FLOAT, ["batch", "frames", coefficients])],
        [helper.make_tensor_value_info(_OUTPUT, TensorProto.FLOAT, ["batch", labels])],
        [numpy_helper.from_array(value, name) for name, value in graph.weights.items()],
    )
    opset = [helper.make_opsetid("", _OPSET)]
    made = helper.make_model(onnx_graph, opset_imports=opset, ir_version=_IR_VERSION, producer_name="ser-export")
    onnx.checker.check_model(made, full_check=True)
    return made


def _converter(graph: Graph, operation: keras.Operation) -> Callable[..., Tensor]:
    """A function that is called as Keras calls the operation, and adds its nodes to the graph."""
    name = type(operation).__name__
    is_layer = isinstance(operation, keras.Layer)
    convert = LAYERS.get(type(operation)) if is_layer else OPERATIONS.get(name)
    if convert is None:
        supported = ", ".join(sorted([kind.__name__ for kind in LAYERS] if is_layer else OPERATIONS))
        raise unsupported_layer(operation, f"can't be exported to ONNX, only: {supported}")

    def call(*args: Any, training: bool | None = None, **kwargs: Any) -> Tensor:
        return convert(graph, operation, *args, **{name: value for name, value in kwargs.items() if value is not None})

    return call
