"""Resampling: soxr's "HQ" preset, which is what `librosa.load` uses; soxr is imported when rates differ."""

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Resampler", "resample"]

_QUALITY = "HQ"


def resample(samples: npt.NDArray[np.float32], rate: int, target: int) -> npt.NDArray[np.float32]:
    """All of (samples,) at `rate` Hz to (samples,) at `target` Hz; none where there is less than one."""
    if rate == target:
        return samples
    import soxr

    resampled: npt.NDArray[np.float32] = soxr.resample(samples, rate, target, quality=_QUALITY)
    return resampled


class Resampler:
    """Resamples (samples,) chunk by chunk; what it gives doesn't depend on how they are cut. One signal each.

    Args:
        rate: Hz of what goes in.
        target: Hz of what comes out; where both are the same, nothing is done.
    """

    def __init__(self, rate: int, target: int):
        self._stream: Any = None
        if rate != target:
            import soxr

            self._stream = soxr.ResampleStream(rate, target, 1, dtype="float32", quality=_QUALITY)

    def process(self, samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """What is complete by now."""
        return samples if self._stream is None else self._stream.resample_chunk(samples)

    def finish(self) -> npt.NDArray[np.float32]:
        """What it still holds, at the signal's end."""
        nothing = np.zeros(0, np.float32)
        return nothing if self._stream is None else self._stream.resample_chunk(nothing, last=True)
