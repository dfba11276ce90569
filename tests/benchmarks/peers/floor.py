"""The arithmetic floor of the notebook's GRU: what its multiplications and additions alone must cost on this machine.

A step of a recurrent layer needs the state of the step before, so its weights meet one vector at a time: the speed of a
matrix-vector product in the cache limits every runtime. Only the projections of the whole input are products of
matrices. Both speeds are measured here with NumPy's BLAS, the best of many tries: it is a floor, not a typical time.
Sigmoids and hyperbolic tangents come on top.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["GRU_LAYERS", "Layer", "floor"]

_STACKED = 64  # vectors in a call, so that Python's part in it vanishes


@dataclass(frozen=True)
class Layer:
    """One bidirectional GRU layer."""

    frames: int
    values: int  # of a frame
    units: int  # each way

    @property
    def projection(self) -> int:
        """Multiply-adds of the input, both ways: three gates."""
        return 2 * self.frames * self.values * 3 * self.units

    @property
    def recurrence(self) -> int:
        """Multiply-adds of the state, both ways."""
        return 2 * self.frames * self.units * 3 * self.units


GRU_LAYERS = Layer(94, 40, 128), Layer(94, 256, 64)  # the dense layers' 0.009 M are left out


@dataclass(frozen=True)
class Floor:
    """Of a network, on this machine, on one thread."""

    multiply_adds: int
    seconds: float
    vector_rate: float  # multiply-adds a second of a matrix-vector product, the first layer's recurrent weights
    matrix_rate: float  # of the second layer's projection


def floor(tries: int = 400) -> Floor:
    """Measures it, in about a tenth of a second."""
    seconds, rates = 0.0, []
    for layer in GRU_LAYERS:
        vector = _vector_product(layer.units, 3 * layer.units, tries)
        matrix = _matrix_product(layer.frames, layer.values, 3 * layer.units, tries)
        rates.append((vector, matrix))
        seconds += layer.recurrence / vector + layer.projection / matrix
    total = sum(layer.projection + layer.recurrence for layer in GRU_LAYERS)
    return Floor(total, seconds, rates[0][0], rates[1][1])


def _vector_product(inputs: int, outputs: int, tries: int) -> float:
    """Multiply-adds a second of (outputs, inputs) @ (inputs,), whichever way the weights lie; BLAS's sgemv."""
    vectors = np.ones((_STACKED, inputs), np.float32)
    rows = np.ones((outputs, inputs), np.float32)
    columns = np.ones((inputs, outputs), np.float32)
    best = min(
        _best(lambda: np.matmul(rows, vectors[:, :, None]), tries),
        _best(lambda: np.matmul(vectors[:, None, :], columns), tries),
    )
    return _STACKED * inputs * outputs / best


def _matrix_product(rows: int, inputs: int, columns: int, tries: int) -> float:
    """Multiply-adds a second of (rows, inputs) @ (inputs, columns); BLAS's sgemm."""
    left, right = np.ones((rows, inputs), np.float32), np.ones((inputs, columns), np.float32)
    out = np.empty((rows, columns), np.float32)
    return rows * inputs * columns / _best(lambda: np.matmul(left, right, out=out), tries)


def _best(call: Callable[[], Any], tries: int) -> float:
    seconds = []
    for _ in range(tries):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return min(seconds)
