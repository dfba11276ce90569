"""A server of our own that cuts, refuses and restarts."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from ser_train.data.download import Archive

CHUNK = 1 << 16  # what is read at a time, and so the most that is lost by a cut


class Mirror(ThreadingHTTPServer):
    """Serves one content at any address, and notes what was asked and sent."""

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/file"
        self.content = content
        self.status = 200
        self.ranges = True  # whether it understands Range
        self.cuts: list[int] = []  # bytes after which the coming answers end, all of it when there are no more
        self.asked: list[str | None] = []  # Range headers
        self.sent: list[range] = []

    @property
    def archive(self) -> Archive:
        return Archive(self.url, hashlib.md5(self.content).hexdigest())


class Handler(BaseHTTPRequestHandler):
    server: Mirror

    def do_GET(self) -> None:
        mirror, asked = self.server, self.headers["Range"]
        mirror.asked.append(asked)
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and mirror.ranges else 0
        if mirror.status != 200:
            self.send_error(mirror.status)
            return
        if start and start >= len(mirror.content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(mirror.content) - start))
        self.end_headers()
        end = min(start + mirror.cuts.pop(0), len(mirror.content)) if mirror.cuts else len(mirror.content)
        mirror.sent.append(range(start, end))
        self.wfile.write(mirror.content[start:end])

    def log_message(self, *_: object) -> None:
        """Tests are quiet."""


@contextmanager
def serving(content: bytes) -> Iterator[Mirror]:
    """A server of this content, in a thread."""
    with Mirror(content) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()
