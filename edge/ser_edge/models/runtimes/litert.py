"""LiteRT, or tflite-runtime if that is what is installed.

An interpreter holds one input and one output, so there is a lock around writing, running and reading. An interpreter
per thread would take 2.5 MB and 4 ms each, and is no faster: half of the 2.5 ms of CPU time per inference is spent in
the front-end, without the lock.
"""

from contextlib import nullcontext, suppress
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from ser_edge.errors import ModelError
from ser_edge.errors.install_hints import pip_install
from ser_edge.errors.native_stderr import suppress_native_stderr
from ser_edge.models.runtimes.base import EMBEDDING, HAS_LITERT, load_library, one_line
from ser_edge.models.runtimes.fork_safety import ForkSafe

_announced = False  # LiteRT prints a line about its delegate, once per process


class LiteRT:
    """A `.tflite` file in LiteRT; arguments and errors are those of `OnnxRuntime`."""

    name = "LiteRT"

    def __init__(self, content: bytes, name: str, threads: int = 1):
        reopen = partial(open_interpreter, content, name, threads)
        self._interpreter = ForkSafe(reopen(), reopen)
        interpreter = self._interpreter.value
        inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
        if not inputs or not outputs:
            raise ModelError(f"{name}: LiteRT can't use it (no input, or no output)", code="model-damaged")
        self._input, self._output = inputs[0]["index"], outputs[0]["index"]
        self._embedding = next((output["index"] for output in outputs[1:] if output["name"] == EMBEDDING), None)
        self.input_shape: tuple[int | None, ...] = tuple(
            None if size < 0 else int(size) for size in inputs[0]["shape_signature"]
        )

    def run(self, inputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """(batch, frames, coefficients) to (batch, labels), one by one: these files have a batch size of one."""
        return np.concatenate([self._run_one(item)[0] for item in inputs])

    def run_with_embedding(
        self, inputs: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32] | None]:
        """(batch, frames, coefficients) to (batch, labels) and (batch, units), or None if the file has none."""
        if self._embedding is None:
            return self.run(inputs), None
        probabilities, embeddings = zip(*(self._run_one(item, self._embedding) for item in inputs), strict=True)
        return np.concatenate(probabilities), np.concatenate(embeddings)

    def _run_one(self, item: npt.NDArray[np.float32], *more: int) -> list[npt.NDArray[np.float32]]:
        """The first output, and others by their tensors."""
        with self._interpreter.lock:
            interpreter = self._interpreter.value
            try:
                interpreter.set_tensor(self._input, item[None])
            except ValueError:  # another length than the last one: planning its memory anew takes 0.1 ms
                interpreter.resize_tensor_input(self._input, item[None].shape, strict=True)
                interpreter.allocate_tensors()
                interpreter.set_tensor(self._input, item[None])
            interpreter.invoke()
            return [interpreter.get_tensor(index) for index in (self._output, *more)]


def open_interpreter(content: bytes, name: str, threads: int = 1) -> Any:
    """An interpreter with its tensors allocated; for one thread at a time, and for one process.

    Arguments and errors are those of `OnnxRuntime`.
    """
    global _announced
    interpreter_class = _interpreter_class()
    try:
        with nullcontext() if _announced else suppress_native_stderr():
            interpreter = interpreter_class(model_content=content, num_threads=threads)
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as e:
        raise ModelError(f"{name}: LiteRT can't open it ({one_line(e)})", code="model-damaged") from e
    _announced = True
    return interpreter


def _interpreter_class() -> Any:
    for module in ("ai_edge_litert.interpreter", "tflite_runtime.interpreter"):
        with suppress(ImportError):
            return import_module(module).Interpreter
    advice = pip_install("ai-edge-litert>=1.2") if HAS_LITERT else "an .onnx model; Intel Macs have no LiteRT"
    return load_library("ai_edge_litert.interpreter", advice).Interpreter
