"""Resampling: soxr's "HQ" preset, which is what `librosa.load` uses; soxr is imported when rates differ."""

from typing import Any

import numpy as np
import numpy.typing as npt

_QUALITY = "HQ"


def resample(samples: npt.NDArray[np.float32], rate: int, target: int) -> npt.NDArray[np.float32]:
    """All of (samples,) at `rate` Hz to (samples,) at `target` Hz; none where there is less than one."""
    if rate == target:
        return samples
    import soxr

    resampled: npt.NDArray[np.float32] = soxr.resample(samples, rate, target, quality=_QUALITY)
    return resampled


class Resampler:
    """Resamples a signal from `rate` to `target` Hz, chunk by chunk; where the chunks are cut makes no difference.

    Chunks are (samples,) where `channels` is None, else (samples, channels); nothing is done where the rates are equal.
    """

    def __init__(self, rate: int, target: int, channels: int | None = None):
        self._empty = np.zeros(0 if channels is None else (0, channels), np.float32)
        self._stream: Any = None
        if rate != target:
            import soxr

            self._stream = soxr.ResampleStream(rate, target, channels or 1, dtype="float32", quality=_QUALITY)

    def process(self, samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Resampled samples, as many as are complete."""
        return samples if self._stream is None else self._stream.resample_chunk(samples)

    def finish(self) -> npt.NDArray[np.float32]:
        """The rest, at the signal's end."""
        return self._empty if self._stream is None else self._stream.resample_chunk(self._empty, last=True)
