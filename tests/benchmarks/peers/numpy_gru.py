"""The notebook's GRU in plain NumPy, from Keras's weights: what one would write to need no runtime at all.

Both directions of a layer step together, as a product of stacked matrices; the input is projected once, before the
steps. Keras's GRU with `reset_after=True`, gates in the order update, reset, candidate.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["NumpyGRU"]

Array = npt.NDArray[np.float32]


class NumpyGRU:
    """Takes (1, frames, coefficients), gives (1, labels), as the Keras model it is made from."""

    def __init__(self, model: Any):
        first, second, *dense = [weights for layer in model.layers if (weights := layer.get_weights())]
        self._layers = _stacked(first), _stacked(second)
        self._dense = dense

    def __call__(self, features: Array) -> Array:
        first, second = self._layers
        sequence = _gru(features[0], *first)
        (hidden, hidden_bias), (output, output_bias) = self._dense
        # The second layer gives each direction's last step: the last frame forwards, the first one backwards.
        last = np.concatenate(_gru(np.concatenate([sequence[0], sequence[1, ::-1]], axis=1), *second)[:, -1])
        logits = np.maximum(last @ hidden + hidden_bias, 0) @ output + output_bias
        powers = np.exp(logits - logits.max())
        probabilities: Array = (powers / powers.sum())[None]
        return probabilities


def _stacked(weights: list[Array]) -> tuple[Array, Array, Array, Array]:
    """Of both directions: input weights, recurrent weights, input and recurrent biases."""
    kernels, recurrent, biases = (np.stack(pair) for pair in zip(weights[:3], weights[3:], strict=True))
    return kernels, recurrent, biases[:, :1], biases[:, 1:]


def _gru(sequence: Array, kernels: Array, recurrent: Array, bias: Array, recurrent_bias: Array) -> Array:
    """(frames, values) to (2, frames, units), each direction in the order in which it reads the frames."""
    units, frames = recurrent.shape[1], len(sequence)
    projected = np.stack([sequence, sequence[::-1]]) @ kernels + bias
    state = np.zeros((2, 1, units), np.float32)
    outputs = np.empty((2, frames, units), np.float32)
    for i in range(frames):
        entering, remembered = projected[:, i : i + 1], state @ recurrent + recurrent_bias
        gates = np.tanh((entering[..., : 2 * units] + remembered[..., : 2 * units]) * np.float32(0.5))
        gates = gates * np.float32(0.5) + np.float32(0.5)  # the sigmoid
        update, reset = gates[..., :units], gates[..., units:]
        candidate = np.tanh(entering[..., 2 * units :] + reset * remembered[..., 2 * units :])
        state = candidate + update * (state - candidate)
        outputs[:, i] = state[:, 0]
    return outputs
