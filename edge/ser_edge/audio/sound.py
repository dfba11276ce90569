"""The common form of a file, a pipe, raw samples and an array: an iterator of chunks of samples; and its limits."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ser_edge.errors import AudioError

MIN_RATE, MAX_RATE = 1_000, 768_000  # Hz; outside it a header is damaged
MAX_AMPLITUDE = 1e12  # full scale is 1; float32 couldn't hold the power of louder samples
SILENCE_PEAK = 1e-4  # -80 dBFS: below the noise floor of any microphone

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


def limit(chunks: Iterable[npt.NDArray[np.float32]], count: int | None) -> Iterator[npt.NDArray[np.float32]]:
    """The chunks up to so many samples, without taking one more; None takes all."""
    for chunk in chunks:
        yield chunk[:count]
        if count is not None and (count := count - len(chunk)) <= 0:
            return


def check_rate(rate: float, name: str) -> None:
    """Raises AudioError for a sample rate outside 1 to 768 kHz."""
    if not MIN_RATE <= rate <= MAX_RATE:
        problem = f"a sample rate of {rate} Hz; expected {MIN_RATE} to {MAX_RATE}"
        raise AudioError(f"{name}: {problem}", code="audio-sample-rate")


def check_finite(samples: Channels, name: str, advice: str = "write it as 16-bit WAV") -> None:
    """Raises AudioError for samples that are NaN, infinite, or beyond `MAX_AMPLITUDE`."""
    if len(samples) and not max(samples.max(), -samples.min()) <= MAX_AMPLITUDE:  # NaN where there is one
        problem = f"holds NaN or infinite samples, or some above {MAX_AMPLITUDE:g}; {advice}"
        raise AudioError(f"{name}: {problem}", code="audio-not-finite")
