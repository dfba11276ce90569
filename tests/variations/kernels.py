"""A pytest plugin: the runtimes' other kernels, which no environment variable reaches.

XNNPACK and ONNX Runtime's MLAS have no switch for a processor's instructions. But XNNPACK can be left out, and LiteRT
then runs its own kernels; and ONNX Runtime can run the graph as it is written, without its fusions. Processes that a
test starts run as ever.
"""

from functools import partial
from typing import Any

import pytest

__all__ = ["pytest_addoption", "pytest_configure"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--kernels`, for `-p tests.variations.kernels`."""
    parser.addoption("--kernels", choices=("xnnpack-off", "mlas-unfused"), default=None)


def pytest_configure(config: pytest.Config) -> None:
    """Changes what opens a model file, before any test does."""
    if config.getoption("kernels") == "xnnpack-off":
        from ai_edge_litert import interpreter

        resolver = interpreter.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        interpreter.Interpreter = partial(interpreter.Interpreter, experimental_op_resolver_type=resolver)
    if config.getoption("kernels") == "mlas-unfused":
        import onnxruntime

        class Options(onnxruntime.SessionOptions):
            def __init__(self, *arguments: Any):
                super().__init__(*arguments)
                self.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL

        onnxruntime.SessionOptions = Options
