"""What a model file asks of its runtime: operators and their versions, and who has them."""

from collections.abc import Callable
from pathlib import Path

import onnx

from ser_export.to_onnx import graph as onnx_graph
from ser_export.to_tflite import convert as tflite
from ser_export.verification.verify import GateError

__all__ = ["check_operators", "operators", "runtimes"]

_READERS: dict[str, Callable[[Path], dict[str, int]]] = {
    ".onnx": lambda path: onnx_graph.operators(onnx.load(path)),
    ".tflite": lambda path: tflite.operators(path.read_bytes()),
}
_OLD = "tflite-runtime 2.14"
_RUNTIMES = {".onnx": ("ONNX Runtime",), ".tflite": ("LiteRT", _OLD)}
_OLD_HAS = {"FULLY_CONNECTED": 10}  # the newest version; of other operators in networks like ours it has what we need
_FOR_OLD = "int8-per-tensor"
# In the names of TFLite's operators that keep state between calls: the recurrent ones, and variables.
_STATEFUL = ("LSTM", "RNN", "SVDF", "VAR_HANDLE")


def operators(path: Path) -> dict[str, int]:
    """Names and versions; an operator that the format itself doesn't define has version 0."""
    return _READERS[path.suffix](path)


def runtimes(path: Path) -> tuple[str, ...]:
    """Which runtimes have all operators of a file."""
    used = operators(path)
    newest = all(used.get(name, 0) <= version for name, version in _OLD_HAS.items())
    return tuple(name for name in _RUNTIMES[path.suffix] if name != _OLD or newest)


def check_operators(path: Path, precision: str) -> None:
    """Refuses a file that needs what its runtimes may not have, or operators that remember the last call.

    Raises:
        GateError: with the names of the operators.
    """
    used = operators(path)
    if foreign := [name for name, version in used.items() if version == 0]:
        raise GateError(f"needs operators that its runtime alone doesn't have: {', '.join(foreign)}")
    stateful = [name for name in used if any(part in name for part in _STATEFUL)]
    if stateful and path.suffix == ".tflite":
        raise GateError(f"has operators that keep state between calls: {', '.join(stateful)}")
    if precision == _FOR_OLD and _OLD not in runtimes(path):
        raise GateError(f"has operators that are too new for {_OLD}")
