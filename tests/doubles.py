"""Stand-ins that go in through constructors."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

__all__ = ["FakeRuntime"]


class FakeRuntime:
    """A network whose output the test computes; the first input it gets is the check of `Model`'s constructor.

    Args:
        compute: (frames, coefficients) to (labels,) probabilities.
    """

    name = "fake runtime"
    input_shape: tuple[int | None, ...] = ()

    def __init__(self, compute: Callable[[npt.NDArray[np.float32]], npt.ArrayLike]):
        self._compute = compute

    def run(self, inputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return np.stack([np.asarray(self._compute(item), np.float32) for item in inputs])
