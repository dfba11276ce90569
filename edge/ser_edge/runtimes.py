"""The libraries that run a network: one small class each, with the same two methods, found by the file's suffix.

A runtime knows nothing of sound: it returns the description stored in its file, and turns normalised features into
probabilities. Libraries are imported when a file asks for them, so that each can be absent.
"""

import os
import sys
import zipfile
import zlib
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ser_edge.description import FILE_NAME, KEY
from ser_edge.errors import ModelError, RuntimeUnavailable
from ser_edge.native import hushed

__all__ = ["LITERT", "RUNTIMES", "LiteRT", "OnnxRuntime", "Runtime", "interpreter", "open_runtime"]

Probabilities = npt.NDArray[np.float32]
# Intel Macs alone have no LiteRT: ser-edge brings ONNX Runtime there, by the same markers in pyproject.toml.
LITERT = sys.platform != "darwin" or os.uname().machine == "arm64"
MAX_DESCRIPTION = 1 << 20  # bytes; ours is 3 KiB, and a zip can claim any size


class Runtime(Protocol):
    """What `model` needs of a runtime."""

    def description(self) -> str | bytes | None:
        """The JSON stored in the file, None where there is none."""

    def run(self, inputs: npt.NDArray[np.float32]) -> Probabilities:
        """(batch, frames, coefficients) float32 to (batch, labels) float32."""


class OnnxRuntime:
    """An `.onnx` file in ONNX Runtime, on the CPU."""

    def __init__(self, path: Path, threads: int = 1):
        ort = _load("onnxruntime", "pip install 'ser-edge[onnx]'")
        ort.set_default_logger_severity(3)  # errors only: it warns of missing GPUs where nobody asked for one
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        try:
            self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            self._input = self._session.get_inputs()[0].name
        except Exception as e:  # its exception classes are not public, and differ by version
            raise ModelError(f"{path}: ONNX Runtime can't open it ({_first_line(e)})") from e
        self._path = path

    def description(self) -> str | None:
        """The JSON in `metadata_props`."""
        try:
            text: str | None = self._session.get_modelmeta().custom_metadata_map.get(KEY)
        except UnicodeDecodeError as e:
            raise ModelError(f"{self._path}: its description is damaged ({e}); download it again") from e
        return text

    def run(self, inputs: npt.NDArray[np.float32]) -> Probabilities:
        """Any batch at once."""
        outputs: Probabilities = self._session.run(None, {self._input: inputs})[0]
        return outputs


class LiteRT:
    """A `.tflite` file in LiteRT, or in tflite-runtime where that is all there is."""

    def __init__(self, path: Path, threads: int = 1):
        self._path = path
        self._interpreter = interpreter(path, threads)
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._output = self._interpreter.get_output_details()[0]["index"]

    def description(self) -> bytes | None:
        """The JSON in the zip that follows the flatbuffer."""
        try:
            with zipfile.ZipFile(self._path) as archive:
                if archive.getinfo(FILE_NAME).file_size > MAX_DESCRIPTION:
                    raise ModelError(f"{self._path}: its description is over {MAX_DESCRIPTION} bytes")
                return archive.read(FILE_NAME)
        except (zipfile.BadZipFile, KeyError):
            return None
        except (EOFError, OSError, RuntimeError, zlib.error) as e:  # what a damaged zip makes zipfile raise
            raise ModelError(f"{self._path}: its description is damaged ({_first_line(e)}); download it again") from e

    def run(self, inputs: npt.NDArray[np.float32]) -> Probabilities:
        """One after the other: these files are made for a batch of one."""
        return np.concatenate([self._one(item) for item in inputs])

    def _one(self, item: npt.NDArray[np.float32]) -> Probabilities:
        self._interpreter.set_tensor(self._input, item[None])
        self._interpreter.invoke()
        outputs: Probabilities = self._interpreter.get_tensor(self._output)
        return outputs


def interpreter(path: Path, threads: int = 1) -> Any:
    """LiteRT's interpreter of a `.tflite` file, tensors allocated; tflite-runtime's where that is all there is.

    Raises:
        ModelError: a file it refuses.
        RuntimeUnavailable: neither is installed.
    """
    try:
        advice = "pip install ai-edge-litert" if LITERT else "an .onnx model; Intel Macs have no LiteRT"
        make = _load("ai_edge_litert.interpreter", advice).Interpreter
    except RuntimeUnavailable as unavailable:
        try:
            make = import_module("tflite_runtime.interpreter").Interpreter
        except ImportError:
            raise unavailable from None
    try:
        with hushed():
            opened = make(model_path=str(path), num_threads=threads)
            opened.allocate_tensors()
    except (ValueError, RuntimeError) as e:
        raise ModelError(f"{path}: LiteRT can't open it ({_first_line(e)})") from e
    return opened


# The best first: LiteRT needs half the CPU time and half the memory of ONNX Runtime here (tests/benchmarks/results.md).
RUNTIMES: dict[str, type[OnnxRuntime] | type[LiteRT]] = {".tflite": LiteRT, ".onnx": OnnxRuntime}
if not LITERT:
    RUNTIMES = dict(reversed(RUNTIMES.items()))


def open_runtime(path: Path, threads: int = 1) -> Runtime:
    """Opens a model file in the runtime its suffix names.

    Raises:
        ModelError: no such file, an unknown suffix, or a file the runtime refuses.
        RuntimeUnavailable: the library isn't installed.
    """
    if path.suffix not in RUNTIMES:
        raise ModelError(f"{path}: not a model file; expected {' or '.join(RUNTIMES)}")
    try:
        there = path.is_file()
    except OSError:  # too long to be a name
        there = False
    if not there:
        raise ModelError(f"{path}: no such model file")
    return RUNTIMES[path.suffix](path, threads)


def _load(module: str, install: str) -> Any:
    try:
        return import_module(module)
    except ImportError as e:
        raise RuntimeUnavailable(f"{module.split('.')[0]} can't be loaded ({_first_line(e)}); try: {install}") from e


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
