"""What a network needs that hears utterances of any length: a mask, and what respects it.

An utterance shorter than the network's input is filled up with frames that are zero in every coefficient. `frame_mask`
finds them, and the others leave them out: how many of them follow doesn't change the answer.

These are functions over Keras tensors, not layers of our own: the network consists of Keras's own operations, so that
whoever has Keras can open its file without this code.
"""

from typing import Any

from keras import layers, ops

__all__ = ["frame_mask", "masked", "masked_pooling", "two_channels"]


def frame_mask(inputs: Any) -> Any:
    """(batch, frames, coefficients) to (batch, frames): whether there is a frame."""
    return ops.any(ops.not_equal(inputs, 0), axis=-1)


def two_channels(inputs: Any, frames: Any) -> Any:
    """(batch, frames, bands) to (batch, frames, bands, 2): as it is, and without the utterance's own mean per band.

    The first tells a bright voice from a dark one, the second what changes within the utterance, whoever speaks.
    """
    there = ops.cast(frames, inputs.dtype)[:, :, None]
    change = inputs - inputs[:, :1]  # since the first frame: of a steady sound exactly zero, however a runtime adds up
    mean = ops.sum(change * there, axis=1, keepdims=True) / ops.sum(there, axis=1, keepdims=True)
    return ops.stack([inputs, (change - mean) * there], axis=-1)


def masked(values: Any, steps: Any) -> Any:
    """(batch, steps, bands, channels) in and out: zeros where there is no frame, so that nothing leaks from there."""
    return values * ops.cast(steps, values.dtype)[:, :, None, None]


def masked_pooling(values: Any, steps: Any) -> Any:
    """(batch, steps, values) to (batch, 3 * values): a mean weighted by attention, the mean, and the maximum."""
    there = ops.cast(steps, values.dtype)[:, :, None]
    missing = (1 - there) * 1e4  # finite: infinities turn into NaN in half precision
    # Subtracted: for a batch of 1 Keras takes what is added for a bias, in a layout that TFLite's converter can't read.
    scores = layers.Dense(1, use_bias=False, name="attention")(values)
    weights = ops.softmax(scores - missing, axis=1)
    attention = ops.sum(values * weights, axis=1)
    mean = ops.sum(values * there, axis=1) / ops.sum(there, axis=1)
    return ops.concatenate([attention, mean, ops.max(values - missing, axis=1)], axis=-1)
