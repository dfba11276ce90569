"""Standard input while it is still being written: a sound file in a pipe, or samples without a header."""

import os
import queue
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, Any, BinaryIO, cast

import numpy as np

from ser_edge.audio.arrays import channels_of, check_rate
from ser_edge.audio.decoding import decoded, not_empty, open_sound
from ser_edge.audio.sound import Channels, Sound
from ser_edge.errors import AudioError

__all__ = ["SAMPLE_FORMATS", "RawFormat", "pipe_sound", "raw_sound"]

_PIPE_SECONDS = 0.1  # a piece of a pipe: how long an answer can wait for the piece to be full
_LONGEST = 1 << 32  # bytes taken to a temporary file: what comes without end mustn't fill the disk
_AHEAD = 50  # pieces read from a pipe while others are judged; then its writer waits

# Formats that libsndfile reads without jumping about in the file, by the bytes they begin with.
_STREAMABLE = (b"RIFF", b"RIFX", b"RF64", b"FORM", b".snd", b"OggS")

# The names that arecord, ffmpeg and sox know, in little-endian.
SAMPLE_FORMATS = {"u8": "u1", "s16": "<i2", "s24": "i3", "s32": "<i4", "f32": "<f4", "f64": "<f8"}


@dataclass(frozen=True)
class RawFormat:
    """What samples without a header are."""

    rate: int  # Hz
    channels: int = 1  # interleaved
    sample_format: str = "s16"  # of SAMPLE_FORMATS


@contextmanager
def pipe_sound(stream: BinaryIO, name: str) -> Iterator[Sound]:
    """A sound file that comes through a pipe, in pieces as soon as they are there.

    Formats whose readers jump about in the file (FLAC, MP3, ...) are taken to a temporary file first.

    Raises:
        AudioError: nothing comes, or it isn't a sound.
    """
    head = _read(stream.read, 4, name)
    if not head:
        raise AudioError(f"{name}: empty; pipe a sound file into it, or samples with --rate")
    if head not in _STREAMABLE:
        with tempfile.TemporaryFile() as whole:
            _keep(head, stream, whole, name)
            with open_sound(whole, name) as sound:
                yield sound
        return
    # libsndfile wants a file descriptor of which nothing was read yet.
    receiver, sender = os.pipe()
    threading.Thread(target=_relay, args=(head, stream, sender), daemon=True).start()
    chunks = _in_background(_from_descriptor(receiver, name))
    rate = next(chunks)
    assert isinstance(rate, int)
    yield Sound(rate, not_empty(cast("Iterator[Channels]", chunks), name), name, name)


@contextmanager
def raw_sound(stream: Any, raw: RawFormat, name: str = "-") -> Iterator[Sound]:
    """Channels without a header. What is left of a frame at the end, where the writer was stopped, is dropped.

    Raises:
        AudioError: it can't be read.
    """
    yield Sound(raw.rate, not_empty(_from_raw(stream, raw, name), name), name, name)


def _from_descriptor(descriptor: int, name: str) -> Iterator[int | Channels]:
    """The sample rate, then the samples."""
    import soundfile

    try:
        file = soundfile.SoundFile(descriptor)
    except RuntimeError as e:
        raise AudioError(f"{name}: not a sound file that can be read (WAV, FLAC, OGG, MP3, AIFF, ...)") from e
    with file:
        check_rate(file.samplerate, name)
        yield int(file.samplerate)
        length = round(_PIPE_SECONDS * file.samplerate)
        while len(data := decoded(file, name, length)):
            yield data


def _from_raw(stream: Any, raw: RawFormat, name: str) -> Iterator[Channels]:
    kind = SAMPLE_FORMATS[raw.sample_format]
    frame = int(kind[-1]) * raw.channels  # bytes
    left = b""
    while data := _read(stream.read1, 1 << 16, name):
        data = left + data
        whole = len(data) // frame * frame
        left = data[whole:]
        if kind == "i3":  # NumPy has no such integer: into the upper three bytes of four
            padded = np.zeros((whole // 3, 4), np.uint8)
            padded[:, 1:] = np.frombuffer(data[:whole], np.uint8).reshape(-1, 3)
            samples = padded.view("<i4")[:, 0]
        else:
            samples = np.frombuffer(data[:whole], kind)
        if whole:
            yield channels_of(samples).reshape(-1, raw.channels)


def _read(read: Callable[[int], bytes], size: int, name: str) -> bytes:
    try:
        return read(size)
    except OSError as e:
        raise AudioError(f"{name}: can't be read: {e.strerror}") from e


def _keep(head: bytes, stream: BinaryIO, whole: IO[bytes], name: str) -> None:
    """Copies a stream, of which `head` was read already, to a temporary file; rewinds it."""
    data = head
    try:
        while data:
            whole.write(data)
            if whole.tell() > _LONGEST:
                raise AudioError(
                    f"{name}: over {_LONGEST >> 30} GiB of a format that can't be streamed; send it as WAV"
                )
            data = _read(stream.read, 1 << 16, name)
        whole.seek(0)
    except OSError as e:
        with suppress(OSError):  # it would try once more to write what it still has
            whole.close()
        raise AudioError(f"{name}: no room for it in {tempfile.gettempdir()} ({e.strerror}); send it as WAV") from e


def _relay(head: bytes, stream: Any, sender: int) -> None:
    with suppress(OSError), open(sender, "wb", buffering=0) as out:  # the reader may stop before the writer
        out.write(head)
        while data := stream.read1(1 << 16):
            out.write(data)


def _in_background(items: Iterator[int | Channels]) -> Iterator[int | Channels]:
    """The same items, made in a thread: a reader that waits inside a library can't be stopped, a queue's can."""
    made: queue.Queue[int | Channels | Exception | None] = queue.Queue(_AHEAD)

    def make() -> None:
        try:
            for item in items:
                made.put(item)
            made.put(None)
        except Exception as e:  # it is raised where the items are used
            made.put(e)

    threading.Thread(target=make, daemon=True).start()
    while (item := made.get()) is not None:
        if isinstance(item, Exception):
            raise item
        yield item
