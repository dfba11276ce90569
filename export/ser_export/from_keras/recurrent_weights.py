"""The weights of Keras's bidirectional recurrent layers, in ONNX's layout, from which both formats start."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from keras import layers

from ser_export.from_keras.layer_settings import require_settings, unsupported_layer

Array = npt.NDArray[np.float32]


def bidirectional_weights(layer: layers.Bidirectional) -> tuple[str, tuple[Array, Array, Array]]:
    """A recurrent layer as ONNX defines it.

    Returns:
        "RNN", "LSTM" or "GRU", and its weights, the forward direction's first: of the input (2, gates * units, values),
        of the state (2, gates * units, units), and the biases of both (2, 2 * gates * units). An LSTM's gates are
        i, o, f, c; a GRU's are z, r, h, and its reset comes after the product.

    Raises:
        ExportError: another layer, or a setting other than the default.
    """
    require_settings(layer, merge_mode="concat")
    forward, backward = layer.forward_layer, layer.backward_layer
    if type(forward) not in _RECURRENT:
        raise unsupported_layer(layer, f"of {type(forward).__name__} can't be exported")
    name, read_weights = _RECURRENT[type(forward)]
    require_settings(forward, return_state=False, stateful=False, go_backwards=False)
    kernels, recurrent, biases = (
        np.stack(pair) for pair in zip(read_weights(forward), read_weights(backward), strict=True)
    )
    return name, (kernels, recurrent, biases)


def _rnn(layer: layers.SimpleRNN) -> tuple[Array, Array, Array]:
    require_settings(layer, activation="tanh", use_bias=True)
    kernel, recurrent, bias = layer.get_weights()
    return kernel.T, recurrent.T, np.concatenate([bias, np.zeros_like(bias)])


def _lstm(layer: layers.LSTM) -> tuple[Array, Array, Array]:
    require_settings(layer, activation="tanh", recurrent_activation="sigmoid", use_bias=True)
    kernel, recurrent, bias = (_reorder_gates(array, "ifco", "iofc") for array in layer.get_weights())
    return kernel.T, recurrent.T, np.concatenate([bias, np.zeros_like(bias)])


def _gru(layer: layers.GRU) -> tuple[Array, Array, Array]:
    require_settings(layer, activation="tanh", recurrent_activation="sigmoid", use_bias=True, reset_after=True)
    kernel, recurrent, bias = layer.get_weights()  # gates z, r, h in both; bias (2, 3 * units): input's, recurrent's
    return kernel.T, recurrent.T, bias.ravel()


def _reorder_gates(array: Array, order: str, new_order: str) -> Array:
    """Reorders gates that lie side by side along the last axis."""
    gates = dict(zip(order, np.split(array, len(order), axis=-1), strict=True))
    return np.concatenate([gates[gate] for gate in new_order], axis=-1)


_RECURRENT: dict[type[Any], tuple[str, Callable[[Any], tuple[Array, Array, Array]]]] = {
    layers.SimpleRNN: ("RNN", _rnn),
    layers.LSTM: ("LSTM", _lstm),
    layers.GRU: ("GRU", _gru),
}
