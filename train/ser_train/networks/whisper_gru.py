"""`whisper-gru`: bidirectional GRUs over the first blocks of Whisper's encoder.

The encoder stays as OpenAI trained it. So its output is computed once for each utterance and augmentation, and what is
trained is a small network over that output; at the end both become one.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import layers, ops

from ser_edge.models.metadata import Normalization
from ser_train.networks.config import blocks_used, classifier_input
from ser_train.networks.layers import frame_mask, masked_pooling, without_mean
from ser_train.networks.whisper import HEADS, WIDTH, encode, merged, set_weights

_EPSILON = 1e-6  # added to the variance of the encoder's values


def whisper_gru(
    shape: tuple[int | None, int],
    labels: int,
    classifiers: Sequence[str] = ("2",),
    dense: int = 128,
    units: int = 64,
    dropout: float = 0.4,
    notebook: str = "",
    width: int = WIDTH,
    heads: int = HEADS,
) -> keras.Model:
    """The whole network: (frames, bands) normalised log-mel to (labels,) probabilities.

    Args:
        shape: (frames, bands), None for any number of frames; missing frames, at the end, are zeros.
        labels: their number.
        classifiers: those that are averaged, by their inputs (`EncoderConfig`).
        dense: values of a step that enter the recurrent layer.
        units: of the recurrent layer, each way.
        dropout: share of values left out in training.
        notebook: "GRU" or "LSTM" for classifiers with the notebook's layers; they have sizes of their own.
        width: of the encoder.
        heads: of the encoder's attention.
    """
    inputs, blocks = keras.Input(shape), blocks_used(classifiers)
    encoded, steps = encoder_output(inputs, blocks, width, heads)
    standardize = layers.BatchNormalization(center=False, scale=False, epsilon=_EPSILON, name="standardize")
    x = standardize(encoded)
    inner = (dense, units, dropout, notebook)
    outputs = [
        _classifier(_input(x, steps, kind, blocks), steps, labels, *inner, f"attention{i}")
        for i, kind in enumerate(classifiers)
    ]
    return keras.Model(inputs, outputs[0] if len(outputs) == 1 else layers.Average()(outputs), name="whisper-gru")


def encoder(
    shape: tuple[int | None, int], blocks: Sequence[int], width: int = WIDTH, heads: int = HEADS
) -> keras.Model:
    """The frozen part: (frames, bands) to (steps, width * len(blocks)); missing steps are zeros."""
    inputs = keras.Input(shape)
    return keras.Model(inputs, encoder_output(inputs, blocks, width, heads)[0], name="encoder")


def trained_part(
    width: int,
    labels: int,
    classifiers: Sequence[str] = ("2",),
    dense: int = 128,
    units: int = 64,
    dropout: float = 0.4,
    notebook: str = "",
) -> keras.Model:
    """What is trained: (classifiers, steps, width) standardised, zeros if missing, to (classifiers, labels).

    Each classifier has an input of its own, so that they don't learn the same from the same batches.
    """
    inputs, blocks = keras.Input((len(classifiers), None, width)), blocks_used(classifiers)
    outputs = []
    for i, kind in enumerate(classifiers):
        steps = frame_mask(inputs[:, i])
        x = _input(inputs[:, i], steps, kind, blocks)
        outputs.append(_classifier(x, steps, labels, dense, units, dropout, notebook, f"attention{i}"))
    return keras.Model(inputs, ops.stack(outputs, axis=1), name="classifiers")


def assemble(
    network: keras.Model,
    weights: Mapping[str, npt.NDArray[np.float32]],
    output: Normalization,
    trained: keras.Model,
) -> None:
    """Sets all weights of a `whisper_gru`.

    Args:
        network: made by `whisper_gru`.
        weights: of the encoder (`whisper_weights`).
        output: of the encoder's output.
        trained: a `trained_part` of the same sizes.
    """
    set_weights(network, weights)
    network.get_layer("standardize").set_weights([np.array(output.mean), np.square(output.std) - _EPSILON])
    last = trained.get_weights()
    network.set_weights([*network.get_weights()[: -len(last)], *last])


def standardization(network: keras.Model) -> Normalization:
    """How a `whisper_gru` standardises the encoder's output."""
    mean, variance = network.get_layer("standardize").get_weights()
    return Normalization(tuple(mean.tolist()), tuple(np.sqrt(variance + _EPSILON).tolist()))


def encoder_output(inputs: Any, blocks: Sequence[int], width: int, heads: int) -> tuple[Any, Any]:
    """(batch, steps, width * len(blocks)), a step for each 80 ms, and its mask."""
    outputs, steps = encode(inputs, frame_mask(inputs), max(blocks), width, heads)
    chosen = [outputs[block - 1] for block in blocks]
    return merged(chosen[0] if len(chosen) == 1 else ops.concatenate(chosen, axis=-1), steps)


def _input(x: Any, steps: Any, classifier: str, blocks: Sequence[int]) -> Any:
    """(batch, steps, values) of all these blocks to what a classifier takes of them."""
    width = x.shape[-1] // len(blocks)
    chosen, mean = classifier_input(classifier)
    if chosen != list(blocks):
        parts = [x[:, :, place * width : (place + 1) * width] for place in map(blocks.index, chosen)]
        x = parts[0] if len(parts) == 1 else ops.concatenate(parts, axis=-1)
    return ops.concatenate([x, without_mean(x, steps)], axis=-1) if mean else x


def _classifier(
    x: Any, steps: Any, labels: int, dense: int, units: int, dropout: float, notebook: str, name: str
) -> Any:
    """(batch, steps, values) to (batch, labels) probabilities."""
    if notebook:
        recurrent = getattr(layers, notebook)
        x = layers.Bidirectional(recurrent(128, return_sequences=True))(x, mask=steps)
        x = layers.Dropout(dropout)(x)
        x = layers.Dropout(dropout)(layers.Bidirectional(recurrent(64))(x, mask=steps))
        return layers.Dense(labels, activation="softmax")(layers.Dense(64, activation="relu")(x))
    x = layers.Dropout(dropout)(x)
    x = layers.Dropout(dropout)(ops.gelu(layers.Dense(dense)(x), approximate=False))
    x = layers.Bidirectional(layers.GRU(units, return_sequences=True))(x, mask=steps)
    x = layers.Dropout(dropout)(masked_pooling(x, steps, name))
    return layers.Dense(labels, activation="softmax")(x)
