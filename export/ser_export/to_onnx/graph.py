"""A Keras network to an ONNX graph, written by hand: operation by operation, from the tables.

Batch and length are free.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import onnx
from onnx import TensorProto, helper, numpy_helper

from ser_export.to_onnx.layers import LAYERS
from ser_export.to_onnx.nodes import Graph, Tensor
from ser_export.to_onnx.operations import OPERATIONS
from ser_export.verification.verify import ExportError

__all__ = ["OPSET", "build", "operators"]

OPSET = 17
IR_VERSION = 8  # what goes with opset 17: old readers can open the file
INPUT, OUTPUT = "features", "probabilities"


def build(model: keras.Model) -> onnx.ModelProto:
    """Translates a Keras model, Sequential or functional.

    Args:
        model: takes (batch, frames, coefficients), gives (batch, labels).

    Raises:
        ExportError: an operation, or a setting of one, that the tables don't know; the message names it.
    """
    graph = Graph()
    network = keras.Function(model.inputs, model.outputs)
    # Keras's own walk through a network, from inputs to outputs; it calls what it is given instead of an operation.
    (answer,) = network._run_through_graph([Tensor(INPUT, (0, 1, 2))], partial(_writing, graph))
    for node in graph.nodes:
        if list(node.output) == [answer.name]:
            node.output[0] = OUTPUT
    coefficients, labels = model.input_shape[-1], model.output_shape[-1]
    onnx_graph = helper.make_graph(
        graph.nodes,
        model.name,
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["batch", "frames", coefficients])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", labels])],
        [numpy_helper.from_array(value, name) for name, value in graph.weights.items()],
    )
    opset = [helper.make_opsetid("", OPSET)]
    made = helper.make_model(onnx_graph, opset_imports=opset, ir_version=IR_VERSION, producer_name="ser-export")
    onnx.checker.check_model(made, full_check=True)
    return made


def operators(model: onnx.ModelProto) -> dict[str, int]:
    """Name of each operator a graph uses, and the opset version that defines it; 0 for one that isn't ONNX's own."""
    names = sorted({(node.op_type, node.domain) for node in model.graph.node})
    opset = model.opset_import[0].version
    return {name: 0 if domain else onnx.defs.get_schema(name, opset).since_version for name, domain in names}


def _writing(graph: Graph, operation: keras.Operation) -> Callable[..., Tensor]:
    """What writes an operation's nodes when it is called as Keras calls the operation."""
    name = type(operation).__name__
    table = LAYERS if isinstance(operation, keras.Layer) else OPERATIONS
    writer = LAYERS.get(type(operation)) if table is LAYERS else OPERATIONS.get(name)
    if writer is None:
        known = ", ".join(sorted(getattr(kind, "__name__", kind) for kind in table))
        raise ExportError(f"layer {operation.name!r}: no ONNX nodes are known for {name}; there are: {known}")

    def write(*args: Any, training: bool | None = None, **kwargs: Any) -> Tensor:
        return writer(graph, operation, *args, **{name: given for name, given in kwargs.items() if given is not None})

    return write
