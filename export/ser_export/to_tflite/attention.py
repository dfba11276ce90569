"""What Keras's Transformer blocks are made of, in a form that TFLite's converter reads and LiteRT runs fast.

Keras's own attention multiplies by einsums whose biases the converter can't read in a batch of one. Here products of
two matrices become FULLY_CONNECTED, whose weights are quantised for each row, and those of the heads BATCH_MATMUL.
"""

from typing import Any

import keras
import tensorflow as tf

from ser_export.from_keras.attention_weights import attention_weights

_LARGEST = 1e30  # taken from a missing step's score; as in `to_onnx.attention`


def multi_head_attention(
    layer: keras.layers.MultiHeadAttention,
    query: tf.Tensor,
    value: tf.Tensor,
    attention_mask: tf.Tensor | None = None,
    **call: Any,
) -> tf.Tensor:
    """Of a sequence to itself.

    Args:
        layer: the Keras layer.
        query: (1, steps, values)
        value: the same.
        attention_mask: (1, 1, steps) bool.
        call: other arguments, which must have their defaults.
    """
    with tf.init_scope():  # a graph under construction has no values
        weights = attention_weights(layer, query, value, **call)
    width = layer.key_dim
    x = tf.matmul(tf.reshape(query, (-1, query.shape[2])), weights.projection) + weights.projection_bias
    x = tf.transpose(tf.reshape(x, (-1, 3 * weights.heads, width)), (1, 0, 2))  # (3 * heads, steps, width)
    queries, keys, values = tf.split(x, 3)
    scores = tf.matmul(queries, keys, transpose_b=True)
    if attention_mask is not None:
        scores += (tf.cast(attention_mask, tf.float32) - 1) * _LARGEST
    attended = tf.transpose(tf.matmul(tf.nn.softmax(scores), values), (1, 0, 2))
    y = tf.matmul(tf.reshape(attended, (-1, weights.heads * width)), weights.output) + weights.output_bias
    return tf.reshape(y, (1, -1, y.shape[1]))
