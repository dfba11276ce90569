"""A seekable file becomes samples: by libsndfile alone where it gets all of them, else in segments, or by FFmpeg."""

import io
import os
from collections.abc import Generator
from typing import Any, BinaryIO

from ser_edge.audio.decoding.byte_streams import PeekableReader, SafeFile
from ser_edge.audio.decoding.containers.pcm_headers import begins_another, is_regular
from ser_edge.audio.decoding.libsndfile import DecodeStats, decoded, open_file
from ser_edge.audio.formats import MAYBE_OTHERS, RAW_SUFFIXES, format_name
from ser_edge.audio.samples.arrays import check_rate
from ser_edge.audio.sound import Channels
from ser_edge.errors import AudioError

__all__ = ["Items", "decode_file"]

_START = 512  # bytes, by which it is known what a file is that libsndfile can't read
_NO_LENGTH = 1 << 56  # samples; libsndfile says more where it doesn't know

Items = Generator[int | Channels, None, None]  # the sample rate, then samples


def decode_file(file: BinaryIO, path: str | None, name: str, stats: DecodeStats, seconds: float) -> Items:
    """The sample rate of a sound file, then its samples.

    Args:
        file: seekable.
        path: of it; None where it has none.
        name: for messages.
        stats: is filled in.
        seconds: of sound in a chunk.

    Raises:
        AudioError: nothing can be decoded.
    """
    file.seek(0)
    head = PeekableReader(file.read, name).peek(_START)
    stats.taken = file.seek(0, io.SEEK_END)
    try:
        items = _by_libsndfile(file, path, name, stats, seconds)
        rate = next(items)
    except AudioError as refusal:
        _refuse_placeholder(head, name)
        items = _by_ffmpeg(file, path, name, stats, seconds, head, refusal)
        rate = next(items)
    yield rate
    yield from items


def _refuse_placeholder(head: bytes, name: str) -> None:
    from ser_edge.errors.placeholder_files import describe_placeholder

    if said := describe_placeholder(head):
        raise AudioError(f"{name}: {said}")


def _by_libsndfile(file: BinaryIO, path: str | None, name: str, stats: DecodeStats, seconds: float) -> Items:
    items = _straight(file, path, name, stats, seconds)
    if not _is_regular(file, stats.taken, name):
        try:
            segments = _in_segments(file, name, stats, seconds)
            rate = next(segments)
        except AudioError:  # libsndfile knows more kinds of these containers, and says what is wrong with others
            stats.skipped = 0
        else:
            yield rate
            items = segments
    yield from items


def _in_segments(file: BinaryIO, name: str, stats: DecodeStats, seconds: float) -> Items:
    from ser_edge.audio.decoding.containers.detection import segments_of
    from ser_edge.audio.decoding.containers.segments import decode_segments

    file.seek(0)
    segments = segments_of(PeekableReader(file.read, name), stats)
    yield from decode_segments(segments or iter(()), name, stats, seconds)


def _is_regular(file: BinaryIO, size: int, name: str) -> bool:
    """Whether libsndfile alone decodes all of a file."""
    file.seek(0)
    reader = PeekableReader(file.read, name)
    if begins_another(reader.peek(16)):
        file.seek(0)
        return is_regular(file, size, name)
    from ser_edge.audio.decoding.containers.detection import segments_of

    stats = DecodeStats()
    segments = segments_of(reader, stats)
    if segments is None or (first := next(segments, None)) is None or not first.piped:
        return False
    for _ in first.content:
        pass
    return first.regular and next(segments, None) is None and not stats.skipped


def _straight(file: BinaryIO, path: str | None, name: str, stats: DecodeStats, seconds: float) -> Items:
    file.seek(0)
    # Names are bytes on POSIX systems; soundfile would refuse those that aren't UTF-8, and asks more of one in .raw.
    by_name = path is not None and not path.lower().endswith(".raw")
    place: Any = (os.fsencode(str(path)) if os.name == "posix" else path) if by_name else SafeFile(file)
    with open_file(place, name) as sound:
        check_rate(sound.samplerate, name)
        rate = int(sound.samplerate)
        frames = sound.frames if sound.frames < _NO_LENGTH else 0
        stats.length = frames / rate or None
        yield rate
        got, more = 0, True
        while more:
            data, problem = decoded(sound, max(1, round(seconds * rate)))
            more = len(data) > 0
            got += len(data)
            stats.seconds += len(data) / rate
            stats.problem = problem or stats.problem
            if more:
                yield data
    if sound.format != "MP3":  # whose length is a guess, where its index isn't right
        stats.missing += max(0, frames - got) / rate


def _by_ffmpeg(
    file: BinaryIO, path: str | None, name: str, stats: DecodeStats, seconds: float, head: bytes, refusal: AudioError
) -> Items:
    """By what is there of FFmpeg; where that can't either, the refusal of who knows the format better."""
    from shlex import quote

    from ser_edge.audio.decoding.ffmpeg import available, decode_media, install_command

    what = format_name(head)
    if what is None and path is not None and path.lower().endswith(RAW_SUFFIXES):
        raise AudioError(f"{name}: samples without a header? try: ser-edge --rate 16000 - < {quote(path)}") from refusal
    if available():
        items = decode_media(file, path, name, stats, seconds)
        try:
            rate = next(items)
        except AudioError as e:
            raise (e if what else refusal) from None
        yield rate
        yield from items
    elif what is not None:
        raise AudioError(f"{name}: {what}, which needs PyAV or ffmpeg; try: {install_command()}") from refusal
    elif head.startswith(MAYBE_OTHERS):
        raise AudioError(f"{refusal}; PyAV or ffmpeg may decode it, try: {install_command()}") from refusal
    else:
        raise refusal
