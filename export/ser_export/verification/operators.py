"""The operators that a model file uses, and which runtimes support them."""

from collections.abc import Callable
from pathlib import Path

import onnx

from ser_export.errors import VerificationError
from ser_export.to_tflite.flatbuffer import flatbuffer_operators

_OLD_RUNTIME, _OLD_PRECISION = "tflite-runtime 2.14", "int8-per-tensor"
_RUNTIMES = {".onnx": ("ONNX Runtime",), ".tflite": ("LiteRT", _OLD_RUNTIME)}
_OLD_VERSIONS = {"FULLY_CONNECTED": 10}  # newest it supports; other operators of our networks are old enough
# Parts of the names of TFLite's operators that keep state between calls: recurrent ones, and variables.
_STATEFUL = ("LSTM", "RNN", "SVDF", "VAR_HANDLE")


def operators(path: Path) -> dict[str, int]:
    """Names and versions; an operator that the format itself doesn't define has version 0."""
    return _READERS[path.suffix](path)


def _graph_operators(path: Path) -> dict[str, int]:
    """Those of an ONNX file, in the bodies of its loops too."""
    model = onnx.load(path)
    opset = model.opset_import[0].version
    names, graphs = set(), [model.graph]
    while graphs:
        for node in graphs.pop().node:
            names.add((node.op_type, node.domain))
            graphs += [attribute.g for attribute in node.attribute if attribute.type == onnx.AttributeProto.GRAPH]
    return {name: 0 if domain else onnx.defs.get_schema(name, opset).since_version for name, domain in sorted(names)}


_READERS: dict[str, Callable[[Path], dict[str, int]]] = {
    ".onnx": _graph_operators,
    ".tflite": lambda path: flatbuffer_operators(path.read_bytes()),
}


def runtimes(path: Path) -> tuple[str, ...]:
    """The runtimes that support all operators of a file."""
    used = operators(path)
    old_enough = all(used.get(name, 0) <= version for name, version in _OLD_VERSIONS.items())
    return tuple(name for name in _RUNTIMES[path.suffix] if name != _OLD_RUNTIME or old_enough)


def check_operators(path: Path, precision: str) -> None:
    """Refuses operators that a runtime may lack, and those that keep state between calls.

    Raises:
        VerificationError: with the names of the operators.
    """
    used = operators(path)
    if custom := [name for name, version in used.items() if version == 0]:
        raise VerificationError(
            f"needs operators that aren't part of the format: {', '.join(custom)}", code="export-unsupported-operator"
        )
    stateful = [name for name in used if any(part in name for part in _STATEFUL)]
    if stateful and path.suffix == ".tflite":
        raise VerificationError(
            f"has operators that keep state between calls: {', '.join(stateful)}", code="export-stateful"
        )
    if precision == _OLD_PRECISION and _OLD_RUNTIME not in runtimes(path):
        raise VerificationError(
            f"has operators that are too new for {_OLD_RUNTIME}", code="export-unsupported-operator"
        )
