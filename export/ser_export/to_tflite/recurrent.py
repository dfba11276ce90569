"""Recurrent layers as loops that LiteRT runs fast: Keras's results in a third to two thirds of the CPU time.

TFLite has no GRU operator, and its operators for RNN and LSTM keep state between calls, so a recurrent layer is a loop.
Keras builds one for each direction, which projects a frame at a time and copies the whole sequence to store a step.
Here one product projects the whole input, both directions share a loop of two steps an iteration, and the output is
written in place. More steps an iteration, or unrolling all, makes larger and slower files.
"""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from tensorflow.compiler.tf2xla.ops.gen_xla_ops import xla_dynamic_update_slice

from ser_export.from_keras.layer_settings import unsupported_layer
from ser_export.from_keras.recurrent_weights import bidirectional_weights

_State = tuple[tf.Tensor, ...]  # (directions, units) each, the layer's output first

_OUT_OF_REACH = 1e4  # added to a gate's input: the sigmoid is then exactly 0 or 1


def run_network(model: keras.Model, features: tf.Tensor, unrolled: bool = False) -> tf.Tensor:
    """A network's output, with recurrent layers computed by the loops of this module.

    Args:
        model: Sequential or functional.
        features: (1, frames, coefficients), in a `tf.function`.
        unrolled: all steps instead of a loop, which TFLite's converter can't quantise to integers (it crashes).

    Raises:
        ExportError: a recurrent layer has a setting that isn't supported.
    """

    def run(operation: keras.Operation) -> Callable[..., tf.Tensor]:
        def recurrent(x: tf.Tensor, mask: tf.Tensor | None = None, **_: object) -> tf.Tensor:
            return run_bidirectional(operation, x, mask, unrolled)

        return recurrent if isinstance(operation, keras.layers.Bidirectional) else operation

    network = keras.Function(model.inputs, model.outputs)
    (output,) = network._run_through_graph([features], run)  # Keras's own traversal, as in to_onnx.graph
    return output


def run_bidirectional(
    layer: keras.layers.Bidirectional, x: tf.Tensor, mask: tf.Tensor | None = None, unrolled: bool = False
) -> tf.Tensor:
    """The output of a recurrent layer.

    Args:
        layer: a SimpleRNN, LSTM or GRU in both directions.
        x: (1, frames, values)
        mask: (1, frames), for a GRU only; None if all frames are present.
        unrolled: all steps instead of a loop.

    Returns:
        (1, frames, 2 * units) if the layer returns sequences, else (1, 2 * units).
    """
    with tf.init_scope():  # a graph under construction has no values
        kind, (kernels, recurrent, biases) = bidirectional_weights(layer)
    units, frames = recurrent.shape[2], x.shape[1]
    step, states = _STEPS[kind]
    if kind == "GRU":
        for weights in (kernels, recurrent, *np.split(biases, 2, axis=1)):
            weights[:, :units] *= -1  # of the update gate: 1 - sigmoid(z) = sigmoid(-z)
    elif mask is not None:
        raise unsupported_layer(layer, f"of {kind} with a mask can't be exported to TFLite, only of GRU")
    of_input, of_state = np.split(biases, 2, axis=1)
    directions = [_linear(x[0], *weights) for weights in zip(kernels, of_input, strict=True)]
    if mask is not None:  # a missing frame leaves the state as it is
        closed = np.repeat(np.array([_OUT_OF_REACH, 0], np.float32), [units, directions[0].shape[1] - units])[None]
        present = tf.cast(mask, tf.float32)[0, :, None]
        directions = [direction - (1 - present) * closed for direction in directions]
    projected = tf.stack([directions[0], tf.reverse(directions[1], [0])], axis=1)  # (frames, directions, gates * units)

    def advance(row: tf.Tensor, state: _State) -> _State:
        halves = zip(tf.split(state[0], 2), recurrent, of_state, strict=True)
        return step(row, tf.concat([_linear(*half) for half in halves], 0), state)

    state: _State = tuple(tf.zeros((2, units)) for _ in range(states))
    run = _unrolled if unrolled else _looped
    sequence, last = run(advance, projected, state, layer.forward_layer.return_sequences)
    if sequence is None:
        return tf.reshape(last, (1, 2 * units))
    forward, backward = tf.unstack(tf.reshape(sequence, (frames, 2, units)), axis=1)
    outputs = tf.concat([forward, tf.reverse(backward, [0])], axis=1)
    return (outputs if mask is None else outputs * present)[None]


_Advance = Callable[[tf.Tensor, _State], _State]


def _looped(
    advance: _Advance, projected: tf.Tensor, state: _State, sequence: bool
) -> tuple[tf.Tensor | None, tf.Tensor]:
    """The outputs of all steps (None unless `sequence`), and of the last one."""
    frames, directions, width = projected.shape
    steps = 1 if frames % 2 else 2
    rows = tf.reshape(projected, (frames // steps, steps * directions, width))
    units = state[0].shape[1]
    # The output's buffer. Its first content doesn't matter, but zeros would be stored in the file.
    outputs = (rows[:, :, :units],) if sequence else ()

    def body(index: tf.Tensor, state: _State, outputs: _State) -> tuple[tf.Tensor, _State, _State]:
        made = []
        for row in tf.split(tf.gather(rows, index), steps):
            state = advance(row, state)
            made.append(state[0])
        if sequence:
            start = tf.stack([index, 0, 0])
            outputs = (xla_dynamic_update_slice(outputs[0], tf.concat(made, 0)[None], start),)
        return index + 1, state, outputs

    _, state, outputs = tf.while_loop(lambda index, *_: index < rows.shape[0], body, (0, state, outputs))
    return (outputs[0] if sequence else None), state[0]


def _unrolled(
    advance: _Advance, projected: tf.Tensor, state: _State, sequence: bool
) -> tuple[tf.Tensor | None, tf.Tensor]:
    made = []
    for row in tf.unstack(projected):
        state = advance(row, state)
        made.append(state[0])
    return (tf.stack(made) if sequence else None), state[0]


def _linear(x: tf.Tensor, weights: np.ndarray, bias: np.ndarray) -> tf.Tensor:
    y = tf.matmul(x, tf.constant(weights), transpose_b=True)
    return y + bias if bias.any() else y


def _rnn(row: tf.Tensor, recurrent: tf.Tensor, state: _State) -> _State:
    return (tf.tanh(row + recurrent),)


def _lstm(row: tf.Tensor, recurrent: tf.Tensor, state: _State) -> _State:
    units = row.shape[1] // 4
    gates, new = tf.split(row + recurrent, [3 * units, units], axis=1)
    i, o, f = tf.split(tf.sigmoid(gates), 3, axis=1)
    cell = f * state[1] + i * tf.tanh(new)
    return o * tf.tanh(cell), cell


def _gru(row: tf.Tensor, recurrent: tf.Tensor, state: _State) -> _State:
    units = row.shape[1] // 3
    (gates, new), (recurrent_gates, recurrent_new) = (tf.split(x, [2 * units, units], axis=1) for x in (row, recurrent))
    update, reset = tf.split(tf.sigmoid(gates + recurrent_gates), 2, axis=1)
    return (state[0] + update * (tf.tanh(new + reset * recurrent_new) - state[0]),)


# By ONNX's name of a layer: its step function, and the number of tensors of its state.
_STEPS: dict[str, tuple[Callable[[tf.Tensor, tf.Tensor, _State], _State], int]] = {
    "RNN": (_rnn, 1),
    "LSTM": (_lstm, 2),
    "GRU": (_gru, 1),
}
