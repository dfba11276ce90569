"""Chooses the module that cuts a sound into segments, by its first bytes."""

from collections.abc import Iterator

from ser_edge.audio.decoding.byte_streams import PeekableReader
from ser_edge.audio.decoding.containers import flac, mpeg, ogg, pcm
from ser_edge.audio.decoding.containers.pcm_headers import HEADER_START, begins_container, is_plain
from ser_edge.audio.decoding.containers.segments import Segment
from ser_edge.audio.decoding.libsndfile import DecodeJob
from ser_edge.audio.formats import format_name


def segments_of(reader: PeekableReader, job: DecodeJob) -> Iterator[Segment] | None:
    """The segments of a stream, by its first bytes; None for other formats."""
    head = reader.peek(HEADER_START)
    if begins_container(head):
        return pcm.segments(reader, job) if is_plain(head) else None
    if head[:4] == ogg.MAGIC:
        return ogg.segments(reader, job) if ogg.is_known(reader) else None
    mpeg.skip_tags(reader)
    if reader.peek(4) == flac.MAGIC:
        return flac.segments(reader, job)
    if mpeg.begins(reader) or (format_name(reader.peek(64)) is None and mpeg.begins_soon(reader)):
        return mpeg.segments(reader, job)
    return None
