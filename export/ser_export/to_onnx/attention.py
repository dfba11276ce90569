"""Converts what Keras's Transformer blocks are made of to ONNX nodes.

ONNX Runtime makes one operator of a scaled product, and of one with a transposed matrix. The products of queries, keys
and values are one product.
"""

import numpy as np
from keras import layers
from onnx import TensorProto

from ser_export.from_keras.attention_weights import attention_weights
from ser_export.from_keras.layer_settings import require_settings
from ser_export.to_onnx.nodes import Graph, Tensor

# Taken from a missing step's score. Every other score disappears beside it, so that where all are missing the softmax
# gives all the same, as Keras's does.
_LARGEST = np.float32(1e30)


def layer_normalization(graph: Graph, layer: layers.LayerNormalization, x: Tensor) -> Tensor:
    """One node."""
    require_settings(layer, axis=[-1], center=True, scale=True)
    names = [graph.weight(f"{layer.name}/{weight.name}", weight.numpy()) for weight in (layer.gamma, layer.beta)]
    return graph.add("LayerNormalization", [graph.transposed(x), *names], layer.name, epsilon=layer.epsilon)


def multi_head_attention(
    graph: Graph,
    layer: layers.MultiHeadAttention,
    query: Tensor,
    value: Tensor,
    attention_mask: Tensor | None = None,
    **call: object,
) -> Tensor:
    """Of a sequence to itself.

    Args:
        graph: to add to.
        layer: the Keras layer.
        query: (batch, steps, values)
        value: the same.
        attention_mask: (batch, steps or 1, steps) bool.
        call: other arguments, which must have their defaults.
    """
    weights = attention_weights(layer, query, value, **call)
    name, heads = layer.name, weights.heads

    def linear(x: Tensor, part: str, kernel: np.ndarray, bias: np.ndarray, output: str) -> Tensor:
        y = graph.add("MatMul", [x, graph.weight(f"{name}/{part}/kernel", kernel)], f"{name}/{part}/product")
        return graph.add("Add", [y, graph.weight(f"{name}/{part}/bias", bias)], output)

    def shaped(x: Tensor, part: str, shape: tuple[int, ...]) -> Tensor:
        names = graph.weight(f"{name}/{part}/shape", np.array(shape))
        return graph.add("Reshape", [x, names], f"{name}/{part}/reshaped", tuple(range(len(shape))))

    x = linear(graph.transposed(query), "projection", weights.projection, weights.projection_bias, f"{name}/projection")
    x = shaped(x, "projection", (0, 0, 3 * heads, layer.key_dim))
    x = graph.add("Transpose", [x], f"{name}/heads", perm=[0, 2, 1, 3])  # (batch, 3 * heads, steps, width)
    parts = [f"{name}/{part}" for part in ("query", "key", "value")]
    graph.add("Split", [x], f"{name}/split", outputs=parts, axis=1)
    queries, keys, values = (Tensor(part, (0, 1, 2, 3)) for part in parts)
    keys = graph.add("Transpose", [keys], f"{name}/key_transposed", perm=[0, 1, 3, 2])
    scores = graph.add("MatMul", [queries, keys], f"{name}/scores")
    if attention_mask is not None:
        there = graph.add("Cast", [graph.transposed(attention_mask)], f"{name}/there", to=TensorProto.FLOAT)
        missing = graph.add("Sub", [there, graph.weight(f"{name}/one", np.float32(1))], f"{name}/missing")
        missing = graph.add("Mul", [missing, graph.weight(f"{name}/largest", _LARGEST)], f"{name}/penalty")
        axis = graph.weight(f"{name}/head_axis", np.array([1]))
        missing = graph.add("Unsqueeze", [missing, axis], f"{name}/mask", (0, 1, 2, 3))
        scores = graph.add("Add", [scores, missing], f"{name}/masked")
    attended = graph.add("MatMul", [graph.add("Softmax", [scores], f"{name}/softmax", axis=-1), values], f"{name}/sum")
    attended = graph.add("Transpose", [attended], f"{name}/steps", perm=[0, 2, 1, 3])
    attended = shaped(attended, "output", (0, 0, heads * layer.key_dim))
    return linear(attended, "output", weights.output, weights.output_bias, name)
