"""Weights that TFLite's converter rounds to int8 without an error: they are rounded before, with more care.

The converter gives each column of a matrix the scale by which its largest weight is 127. So weights that are multiples
of it, with the largest unchanged, stay what they are.
"""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from ser_export.from_keras.compensated_rounding import LARGEST, round_compensated

_Moments = Mapping[str, npt.NDArray[np.float64]]  # (inputs, inputs) by the name of a matrix in the ONNX graph


def round_weights(model: keras.Model, moments: _Moments) -> None:
    """Rounds the matrices whose inputs' moments are given, in place; the others stay as they are."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.MultiHeadAttention):
            of_input = moments.get(f"{layer.name}/projection/kernel")
            for part in (layer.query_dense, layer.key_dense, layer.value_dense):
                _round(part.kernel, of_input, axes=1)
            _round(layer.output_dense.kernel, moments.get(f"{layer.name}/output/kernel"), axes=2)
        elif isinstance(layer, keras.layers.Dense | keras.layers.Conv1D):
            _round(layer.kernel, moments.get(f"{layer.name}/kernel"), axes=layer.kernel.ndim - 1)


def _round(kernel: Any, moments: npt.NDArray[np.float64] | None, axes: int) -> None:
    """A Keras variable whose first `axes` are the inputs."""
    if moments is None:
        return
    matrix = kernel.numpy().reshape(int(np.prod(kernel.shape[:axes])), -1)
    scales = np.maximum(np.abs(matrix).max(axis=0) / LARGEST, np.finfo(np.float32).tiny)
    kernel.assign((round_compensated(matrix, moments, scales) * scales).reshape(kernel.shape))
