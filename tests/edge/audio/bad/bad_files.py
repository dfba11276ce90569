"""Sound files that are damaged, cut, joined or mislabelled, as bytes."""

import io
import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

RATE = 16_000
HUM = (0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)).astype(np.float32)  # one second
WAV_CHANNELS, WAV_RATE, WAV_FRAME, WAV_BITS, WAV_SIZE = 22, 24, 32, 34, 40  # where a plain WAV header keeps them


def encoded(samples: npt.ArrayLike = HUM, rate: int = RATE, file: str = "WAV", subtype: str | None = None) -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, np.asarray(samples), rate, format=file, subtype=subtype)
    return stream.getvalue()


def patched(content: bytes, place: int, value: bytes) -> bytes:
    return content[:place] + value + content[place + len(value) :]


def header(place: int, value: int, size: int = 4) -> bytes:
    """A WAV of a second, with another number in its header."""
    return patched(encoded(), place, value.to_bytes(size, "little"))


def chunk(name: bytes, content: bytes, size: int | None = None) -> bytes:
    return name + struct.pack("<I", len(content) if size is None else size) + content


def riff(*chunks: bytes) -> bytes:
    return chunk(b"RIFF", b"WAVE" + b"".join(chunks))


FORMAT = struct.pack("<HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16)
PCM = (HUM * 32_767).astype("<i2").tobytes()
FLAC = encoded(file="FLAC")
MP3 = encoded(file="MP3")
PIPED_FLAC = patched(patched(FLAC, 21, bytes([FLAC[21] & 0xF0])), 22, bytes(4))  # which doesn't say how long it is


def made(path: Path, content: bytes | Path | None) -> str:
    """A file, a link, or (None) a folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if content is None:
        path.mkdir()
    elif isinstance(content, Path):
        path.symlink_to(content)
    else:
        path.write_bytes(content)
    return str(path)
