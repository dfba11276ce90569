"""Recurrent layers as loops that LiteRT runs fast: Keras's results in a third to two thirds of the CPU time.

TFLite has no GRU operator, and its operators for RNN and LSTM keep state between calls, so a recurrent layer is a loop.
Keras builds one for each direction, which projects a frame at a time and copies the whole sequence to store a step.
Here one product projects the whole input, both directions share a loop of two steps an iteration, and the output is
written in place. More steps an iteration, or unrolling all, makes larger and slower files. An axis of one is added and
removed by reshapes, since indexing would be a slice, which LiteRT copies value by value.
"""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from tensorflow.compiler.tf2xla.ops.gen_xla_ops import xla_dynamic_update_slice

from ser_export.from_keras.recurrent_weights import bidirectional_weights

_State = tuple[tf.Tensor, ...]  # (directions, units) each, the layer's output first

_OUT_OF_REACH = 1e4  # added to a gate's input: the sigmoid is then exactly 0 or 1


def run_bidirectional(
    layer: keras.layers.Bidirectional,
    x: tf.Tensor,
    mask: tf.Tensor | None = None,
    unrolled: bool = False,
    one_scale: bool = False,
) -> tf.Tensor:
    """The output of a recurrent layer.

    Args:
        layer: a SimpleRNN, LSTM or GRU in both directions.
        x: (1, frames, values); frames may be free.
        mask: (1, frames); None if all frames are present.
        unrolled: all steps instead of a loop; for a fixed number of frames.
        one_scale: whether int8 weights will have one scale a matrix. The rows that project the input are then stored
            equally large, and the products scaled back, so that small rows keep their precision.

    Returns:
        (1, frames, 2 * units) if the layer returns sequences, else (1, 2 * units).
    """
    with tf.init_scope():  # a graph under construction has no values
        kind, (kernels, recurrent, biases) = bidirectional_weights(layer)
    units = recurrent.shape[2]
    step, states = _STEPS[kind]
    if kind == "GRU":
        for weights in (kernels, recurrent, *np.split(biases, 2, axis=1)):
            weights[:, :units] *= -1  # of the update gate: 1 - sigmoid(z) = sigmoid(-z)
    of_input, of_state = np.split(biases, 2, axis=1)
    sizes = _row_sizes(kernels) if one_scale else np.ones_like(of_input)
    of_rows = zip(kernels / sizes[:, :, None], of_input / sizes, strict=True)
    values = tf.reshape(x, (-1, x.shape[2]))
    directions = [_linear(values, *weights) for weights in of_rows]
    present = None if mask is None else tf.reshape(tf.cast(mask, tf.float32), (-1, 1))
    if present is not None and kind == "GRU":  # a missing frame leaves the state as it is
        closed = np.repeat(np.array([_OUT_OF_REACH, 0], np.float32), [units, directions[0].shape[1] - units])[None]
        directions = [
            direction - (1 - present) * (closed / size) for direction, size in zip(directions, sizes, strict=True)
        ]
    projected = tf.stack([directions[0], tf.reverse(directions[1], [0])], axis=1)  # (frames, directions, gates * units)
    if one_scale:  # not before the stack, where the converter would multiply the weights by it again
        projected *= sizes
    if kind != "GRU" and (present is not None or x.shape[1] is None):  # they have no gate that keeps the output
        kept = tf.ones_like(values[:, :1]) if present is None else present
        projected = tf.concat([projected, tf.stack([kept, tf.reverse(kept, [0])], axis=1)], axis=2)
        step = _skipping(step)

    def advance(row: tf.Tensor, state: _State) -> _State:
        halves = zip(tf.split(state[0], 2), recurrent, of_state, strict=True)
        return step(row, tf.concat([_linear(*half) for half in halves], 0), state)

    state: _State = tuple(tf.zeros((2, units)) for _ in range(states))
    returns_sequence = layer.forward_layer.return_sequences
    if unrolled:
        sequence, last = _unrolled(advance, projected, state, returns_sequence)
    else:  # a frame that leaves the state as it is
        missing = -_OUT_OF_REACH if kind == "GRU" else 0.0
        sequence, last = _looped(advance, projected, state, returns_sequence, missing)
    if sequence is None:
        return tf.reshape(last, (1, 2 * units))
    forward, backward = tf.unstack(sequence, axis=1)
    outputs = tf.concat([forward, tf.reverse(backward, [0])], axis=1)
    return tf.reshape(outputs if present is None else outputs * present, (1, -1, 2 * units))


def _row_sizes(kernels: np.ndarray) -> np.ndarray:
    """The largest weight of each row, (directions, gates * units); 1 of a row of zeros."""
    sizes: np.ndarray = np.abs(kernels).max(axis=2)
    sizes[sizes == 0] = 1
    return sizes


_Advance = Callable[[tf.Tensor, _State], _State]
_Step = Callable[[tf.Tensor, tf.Tensor, _State], _State]  # of a row, the product of the state before, and that state


def _looped(
    advance: _Advance, projected: tf.Tensor, state: _State, sequence: bool, missing: float
) -> tuple[tf.Tensor | None, tf.Tensor]:
    """The outputs of all steps (None unless `sequence`), and of the last one; `missing` fills a row without a frame."""
    frames = projected.shape[0]
    steps = 2 if sequence or frames is None or frames % 2 == 0 else 1
    # A frame after the last, for the second step of the last iteration.
    rows = projected
    if frames is None or frames % steps:
        rows = tf.pad(projected, [[0, 1], [0, 0], [0, 0]], constant_values=missing)
    end = tf.shape(projected)[0] if frames is None else frames
    # The output's buffer. Its first content doesn't matter, but zeros would be stored in the file.
    outputs = (rows[:, :, : state[0].shape[1]],) if sequence else ()

    def body(index: tf.Tensor, state: _State, outputs: _State) -> tuple[tf.Tensor, _State, _State]:
        made, start = [], tf.stack([index, 0, 0])
        for _ in range(steps):
            state = advance(tf.gather(rows, index), state)
            made.append(state[0])
            index += 1
        if sequence:
            outputs = (xla_dynamic_update_slice(outputs[0], tf.stack(made), start),)
        return index, state, outputs

    _, state, outputs = tf.while_loop(lambda index, *_: index < end, body, (0, state, outputs))
    if sequence:
        return (outputs[0] if rows is projected else outputs[0][:-1]), state[0]
    return None, state[0]


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


def _skipping(step: _Step) -> _Step:
    """A step that leaves the state as it is where the last value of a row is 0, not 1."""

    def skipping(row: tf.Tensor, recurrent: tf.Tensor, state: _State) -> _State:
        values, present = tf.split(row, [row.shape[1] - 1, 1], axis=1)
        after = step(values, recurrent, state)
        return tuple(old + present * (new - old) for old, new in zip(state, after, strict=True))

    return skipping


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
_STEPS: dict[str, tuple[_Step, int]] = {
    "RNN": (_rnn, 1),
    "LSTM": (_lstm, 2),
    "GRU": (_gru, 1),
}
