"""Converts Keras layers to ONNX nodes.

Recurrent layers become ONNX's own RNN, LSTM and GRU nodes, which ONNX Runtime runs 3 to 5 times faster than the loops
that tf2onnx makes of them. Between recurrent layers the graph stays time-major, as these nodes require.
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers
from onnx import TensorProto

from ser_export.from_keras.layer_settings import require_settings, unsupported_layer
from ser_export.from_keras.recurrent_weights import bidirectional_weights
from ser_export.to_onnx.attention import layer_normalization, multi_head_attention
from ser_export.to_onnx.convolutions import (
    average_pooling,
    batch_normalization,
    convolution_1d,
    convolution_2d,
    zero_padding,
)
from ser_export.to_onnx.nodes import TIME_MAJOR, Graph, Tensor

_ATTRIBUTES: dict[str, dict[str, Any]] = {"GRU": {"linear_before_reset": 1}, "Softmax": {"axis": -1}}
_ACTIVATIONS = {name.lower(): name for name in ("Relu", "Sigmoid", "Softmax", "Tanh")}  # Keras's to ONNX's


def _bidirectional(graph: Graph, layer: layers.Bidirectional, x: Tensor, mask: Tensor | None = None) -> Tensor:
    op, weights = bidirectional_weights(layer)
    inputs: list[Tensor | str] = [graph.transposed(x, TIME_MAJOR)]
    inputs += [graph.weight(f"{layer.name}/{part}", array) for part, array in zip("WRB", weights, strict=True)]
    if mask is not None:
        inputs.append(_lengths(graph, layer, mask))
    sequence, last = f"{layer.name}/sequence", f"{layer.name}/last"
    whole_sequence, units = layer.forward_layer.return_sequences, layer.forward_layer.units
    outputs, attributes = (sequence, "") if whole_sequence else ("", last), _ATTRIBUTES.get(op, {})
    graph.add(op, inputs, sequence, outputs=outputs, direction="bidirectional", hidden_size=units, **attributes)
    if whole_sequence:  # (frames, 2, batch, units) to (frames, batch, 2 * units)
        whole, perm, shape = sequence, [0, 2, 1, 3], [0, 0, -1]
    else:  # (2, batch, units) to (batch, 2 * units)
        whole, perm, shape = last, [1, 0, 2], [0, -1]
    order = TIME_MAJOR if whole_sequence else (0, 1)
    y = graph.add("Transpose", [whole], f"{layer.name}/directions", order, perm=perm)
    return graph.add("Reshape", [y, graph.weight(f"{layer.name}/shape", np.array(shape))], layer.name)


def _lengths(graph: Graph, layer: layers.Layer, mask: Tensor) -> Tensor:
    """(batch, frames) to (batch,): the number of frames. Missing frames are at the end."""
    numbers = graph.add("Cast", [graph.transposed(mask)], f"{layer.name}/mask", to=TensorProto.INT32)
    axes = graph.weight(f"{layer.name}/frames", np.array([1]))
    return graph.add("ReduceSum", [numbers, axes], f"{layer.name}/lengths", (0,), keepdims=0)


def _dense(graph: Graph, layer: layers.Dense, x: Tensor) -> Tensor:
    activation = layer.get_config()["activation"]
    if activation != "linear" and activation not in _ACTIVATIONS:
        raise unsupported_layer(layer, f"with activation={activation!r} can't be exported")
    names = [graph.weight(f"{layer.name}/{w.name}", w.numpy()) for w in layer.weights]  # kernel, and bias if any
    x = graph.transposed(x) if x.order[-1] != x.keras_order[-1] else x
    if len(x.order) == 2:
        y = graph.add("Gemm", [x, *names], f"{layer.name}/linear")
    else:
        y = graph.add("MatMul", [x, names[0]], f"{layer.name}/product")
        y = graph.add("Add", [y, names[1]], f"{layer.name}/linear") if layer.use_bias else y
    if activation == "linear":
        return y
    op = _ACTIVATIONS[activation]
    return graph.add(op, [y], layer.name, **_ATTRIBUTES.get(op, {}))


def _relu(graph: Graph, layer: layers.ReLU, x: Tensor) -> Tensor:
    require_settings(layer, max_value=None, negative_slope=0.0, threshold=0.0)
    return graph.add("Relu", [x], layer.name)


def _reshape(graph: Graph, layer: layers.Reshape, x: Tensor) -> Tensor:
    shape = (0, *layer.target_shape)  # 0: the batch, as it is
    names = graph.weight(f"{layer.name}/shape", np.array(shape))
    return graph.add("Reshape", [graph.transposed(x), names], layer.name, tuple(range(len(shape))))


def _average(graph: Graph, layer: layers.Average, xs: Sequence[Tensor]) -> Tensor:
    return graph.add("Mean", [graph.transposed(x, xs[0].order) for x in xs], layer.name)


def _identity(graph: Graph, layer: layers.Layer, x: Tensor) -> Tensor:
    """Layers that only act during training."""
    return x


LAYERS: dict[type[keras.Operation], Callable[..., Any]] = {
    layers.Average: _average,
    layers.AveragePooling1D: average_pooling,
    layers.BatchNormalization: batch_normalization,
    layers.Bidirectional: _bidirectional,
    layers.Conv1D: convolution_1d,
    layers.Conv2D: convolution_2d,
    layers.Dense: _dense,
    layers.Dropout: _identity,
    layers.LayerNormalization: layer_normalization,
    layers.MultiHeadAttention: multi_head_attention,
    layers.ReLU: _relu,
    layers.Reshape: _reshape,
    layers.ZeroPadding1D: zero_padding,
    layers.ZeroPadding2D: zero_padding,
}
