"""A client that sends what it likes, byte by byte."""

import json
import socket
from contextlib import closing
from pathlib import Path
from typing import Any


def connect(port: int, data: bytes = b"") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), 20)
    connection.sendall(data)
    return connection


def answer(connection: socket.socket) -> tuple[int, dict[str, Any], bytes]:
    """Status and body of an answer that is closed after it, or has a length; and its headers."""
    data = b""
    while b"\r\n\r\n" not in data and (more := connection.recv(65536)):
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
    while len(body) < length and (more := connection.recv(65536)):
        body += more
    return int(head.split()[1]), json.loads(body), head


def upload(content: bytes, length: int | None = None) -> bytes:
    size = len(content) if length is None else length
    return f"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n".encode() + content


def is_well(port: int, sound: Path) -> None:
    with closing(connect(port, upload(sound.read_bytes()))) as connection:
        assert answer(connection)[0] == 200
