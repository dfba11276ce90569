"""The limits in docs/server.md are those of the code."""

import re

from ser_edge.audio.decoding.ffmpeg import _SILENCE
from ser_edge.service.web.limits import Limits
from tests.docs.pages import ROOT


def test_the_table_has_every_limit() -> None:
    section = (ROOT / "docs" / "server.md").read_text("utf-8").partition("## Limits\n")[2].partition("\n## ")[0]
    table = dict(re.findall(r"^\| (.*?) \| (.*?) \|", section, re.M)[1:])
    limits = Limits()
    assert table == {
        "size of a request": f"{limits.bytes >> 20} MiB (`--max-upload`)",
        "sound in an upload, as it is decoded": f"{limits.seconds:g} s (`--max-seconds`)",
        "samples in it, of all channels": f"{limits.seconds * limits.samples_per_second:,.0f}",
        "time of a decoder without finding sound; of classifying an upload": (
            f"{limits.search:g} s; {limits.classify:g} s"
        ),
        "time of an `ffmpeg` program, used without PyAV, without writing anything": f"{_SILENCE:g} s",
        "time for a request's head": f"{limits.header:g} s",
        "time for a body": (
            f"{limits.body:g} s, and one more for each {limits.body_rate >> 10} KiB that came; {limits.body_most:g} s"
        ),
        "uploads that wait or are classified; of one client": f"{limits.queue}; {limits.client_queue}",
        "time that an upload waits for its turn": f"{limits.wait:g} s",
        "memory for uploads": f"{limits.memory >> 20} MiB",
        "streams; of one client": f"{limits.streams}; {limits.client_streams}",
        "a message of a stream": f"{limits.message >> 20} MiB",
        "time without a message": f"{limits.idle:g} s",
        "viewers of `v1/events`; of one client": f"{limits.viewers}; {limits.client_viewers}",
        "connections": f"{limits.connections}",
        "time for a client to read": f"{limits.write:g} s",
        "time for what has begun, at the end": f"{limits.drain:g} s",
    }
