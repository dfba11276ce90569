"""The libraries that run a network: one small class each, with the same two methods, found by the file's suffix.

A runtime knows nothing of sound, and nothing of files: it gets the bytes that `model_file` has looked at, and turns
normalised features into probabilities. Libraries are imported when they are needed, so that each can be absent.

A runtime is for any number of threads, and survives a fork (`forks`). ONNX Runtime's sessions run in many threads at
once. A LiteRT interpreter holds one input and one output, so a lock is around writing, running and reading. The other
way, an interpreter for each thread, costs 2.5 MB and 4 ms for each, and was no faster: on two cores that others used as
well, 2 to 8 threads predicted 250 to 380 sounds of three seconds a second with either. Half of the 2.5 ms of CPU time
that each takes is the front-end's, which waits for no lock.
"""

import os
import sys
from contextlib import nullcontext
from functools import partial
from importlib import import_module
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ser_edge.errors import ModelError, RuntimeUnavailable
from ser_edge.errors.install_hints import pip_install
from ser_edge.errors.native_stderr import suppress_native_stderr
from ser_edge.models.runtimes.fork_safety import ForkSafe

__all__ = ["LITERT", "RUNTIMES", "LiteRT", "OnnxRuntime", "Runtime", "interpreter", "reason"]

Probabilities = npt.NDArray[np.float32]
# Intel Macs alone have no LiteRT: ser-edge brings ONNX Runtime there, by the same markers in pyproject.toml.
LITERT = sys.platform != "darwin" or os.uname().machine == "arm64"
_REASON = 200  # characters of what a library says
_announced = False  # LiteRT has said what it has to say, once in a process


class Runtime(Protocol):
    """What `model` needs of a runtime, from any number of threads."""

    name: str  # for messages
    takes: tuple[int | None, ...]  # the shape of its input; None is any number, () any shape

    def run(self, inputs: npt.NDArray[np.float32]) -> Probabilities:
        """(batch, frames, coefficients) float32 to (batch, labels) float32."""


class OnnxRuntime:
    """An `.onnx` file in ONNX Runtime, on the CPU.

    Args:
        content: the file.
        name: of the file, for messages.
        threads: for one inference.

    Raises:
        ModelError: it refuses the file.
        RuntimeUnavailable: it isn't installed.
    """

    name = "ONNX Runtime"

    def __init__(self, content: bytes, name: str, threads: int = 1):
        self._session = ForkSafe(partial(_session, content, name, threads))
        first = self._session.get().get_inputs()[0]
        self._input = first.name
        self.takes: tuple[int | None, ...] = tuple(size if isinstance(size, int) else None for size in first.shape)

    def run(self, inputs: npt.NDArray[np.float32]) -> Probabilities:
        """Any batch at once."""
        outputs: Probabilities = self._session.get().run(None, {self._input: inputs})[0]
        return outputs


def _session(content: bytes, name: str, threads: int) -> Any:
    # From 1.29 on it tells Microsoft what is run, and keeps a number for this machine, unless this is set before it
    # is imported. A voice is nobody's business.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    ort = _load("onnxruntime", pip_install("onnxruntime>=1.20"))
    ort.disable_telemetry_events()  # on Windows, where the variable isn't asked
    ort.set_default_logger_severity(4)  # it raises what matters, and warns of GPUs that nobody asked for
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Its own format is another one, which nothing here looks into; it would be known by its first bytes.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    try:
        session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as e:  # its exception classes are not public, and differ by version
        raise ModelError(f"{name}: ONNX Runtime can't open it ({reason(e)})") from e
    if not session.get_inputs():
        raise ModelError(f"{name}: ONNX Runtime can't open it (it has no input)")
    return session


class LiteRT:
    """A `.tflite` file in LiteRT, or in tflite-runtime where that is all there is; see `OnnxRuntime`."""

    name = "LiteRT"

    def __init__(self, content: bytes, name: str, threads: int = 1):
        self._interpreter = ForkSafe(partial(interpreter, content, name, threads))
        opened = self._interpreter.get()
        inputs, outputs = opened.get_input_details(), opened.get_output_details()
        if not inputs or not outputs:
            raise ModelError(f"{name}: LiteRT can't use it (no input, or no output)")
        self._input, self._output = inputs[0]["index"], outputs[0]["index"]
        self.takes: tuple[int | None, ...] = tuple(map(int, inputs[0]["shape"]))

    def run(self, inputs: npt.NDArray[np.float32]) -> Probabilities:
        """One after the other: these files are made for a batch of one."""
        return np.concatenate([self._one(item) for item in inputs])

    def _one(self, item: npt.NDArray[np.float32]) -> Probabilities:
        with self._interpreter.lock:
            opened = self._interpreter.get()
            opened.set_tensor(self._input, item[None])
            opened.invoke()
            outputs: Probabilities = opened.get_tensor(self._output)
        return outputs


def interpreter(content: bytes, name: str, threads: int = 1) -> Any:
    """LiteRT's interpreter of a `.tflite` file, tensors allocated; tflite-runtime's where that is all there is.

    It is for one thread at a time, and for one process.

    Args:
        content: the file.
        name: of the file, for messages.
        threads: for one inference.

    Raises:
        ModelError: a file it refuses.
        RuntimeUnavailable: neither is installed.
    """
    try:
        advice = pip_install("ai-edge-litert>=1.2") if LITERT else "an .onnx model; Intel Macs have no LiteRT"
        make = _load("ai_edge_litert.interpreter", advice).Interpreter
    except RuntimeUnavailable as unavailable:
        try:
            make = import_module("tflite_runtime.interpreter").Interpreter
        except ImportError:
            raise unavailable from None
    global _announced
    try:
        with nullcontext() if _announced else suppress_native_stderr():
            opened = make(model_content=content, num_threads=threads)
            opened.allocate_tensors()
    except (ValueError, RuntimeError) as e:
        raise ModelError(f"{name}: LiteRT can't open it ({reason(e)})") from e
    _announced = True
    return opened


# The best first: LiteRT needs half the CPU time and half the memory of ONNX Runtime here (tests/benchmarks/results.md).
RUNTIMES: dict[str, type[OnnxRuntime] | type[LiteRT]] = {".tflite": LiteRT, ".onnx": OnnxRuntime}
if not LITERT:
    RUNTIMES = dict(reversed(RUNTIMES.items()))


def _load(module: str, install: str) -> Any:
    try:
        return import_module(module)
    except ImportError as e:
        raise RuntimeUnavailable(f"{module.split('.')[0]} can't be loaded ({reason(e)}); try: {install}") from e


def reason(error: Exception) -> str:
    """What a library says, in a line that isn't long: some write several, and repeat a whole file."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= _REASON else f"{text[:_REASON]}..."
