"""Silero's voice detector as a TFLite file."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ser_export.to_tflite.flatbuffer import compact, name_tensors, to_float16
from ser_export.to_tflite.quantize import convert_module
from ser_export.voice_detector.weights import (
    BINS,
    CHUNK,
    CONTEXT,
    DESCRIPTION,
    FLOAT16_SIZE,
    FLOAT32_SHAPES,
    HOP,
    MIRRORED,
    UNITS,
    Weights,
    transform,
)


def tflite_content(weights: Weights) -> bytes:
    """The content of the file."""
    shapes = {"samples": (1, CONTEXT + CHUNK), "h": (1, UNITS), "c": (1, UNITS)}
    network = tf.Module()
    network.call = tf.function(
        lambda samples, h, c: _network(weights, samples, h, c),
        [tf.TensorSpec(shape, tf.float32, name) for name, shape in shapes.items()],
        autograph=False,
    )
    data = name_tensors(compact(convert_module(network)), DESCRIPTION)
    return to_float16(data, FLOAT16_SIZE, FLOAT32_SHAPES)


def _network(weights: Weights, samples: tf.Tensor, h: tf.Tensor, c: tf.Tensor) -> dict[str, tf.Tensor]:
    """The probability of speech in a chunk, (1, 1), and the next state, (1, 128) twice.

    Args:
        weights: as `read_weights` has them.
        samples: (1, 576)
        h: (1, 128)
        c: (1, 128)
    """

    def encoder(layer: int) -> Iterator[npt.NDArray[np.float32]]:
        return (weights[f"encoder.{layer}.reparam_conv.{name}"] for name in ("weight", "bias"))

    end = CONTEXT + CHUNK - 1
    mirrored = tf.reverse(samples[:, end - MIRRORED : end], [1])
    x, order = _spectrum(tf.concat([samples, mirrored], 1))  # (4, 129)

    kernel, bias = encoder(0)
    kernel = kernel.transpose(2, 1, 0)[:, order]
    x = tf.nn.relu(tf.nn.conv1d(x[None], kernel, 1, "SAME") + bias)
    kernel, bias = encoder(1)
    x = tf.pad(x, [[0, 0], [1, 0], [0, 0]])  # with a stride of 2, padding at the end is never used
    x = tf.nn.relu(tf.nn.conv1d(x, kernel.transpose(2, 1, 0), 2, "VALID") + bias)  # (1, 2, 64)
    kernel, bias = encoder(2)  # the first of its three taps only multiplies padding
    x = tf.nn.relu(_linear(tf.reshape(x, (1, -1)), kernel[:, :, 1:].transpose(0, 2, 1).reshape(len(bias), -1), bias))
    kernel, bias = encoder(3)  # only the middle tap doesn't multiply padding
    x = tf.nn.relu(_linear(x, kernel[:, :, 1], bias))

    kernel = np.concatenate([weights["decoder.rnn.weight_ih"], weights["decoder.rnn.weight_hh"]], axis=1)
    bias = weights["decoder.rnn.bias_ih"] + weights["decoder.rnn.bias_hh"]
    i, f, g, o = tf.split(_linear(tf.concat([x, h], 1), kernel, bias), 4, axis=1)  # PyTorch's order
    c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
    h = tf.sigmoid(o) * tf.tanh(c)
    answer = _linear(tf.nn.relu(h), weights["decoder.decoder.2.weight"][:, :, 0], weights["decoder.decoder.2.bias"])
    return {"probability": tf.sigmoid(answer), "next_h": h, "next_c": c}


def _linear(x: tf.Tensor, kernel: npt.NDArray[np.float32], bias: npt.NDArray[np.float32]) -> tf.Tensor:
    return tf.matmul(x, kernel, transpose_b=True) + bias


def _spectrum(samples: tf.Tensor) -> tuple[tf.Tensor, npt.NDArray[np.intp]]:
    """Magnitudes of overlapping frames, (4, 129), and the bin of each column.

    A frame is two blocks. In the second one the waves of even bins repeat and those of odd bins are negated, so the sum
    of the blocks gives the even bins and their difference the odd ones: two products of half the size each.
    """
    window, matrix = transform()
    blocks = tf.reshape(samples, (-1, HOP))  # (5, 128)
    first, second = blocks[:-1] * window[:HOP], blocks[1:] * window[HOP:]
    waves = matrix.reshape(2, BINS, 2 * HOP)[:, :, :HOP]
    squares = []
    for parity, frames in enumerate((first + second, first - second)):
        parts = tf.matmul(frames, waves[:, parity::2].reshape(-1, HOP), transpose_b=True)
        squares.append(sum(tf.split(tf.square(parts), 2, axis=1)))
    order = np.concatenate([np.arange(0, BINS, 2), np.arange(1, BINS, 2)])
    return tf.sqrt(tf.concat(squares, 1)), order
