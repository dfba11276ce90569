"""What all runtimes have in common: their interface, the table of them by file suffix, and how they are imported.

A runtime's class gets the content of a model file, and turns normalised features into probabilities, from any number of
threads and after a fork (`fork_safety`). Libraries are imported when needed, so that each may be absent.
"""

import os
import sys
from importlib import import_module
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from ser_edge.errors import RuntimeUnavailable

# ser-edge installs ONNX Runtime on Intel Macs, by the same markers in pyproject.toml.
HAS_LITERT = sys.platform != "darwin" or os.uname().machine == "arm64"
EMBEDDING = "embedding"  # the name of a model file's second output
SAMPLES = "samples"  # the name of the input of a file for programs without ser-edge, which has the front-end in it
_MAX_REASON = 200  # characters of a library's message


class Runtime(Protocol):
    """A network in a library that runs it; for any number of threads.

    One that can also has `run_with_embedding` (`EmbeddingRuntime`).
    """

    name: str  # for messages
    input_shape: tuple[int | None, ...]  # None is any number, () any shape

    def run(self, inputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """(batch, frames, coefficients) float32 to (batch, labels) float32."""


@runtime_checkable
class EmbeddingRuntime(Runtime, Protocol):
    """A runtime that also gives what the network's last layer gets."""

    def run_with_embedding(
        self, inputs: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32] | None]:
        """(batch, frames, coefficients) to (batch, labels) and (batch, units).

        The second is None if the file has no embedding, as those of ser-edge 0.1.
        """


def runtimes_by_suffix(has_litert: bool) -> dict[str, tuple[str, str]]:
    """The module and class for each suffix of model files, the preferred one first.

    LiteRT needs half the CPU time and half the memory of ONNX Runtime (tests/benchmarks/results.md).
    """
    litert = {".tflite": (f"{__package__}.litert", "LiteRT")}
    onnx = {".onnx": (f"{__package__}.onnx", "OnnxRuntime")}
    return litert | onnx if has_litert else onnx | litert


RUNTIMES = runtimes_by_suffix(HAS_LITERT)


def load_library(module: str, advice: str) -> Any:
    """Imports a runtime's library.

    Raises:
        RuntimeUnavailable: it isn't installed or doesn't load; ends with the advice.
    """
    try:
        return import_module(module)
    except ImportError as e:
        message = f"{module.split('.')[0]} can't be loaded ({one_line(e)}); try: {advice}"
        raise RuntimeUnavailable(message, code="runtime-unavailable") from e


def one_line(error: Exception) -> str:
    """A library's message in one short line: some have several, and repeat a whole file."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= _MAX_REASON else f"{text[:_MAX_REASON]}..."
