"""ONNX Runtime, on the CPU. Its sessions run in any number of threads at once."""

import os
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from ser_edge.errors import ModelError
from ser_edge.errors.install_hints import pip_install
from ser_edge.models.runtimes.base import EMBEDDING, load_library, one_line
from ser_edge.models.runtimes.fork_safety import ForkSafe


class OnnxRuntime:
    """An `.onnx` file in ONNX Runtime.

    Args:
        content: of the file.
        name: of the file, for messages.
        threads: for one inference.

    Raises:
        ModelError: ONNX Runtime refuses the file.
        RuntimeUnavailable: ONNX Runtime isn't installed.
    """

    name = "ONNX Runtime"

    def __init__(self, content: bytes, name: str, threads: int = 1):
        reopen = partial(open_session, content, name, threads)
        self._session = ForkSafe(reopen(), reopen)
        first = self._session.value.get_inputs()[0]
        self._input_name = first.name
        outputs = [output.name for output in self._session.value.get_outputs()]
        self._probabilities = outputs[:1]
        self._with_embedding = [*outputs[:1], EMBEDDING] if EMBEDDING in outputs[1:] else []
        self.input_shape = tuple(size if isinstance(size, int) else None for size in first.shape)

    def run(self, inputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """(batch, frames, coefficients) to (batch, labels), at once."""
        outputs: npt.NDArray[np.float32] = self._session.value.run(self._probabilities, {self._input_name: inputs})[0]
        return outputs

    def run_with_embedding(
        self, inputs: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32] | None]:
        """(batch, frames, coefficients) to (batch, labels) and (batch, units), or None if the file has none."""
        if not self._with_embedding:
            return self.run(inputs), None
        probabilities, embedding = self._session.value.run(self._with_embedding, {self._input_name: inputs})
        return probabilities, embedding


def open_session(content: bytes, name: str, threads: int = 1) -> Any:
    """A session, for one process; arguments and errors are those of `OnnxRuntime`."""
    # From 1.29 on it reports to Microsoft what is run and on which machine, unless this is set before it is imported.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    ort = load_library("onnxruntime", pip_install("onnxruntime>=1.20"))
    ort.disable_telemetry_events()  # on Windows, which ignores the variable
    ort.set_default_logger_severity(4)  # errors are raised; its warnings are about GPUs
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Without this it would accept the ORT format as well, which `container` doesn't check.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    try:
        session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as e:  # its exception classes are not public, and differ by version
        raise ModelError(f"{name}: ONNX Runtime can't open it ({one_line(e)})", code="model-damaged") from e
    if not session.get_inputs():
        raise ModelError(f"{name}: ONNX Runtime can't open it (it has no input)", code="model-damaged")
    return session
