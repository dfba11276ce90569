"""Training step of bidirectional recurrent layers as loops compiled by XLA, with hand-written gradients.

Kept for what it saves: a training step of the notebook's networks (32 utterances, one thread) takes 0.48 of Keras's CPU
time for SimpleRNN, 0.52 for LSTM and 0.40 for GRU, and compiling takes no longer than Keras's tracing (x86-64 with 2
cores, TensorFlow 2.21; `tests/benchmarks/cases/training.py` measures whole epochs).

On a CPU, Keras runs such a layer as a TensorFlow loop of small operations, and TensorFlow derives a second loop for the
gradient, which stores every intermediate value: dispatch takes as long as the arithmetic. Here one compiled loop
computes the same steps, and another their gradient from few stored values. What doesn't depend on the previous step
(the products with the kernels, and the kernels' gradients) is computed for all steps at once.

Only the training step is replaced. The model, its files and its predictions are Keras's.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf
from keras import layers

State = tuple[Any, ...]  # (batch, units) each: the layer's output, then an LSTM's cell state


@dataclass(frozen=True)
class _Cell:
    """One step of a recurrent layer, and its gradient; all tensors are (batch, a multiple of units).

    `projected` is the input times the kernel, `recurrent` the state times the recurrent kernel, both with their biases.
    """

    states: int
    step: Callable[[Any, Any, State], tuple[Any, State]]  # (projected, recurrent, state) to (kept, next state)
    # (kept, state, gradient of the next state) to the gradients of `projected` and `recurrent` (one if they are equal),
    # and the gradient of the state without its part in `recurrent`.
    gradient: Callable[[Any, State, State], tuple[tuple[Any, ...], State]]


def _rnn_step(projected: Any, recurrent: Any, state: State) -> tuple[Any, State]:
    h = tf.tanh(projected + recurrent)
    return h, (h,)


def _rnn_gradient(h: Any, before: State, d: State) -> tuple[tuple[Any, ...], State]:
    return (d[0] * (1 - h * h),), (tf.zeros_like(h),)


def _lstm_step(projected: Any, recurrent: Any, state: State) -> tuple[Any, State]:
    units = state[0].shape[-1]
    half = tf.repeat([0.5, 1.0, 0.5], [2 * units, units, units])  # a sigmoid is half a tanh: one function for all gates
    gates = (1 - half) + half * tf.tanh(half * (projected + recurrent))
    i, f, g, o = tf.split(gates, 4, -1)
    c = f * state[1] + i * g
    return gates, (o * tf.tanh(c), c)


def _lstm_gradient(gates: Any, before: State, d: State) -> tuple[tuple[Any, ...], State]:
    i, f, g, o = tf.split(gates, 4, -1)
    t = tf.tanh(f * before[1] + i * g)
    dc = d[1] + d[0] * o * (1 - t * t)
    di, df, dg = dc * g * i * (1 - i), dc * before[1] * f * (1 - f), dc * i * (1 - g * g)
    return (tf.concat([di, df, dg, d[0] * t * o * (1 - o)], -1),), (tf.zeros_like(t), dc * f)


def _gru_step(projected: Any, recurrent: Any, state: State) -> tuple[Any, State]:
    """Keras's default variant: the reset gate applies after the product (`reset_after`)."""
    pz, pr, pq = tf.split(projected, 3, -1)
    az, ar, aq = tf.split(recurrent, 3, -1)
    z, r = tf.sigmoid(pz + az), tf.sigmoid(pr + ar)
    q = tf.tanh(pq + r * aq)
    return tf.concat([z, r, q, aq], -1), (z * state[0] + (1 - z) * q,)


def _gru_gradient(kept: Any, before: State, d: State) -> tuple[tuple[Any, ...], State]:
    z, r, q, aq = tf.split(kept, 4, -1)
    dq = d[0] * (1 - z) * (1 - q * q)
    dz = d[0] * (before[0] - q) * z * (1 - z)
    dr = dq * aq * r * (1 - r)
    return (tf.concat([dz, dr, dq], -1), tf.concat([dz, dr, dq * r], -1)), (d[0] * z,)


_CELLS = {
    layers.SimpleRNN: _Cell(1, _rnn_step, _rnn_gradient),
    layers.LSTM: _Cell(2, _lstm_step, _lstm_gradient),
    layers.GRU: _Cell(1, _gru_step, _gru_gradient),
}


@tf.function(jit_compile=True, autograph=False)
def _forward(cell: _Cell, projected: Any, kernel: Any, bias: Any) -> tuple[Any, State]:
    """(kept, states) of all steps: (steps, batch, values), and (steps + 1, batch, units) each from zeros on."""
    steps = tf.shape(projected)[0]
    zero = tf.zeros((tf.shape(projected)[1], kernel.shape[0]))

    def at(step: Any, state: State) -> tuple[Any, State]:
        recurrent = tf.matmul(state[0], kernel)
        return cell.step(projected[step], recurrent if bias is None else recurrent + bias, state)

    def body(step: Any, state: State, kept: Any, states: State) -> tuple[Any, State, Any, State]:
        keep, state = at(step, state)
        written = (array.write(step + 1, value) for array, value in zip(states, state, strict=True))
        return step + 1, state, kept.write(step, keep), tuple(written)

    start = (zero,) * cell.states
    kept = _array(steps, at(0, start)[0])
    states = tuple(_array(steps + 1, zero) for _ in start)  # the first row stays zero
    begin = (0, start, kept, states)
    *_, kept, states = tf.while_loop(lambda step, *_: step < steps, body, begin, maximum_iterations=steps)
    return kept.stack(), tuple(array.stack() for array in states)


@tf.function(jit_compile=True, autograph=False)
def _backward(cell: _Cell, kept: Any, states: State, transposed: Any, outputs: Any) -> tuple[Any, ...]:
    """Gradients of `projected` and `recurrent` at all steps, (steps, batch, values) each; one if they are equal.

    Args:
        cell: the layer's.
        kept: from `_forward`.
        states: from `_forward`.
        transposed: the recurrent kernel, transposed.
        outputs: gradient of the layer's output, (steps, batch, units).
    """
    steps = tf.shape(kept)[0]
    zero = tf.zeros((tf.shape(kept)[1], transposed.shape[1]))
    start = (zero,) * cell.states

    def read(step: Any) -> tuple[Any, State, Any]:
        step = tf.maximum(step, 0)
        return kept[step], tuple(state[step] for state in states), outputs[step]

    def back(now: tuple[Any, State, Any], d: State) -> tuple[tuple[Any, ...], State]:
        gradients, (h, *rest) = cell.gradient(now[0], now[1], (d[0] + now[2], *d[1:]))
        return gradients, (tf.matmul(gradients[-1], transposed) + h, *rest)

    # A step's inputs are read one step ahead: XLA would else read them once for each value that uses them.
    def body(step: Any, now: Any, d: State, arrays: State) -> tuple[Any, Any, State, State]:
        gradients, d = back(now, d)
        written = (array.write(step, value) for array, value in zip(arrays, gradients, strict=True))
        return step - 1, read(step - 1), d, tuple(written)

    last = read(steps - 1)
    arrays = tuple(_array(steps, value) for value in back(last, start)[0])
    begin = (steps - 1, last, start, arrays)
    *_, arrays = tf.while_loop(lambda step, *_: step >= 0, body, begin, maximum_iterations=steps)
    return tuple(array.stack() for array in arrays)


def _array(size: Any, of: Any) -> tf.TensorArray:
    return tf.TensorArray(tf.float32, size, element_shape=of.shape)


def scan(layer: keras.layers.RNN, inputs: Any) -> Any:
    """Output of a recurrent layer at each step, in one direction, from a zero state.

    Args:
        layer: SimpleRNN, LSTM or GRU with Keras's default settings.
        inputs: (steps, batch, values) float32.

    Returns:
        (steps, batch, units) float32.
    """
    cell = _CELLS[type(layer)]

    @tf.custom_gradient
    def run(inputs: Any, kernel: Any, recurrent: Any, bias: Any) -> Any:
        input_bias, recurrent_bias = (bias, None) if len(bias.shape) == 1 else (bias[0], bias[1])  # a GRU has both
        rows = tf.reshape(inputs, (-1, inputs.shape[-1]))
        projected = tf.nn.bias_add(tf.matmul(rows, kernel), input_bias)
        projected = tf.reshape(projected, (tf.shape(inputs)[0], -1, kernel.shape[1]))
        kept, states = _forward(cell, projected, recurrent, recurrent_bias)

        def gradient(outputs: Any) -> tuple[Any, ...]:
            gradients = _backward(cell, kept, states, tf.transpose(recurrent), outputs)
            flat = [tf.reshape(d, (-1, d.shape[-1])) for d in gradients]
            before = tf.reshape(states[0][:-1], (-1, recurrent.shape[0]))
            ones = tf.ones((1, tf.shape(rows)[0]))  # a matrix product sums rows faster than reduce_sum
            return (
                tf.reshape(tf.matmul(flat[0], kernel, transpose_b=True), tf.shape(inputs)),
                tf.matmul(rows, flat[0], transpose_a=True),
                tf.matmul(before, flat[-1], transpose_a=True),
                tf.reshape(tf.concat([tf.matmul(ones, d) for d in flat], 0), bias.shape),
            )

        return states[0][1:], gradient

    weights = (layer.cell.kernel, layer.cell.recurrent_kernel, layer.cell.bias)
    return run(inputs, *(tf.convert_to_tensor(weight) for weight in weights))


def _bidirectional_call(layer: layers.Bidirectional) -> Callable[..., Any]:
    """A replacement of the layer's `call`."""

    def call(inputs: Any, initial_state: Any = None, mask: Any = None, training: Any = None) -> Any:
        steps = tf.transpose(inputs, (1, 0, 2))
        # From the last step that is there: outputs after it, in both directions, are left to the mask's other users.
        counts = tf.reduce_sum(tf.ones_like(inputs[:, :, 0], tf.int32) if mask is None else tf.cast(mask, tf.int32), 1)
        forward = scan(layer.forward_layer, steps)
        backward = scan(layer.backward_layer, tf.reverse_sequence(steps, counts, 0, 1))
        if not layer.return_sequences:
            if mask is None:
                return tf.concat([forward[-1], backward[-1]], -1)
            last = tf.stack([tf.maximum(counts - 1, 0), tf.range(tf.shape(counts)[0])], 1)
            return tf.concat([tf.gather_nd(forward, last), tf.gather_nd(backward, last)], -1)
        outputs = tf.concat([forward, tf.reverse_sequence(backward, counts, 0, 1)], -1)
        return tf.transpose(outputs, (1, 0, 2))

    return call


@contextmanager
def compiled_loops(model: keras.Model) -> Iterator[None]:
    """Traces the model's bidirectional layers as compiled loops in this context; masked steps are the last ones."""
    replaced = [layer for layer in model.layers if isinstance(layer, layers.Bidirectional)]
    for layer in replaced:
        layer.call = _bidirectional_call(layer)
    try:
        yield
    finally:
        for layer in replaced:
            del layer.call
