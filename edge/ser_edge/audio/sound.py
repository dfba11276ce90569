"""What every source of sound becomes first, be it a file, a pipe, raw samples or an array: chunks of samples."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Channels", "Samples", "Sound", "first"]

Samples = npt.NDArray[np.float32]  # (samples,), mono, full scale is +-1
Channels = npt.NDArray[np.float32]  # (samples, channels), full scale is +-1


@dataclass(frozen=True)
class Sound:
    """Decoded sound as it comes: all channels, at the source's own rate.

    No more than a chunk is in memory. The chunks' iterator raises AudioError where nothing (more) can be decoded, and
    warns (`notices.warn`) of what was left out.
    """

    rate: int  # Hz
    chunks: Iterator[Channels]  # of any length
    name: str  # for messages
    path: str | None = None  # goes into predictions; None for what has none
    seconds: float | None = None  # about so long, for progress alone: headers lie


def first(chunks: Iterable[npt.NDArray[np.float32]], count: int | None) -> Iterator[npt.NDArray[np.float32]]:
    """As many samples as wanted, and no chunk more than it takes; None is all of them."""
    left = count
    for chunk in chunks:
        if left is None:
            yield chunk
            continue
        yield chunk[:left]
        left -= len(chunk)
        if left <= 0:
            return
