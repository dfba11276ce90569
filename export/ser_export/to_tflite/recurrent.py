"""Recurrent layers as LiteRT likes them: Keras's numbers in a third to two thirds of the CPU time.

TFLite has no GRU operator, and its operators for RNN and LSTM keep state between calls. So a recurrent layer is a loop.
Keras writes one for each direction, which projects a frame at a time, and copies the whole sequence to write a step.
Here one product projects the whole input, both directions share a loop that takes two steps an iteration, and what a
loop answers is overwritten in place. More steps an iteration, or none but all of them, make larger files that are
slower.
"""

from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf
from tensorflow.compiler.tf2xla.ops.gen_xla_ops import xla_dynamic_update_slice

from ser_export.from_keras.recurrent_weights import bidirectional
from ser_export.verification.verify import ExportError

__all__ = ["answer"]

State = tuple[tf.Tensor, ...]  # (directions, units) each, the layer's answer first

_OUT_OF_REACH = 1e4  # added to a gate's input: the sigmoid is then exactly 0 or 1


def answer(model: keras.Model, features: tf.Tensor, unrolled: bool = False) -> tf.Tensor:
    """What a network answers, computed by other operations than Keras's.

    Args:
        model: Sequential or functional.
        features: (1, frames, coefficients), in a `tf.function`.
        unrolled: write out all steps instead of a loop: TFLite's converter crashes where it has to make a loop integer.

    Raises:
        ExportError: a setting of a recurrent layer that would change the numbers.
    """

    def run(operation: keras.Operation) -> Callable[..., tf.Tensor]:
        def recurrent(x: tf.Tensor, mask: tf.Tensor | None = None, **_: object) -> tf.Tensor:
            return _bidirectional(operation, x, mask, unrolled)

        return recurrent if isinstance(operation, keras.layers.Bidirectional) else operation

    network = keras.Function(model.inputs, model.outputs)
    (answers,) = network._run_through_graph([features], run)  # Keras's own walk, as `onnx_graph` takes it
    return answers


def _bidirectional(
    layer: keras.layers.Bidirectional, x: tf.Tensor, mask: tf.Tensor | None, unrolled: bool
) -> tf.Tensor:
    """(1, frames, values) to (1, frames, 2 * units) where the layer returns sequences, else to (1, 2 * units)."""
    with tf.init_scope():  # a graph in the making has no numbers
        kind, (kernels, recurrent, biases) = bidirectional(layer)
    units, frames = recurrent.shape[2], x.shape[1]
    step, states = _STEPS[kind]
    if kind == "GRU":
        for weights in (kernels, recurrent, *np.split(biases, 2, axis=1)):
            weights[:, :units] *= -1  # of the update gate: 1 - sigmoid(z) = sigmoid(-z)
    elif mask is not None:
        raise ExportError(f"layer {layer.name!r}: a mask can be exported for TFLite with a GRU only")
    of_input, of_state = np.split(biases, 2, axis=1)
    ways = [_linear(x[0], *weights) for weights in zip(kernels, of_input, strict=True)]
    if mask is not None:  # nothing new comes from a frame that isn't there
        closed = np.repeat(np.float32([_OUT_OF_REACH, 0]), [units, ways[0].shape[1] - units])[None]
        there = tf.cast(mask, tf.float32)[0, :, None]
        ways = [way - (1 - there) * closed for way in ways]
    projected = tf.stack([ways[0], tf.reverse(ways[1], [0])], axis=1)  # (frames, directions, gates * units)

    def advance(row: tf.Tensor, state: State) -> State:
        sides = zip(tf.split(state[0], 2), recurrent, of_state, strict=True)
        return step(row, tf.concat([_linear(*side) for side in sides], 0), state)

    state: State = tuple(tf.zeros((2, units)) for _ in range(states))
    run = _unrolled if unrolled else _looped
    sequence, last = run(advance, projected, state, layer.forward_layer.return_sequences)
    if sequence is None:
        return tf.reshape(last, (1, 2 * units))
    one_way, other_way = tf.unstack(tf.reshape(sequence, (frames, 2, units)), axis=1)
    answers = tf.concat([one_way, tf.reverse(other_way, [0])], axis=1)
    return (answers if mask is None else answers * there)[None]


_Advance = Callable[[tf.Tensor, State], State]


def _looped(
    advance: _Advance, projected: tf.Tensor, state: State, sequence: bool
) -> tuple[tf.Tensor | None, tf.Tensor]:
    """All answers, if they are wanted, and the last one."""
    frames, directions, width = projected.shape
    at_once = 1 if frames % 2 else 2
    rows = tf.reshape(projected, (frames // at_once, at_once * directions, width))
    units = state[0].shape[1]
    # Where answers go. What is there before doesn't matter, but zeros would be stored in the file.
    written = (rows[:, :, :units],) if sequence else ()

    def body(place: tf.Tensor, state: State, written: State) -> tuple[tf.Tensor, State, State]:
        made = []
        for row in tf.split(tf.gather(rows, place), at_once):
            state = advance(row, state)
            made.append(state[0])
        if sequence:
            start = tf.stack([place, 0, 0])
            written = (xla_dynamic_update_slice(written[0], tf.concat(made, 0)[None], start),)
        return place + 1, state, written

    _, state, written = tf.while_loop(lambda place, *_: place < rows.shape[0], body, (0, state, written))
    return (written[0] if sequence else None), state[0]


def _unrolled(
    advance: _Advance, projected: tf.Tensor, state: State, sequence: bool
) -> tuple[tf.Tensor | None, tf.Tensor]:
    made = []
    for row in tf.unstack(projected):
        state = advance(row, state)
        made.append(state[0])
    return (tf.stack(made) if sequence else None), state[0]


def _linear(x: tf.Tensor, weights: np.ndarray, bias: np.ndarray) -> tf.Tensor:
    y = tf.matmul(x, tf.constant(weights), transpose_b=True)
    return y + bias if bias.any() else y


def _rnn(row: tf.Tensor, recurrent: tf.Tensor, state: State) -> State:
    return (tf.tanh(row + recurrent),)


def _lstm(row: tf.Tensor, recurrent: tf.Tensor, state: State) -> State:
    gates, new = _cut(row + recurrent, 3)
    i, o, f = tf.split(tf.sigmoid(gates), 3, axis=1)
    cell = f * state[1] + i * tf.tanh(new)
    return o * tf.tanh(cell), cell


def _gru(row: tf.Tensor, recurrent: tf.Tensor, state: State) -> State:
    (gates, new), (recurrent_gates, recurrent_new) = _cut(row, 2), _cut(recurrent, 2)
    update, reset = tf.split(tf.sigmoid(gates + recurrent_gates), 2, axis=1)
    return (state[0] + update * (tf.tanh(new + reset * recurrent_new) - state[0]),)


def _cut(values: tf.Tensor, gates: int) -> Sequence[tf.Tensor]:
    """What goes through sigmoids, and what goes through tanh."""
    units = values.shape[1] // (gates + 1)
    return tf.split(values, [gates * units, units], axis=1)


# ONNX's name of a layer: a step of it, and of how many parts its state is.
_STEPS: dict[str, tuple[Callable[[tf.Tensor, tf.Tensor, State], State], int]] = {
    "RNN": (_rnn, 1),
    "LSTM": (_lstm, 2),
    "GRU": (_gru, 1),
}
