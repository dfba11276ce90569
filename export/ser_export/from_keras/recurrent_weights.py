"""What both formats ask of a Keras layer: settings they can keep, and the weights of recurrent layers."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from keras import layers

from ser_export.verification.verify import ExportError

__all__ = ["bidirectional", "require"]

Array = npt.NDArray[np.float32]


def require(layer: layers.Layer, **wanted: object) -> None:
    """Refuses settings that would change the numbers without a word."""
    config = layer.get_config()
    for name, value in wanted.items():
        if config[name] != value:
            raise ExportError(f"layer {layer.name!r}: {name}={config[name]!r} can't be exported, only {value!r}")


def bidirectional(layer: layers.Bidirectional) -> tuple[str, tuple[Array, Array, Array]]:
    """A recurrent layer as ONNX defines it.

    Returns:
        "RNN", "LSTM" or "GRU", and its weights, the forward direction's first: of the input (2, gates * units, values),
        of the state (2, gates * units, units), and the biases of both (2, 2 * gates * units). An LSTM's gates are
        i, o, f, c; a GRU's are z, r, h, and its reset comes after the product.

    Raises:
        ExportError: another layer, or a setting that isn't the usual one.
    """
    require(layer, merge_mode="concat")
    both = layer.forward_layer, layer.backward_layer
    if type(both[0]) not in _RECURRENT:
        raise ExportError(f"layer {layer.name!r}: Bidirectional({type(both[0]).__name__}) can't be exported")
    name, weights_of = _RECURRENT[type(both[0])]
    require(both[0], return_state=False, stateful=False, go_backwards=False)
    kernels, recurrent, biases = (np.stack(pair) for pair in zip(*map(weights_of, both), strict=True))
    return name, (kernels, recurrent, biases)


def _rnn(layer: layers.SimpleRNN) -> tuple[Array, Array, Array]:
    require(layer, activation="tanh", use_bias=True)
    kernel, recurrent, bias = layer.get_weights()
    return kernel.T, recurrent.T, np.concatenate([bias, np.zeros_like(bias)])


def _lstm(layer: layers.LSTM) -> tuple[Array, Array, Array]:
    require(layer, activation="tanh", recurrent_activation="sigmoid", use_bias=True)
    kernel, recurrent, bias = (_gates(array, "ifco", "iofc") for array in layer.get_weights())
    return kernel.T, recurrent.T, np.concatenate([bias, np.zeros_like(bias)])


def _gru(layer: layers.GRU) -> tuple[Array, Array, Array]:
    require(layer, activation="tanh", recurrent_activation="sigmoid", use_bias=True, reset_after=True)
    kernel, recurrent, bias = layer.get_weights()  # gates z, r, h in both; bias (2, 3 * units): input's, recurrent's
    return kernel.T, recurrent.T, bias.ravel()


def _gates(array: Array, order: str, wanted: str) -> Array:
    """Puts the gates, side by side along the last axis, into another order."""
    parts = dict(zip(order, np.split(array, len(order), axis=-1), strict=True))
    return np.concatenate([parts[gate] for gate in wanted], axis=-1)


_RECURRENT: dict[type[layers.Layer], tuple[str, Callable[..., tuple[Array, Array, Array]]]] = {
    layers.SimpleRNN: ("RNN", _rnn),
    layers.LSTM: ("LSTM", _lstm),
    layers.GRU: ("GRU", _gru),
}
