"""Runs Keras networks for TFLite's converter, with some operations in a form that it reads or that LiteRT runs faster.

All of them work with a free number of frames as well: the shape of a tensor must follow from the input's shape and from
constants, so that XNNPACK takes the operators, and an input of another length needs no new interpreter.
"""

from collections.abc import Callable, Sequence
from functools import partial

import keras
import tensorflow as tf

from ser_export.to_tflite.attention import multi_head_attention
from ser_export.to_tflite.recurrent import run_bidirectional


def run_network(model: keras.Model, features: tf.Tensor, unrolled: bool = False, one_scale: bool = False) -> tf.Tensor:
    """A network's output.

    Args:
        model: Sequential or functional.
        features: (1, frames, coefficients), in a `tf.function`; any number of frames, whatever the saved network has.
        unrolled: recurrent layers as all their steps instead of a loop, which TFLite's converter can't quantise to
            integers (it crashes); for a fixed number of frames.
        one_scale: whether int8 weights will have one scale a matrix; `run_bidirectional` tells what it does then.

    Raises:
        ExportError: a recurrent layer or attention has a setting that isn't supported.
    """

    def run(operation: keras.Operation) -> Callable[..., tf.Tensor]:
        if isinstance(operation, keras.layers.Bidirectional):
            return lambda x, mask=None, **_: run_bidirectional(operation, x, mask, unrolled, one_scale)
        replacement = _REPLACEMENTS.get(type(operation).__name__)
        return operation if replacement is None else partial(replacement, operation)

    network = keras.Function(model.inputs, model.outputs)
    (output,) = network._run_through_graph([features], run)  # Keras's own traversal, as in to_onnx.graph
    return output


def _add(operation: keras.Operation, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """As a sum: of a batch of one Keras takes some for a bias, in a layout that the converter can't read."""
    return tf.add(x, y)


def _dense(layer: keras.layers.Dense, x: tf.Tensor, **_: object) -> tf.Tensor:
    """As a product of two matrices: of a free number of frames Keras would compute the shapes when the file is run."""
    if len(x.shape) != 3:
        return layer(x)
    y = tf.matmul(tf.reshape(x, (-1, x.shape[2])), layer.kernel)
    y = layer.activation(y + layer.bias if layer.use_bias else y)
    return tf.reshape(y, (1, -1, layer.units))


def _stack(operation: keras.Operation, xs: Sequence[tf.Tensor]) -> tf.Tensor:
    """New last axis: as a transposition, which XNNPACK has and which takes a third of the time of PACK."""
    axes = len(xs[0].shape)
    if operation.axis % (axes + 1) != axes:
        return operation(xs)
    return tf.transpose(tf.concat([tf.expand_dims(x, 1) for x in xs], 1), (0, *range(2, axes + 1), 1))


# By the name of the operation's class, since those of `keras.ops` aren't public.
_REPLACEMENTS: dict[str, Callable[..., tf.Tensor]] = {
    "Add": _add,
    "Dense": _dense,
    "MultiHeadAttention": multi_head_attention,
    "Stack": _stack,
}
