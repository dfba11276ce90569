"""Keras layers to ONNX nodes, written by hand: a table of layer types.

Recurrent layers become ONNX's own RNN, LSTM and GRU nodes, which ONNX Runtime runs 3 to 5 times faster than the loops
that tf2onnx makes of them. Between recurrent layers the graph stays time-major, as these nodes want it.
Batch and length are free.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import keras
import numpy as np
import numpy.typing as npt
import onnx
from keras import layers
from onnx import TensorProto, helper, numpy_helper

from ser_export.gates import ExportError

__all__ = ["LAYERS", "OPSET", "build", "operators"]

OPSET = 17
IR_VERSION = 8  # what goes with opset 17: old readers can open the file
INPUT, OUTPUT = "features", "probabilities"

Array = npt.NDArray[np.float32]


@dataclass
class _Graph:
    """A graph in the making: what was added, and the name and layout of the tensor that the next layer takes."""

    tensor: str
    time_major: bool = False  # (frames, batch, values) instead of (batch, frames, values)
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: list[onnx.TensorProto] = field(default_factory=list)

    def add(self, op: str, inputs: list[str], output: str, outputs: tuple[str, ...] = (), **attributes: object) -> None:
        """Adds a node; `output` becomes the current tensor. `outputs` are all of them where it isn't the only one."""
        self.nodes.append(helper.make_node(op, inputs, list(outputs) or [output], name=output, **attributes))
        self.tensor = output

    def weight(self, name: str, value: npt.NDArray[np.generic]) -> str:
        """Stores a constant."""
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name


def build(model: keras.Model) -> onnx.ModelProto:
    """Translates a Sequential Keras model.

    Args:
        model: takes (batch, frames, coefficients), gives (batch, labels).

    Raises:
        ExportError: a layer, or a setting of one, that the table doesn't know; the message names it.
    """
    graph = _Graph(INPUT)
    for layer in model.layers:
        _writer(layer)(graph, layer)
    graph.nodes[-1].output[0] = OUTPUT
    coefficients, labels = model.input_shape[-1], model.output_shape[-1]
    onnx_graph = helper.make_graph(
        graph.nodes,
        model.name,
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["batch", "frames", coefficients])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", labels])],
        graph.weights,
    )
    opset = [helper.make_opsetid("", OPSET)]
    made = helper.make_model(onnx_graph, opset_imports=opset, ir_version=IR_VERSION, producer_name="ser-export")
    onnx.checker.check_model(made, full_check=True)
    return made


def operators(model: onnx.ModelProto) -> dict[str, int]:
    """Name of each operator a graph uses, and the opset version that defines it."""
    names = sorted({node.op_type for node in model.graph.node})
    return {name: onnx.defs.get_schema(name, model.opset_import[0].version).since_version for name in names}


def _writer(layer: layers.Layer) -> Callable[[_Graph, layers.Layer], None]:
    for kind, writer in LAYERS.items():
        if type(layer) is kind:
            return writer
    known = ", ".join(kind.__name__ for kind in LAYERS)
    raise ExportError(f"layer {layer.name!r}: no ONNX nodes are known for {type(layer).__name__}; there are: {known}")


def _require(layer: layers.Layer, **wanted: object) -> None:
    """Refuses settings that would change the numbers without a word."""
    config = layer.get_config()
    for name, value in wanted.items():
        if config[name] != value:
            raise ExportError(f"layer {layer.name!r}: {name}={config[name]!r} can't be exported, only {value!r}")


# -- recurrent layers ---------------------------------------------------------------------------------------------


def _rnn_weights(cell: layers.Layer) -> tuple[Array, Array, Array]:
    _require(cell, activation="tanh", use_bias=True)
    kernel, recurrent, bias = cell.get_weights()
    return kernel.T, recurrent.T, np.concatenate([bias, np.zeros_like(bias)])


def _lstm_weights(cell: layers.Layer) -> tuple[Array, Array, Array]:
    _require(cell, activation="tanh", recurrent_activation="sigmoid", use_bias=True)
    kernel, recurrent, bias = (_gates(array, "ifco", "iofc") for array in cell.get_weights())
    return kernel.T, recurrent.T, np.concatenate([bias, np.zeros_like(bias)])


def _gru_weights(cell: layers.Layer) -> tuple[Array, Array, Array]:
    _require(cell, activation="tanh", recurrent_activation="sigmoid", use_bias=True, reset_after=True)
    kernel, recurrent, bias = cell.get_weights()  # gates z, r, h in both; bias (2, 3 * units): input's, recurrent's
    return kernel.T, recurrent.T, bias.ravel()


def _gates(array: Array, order: str, wanted: str) -> Array:
    """Puts the gates, side by side along the last axis, into another order."""
    parts = dict(zip(order, np.split(array, len(order), axis=-1), strict=True))
    return np.concatenate([parts[gate] for gate in wanted], axis=-1)


# Keras layer: ONNX operator, its weights (input, recurrent, bias) from a layer's, further attributes.
_RECURRENT: dict[type[layers.Layer], tuple[str, Callable[..., tuple[Array, Array, Array]], dict[str, int]]] = {
    layers.SimpleRNN: ("RNN", _rnn_weights, {}),
    layers.LSTM: ("LSTM", _lstm_weights, {}),
    layers.GRU: ("GRU", _gru_weights, {"linear_before_reset": 1}),
}


def _bidirectional(graph: _Graph, layer: layers.Bidirectional) -> None:
    _require(layer, merge_mode="concat")
    one_way, other_way = layer.forward_layer, layer.backward_layer
    if type(one_way) not in _RECURRENT:
        raise ExportError(f"layer {layer.name!r}: Bidirectional({type(one_way).__name__}) can't be exported")
    op, weights_of, attributes = _RECURRENT[type(one_way)]
    _require(one_way, return_state=False, stateful=False, go_backwards=False)
    if not graph.time_major:
        graph.add("Transpose", [graph.tensor], f"{layer.name}/time_major", perm=[1, 0, 2])
        graph.time_major = True
    stacked = (np.stack(both) for both in zip(weights_of(one_way), weights_of(other_way), strict=True))
    names = [graph.weight(f"{layer.name}/{part}", array) for part, array in zip("WRB", stacked, strict=True)]
    sequence, last = f"{layer.name}/sequence", f"{layer.name}/last"
    graph.add(
        op,
        [graph.tensor, *names],
        sequence,
        (sequence, "") if one_way.return_sequences else ("", last),
        direction="bidirectional",
        hidden_size=one_way.units,
        **attributes,
    )
    if one_way.return_sequences:  # (frames, 2, batch, units) to (frames, batch, 2 * units)
        graph.add("Transpose", [sequence], f"{layer.name}/directions", perm=[0, 2, 1, 3])
        shape = graph.weight(f"{layer.name}/shape", np.array([0, 0, -1]))
    else:  # (2, batch, units) to (batch, 2 * units)
        graph.add("Transpose", [last], f"{layer.name}/directions", perm=[1, 0, 2])
        shape = graph.weight(f"{layer.name}/shape", np.array([0, -1]))
        graph.time_major = False
    graph.add("Reshape", [graph.tensor, shape], layer.name)


# -- other layers -------------------------------------------------------------------------------------------------

_ACTIVATIONS: dict[str, tuple[str, dict[str, int]]] = {
    "relu": ("Relu", {}),
    "sigmoid": ("Sigmoid", {}),
    "softmax": ("Softmax", {"axis": -1}),
    "tanh": ("Tanh", {}),
}


def _dense(graph: _Graph, layer: layers.Dense) -> None:
    _require(layer, use_bias=True)
    activation = layer.get_config()["activation"]
    if activation != "linear" and activation not in _ACTIVATIONS:
        raise ExportError(f"layer {layer.name!r}: activation {activation!r} can't be exported")
    if graph.time_major:
        raise ExportError(f"layer {layer.name!r}: Dense on a sequence can't be exported")
    kernel, bias = layer.get_weights()
    names = [graph.weight(f"{layer.name}/kernel", kernel), graph.weight(f"{layer.name}/bias", bias)]
    graph.add("Gemm", [graph.tensor, *names], f"{layer.name}/linear")
    if activation != "linear":
        op, attributes = _ACTIVATIONS[activation]
        graph.add(op, [graph.tensor], layer.name, **attributes)


def _nothing(graph: _Graph, layer: layers.Layer) -> None:
    """Layers that only act in training."""


LAYERS: dict[type[layers.Layer], Callable[..., None]] = {
    layers.Bidirectional: _bidirectional,
    layers.Dense: _dense,
    layers.Dropout: _nothing,
}
