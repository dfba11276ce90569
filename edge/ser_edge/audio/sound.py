"""The common form of a file, a pipe, raw samples and an array: an iterator of chunks of samples."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Channels", "Samples", "Sound", "first"]

Samples = npt.NDArray[np.float32]  # (samples,), mono, full scale is +-1
Channels = npt.NDArray[np.float32]  # (samples, channels), full scale is +-1


@dataclass(frozen=True)
class Sound:
    """A stream of decoded sound: all channels, at the source's own rate.

    No more than a chunk is in memory. The iterator of chunks raises AudioError where nothing (more) can be decoded, and
    warns (`errors.user_warnings.warn`) of missing parts.
    """

    rate: int  # Hz
    chunks: Iterator[Channels]  # of any length
    name: str  # for messages
    path: str | None = None  # goes into predictions; None for sounds without one
    seconds: float | None = None  # approximate length, for progress alone: headers may be wrong


def first(chunks: Iterable[npt.NDArray[np.float32]], count: int | None) -> Iterator[npt.NDArray[np.float32]]:
    """The chunks up to so many samples, without taking one more; None takes all."""
    for chunk in chunks:
        yield chunk[:count]
        if count is not None and (count := count - len(chunk)) <= 0:
            return
