"""What is read of a model file before the library that runs it sees a byte: its size, its description, its references.

Model files come from strangers, and the libraries that run them read what a network tells them to: ONNX Runtime opens
other files, or takes addresses in memory, for weights that are "external". So a file must hold all that it needs, and
what it holds is bounded. Both containers are read as bytes, without a library of their own: an ONNX file is one
protobuf message, of which only the structure is walked; a TFLite file ends in a zip, if it says anything of itself.
"""

import io
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from ser_edge.errors import ModelError
from ser_edge.errors.placeholder_files import START, describe_placeholder
from ser_edge.models.metadata import FILE_NAME, KEY

__all__ = ["MAX_FILE", "MAX_METADATA", "READERS", "metadata_in", "model_bytes"]

MAX_FILE = 1 << 28  # bytes; ours are 300 KB, and all of it is in memory
MAX_METADATA = 1 << 20  # bytes; ours is 3 KiB, and a zip can claim any size
_MAX_FIELDS = 1 << 20  # of an ONNX file's protobuf; ours has thousands
_TAIL = 2 * MAX_METADATA  # bytes at the end of a TFLite file in which its zip is looked for

# Where in an ONNX file (onnx.proto) tensors and properties are: for each message the fields that lead to them.
_PARTS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 14: "property", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
    "property": {},
}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14  # of a tensor; location 0 is "in here"
_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5  # protobuf's wire types; groups, 3 and 4, ONNX has none


def model_bytes(path: Path) -> bytes:
    """Reads a model file.

    Raises:
        ModelError: no such file, not a model's by its suffix, unreadable, too large, or a placeholder of one.
    """
    if path.suffix not in READERS:
        raise ModelError(f"{path}: not a model file; expected {' or '.join(READERS)}")
    try:
        if not path.is_file():
            raise ModelError(f"{path}: no such model file")
        with path.open("rb") as file:
            content = file.read(MAX_FILE + 1)
    except (OSError, ValueError) as e:  # ValueError: a name that holds a zero
        raise ModelError(f"{path}: can't be read: {getattr(e, 'strerror', None) or e}") from e
    if instead := describe_placeholder(content[:START]):
        raise ModelError(f"{path}: {instead}")
    if len(content) > MAX_FILE:
        raise ModelError(f"{path}: over {MAX_FILE >> 20} MiB; a network for small machines is smaller")
    return content


def metadata_in(content: bytes, path: Path) -> bytes | None:
    """The description that is stored in a model file, in JSON; None where there is none.

    Raises:
        ModelError: a damaged file, one that refers to others, or a description that is too large.
    """
    try:
        metadata = READERS[path.suffix](content)
    except _Refused as e:
        raise ModelError(f"{path}: {e}") from e
    if metadata is not None and len(metadata) > MAX_METADATA:
        raise ModelError(f"{path}: its description is over {MAX_METADATA} bytes; make it again with ser-export")
    return metadata


class _Refused(Exception):
    """Why a file can't be used."""


def _in_onnx(content: bytes) -> bytes | None:
    """`metadata_props[KEY]`, after a look at every tensor."""
    found: bytes | None = None
    waiting = [("model", memoryview(content))]
    count = 0
    while waiting:
        kind, message = waiting.pop()
        entry: dict[int, bytes] = {}
        for number, value in _fields(message):
            count += 1
            if count > _MAX_FIELDS:
                raise _Refused(f"an ONNX file of over {_MAX_FIELDS} fields; make it again with ser-export")
            if kind == "tensor" and (number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value != 0)):
                raise _Refused("keeps weights outside the file (external data); save it again as one file")
            if isinstance(value, memoryview):
                if part := _PARTS[kind].get(number):
                    waiting.append((part, value))
                elif kind == "property":
                    entry[number] = bytes(value)
        if entry.get(1) == KEY.encode():
            found = entry.get(2, b"")
    return found


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """(number, value) of each field of a protobuf message, whatever it means.

    Stricter than protobuf's own readers where these disagree, so that nothing is seen by them that isn't seen here.
    """
    place, end = 0, len(message)
    while place < end:
        tag, place = _varint(message, place, 5)
        number, wire = tag >> 3, tag & 7
        value: int | memoryview = 0
        if number == 0 or tag >= 1 << 32:
            raise _Refused(_NO_ONNX)
        if wire == _VARINT:
            value, place = _varint(message, place, 10)
        else:
            if wire == _BYTES:
                length, place = _varint(message, place, 5)
                value = message[place : place + length]
            elif wire == _EIGHT_BYTES:
                length = 8
            elif wire == _FOUR_BYTES:
                length = 4
            else:
                raise _Refused(_NO_ONNX)
            place += length
            if place > end:
                raise _Refused(_NO_ONNX)
        yield number, value


def _varint(message: memoryview, place: int, longest: int) -> tuple[int, int]:
    """A number of seven bits a byte, and where it ends."""
    value = 0
    for shift, byte in enumerate(message[place : place + longest]):
        value |= (byte & 127) << 7 * shift
        if byte < 128:
            return value, place + shift + 1
    raise _Refused(_NO_ONNX)


def _in_tflite(content: bytes) -> bytes | None:
    """The associated file `FILE_NAME` in the zip that follows the flatbuffer."""
    if content[4:8] != b"TFL3":
        raise _Refused("not a TFLite file, or a damaged one; export or download it again")
    try:
        archive = zipfile.ZipFile(io.BytesIO(content[-_TAIL:]))
        entry = archive.getinfo(FILE_NAME)
    except (zipfile.BadZipFile, KeyError):
        return None
    except _ZIP_DAMAGES as e:
        raise _Refused(_damaged(e)) from e
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # the others unpack without a limit
        raise _Refused("its description is damaged (packed in an unknown way); export or download it again")
    try:
        with archive.open(entry) as file:
            return file.read(MAX_METADATA + 1)  # no more is unpacked, whatever its size is said to be
    except (zipfile.BadZipFile, *_ZIP_DAMAGES) as e:
        raise _Refused(_damaged(e)) from e


def _damaged(error: Exception) -> str:
    return f"its description is damaged ({error or type(error).__name__}); export or download it again"


_NO_ONNX = "not an ONNX file, or a damaged one; export or download it again"
_ZIP_DAMAGES = (EOFError, OSError, RuntimeError, ValueError, zlib.error)  # what zipfile raises
READERS = {".tflite": _in_tflite, ".onnx": _in_onnx}
