"""Model files are untrusted: whatever is wrong with one, `ser-edge` prints one line and exits with 4."""

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema
from onnx import TensorProto, helper, numpy_helper

from ser_edge.features.config import FeatureConfig
from ser_edge.models.bundled.names import BUNDLED
from ser_edge.models.container import MAX_FILE, MAX_METADATA
from ser_edge.models.metadata import FILE_NAME, KEY, ModelMetadata
from tests import messages

pytestmark = pytest.mark.usefixtures("nothing_is_left")
LABELS = ("calm", "happy", "angry")
CONFIG = FeatureConfig(n_mels=40, n_mfcc=3, seconds=1.0)
Small = Callable[..., Path]  # of conftest


def patched(content: bytes, place: int, value: bytes) -> bytes:
    return content[:place] + value + content[place + len(value) :]


def described(**changes: Any) -> str:
    return json.dumps({**json.loads(ModelMetadata("small", LABELS, CONFIG).to_json()), **changes})


def front_end(**changes: Any) -> str:
    return described(features={**json.loads(described())["features"], **changes})


def bundled(suffix: str) -> bytes:
    return (BUNDLED / f"crnn{suffix}").read_bytes()


def flatbuffer() -> bytes:
    """The bundled TFLite file without its metadata."""
    content = bundled(".tflite")
    return content[: content.index(b"PK\x03\x04")]


def described_tflite(text: str | bytes, compression: int = zipfile.ZIP_DEFLATED, network: bytes | None = None) -> bytes:
    file = io.BytesIO(flatbuffer() if network is None else network)
    with zipfile.ZipFile(file, "a", compression) as archive:
        archive.writestr(zipfile.ZipInfo(FILE_NAME), text, compression)
    return file.getvalue()


def damaged_zip(part: bytes, offset: int, value: bytes) -> bytes:
    content = described_tflite(described())
    return patched(content, content.rindex(part) + offset, value)


def bomb() -> bytes:
    """Metadata of 1000 bytes by its header, that unpacks to 200 MB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(bytes(200 << 20)) + packer.flush()
    content = described_tflite("x" * 1000)
    entry, directory, end = (content.rindex(part) for part in (ENTRY, DIRECTORY, END))
    sizes = struct.pack("<LLL", 0, len(packed), 1000)
    name = entry + 30
    return (
        patched(content[:name], entry + 14, sizes)
        + FILE_NAME.encode()
        + packed
        + patched(content[directory:end], 16, sizes)
        + patched(content[end:], 16, struct.pack("<L", name + len(FILE_NAME) + len(packed)))
    )


ENTRY, DIRECTORY, END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"  # what the parts of a zip begin with


def custom_operator() -> bytes:
    """A TFLite network with an unknown operator."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(flatbuffer()))
    for code in model.operatorCodes:
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
        code.customCode = "FlexEvil"
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    return described_tflite(ModelMetadata("small", LABELS, CONFIG).to_json(), network=bytes(builder.Output()))


def with_tensor(change: Callable[[onnx.TensorProto], None], where: str) -> Callable[[Path, Small], Any]:
    """A small network, one of whose tensors was changed: a weight, or one deep inside the branches of an If."""

    def make(path: Path, small: Small) -> None:
        model = onnx.load(small(path, described()))
        tensor = model.graph.initializer[0]
        if where == "branch":
            tensor = numpy_helper.from_array(np.ones(3, np.float32), "deep")
            inner = helper.make_graph([helper.make_node("Constant", [], ["deep"], value=tensor)], "inner", [], [])
            node = helper.make_node("If", ["features"], ["out"], then_branch=inner, else_branch=inner)
            model.graph.node.append(node)
            tensor = model.graph.node[-1].attribute[0].g.node[0].attribute[0].t
        change(tensor)
        path.write_bytes(model.SerializeToString())

    return make


def external(location: str) -> Callable[[onnx.TensorProto], None]:
    def change(tensor: onnx.TensorProto) -> None:
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", location), ("offset", "0"), ("length", "36")):
            tensor.external_data.add(key=key, value=value)

    return change


def constant(path: Path, small: Small) -> None:
    """A network without an input."""
    node = helper.make_node("Constant", [], ["answer"], value=numpy_helper.from_array(np.ones(3, np.float32)))
    output = helper.make_tensor_value_info("answer", TensorProto.FLOAT, [3])
    model = helper.make_model(
        helper.make_graph([node], "constant", [], [output]), opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    helper.set_model_props(model, {KEY: described()})
    onnx.save(model, path)


def raw(content: bytes) -> Callable[[Path, Small], Any]:
    return lambda path, small: path.write_bytes(content)


def small(metadata: str | None, **network: Any) -> Callable[[Path, Small], Any]:
    return lambda path, small: small(path, metadata, **network)


def sparse(path: Path, small: Small) -> None:
    with path.open("wb") as file:
        file.truncate(MAX_FILE + 1)


def not_text(path: Path, small: Small) -> None:
    path.write_bytes(small(path, described()).read_bytes().replace(b'"calm"', b'"c\xfflm"'))


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 271872\n"
PAGE = b"\n<!-- 404 -->\n<!DOCTYPE html>\n<html><body>Not found</body></html>\n"

# name: suffix, what makes it, the error's code
MODELS: dict[str, tuple[str, Callable[[Path, Small], Any], str]] = {
    "missing": (".onnx", lambda path, small: None, "model-not-found"),
    "a folder": (".tflite", lambda path, small: path.mkdir(), "model-not-found"),
    "another kind": (".keras", raw(b"?"), "model-not-found"),
    "a sound": (".wav", raw(b"RIFF"), "model-not-found"),
    "a text": (".txt", raw(b"RIFF"), "model-not-found"),
    "too large": (".onnx", sparse, "model-unsafe"),
    "empty ONNX": (".onnx", raw(b""), "model-damaged"),
    "empty TFLite": (".tflite", raw(b""), "model-damaged"),
    "git-LFS pointer, ONNX": (".onnx", raw(POINTER), "model-damaged"),
    "git-LFS pointer, TFLite": (".tflite", raw(POINTER), "model-damaged"),
    "web page, ONNX": (".onnx", raw(PAGE), "model-damaged"),
    "web page, TFLite": (".tflite", raw(PAGE), "model-damaged"),
    "text, ONNX": (".onnx", raw(b"no model at all\n" * 99), "model-damaged"),
    "text, TFLite": (".tflite", raw(b"no model at all\n" * 99), "model-damaged"),
    "TFLite called ONNX": (".onnx", raw(bundled(".tflite")), "model-damaged"),
    "ONNX called TFLite": (".tflite", raw(bundled(".onnx")), "model-damaged"),
    "half an ONNX": (".onnx", raw(bundled(".onnx")[:99_999]), "model-damaged"),
    "half a TFLite": (".tflite", raw(bundled(".tflite")[:99_999]), "model-damaged"),
    "TFLite cut off in its operators": (".tflite", raw(flatbuffer()[:-100]), "model-damaged"),
    "TFLite a byte short": (".tflite", raw(flatbuffer()[:-1]), "model-damaged"),
    "TFLite cut off in its metadata": (".tflite", raw(bundled(".tflite")[:-1000]), "model-damaged"),
    "TFLite cut off in its last bytes": (".tflite", raw(bundled(".tflite")[:-10]), "model-damaged"),
    "damaged TFLite": (".tflite", raw(patched(bundled(".tflite"), 8, b"\xff" * 400)), "model-damaged"),
    "foreign ONNX": (".onnx", small(None), "model-metadata"),
    "foreign TFLite": (".tflite", raw(flatbuffer()), "model-metadata"),
    "ORT format": (".onnx", raw(b"\x12\x06\x08\0ORTM" + bytes(99)), "model-damaged"),
    "ORT format, also ONNX": (".onnx", raw(b"\x12\x06\x08\0ORTM" + bytes(0)), "model-metadata"),
    "a million fields": (
        ".onnx",
        raw(b"\x08\x08" * (1 << 20) + b"\x08\x08"),
        "model-unsafe",
    ),
    "weights outside": (".onnx", with_tensor(external("../../../etc/passwd"), "weights"), "model-unsafe"),
    "weights in memory": (".onnx", with_tensor(external("*/_ORT_MEM_ADDR_/*"), "weights"), "model-unsafe"),
    "weights outside, in a branch": (".onnx", with_tensor(external("/etc/passwd"), "branch"), "model-unsafe"),
    "weights of another size": (
        ".onnx",
        with_tensor(lambda tensor: tensor.dims.append(1 << 40), "weights"),
        "model-damaged",
    ),
    "no input": (".onnx", constant, "model-damaged"),
    "custom operator": (".tflite", raw(custom_operator()), "model-damaged"),
    "not the labels": (
        ".onnx",
        small(described(), weights=np.ones((3, 2)), outputs=2),
        "model-mismatched",
    ),
    "not the coefficients": (
        ".onnx",
        small(described(), weights=np.ones((9, 3)), inputs=9),
        "model-mismatched",
    ),
    "answers NaN": (".onnx", small(described(), weights=np.full((3, 3), np.nan)), "model-failed"),
    "not JSON": (".onnx", small("{"), "model-damaged"),
    "not text": (".onnx", not_text, "model-damaged"),
    "no object": (".onnx", small("[]"), "model-metadata"),
    "of a later version": (
        ".onnx",
        small(described(version=3)),
        "model-version",
    ),
    "wrong type": (".onnx", small(described(labels="abc")), "model-metadata"),
    "labels twice": (".onnx", small(described(labels=["a", "a"])), "model-metadata"),
    "10000 labels": (
        ".onnx",
        small(described(labels=list(map(str, range(10_000))))),
        "model-metadata",
    ),
    "label that moves the cursor": (".onnx", small(described(labels=["a", "\x1b[2J"])), "model-metadata"),
    "NaN statistics": (
        ".onnx",
        small(described(normalization={"mean": [float("nan")] * 3, "deviation": [1] * 3})),
        "model-damaged",
    ),
    "statistics beyond float32": (
        ".onnx",
        small(described(normalization={"mean": [0] * 3, "deviation": [1e-300] * 3})),
        "model-metadata",
    ),
    "temperature of 0": (".onnx", small(described(temperature=0)), "model-metadata"),
    "temperature of 1e300": (".onnx", small(described(temperature=1e300)), "model-metadata"),
    "right 1e300 % of the time": (
        ".onnx",
        small(described(accuracy={"protocol": "a", "folds": 1, "seeds": 1, "wa": 1e300, "uar": 0, "f1": 0})),
        "model-metadata",
    ),
    "FFT of 2**40": (".onnx", small(front_end(n_fft=2**40)), "model-metadata"),
    "hop of 0": (".onnx", small(front_end(hop_length=0)), "model-metadata"),
    "10**9 bands": (".onnx", small(front_end(n_mels=10**9)), "model-metadata"),
    "ten minutes at 768 kHz": (
        ".onnx",
        small(front_end(seconds=600, sample_rate=768_000)),
        "model-metadata",
    ),
    "1000 lists in lists": (".onnx", small(described(training=json.loads("[" * 900 + "]" * 900))), "model-damaged"),
    "metadata of 2 MB": (
        ".onnx",
        small(described(name="x" * (2 * MAX_METADATA))),
        "model-unsafe",
    ),
    "zip bomb": (".tflite", raw(bomb()), "model-damaged"),
    "zip of 2 MB": (
        ".tflite",
        raw(described_tflite(" " * (2 * MAX_METADATA))),
        "model-unsafe",
    ),
    "bzip2": (
        ".tflite",
        raw(described_tflite(described(), zipfile.ZIP_BZIP2)),
        "model-damaged",
    ),
    "unknown packing": (".tflite", raw(damaged_zip(DIRECTORY, 10, b"\x63\0")), "model-damaged"),
    "encrypted": (".tflite", raw(damaged_zip(DIRECTORY, 8, b"\x01\0")), "model-damaged"),
    "zip entry past the end": (".tflite", raw(damaged_zip(DIRECTORY, 42, b"\xff\xff\xff\x7f")), "model-damaged"),
    "zip entry damaged": (".tflite", raw(damaged_zip(ENTRY, 30 + len(FILE_NAME), b"\xff\xff")), "model-damaged"),
    "zip before its beginning": (".tflite", raw(damaged_zip(END, 16, b"\xff\xff\xff\x7f")), "model-damaged"),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_bad_model_is_one_line_and_nothing_is_classified(
    name: str, command: Any, sounds: list[Path], tmp_path: Path, small_onnx: Small
) -> None:
    suffix, make, error = MODELS[name]
    path = tmp_path / f"bad{suffix}"
    make(path, small_onnx)
    code, answered, lines = command("--model", path, sounds[0])
    assert (code, answered) == (4, [])
    assert messages.codes_in("\n".join(lines)) == [error]
    assert [line.startswith(f"ser-edge: {path}: ") for line in lines] == [True]
