"""The power spectrum of frames as two products of small matrices: the Fourier transform of Cooley and Tukey (1965).

A transform of n = rows * columns samples is one of `rows` samples for each column, a rotation, and one of `columns`
samples for each row. The window and the rotation go into the first matrix, so there is nothing but two products, of a
fifth of the arithmetic and a hundredth of the weights of a transform as one matrix.
"""

from dataclasses import dataclass
from math import gcd

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Transform:
    """The matrices for real frames of `rows * columns` samples; sample i is in row i // columns, column i % columns.

    The first product gives a complex number for each column and each of half the rows of the result: the others are
    their conjugates.
    """

    rows: int
    columns: int
    first: Matrix  # (columns, rows, 2 * halves): for each column, its samples to (real, imaginary, real, ...)
    second: Matrix  # (2 * columns, 2 * columns): real above imaginary parts, to real beside imaginary parts
    power: Matrix  # (halves * 2 * columns, n // 2 + 1): sums the two squares of each bin

    @classmethod
    def of(cls, window: Matrix, hop: int) -> "Transform":
        """For frames that are multiplied with a window, (n,), and begin at a multiple of the hop.

        The columns divide the hop, so that every frame begins with a row, and rows can be copied.
        """
        n = len(window)
        shared = gcd(n, hop)
        columns = min((d for d in range(1, shared + 1) if shared % d == 0), key=lambda d: abs(d * d - n))
        rows = n // columns
        halves = rows // 2 + 1
        # X[k1 + rows k2] = sum over columns c of W(n, c k1) W(columns, c k2) sum over rows r of W(rows, r k1) x[r, c]
        k1, r, c = np.arange(halves), np.arange(rows), np.arange(columns)
        angles = 2 * np.pi * (np.outer(r, k1)[None] / rows + np.outer(c, k1)[:, None] / n)  # (columns, rows, halves)
        waves = np.stack([np.cos(angles), -np.sin(angles)], axis=-1).reshape(columns, rows, -1)
        first = waves * window.astype(np.float64).reshape(rows, columns).T[:, :, None]
        angles = 2 * np.pi * np.outer(c, c) / columns
        cos, sin = np.cos(angles), np.sin(angles)
        second = np.block([[cos, -sin], [sin, cos]])
        bins = np.arange(n // 2 + 1)
        mirrored = bins % rows >= halves
        place = np.where(mirrored, n - bins, bins)
        power = np.zeros((halves, 2, columns, len(bins)))
        power[place % rows, :, place // rows, bins] = 1
        return cls(
            rows,
            columns,
            first.astype(np.float32),
            second.astype(np.float32),
            power.reshape(-1, len(bins)).astype(np.float32),
        )
