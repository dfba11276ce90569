"""libsndfile (soundfile), as it is used here: read straight on, until nothing comes, and past what it complains of."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ser_edge.audio.formats import error_reason
from ser_edge.audio.sound import Channels
from ser_edge.errors import AudioError
from ser_edge.errors.user_warnings import warn

__all__ = ["DecodeStats", "decoded", "open_file"]

_TOLERATED = 0.01  # of a sound: so much may be missing without a word
_DTYPES = {"PCM_16": "int16"}  # what libsndfile decodes to, where it isn't float32
_AT_ONCE = 1 << 22  # values decoded in one go: memory grows with the sound that is there, not with what a header claims
_UNWRITTEN = {"int16": -32_767, "float32": np.nan}  # what no decoder leaves at the end of what it wrote


@dataclass
class DecodeStats:
    """What of a sound was decoded, and what wasn't."""

    length: float | None = None  # seconds, about, as a header has it
    seconds: float = 0.0  # decoded
    missing: float = 0.0  # seconds that were declared, and didn't come
    taken: int = 0  # bytes
    skipped: int = 0  # bytes of them that are neither sound nor a tag
    problem: str = ""  # what the decoder said, where it isn't known how much is missing

    def report(self, name: str) -> None:
        """Warns in a line, if a hundredth of the sound or more is missing."""
        whole = self.seconds + self.missing
        if not self.seconds:  # an error says more
            return
        if self.missing >= _TOLERATED * whole > 0:
            said = f"truncated or damaged: {self.seconds:.2f} s of {whole:.2f} s could be decoded"
        elif self.skipped >= _TOLERATED * self.taken > 0:
            said = f"damaged: {self.skipped} of {self.taken} bytes couldn't be decoded, {self.seconds:.2f} s could"
        elif self.problem:
            said = f"damaged ({self.problem}): {self.seconds:.2f} s could be decoded"
        else:
            return
        warn(f"{name}: {said}; copy it again")


def open_file(place: Any, name: str) -> Any:
    """A `soundfile.SoundFile` that is read straight on, and isn't asked how long it is.

    Args:
        place: path in bytes, file object, or the descriptor of a pipe.
        name: for messages.

    Raises:
        AudioError: libsndfile can't read it.
    """
    import soundfile

    class StraightOn(soundfile.SoundFile):  # type: ignore[misc]
        def seekable(self) -> bool:  # else soundfile seeks after each read
            return False

    try:
        return StraightOn(place, closefd=False)  # whose the descriptor is, also where this fails
    except Exception as e:  # whatever it raises is about this file: the next one may be fine
        raise AudioError(f"{name}: {error_reason(e)}") from e


def decoded(file: Any, count: int) -> tuple[Channels, str]:
    """(samples, channels), the next `count` of an `open_file`, or as many as are left; and what kept it from more."""
    step = max(1, _AT_ONCE // file.channels)
    dtype = _DTYPES.get(file.subtype, "float32")
    parts: list[Channels] = [np.empty((0, file.channels), np.float32)]
    problem = ""
    while count > 0:
        data = np.full((min(step, count), file.channels), _UNWRITTEN[dtype], dtype)
        try:
            data = file.read(len(data), out=data)
            more = len(data) == min(step, count)
        except Exception as e:  # what was decoded before it stands in the array
            problem = error_reason(e).removeprefix("can't be read: ")
            data = data[: _written(data)]
            more = len(data) > 0
        if data.dtype == np.int16:  # libsndfile's own conversion takes three times as long
            data = np.multiply(data, np.float32(1 / 32768), dtype=np.float32)
        parts.append(data)
        count = count - len(data) if more else 0
    return parts[1] if len(parts) == 2 else np.concatenate(parts), problem


def _written(data: Any) -> int:
    """How many of the samples hold more than `_UNWRITTEN`."""
    unwritten = np.isnan(data) if data.dtype == np.float32 else data == _UNWRITTEN["int16"]
    written = np.flatnonzero(~unwritten.all(axis=1))
    return int(written[-1]) + 1 if len(written) else 0
