"""A seekable file becomes samples: by libsndfile alone where it gets all of them, else in segments, or by FFmpeg."""

import io
from collections.abc import Generator
from typing import BinaryIO

from ser_edge.audio.decoding.byte_streams import PeekableReader
from ser_edge.audio.decoding.containers import pcm_headers
from ser_edge.audio.decoding.libsndfile import DecodeJob, decode_whole
from ser_edge.audio.formats import format_name, read_error
from ser_edge.audio.sound import Channels
from ser_edge.errors import AudioError

_START = 512  # bytes by which a file is known that libsndfile can't read
_RAW_SUFFIXES = (".raw", ".pcm")  # samples without a header
_MULTI_CODEC = (b"OggS", b"caff")  # first bytes of containers that may hold codecs unknown to libsndfile

Items = Generator[int | Channels, None, None]  # the sample rate, then samples


def decode_file(file: BinaryIO, job: DecodeJob) -> Items:
    """The rate of a seekable file, then its samples. Updates `job`; raises AudioError where nothing can be decoded."""
    try:
        file.seek(0)
        start = file.read(_START) or b""
        job.taken = file.seek(0, io.SEEK_END)
    except (OSError, ValueError) as e:
        raise read_error(job.name, e) from e
    try:
        items = _by_libsndfile(file, job)
        rate = next(items)
    except AudioError as refusal:
        from ser_edge.errors.placeholder_files import describe_placeholder

        if found := describe_placeholder(start):
            raise AudioError(f"{job.name}: {found}", code="audio-placeholder") from refusal
        items = _by_ffmpeg(file, job, start, refusal)
        rate = next(items)
    yield rate
    yield from items


def _by_libsndfile(file: BinaryIO, job: DecodeJob) -> Items:
    items = decode_whole(file, job)
    if not _is_regular(file, job):
        try:
            segments = _in_segments(file, job)
            rate = next(segments)
        except AudioError:  # libsndfile knows more kinds of these containers, and its messages are better
            job.skipped = 0
        else:
            yield rate
            items = segments
    yield from items


def _in_segments(file: BinaryIO, job: DecodeJob) -> Items:
    from ser_edge.audio.decoding.containers.detection import segments_of
    from ser_edge.audio.decoding.containers.segments import decode_segments

    file.seek(0)
    segments = segments_of(PeekableReader(file.read, job.name), job)
    yield from decode_segments(segments or iter(()), job)


def _is_regular(file: BinaryIO, job: DecodeJob) -> bool:
    """Whether libsndfile alone decodes all of a file."""
    try:
        if (regular := pcm_headers.is_regular(file, job.taken)) is not None:
            return regular
    except (OSError, ValueError) as e:
        raise read_error(job.name, e) from e
    from ser_edge.audio.decoding.containers.detection import segments_of

    file.seek(0)
    trial = DecodeJob(job.name, job.chunk_seconds)
    segments = segments_of(PeekableReader(file.read, job.name), trial)
    if segments is None or (first := next(segments, None)) is None or not first.piped:
        return False
    for _ in first.content:
        pass
    return first.regular and next(segments, None) is None and not trial.skipped


def _by_ffmpeg(file: BinaryIO, job: DecodeJob, start: bytes, refusal: AudioError) -> Items:
    """By PyAV or ffmpeg; where that can't either, the error of the library that knows the format better."""
    from shlex import quote

    from ser_edge.audio.decoding.ffmpeg import decode_media, decoder, install_command

    kind = format_name(start)
    if kind is None and job.path is not None and job.path.lower().endswith(_RAW_SUFFIXES):
        advice = f"samples without a header? try: ser-edge --rate 16000 - < {quote(job.path)}"
        raise AudioError(f"{job.name}: {advice}", code="audio-headerless") from refusal
    if decoder():
        items = decode_media(file, job)
        try:
            rate = next(items)
        except AudioError as e:
            raise (e if kind else refusal) from None
        yield rate
        yield from items
        return
    if kind is not None:
        problem = f"{job.name}: {kind}, which needs PyAV or ffmpeg; try: {install_command()}"
    elif start.startswith(_MULTI_CODEC):
        problem = f"{refusal}; PyAV or ffmpeg may decode it, try: {install_command()}"
    else:
        raise refusal
    raise AudioError(problem, code="audio-needs-ffmpeg") from refusal
