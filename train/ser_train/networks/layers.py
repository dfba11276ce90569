"""Masked operations for utterances of any length.

A shorter utterance is padded with frames that are zero in every coefficient. `frame_mask` finds them, and the other
functions leave them out: the number of padding frames doesn't change the answer.

These are functions over Keras tensors, not custom layers, so that Keras opens the saved network without this code.
"""

from typing import Any

from keras import layers, ops


def frame_mask(inputs: Any) -> Any:
    """(batch, frames, coefficients) to (batch, frames): True for frames, False for padding."""
    return ops.any(ops.not_equal(inputs, 0), axis=-1)


def two_channels(inputs: Any, frames: Any) -> Any:
    """(batch, frames, bands) to (batch, frames, bands, 2): unchanged, and minus the utterance's mean per band.

    The first carries the voice's timbre, the second what changes within the utterance.
    """
    return ops.stack([inputs, without_mean(inputs, frames)], axis=-1)


def without_mean(values: Any, steps: Any) -> Any:
    """(batch, steps, values) in and out: minus the utterance's mean of each value; zeros in padding."""
    there = ops.cast(steps, values.dtype)[:, :, None]
    # From the first step: exactly 0 for a steady sound, whatever a runtime's order of summation.
    change = values - values[:, :1]
    mean = ops.sum(change * there, axis=1, keepdims=True) / ops.sum(there, axis=1, keepdims=True)
    return (change - mean) * there


def masked(values: Any, steps: Any) -> Any:
    """(batch, steps, bands, channels) in and out: zeros in padding, so that convolutions don't leak from there."""
    return values * ops.cast(steps, values.dtype)[:, :, None, None]


def masked_steps(values: Any, steps: Any) -> Any:
    """(batch, steps, values) in and out: zeros in padding."""
    return values * ops.cast(steps, values.dtype)[:, :, None]


def masked_pooling(values: Any, steps: Any, name: str = "attention") -> Any:
    """(batch, steps, values) to (batch, 3 * values): a mean weighted by attention, the mean, and the maximum."""
    there = ops.cast(steps, values.dtype)[:, :, None]
    missing = (1 - there) * 1e4  # finite: infinities turn into NaN in half precision
    # Subtracted: for a batch of 1 Keras takes what is added for a bias, in a layout that TFLite's converter can't read.
    scores = layers.Dense(1, use_bias=False, name=name)(values)
    weights = ops.softmax(scores - missing, axis=1)
    attention = ops.sum(values * weights, axis=1)
    mean = ops.sum(values * there, axis=1) / ops.sum(there, axis=1)
    return ops.concatenate([attention, mean, ops.max(values - missing, axis=1)], axis=-1)
