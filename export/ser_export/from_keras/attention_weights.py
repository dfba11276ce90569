"""The weights of Keras's multi-head attention as two matrices, from which both formats start."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from keras import layers

from ser_export.from_keras.layer_settings import require_settings, unsupported_layer

_CALL = {"use_causal_mask": False, "return_attention_scores": False, "training": False}

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class AttentionWeights:
    """Self-attention: softmax(q k^T) v of each head, side by side, then `output`."""

    heads: int
    projection: Array  # (values, 3 * heads * width): of q, k and v, a head's columns together; q is scaled already
    projection_bias: Array
    output: Array  # (heads * width, values)
    output_bias: Array


def attention_weights(
    layer: layers.MultiHeadAttention, query: object, value: object, **call: object
) -> AttentionWeights:
    """The weights of a layer that is called with `query` and `value`.

    Raises:
        ExportError: attention from one sequence to another, or a setting other than the default.
    """
    require_settings(layer, use_bias=True, use_gate=False, output_shape=None, attention_axes=(1,), sliding_window=None)
    require_settings(layer, value_dim=layer.key_dim)
    if query is not value:
        raise unsupported_layer(layer, "can be exported from a sequence to itself only")
    if unsupported := sorted(name for name, setting in call.items() if setting not in (None, _CALL.get(name))):
        raise unsupported_layer(layer, f"can't be exported when called with {', '.join(unsupported)}")
    *parts, output, output_bias = layer.get_weights()  # kernel (values, heads, width) and bias of q, k and v
    scale = np.float32(layer.key_dim**-0.5)
    parts[:2] = [part * scale for part in parts[:2]]
    kernels = np.concatenate([part.reshape(len(part), -1) for part in parts[::2]], axis=1)
    biases = np.concatenate([part.ravel() for part in parts[1::2]])
    return AttentionWeights(layer.num_heads, kernels, biases, output.reshape(-1, output.shape[-1]), output_bias)
