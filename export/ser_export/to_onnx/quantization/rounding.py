"""Rounds weights to int8."""

import numpy as np
import numpy.typing as npt

from ser_export.from_keras.compensated_rounding import LARGEST


def rows_to_int8(
    weights: npt.NDArray[np.float32], axes: tuple[int, ...], furthest: npt.NDArray[np.float32] | None = None
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float16]]:
    """Quantises to symmetric int8 with a scale shared along `axes`.

    Args:
        weights: any number of axes.
        axes: those that an output sums over.
        furthest: what becomes 127, of the shape of the scales; by default the largest magnitude.

    Returns:
        (same shape) int8, and float16 scales that broadcast: weights = values * scales, within half a scale.
    """
    if furthest is None:
        furthest = np.abs(weights).max(axis=axes, keepdims=True)
    scales = np.maximum(furthest / LARGEST, np.finfo(np.float16).tiny).astype(np.float16)
    values = np.rint(weights / scales.astype(np.float32)).clip(-LARGEST, LARGEST)
    return values.astype(np.int8), scales
