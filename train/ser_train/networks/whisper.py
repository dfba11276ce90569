"""Whisper's encoder (Radford et al., 2022, arXiv:2212.04356), for utterances of any length up to 30 s.

Its blocks are computed on the frames that are there, instead of on 30 s of padding: the network is smaller by what it
leaves out, and missing frames are masked.

These are functions over Keras tensors, not custom layers, so that Keras opens the saved network without this code.
"""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import layers, ops

from ser_train.networks.layers import masked_steps

WIDTH, HEADS = 384, 6  # of tiny.en
MERGED = 4  # steps of 20 ms that are averaged into one
FRAMES_A_STEP = 2 * MERGED  # frames of 10 ms that become one of these
_LONGEST_PERIOD = 10_000  # of the sinusoidal positions, over 2 pi

Weights = Mapping[str, npt.NDArray[np.float32]]


def encode(inputs: Any, frames: Any, blocks: int, width: int = WIDTH, heads: int = HEADS) -> tuple[list[Any], Any]:
    """Whisper's encoder without the layer normalisation at its end.

    Args:
        inputs: (batch, frames, bands) log-mel, a frame for each 10 ms, scaled as Whisper's.
        frames: (batch, frames), False for missing frames at the end.
        blocks: how many of its blocks.
        width: values of a step.
        heads: of the attention.

    Returns:
        The output of each block, (batch, steps, width), and (batch, steps) False for missing steps; a step for each 20
        ms.
    """
    x = layers.Conv1D(width, 3, padding="same", name="conv1")(inputs)
    x = masked_steps(ops.gelu(x, approximate=False), frames)
    x = layers.ZeroPadding1D(1)(x)  # not "same": that pads one end or both, depending on the length
    x = layers.Conv1D(width, 3, strides=2, name="conv2")(x)
    steps = frames[:, ::2]
    x = ops.gelu(x, approximate=False)
    x = x + _positions(steps, width)
    outputs = []
    for block in range(blocks):
        y = layers.LayerNormalization(epsilon=1e-5, name=f"block{block}_attention_norm")(x)
        attention = layers.MultiHeadAttention(heads, width // heads, name=f"block{block}_attention")
        x = x + attention(y, y, attention_mask=steps[:, None])
        y = layers.LayerNormalization(epsilon=1e-5, name=f"block{block}_dense_norm")(x)
        y = ops.gelu(layers.Dense(4 * width, name=f"block{block}_dense1")(y), approximate=False)
        x = x + layers.Dense(width, name=f"block{block}_dense2")(y)
        outputs.append(x)
    return outputs, steps


def merged(x: Any, steps: Any) -> tuple[Any, Any]:
    """(batch, steps, values) and its mask to a fourth of the steps: the means of those that are there."""

    def pooled(values: Any) -> Any:
        return layers.AveragePooling1D(MERGED)(layers.ZeroPadding1D((0, MERGED - 1))(values))

    there = ops.cast(steps, x.dtype)[:, :, None]
    kept = steps[:, ::MERGED]
    # A missing step has no mean; 1 instead of its count, so that it becomes 0.
    counts = pooled(there) + (1 - ops.cast(kept, x.dtype)[:, :, None])
    return pooled(x * there) / counts, kept


def set_weights(model: keras.Model, weights: Weights) -> None:
    """Sets the layers that `encode` made to weights as `whisper_weights` names them."""
    blocks = sum(isinstance(layer, layers.MultiHeadAttention) for layer in model.layers)

    def assign(layer: str, *arrays: npt.NDArray[np.float32]) -> None:
        model.get_layer(layer).set_weights(list(arrays))

    for conv in ("conv1", "conv2"):  # (outputs, inputs, kernel) to Keras's (kernel, inputs, outputs)
        assign(conv, weights[f"{conv}/weight"].transpose(2, 1, 0), weights[f"{conv}/bias"])
    for block in range(blocks):
        attention, dense = f"layer_{block}/self_attention", f"layer_{block}/ffn"
        layer = model.get_layer(f"block{block}_attention")
        width, heads = weights[f"{attention}/linear_1/weight"].shape[0], layer.num_heads
        kernels = weights[f"{attention}/linear_0/weight"].reshape(3, heads, width // heads, width)
        biases = weights[f"{attention}/linear_0/bias"].reshape(3, heads, width // heads)
        parts = [array for k, b in zip(kernels, biases, strict=True) for array in (k.transpose(2, 0, 1), b)]
        output = weights[f"{attention}/linear_1/weight"].T.reshape(heads, width // heads, width)
        assign(f"block{block}_attention", *parts, output, weights[f"{attention}/linear_1/bias"])
        for name, key in (("attention_norm", attention), ("dense_norm", dense)):
            assign(f"block{block}_{name}", weights[f"{key}/layer_norm/gamma"], weights[f"{key}/layer_norm/beta"])
        for place in (0, 1):
            linear = f"{dense}/linear_{place}"
            assign(f"block{block}_dense{place + 1}", weights[f"{linear}/weight"].T, weights[f"{linear}/bias"])


def _positions(steps: Any, width: int) -> Any:
    """(batch, steps) to (batch, steps, width): sinusoidal position encodings.

    Computed instead of stored: Whisper stores 30 s of them.
    """
    place = ops.cumsum(ops.cast(ops.ones_like(steps), "float32"), axis=1)[:, :, None] - 1
    half = width // 2
    frequencies = np.exp(-np.log(_LONGEST_PERIOD) / (half - 1) * np.arange(half)).astype(np.float32)
    angles = place * frequencies
    return ops.concatenate([ops.sin(angles), ops.cos(angles)], axis=-1)
