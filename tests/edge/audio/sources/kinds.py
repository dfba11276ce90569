"""Kinds of sources that hold the same sound: paths, files, uploads."""

import io
import os
import tempfile
import zipfile
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

RATE = 16_000
NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, RATE).astype(np.float32)


def encoded(samples: npt.NDArray[np.float32] = NOISE) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, format="WAV", subtype="FLOAT")
    return file.getvalue()


WAV = encoded()


@dataclass
class Place:
    """A path that is no `Path`."""

    path: Any

    def __fspath__(self) -> Any:
        return self.path


class OnlyReads:
    """What reads and can do nothing else, a few bytes at a time."""

    def __init__(self, content: bytes = WAV):
        self._file = io.BytesIO(content)

    def read(self, size: int = -1) -> Any:
        return self._file.read(min(size, 999))


class ReadsAll(OnlyReads):
    def read(self) -> Any:  # type: ignore[override]
        return self._file.read()


class NoFile(OnlyReads):
    """Reads something else, or fails."""

    def __init__(self, gives: Any):
        self._gives = gives

    def read(self, size: int = -1) -> Any:
        if isinstance(self._gives, Exception):
            raise self._gives
        return self._gives


@dataclass
class Upload:
    """As FastAPI's UploadFile: it reads in coroutines, its file doesn't."""

    file: Any
    filename: str = "voice.wav"

    async def read(self, size: int = -1) -> Any:
        return self.file.read(size)

    async def seek(self, offset: int) -> None:
        self.file.seek(offset)


@dataclass
class Part:
    """As Werkzeug's FileStorage (Flask): all that its stream can."""

    stream: Any
    filename: str = "voice.wav"
    name: str = "field"

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@dataclass
class Field:
    """As aiohttp's FileField: its file alone reads."""

    file: Any
    filename: str = "voice.wav"


class Remote:
    """What comes over the network in coroutines, without a file."""

    async def read(self, size: int = -1) -> bytes:
        return WAV


def read_before(count: int = -1) -> io.BytesIO:
    file = io.BytesIO(WAV)
    file.read(count)
    return file


def spooled() -> Any:
    file = tempfile.SpooledTemporaryFile()  # noqa: SIM115
    file.write(WAV)
    return file


def archived() -> Any:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.wav", WAV)
    return zipfile.ZipFile(content).open("a.wav")


def piped() -> Any:
    receiver, sender = os.pipe()
    with open(sender, "wb") as out:  # noqa: PTH123
        out.write(encoded(NOISE[:4_000]))  # a pipe holds no more without a reader
    return open(receiver, "rb")  # noqa: PTH123
