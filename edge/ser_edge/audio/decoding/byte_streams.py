"""Bytes that come once and in order, as from a pipe: with a look at those to come, and as a file for libsndfile."""

import io
from collections.abc import Callable
from contextlib import suppress
from typing import Any, BinaryIO

from ser_edge.errors import AudioError

__all__ = ["BLOCK", "ForwardOnlyFile", "PeekableReader", "SafeFile"]

BLOCK = 1 << 16  # bytes that are asked for at once
_KEPT = 1 << 20  # bytes
_END = 1 << 62  # where a file ends of which nobody knows how long it is


class PeekableReader:
    """Takes bytes in order from whatever gives them.

    Args:
        read: gives so many bytes at most, and none at the end.
        name: of the sound, for messages.
    """

    def __init__(self, read: Callable[[int], bytes | None], name: str):
        self._read, self._name = read, name
        self._held = b""  # read and not taken yet, from `_place` on
        self._place = 0
        self._kept: list[bytes] | None = []  # all that was taken so far, while that is little
        self.taken = 0  # bytes

    def peek(self, size: int) -> bytes:
        """The next bytes; fewer only where it ends.

        Raises:
            AudioError: they can't be read.
        """
        while len(self._held) - self._place < size:
            more = self._more()
            if not more:
                break
            self._held = self._held[self._place :] + more
            self._place = 0
        return self._held[self._place : self._place + size]

    def ahead(self, least: int = 1) -> bytes:
        """All that was read and not taken; at least so many bytes, if there are."""
        self.peek(least)
        return self._held[self._place :]

    def take(self, size: int) -> bytes:
        """The next bytes, which are then gone; fewer only where it ends."""
        data = self.peek(size)
        self._place += len(data)
        self.taken += len(data)
        if self._kept is not None:
            self._kept.append(data)
            if self.taken > _KEPT:
                self._kept = None
        return data

    def rewind(self) -> bool:
        """Everything comes once more, if so little was taken that it is still there."""
        if self._kept is None:
            return False
        self._held, self._place = b"".join([*self._kept, self._held[self._place :]]), 0
        self._kept, self.taken = [], 0
        return True

    def some(self, most: int = BLOCK) -> bytes:
        """What is there, of so many, without waiting for more than its first byte; empty at the end."""
        return self.take(min(most, len(self._held) - self._place)) if most and self.peek(1) else b""

    def skip(self, size: int) -> int:
        """Takes so many, and says how many there were."""
        left = size
        while left and (data := self.some(left)):
            left -= len(data)
        return size - left

    def _more(self) -> bytes:
        try:
            return self._read(BLOCK) or b""
        except (OSError, ValueError) as e:  # ValueError: somebody closed it
            raise AudioError(f"{self._name}: can't be read: {getattr(e, 'strerror', None) or e}") from e


class ForwardOnlyFile:
    """What libsndfile takes for a seekable file without an end: bytes in order, of which the first are kept.

    While it reads a header it looks around; after that it goes straight on, and what was read is forgotten.

    Args:
        more: gives the next bytes, of any number, and none at the end.
    """

    def __init__(self, more: Callable[[], bytes]):
        self._more = more
        self._held, self._start = b"", 0  # bytes, and the place of the first of them
        self._place = 0
        self._opening = True
        self.error: AudioError | None = None  # what is raised inside libsndfile would be printed, not raised

    def opened(self) -> None:
        """From now on it is read straight on."""
        self._opening = False

    def tell(self) -> int:
        """The place of the next byte."""
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Goes anywhere; there is something to read only where bytes came from, or come from next."""
        self._place = max(0, {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: _END}[whence] + offset)
        return self._place

    def read(self, size: int) -> bytes:
        """So many bytes, fewer at the end; none from a place far ahead."""
        if not self._start <= self._place <= self._start + len(self._held):
            return b""
        try:
            while self._start + len(self._held) < self._place + size and (more := self._more()):
                if not self._opening:
                    self._held, self._start = self._held[self._place - self._start :], self._place
                self._held += more
        except AudioError as e:
            self.error = e
        first = self._place - self._start
        data = self._held[first : first + size]
        self._place += len(data)
        return data

    def readinto(self, buffer: Any) -> int:
        """The same, into a buffer."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


class SafeFile:
    """A binary file for a library in C, which seeks to places that can't be when a sound is damaged.

    What is raised while that calls back isn't raised but printed, as a traceback.
    """

    def __init__(self, file: BinaryIO):
        self._file = file
        self.tell = file.tell

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Goes there, or stays."""
        with suppress(OSError, OverflowError, ValueError):
            self._file.seek(offset, whence)
        return self.tell()

    def read(self, size: int) -> bytes:
        """So many bytes, fewer at the end, none where they can't be read."""
        try:
            return self._file.read(size)
        except (OSError, ValueError):  # what is missing is counted
            return b""

    def readinto(self, buffer: Any) -> int:
        """The same, into a buffer."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
