"""Model files come from strangers: whatever is wrong with one, `ser-edge` says so in one line, and exits with 4."""

import io
import json
import re
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
from ser_edge.models.container import MAX_FILE, MAX_METADATA
from ser_edge.models.loader import BUNDLED, DEFAULT
from ser_edge.models.metadata import FILE_NAME, KEY, ModelMetadata

pytestmark = pytest.mark.usefixtures("nothing_is_left")
LABELS = ("calm", "happy", "angry")
CONFIG = FeatureConfig(n_mels=40, n_mfcc=3, seconds=1.0)
DAMAGED = r"its description is damaged \(.*\); export or download it again"
UNDESCRIBED = "a model without a ser-edge description; make one with ser-export"
Small = Callable[..., Path]  # of conftest


def patched(content: bytes, place: int, value: bytes) -> bytes:
    return content[:place] + value + content[place + len(value) :]


def described(**changes: Any) -> str:
    return json.dumps({**json.loads(ModelMetadata("small", LABELS, CONFIG).to_json()), **changes})


def front_end(**changes: Any) -> str:
    return described(features={**json.loads(described())["features"], **changes})


def bundled(suffix: str) -> bytes:
    return (BUNDLED / f"{DEFAULT}{suffix}").read_bytes()


def flatbuffer() -> bytes:
    """The bundled TFLite file without its description."""
    content = bundled(".tflite")
    return content[: content.index(b"PK\x03\x04")]


def described_tflite(text: str | bytes, way: int = zipfile.ZIP_DEFLATED, network: bytes | None = None) -> bytes:
    file = io.BytesIO(flatbuffer() if network is None else network)
    with zipfile.ZipFile(file, "a", way) as archive:
        archive.writestr(zipfile.ZipInfo(FILE_NAME), text, way)
    return file.getvalue()


def damaged_zip(part: bytes, offset: int, value: bytes) -> bytes:
    content = described_tflite(described())
    return patched(content, content.rindex(part) + offset, value)


def bomb() -> bytes:
    """A description that says it has 1000 bytes, and unpacks to 200 MB."""
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
    """A TFLite network that wants an operator which nobody has."""
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


EXTERNAL = r"keeps weights outside the file \(external data\); save it again as one file"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 271872\n"
PAGE = b"\n<!-- 404 -->\n<!DOCTYPE html>\n<html><body>Not found</body></html>\n"
NO_ONNX = "not an ONNX file, or a damaged one; export or download it again"
NO_TFLITE = "not a TFLite file, or a damaged one; export or download it again"


def unfit(reason: str) -> str:
    return rf"its description doesn't hold together \(.*{reason}.*\); export it again"


# name: suffix, what makes it, what is said of it
MODELS: dict[str, tuple[str, Callable[[Path, Small], Any], str]] = {
    "missing": (".onnx", lambda path, small: None, "no such model file"),
    "a folder": (".tflite", lambda path, small: path.mkdir(), "no such model file"),
    "another kind": (".keras", raw(b"?"), "not a model file; expected .tflite or .onnx"),
    "a sound": (".wav", raw(b"RIFF"), r"a sound, not a model file \(.tflite or .onnx\); .*"),
    "a text": (".txt", raw(b"RIFF"), "not a model file; expected .tflite or .onnx"),
    "too large": (".onnx", sparse, "over 256 MiB; a network for small machines is smaller"),
    "empty ONNX": (".onnx", raw(b""), "an empty file; copy or download it again"),
    "empty TFLite": (".tflite", raw(b""), "an empty file; copy or download it again"),
    "git-LFS pointer, ONNX": (".onnx", raw(POINTER), "a git-LFS pointer, not the file itself; .*: git lfs pull"),
    "git-LFS pointer, TFLite": (".tflite", raw(POINTER), "a git-LFS pointer, not the file itself; .*: git lfs pull"),
    "web page, ONNX": (".onnx", raw(PAGE), r"a web page \(HTML\), .*; download the file itself"),
    "web page, TFLite": (".tflite", raw(PAGE), r"a web page \(HTML\), .*; download the file itself"),
    "text, ONNX": (".onnx", raw(b"no model at all\n" * 99), NO_ONNX),
    "text, TFLite": (".tflite", raw(b"no model at all\n" * 99), NO_TFLITE),
    "TFLite called ONNX": (".onnx", raw(bundled(".tflite")), NO_ONNX),
    "ONNX called TFLite": (".tflite", raw(bundled(".onnx")), NO_TFLITE),
    "half an ONNX": (".onnx", raw(bundled(".onnx")[:99_999]), NO_ONNX),
    "half a TFLite": (".tflite", raw(bundled(".tflite")[:99_999]), UNDESCRIBED),
    "damaged TFLite": (".tflite", raw(patched(bundled(".tflite"), 8, b"\xff" * 400)), r"LiteRT can't open it \(.*\)"),
    "foreign ONNX": (".onnx", small(None), UNDESCRIBED),
    "foreign TFLite": (".tflite", raw(flatbuffer()), UNDESCRIBED),
    "ORT's own format": (".onnx", raw(b"\x12\x06\x08\0ORTM" + bytes(99)), NO_ONNX),
    "ORT's own format, also ONNX": (".onnx", raw(b"\x12\x06\x08\0ORTM" + bytes(0)), UNDESCRIBED),
    "a million fields": (
        ".onnx",
        raw(b"\x08\x08" * (1 << 20) + b"\x08\x08"),
        "an ONNX file of over 1048576 fields; .*",
    ),
    "weights outside": (".onnx", with_tensor(external("../../../etc/passwd"), "weights"), EXTERNAL),
    "weights in memory": (".onnx", with_tensor(external("*/_ORT_MEM_ADDR_/*"), "weights"), EXTERNAL),
    "weights outside, in a branch": (".onnx", with_tensor(external("/etc/passwd"), "branch"), EXTERNAL),
    "weights of another size": (
        ".onnx",
        with_tensor(lambda tensor: tensor.dims.append(1 << 40), "weights"),
        r"ONNX Runtime can't open it \(.*\)",
    ),
    "no input": (".onnx", constant, r"ONNX Runtime can't open it \(.*\)"),
    "custom operator": (".tflite", raw(custom_operator()), r"LiteRT can't open it \(.*\)"),
    "not the labels": (
        ".onnx",
        small(described(), weights=np.ones((3, 2)), outputs=2),
        r"3 labels are described, the network answers \(1, 2\)",
    ),
    "not the coefficients": (
        ".onnx",
        small(described(), weights=np.ones((9, 3)), inputs=9),
        r"the network doesn't take what its description says \(it takes \(any, any, 9\), .*\); export it again",
    ),
    "answers NaN": (".onnx", small(described(), weights=np.full((3, 3), np.nan)), "the network answered NaN; .*"),
    "not JSON": (".onnx", small("{"), DAMAGED),
    "not text": (".onnx", not_text, DAMAGED),
    "no object": (".onnx", small("[]"), "its description is not ser-edge's; make a model with ser-export"),
    "of a later version": (
        ".onnx",
        small(described(version=3)),
        "description version 3, this ser-edge reads 2; install a newer ser-edge",
    ),
    "of a version that is no number": (".onnx", small(described(version="x" * 9999)), "description version 'x{299}.*"),
    "wrong type": (".onnx", small(described(labels="abc")), unfit("description.labels is str, not list")),
    "labels twice": (".onnx", small(described(labels=["a", "a"])), unfit("labels must be at least two, all different")),
    "10000 labels": (
        ".onnx",
        small(described(labels=list(map(str, range(10_000))))),
        unfit("labels must be at most 1000"),
    ),
    "label that moves the cursor": (".onnx", small(described(labels=["a", "\x1b[2J"])), unfit("must be printable")),
    "NaN statistics": (
        ".onnx",
        small(described(normalization={"mean": [float("nan")] * 3, "deviation": [1] * 3})),
        r"its description is damaged \(NaN is not JSON\); .*",
    ),
    "statistics beyond float32": (
        ".onnx",
        small(described(normalization={"mean": [0] * 3, "deviation": [1e-300] * 3})),
        unfit("means must be finite, deviations above 0"),
    ),
    "temperature of 0": (".onnx", small(described(temperature=0)), unfit("temperature must be 0.01 to 100")),
    "temperature of 1e300": (".onnx", small(described(temperature=1e300)), unfit("temperature must be 0.01 to 100")),
    "right 1e300 % of the time": (
        ".onnx",
        small(described(accuracy={"protocol": "a", "folds": 1, "seeds": 1, "wa": 1e300, "uar": 0, "f1": 0})),
        unfit("accuracy must be in percent"),
    ),
    "FFT of 2**40": (".onnx", small(front_end(n_fft=2**40)), unfit("n_fft must be even, 16 to 65536")),
    "hop of 0": (".onnx", small(front_end(hop_length=0)), unfit("hop_length must be n_fft / 128 to n_fft")),
    "10**9 bands": (".onnx", small(front_end(n_mels=10**9)), unfit("n_mels must be 1 to 1024")),
    "ten minutes at 768 kHz": (
        ".onnx",
        small(front_end(seconds=600, sample_rate=768_000)),
        unfit("ask for too much memory together"),
    ),
    "1000 lists in lists": (".onnx", small(described(training=json.loads("[" * 900 + "]" * 900))), DAMAGED),
    "a description of 2 MB": (
        ".onnx",
        small(described(name="x" * (2 * MAX_METADATA))),
        "its description is over 1048576 bytes; make it again with ser-export",
    ),
    "zip bomb": (".tflite", raw(bomb()), DAMAGED),
    "zip of 2 MB": (
        ".tflite",
        raw(described_tflite(" " * (2 * MAX_METADATA))),
        "its description is over 1048576 bytes; .*",
    ),
    "bzip2": (
        ".tflite",
        raw(described_tflite(described(), zipfile.ZIP_BZIP2)),
        r".*damaged \(packed in an unknown way\).*",
    ),
    "unknown packing": (".tflite", raw(damaged_zip(DIRECTORY, 10, b"\x63\0")), r".*damaged \(packed in an .*"),
    "encrypted": (".tflite", raw(damaged_zip(DIRECTORY, 8, b"\x01\0")), DAMAGED),
    "zip entry past the end": (".tflite", raw(damaged_zip(DIRECTORY, 42, b"\xff\xff\xff\x7f")), DAMAGED),
    "zip entry damaged": (".tflite", raw(damaged_zip(ENTRY, 30 + len(FILE_NAME), b"\xff\xff")), DAMAGED),
    "zip before its beginning": (".tflite", raw(damaged_zip(END, 16, b"\xff\xff\xff\x7f")), DAMAGED),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_bad_model_is_a_line_and_nothing_is_judged(
    name: str, command: Any, sounds: list[Path], tmp_path: Path, small_onnx: Small
) -> None:
    suffix, make, says = MODELS[name]
    path = tmp_path / f"bad{suffix}"
    make(path, small_onnx)
    code, answered, told = command("--model", path, sounds[0])
    assert (code, answered) == (4, [])
    assert [re.fullmatch(f"ser-edge: {path}: {says}", line) is not None for line in told] == [True], told
