"""Reads a model file and checks it before the library that runs it sees a byte: size, metadata, external references.

Model files are untrusted, and the libraries that run them follow what they say: for "external" weights ONNX Runtime
opens other files, or reads addresses in memory. So a file must hold all that it needs, and its parts are bounded in
size. Both containers are parsed here without a library: an ONNX file is one protobuf message, of which only the
structure is walked; a TFLite file ends in a zip with the metadata.
"""

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from ser_edge.errors import ModelError
from ser_edge.errors.placeholder_files import START, describe_placeholder
from ser_edge.models.metadata import FILE_NAME, KEY, ModelMetadata

MAX_FILE = 1 << 28  # bytes; ours are 300 KB, and all of it is in memory
MAX_METADATA = 1 << 20  # bytes; ours is 3 KiB, and a zip can claim any size
_MAX_FIELDS = 1 << 20  # in an ONNX file's protobuf; ours has thousands
_TAIL = 2 * MAX_METADATA  # bytes at the end of a TFLite file that are searched for its zip

# Fields of an ONNX file's messages (onnx.proto) that lead to tensors and properties.
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
_VARINT, _BYTES = 0, 2  # protobuf's wire types; groups, 3 and 4, ONNX has none
_FIXED = {1: 8, 5: 4}  # the others, and their bytes


def read_model_file(path: Path) -> tuple[ModelMetadata, bytes]:
    """The metadata and the content of a model file; raises ModelError if it can't be used."""
    content = model_bytes(path)
    return ModelMetadata.from_json(metadata_in(content, path), str(path)), content


def model_bytes(path: Path) -> bytes:
    """The content of a model file, or of the voice detector's.

    Raises:
        ModelError: no such file, another suffix, unreadable, too large, or a placeholder.
    """
    if path.suffix not in READERS:
        raise ModelError(f"{path}: not a model file; expected {' or '.join(READERS)}", code="model-not-found")
    try:
        if not path.is_file():
            raise ModelError(f"{path}: no such model file", code="model-not-found")
        with path.open("rb") as file:
            content = file.read(MAX_FILE + 1)
    except (OSError, ValueError) as e:  # ValueError: a name that holds a zero
        raise ModelError(f"{path}: can't be read: {getattr(e, 'strerror', None) or e}", code="model-unreadable") from e
    if placeholder := describe_placeholder(content[:START]):
        raise ModelError(f"{path}: {placeholder}", code="model-damaged")
    if len(content) > MAX_FILE:
        message = f"{path}: over {MAX_FILE >> 20} MiB; a network for small machines is smaller"
        raise ModelError(message, code="model-unsafe")
    return content


def digest_of(content: bytes) -> str:
    """BLAKE2b of a model file's content, 128 bits."""
    from hashlib import blake2b  # only for pickling and self-tests

    return blake2b(content, digest_size=16).hexdigest()


def metadata_in(content: bytes, path: Path) -> bytes | None:
    """The metadata that is stored in a model file, as JSON; None if there is none.

    Raises:
        ModelError: a damaged file, one that refers to others, or metadata that is too large.
    """
    try:
        metadata = READERS[path.suffix](content)
    except ModelError as e:
        raise ModelError(f"{path}: {e}", code=e.code) from e
    if metadata is not None and len(metadata) > MAX_METADATA:
        message = f"{path}: its metadata is over {MAX_METADATA} bytes; make it again with ser-export"
        raise ModelError(message, code="model-unsafe")
    return metadata


def _in_onnx(content: bytes) -> bytes | None:
    """`metadata_props[KEY]`, after checking every tensor."""
    found: bytes | None = None
    waiting = [("model", memoryview(content))]
    count = 0
    while waiting:
        kind, message = waiting.pop()
        entry: dict[int, bytes] = {}
        for number, value in _fields(message):
            count += 1
            if count > _MAX_FIELDS:
                why = f"an ONNX file of over {_MAX_FIELDS} fields; make it again with ser-export"
                raise ModelError(why, code="model-unsafe")
            if kind == "tensor" and (number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value != 0)):
                why = "keeps weights outside the file (external data); save it again as one file"
                raise ModelError(why, code="model-unsafe")
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

    Stricter than protobuf's readers if these disagree, so that they see nothing that isn't checked here.
    """
    place, end = 0, len(message)
    while place < end:
        tag, place = _varint(message, place, 5)
        number, wire = tag >> 3, tag & 7
        if number == 0 or tag >= 1 << 32 or wire not in (_VARINT, _BYTES, *_FIXED):
            raise ModelError(_NO_ONNX, code="model-damaged")
        if wire == _VARINT:
            value, place = _varint(message, place, 10)
            yield number, value
            continue
        length, place = _varint(message, place, 5) if wire == _BYTES else (_FIXED[wire], place)
        if place + length > end:
            raise ModelError(_NO_ONNX, code="model-damaged")
        yield number, message[place : place + length] if wire == _BYTES else 0
        place += length


def _varint(message: memoryview, place: int, longest: int) -> tuple[int, int]:
    """A number of seven bits a byte, and where it ends."""
    value = 0
    for shift, byte in enumerate(message[place : place + longest]):
        value |= (byte & 127) << 7 * shift
        if byte < 128:
            return value, place + shift + 1
    raise ModelError(_NO_ONNX, code="model-damaged")


def _in_tflite(content: bytes) -> bytes | None:
    """The associated file `FILE_NAME` in the zip that follows the flatbuffer."""
    if content[4:8] != b"TFL3":
        raise ModelError("not a TFLite file, or a damaged one; export or download it again", code="model-damaged")
    tail = content[-_TAIL:]
    try:
        archive = zipfile.ZipFile(io.BytesIO(tail))
        entry = archive.getinfo(FILE_NAME)
    except KeyError:
        return None
    except zipfile.BadZipFile as e:  # no zip, or not all of it
        if FILE_NAME.encode() in tail or _is_cut_off(content):
            raise ModelError("a TFLite file that is cut off; export or download it again", code="model-damaged") from e
        return None
    except _ZIP_ERRORS as e:
        raise _damaged(e) from e
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # the others unpack without a limit
        raise _damaged("unknown compression")
    try:
        with archive.open(entry) as file:
            return file.read(MAX_METADATA + 1)  # unpacks no more, whatever size the zip claims
    except (zipfile.BadZipFile, *_ZIP_ERRORS) as e:
        raise _damaged(e) from e


def _is_cut_off(content: bytes) -> bool:
    """Whether a TFLite file ends before its first operator code, which converters put at the end of the flatbuffer."""

    def follow(place: int) -> int:
        """Where the offset at this place leads."""
        return place + int(struct.unpack_from("<I", content, place)[0])

    def layout(table: int) -> int:
        """The vtable of a table: its own size, the table's, and the place of each field in it, all of 16 bits."""
        return table - int(struct.unpack_from("<i", content, table)[0])

    try:
        model = follow(0)
        (field,) = struct.unpack_from("<H", content, layout(model) + 6)  # `operator_codes` is the second
        code = follow(follow(model + field) + 4)  # the first in the vector, behind its length
        (size,) = struct.unpack_from("<H", content, layout(code) + 2)
    except struct.error:  # beyond the end
        return True
    return code + int(size) > len(content)


def _damaged(why: object) -> ModelError:
    message = f"its metadata is damaged ({why or type(why).__name__}); export or download it again"
    return ModelError(message, code="model-damaged")


_NO_ONNX = "not an ONNX file, or a damaged one; export or download it again"
_ZIP_ERRORS = (EOFError, OSError, RuntimeError, ValueError, zlib.error)  # what zipfile raises
READERS = {".tflite": _in_tflite, ".onnx": _in_onnx}
