"""Binary streams for decoders: one with lookahead for parsers, two that stand for files in front of C libraries."""

import io
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO

from ser_edge.audio.formats import read_error
from ser_edge.errors import AudioError

BLOCK = 1 << 16  # bytes that are read at once
_MAX_KEPT = 1 << 20  # bytes
_END = 1 << 62  # place of the end of a file whose length is unknown


class PeekableReader:
    """Reads bytes in order, with lookahead.

    `read` returns so many bytes at most, and none at the end; `name` is the sound's, for messages.
    """

    def __init__(self, read: Callable[[int], bytes | None], name: str):
        self._read, self._name = read, name
        self._held = b""  # read and not taken yet, from `_place` on
        self._place = 0
        self._kept: list[bytes] | None = []  # all that was taken so far, while that is little
        self.taken = 0  # bytes

    def peek(self, size: int) -> bytes:
        """The next bytes, fewer only at the end; raises AudioError where they can't be read."""
        while len(self._held) - self._place < size and (more := self._more()):
            self._held = self._held[self._place :] + more
            self._place = 0
        return self._held[self._place : self._place + size]

    def buffered(self, least: int = 1) -> bytes:
        """All that was read and not taken; at least so many bytes, if there are."""
        self.peek(least)
        return self._held[self._place :]

    def take(self, size: int) -> bytes:
        """The next bytes, which are then gone; fewer only at the end."""
        data = self.peek(size)
        self._place += len(data)
        self.taken += len(data)
        if self._kept is not None:
            self._kept.append(data)
            if self.taken > _MAX_KEPT:
                self._kept = None
        return data

    def rewind(self) -> bool:
        """Goes back to the beginning; False where too much was taken for that."""
        if self._kept is None:
            return False
        self._held, self._place = b"".join([*self._kept, self._held[self._place :]]), 0
        self._kept, self.taken = [], 0
        return True

    def read_available(self, most: int = BLOCK) -> bytes:
        """Takes the available bytes, without waiting for more than the first; empty at the end."""
        return self.take(min(most, len(self._held) - self._place)) if most and self.peek(1) else b""

    def skip(self, size: int) -> int:
        """Takes so many bytes; returns how many there were."""
        left = size
        while left and (data := self.read_available(left)):
            left -= len(data)
        return size - left

    def _more(self) -> bytes:
        try:
            return self._read(BLOCK) or b""
        except (OSError, ValueError) as e:  # ValueError: it was closed
            raise read_error(self._name, e) from e


class ForwardOnlyFile:
    """A stream that libsndfile takes for a seekable file without an end; `more` gives the next bytes, none at the end.

    While libsndfile reads a header it seeks, and the first bytes are kept; after that it goes straight on, and what was
    read is forgotten.
    """

    def __init__(self, more: Callable[[], bytes]):
        self._more = more
        self._held, self._start = b"", 0  # bytes, and the place of the first of them
        self._place = 0
        self.opening = True  # the header is read; set to False, it is read straight on
        self.error: AudioError | None = None  # libsndfile would print what is raised inside it
        self.stop: KeyboardInterrupt | None = None  # likewise

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
                if not self.opening:
                    self._held, self._start = self._held[self._place - self._start :], self._place
                self._held += more
        except AudioError as e:
            self.error = e
        except KeyboardInterrupt as e:
            self.stop = e
        first = self._place - self._start
        data = self._held[first : first + size]
        self._place += len(data)
        return data


class SafeFile:
    """A binary file for a C library, which seeks to impossible places when a sound is damaged.

    Exceptions inside its callbacks would be printed as tracebacks, not raised.
    """

    def __init__(self, file: BinaryIO):
        self._file = file
        self.tell = file.tell
        self.stop: KeyboardInterrupt | None = None  # came inside a callback

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Goes there, or stays."""
        try:
            with suppress(OSError, OverflowError, ValueError):
                self._file.seek(offset, whence)
        except KeyboardInterrupt as e:
            self.stop = e
        return self.tell()

    def read(self, size: int) -> bytes:
        """So many bytes, fewer at the end, none where they can't be read."""
        try:
            return self._file.read(size)
        except (OSError, ValueError):  # missing samples are counted
            return b""
        except KeyboardInterrupt as e:
            self.stop = e
            return b""
