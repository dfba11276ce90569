"""Everything that Python code calls a sound becomes a `Sound`: a path, a file object, an array."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import numpy.typing as npt

from ser_edge.audio.arrays import channels_of, check_finite, check_rate
from ser_edge.audio.decoding import open_sound
from ser_edge.audio.sound import Sound
from ser_edge.errors import AudioError

__all__ = ["Source", "open_source"]

Source = str | Path | BinaryIO | npt.ArrayLike


@contextmanager
def open_source(source: Source, sample_rate: int | None = None) -> Iterator[Sound]:
    """Opens whatever `Recognizer.predict` takes.

    Args:
        source: the path of a sound file, a binary file object that holds one, or an array of (samples,) or
            (samples, channels).
        sample_rate: Hz of an array; files say theirs.

    Raises:
        AudioError: nothing that can be used.
        TypeError: an array without a sample rate.
    """
    if isinstance(source, str | Path) or hasattr(source, "read"):
        with open_sound(cast("str | Path | BinaryIO", source)) as sound:
            yield sound
        return
    if sample_rate is None:
        raise TypeError("an array needs its sample rate: predict(array, sample_rate=...)")
    check_rate(sample_rate, "array")
    samples = channels_of(np.asarray(source))
    if samples.size == 0:
        raise AudioError("array: empty, no samples in it")
    check_finite(samples, "array")
    yield Sound(sample_rate, iter([samples]), "array", None, len(samples) / sample_rate)
