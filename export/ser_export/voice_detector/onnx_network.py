"""Silero's voice detector as an ONNX graph of plain operators, for machines without LiteRT, and for web pages.

It computes what `tflite_network` does, with the same weights, names and shapes.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from ser_export.voice_detector.weights import (
    BINS,
    CHUNK,
    CONTEXT,
    DESCRIPTION,
    HOP,
    MIRRORED,
    UNITS,
    Weights,
    is_exact,
    transform,
)

_OPSET, _IR_VERSION = 17, 8
_HALVED = "/float16"


class _Graph:
    """The nodes and weights so far."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def add(self, op: str, inputs: Sequence[str], name: str, more: Sequence[str] = (), **attributes: Any) -> str:
        """Adds a node; the name of its first output."""
        self.nodes.append(helper.make_node(op, inputs, [name, *more], name=name, **attributes))
        return name

    def weight(self, name: str, value: npt.NDArray[Any]) -> str:
        """Stores a constant, in float16 where it is large enough and may be rounded."""
        if value.dtype != np.float32 or is_exact(value.shape):
            self.weights.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
            return name
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(value, np.float16), name + _HALVED))
        return self.add("Cast", [name + _HALVED], name, to=TensorProto.FLOAT)

    def linear(self, x: str, kernel: npt.NDArray[np.float32], bias: npt.NDArray[np.float32], name: str) -> str:
        """(1, inputs) to (1, outputs); the kernel is (outputs, inputs)."""
        names = [self.weight(f"{name}/kernel", kernel), self.weight(f"{name}/bias", bias)]
        return self.add("Gemm", [x, *names], name, transB=1)


def build_graph(weights: Weights) -> onnx.ModelProto:
    """The network for one chunk: `samples`, `h`, `c` to `probability`, `next_h`, `next_c`."""
    graph = _Graph()
    spectrum, order = _spectrum(graph)
    x = graph.add("Transpose", [spectrum], "bins", perm=[1, 0])
    x = graph.add("Unsqueeze", [x, graph.weight("batch", np.array([0]))], "bins/batch")  # (1, 129, 4)
    for layer, strides, pads in ((0, 1, [1, 1]), (1, 2, [1, 0])):  # the second's padding at the end is never used
        kernel, bias = _encoder(weights, layer)
        names = [
            graph.weight(f"encoder{layer}/kernel", kernel if layer else kernel[:, order]),
            graph.weight(f"encoder{layer}/bias", bias),
        ]
        x = graph.add("Conv", [x, *names], f"encoder{layer}/linear", strides=[strides], pads=pads)
        x = graph.add("Relu", [x], f"encoder{layer}")
    x = graph.add("Flatten", [x], "encoder1/flat")  # of (1, 64, 2)
    kernel, bias = _encoder(weights, 2)  # the first of its three taps only multiplies padding
    x = graph.linear(x, kernel[:, :, 1:].reshape(len(bias), -1), bias, "encoder2/linear")
    x = graph.add("Relu", [x], "encoder2")
    kernel, bias = _encoder(weights, 3)  # only the middle tap doesn't multiply padding
    x = graph.linear(x, kernel[:, :, 1], bias, "encoder3/linear")
    _lstm(graph, weights, graph.add("Relu", [x], "encoder3"))
    kernel, bias = weights["decoder.decoder.2.weight"][:, :, 0], weights["decoder.decoder.2.bias"]
    x = graph.linear(graph.add("Relu", ["next_h"], "decoder/relu"), kernel, bias, "decoder")
    graph.add("Sigmoid", [x], "probability")

    def tensors(*shapes: tuple[str, int]) -> list[onnx.ValueInfoProto]:
        return [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, size]) for name, size in shapes]

    made = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "silero_vad",
            tensors(("samples", CONTEXT + CHUNK), ("h", UNITS), ("c", UNITS)),
            tensors(("probability", 1), ("next_h", UNITS), ("next_c", UNITS)),
            graph.weights,
        ),
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR_VERSION,
        producer_name="ser-export",
        doc_string=DESCRIPTION,
    )
    onnx.checker.check_model(made, full_check=True)
    return made


def _spectrum(graph: _Graph) -> tuple[str, npt.NDArray[np.intp]]:
    """Magnitudes of overlapping frames, (4, 129), and the bin of each column; in halves, as `tflite_network` has it."""
    end = CONTEXT + CHUNK - 1
    ends = [np.array([end - 1]), np.array([end - 1 - MIRRORED]), np.array([1]), np.array([-1])]
    names = [graph.weight(f"mirrored/{i}", value) for i, value in enumerate(ends)]
    mirrored = graph.add("Slice", ["samples", *names], "mirrored")
    x = graph.add("Concat", ["samples", mirrored], "extended", axis=1)
    x = graph.add("Reshape", [x, graph.weight("blocks/shape", np.array([-1, HOP]))], "blocks")  # (5, 128)
    window, matrix = transform()
    halves = []
    for name, start, part in (("first", 0, window[:HOP]), ("second", 1, window[HOP:])):
        bounds = [graph.weight(f"{name}/{i}", np.array([value])) for i, value in enumerate((start, start + 4, 0))]
        rows = graph.add("Slice", [x, *bounds], f"{name}/rows")
        halves.append(graph.add("Mul", [rows, graph.weight(f"{name}/window", part)], name))
    waves = matrix.reshape(2, BINS, 2 * HOP)[:, :, :HOP]
    squares = []
    for parity, (op, name) in enumerate((("Add", "even"), ("Sub", "odd"))):
        frames = graph.add(op, halves, name)
        kernel = graph.weight(f"{name}/waves", waves[:, parity::2].reshape(-1, HOP))
        parts = graph.add("Gemm", [frames, kernel], f"{name}/parts", transB=1)
        power = graph.add("Mul", [parts, parts], f"{name}/power")
        real = graph.add("Split", [power], f"{name}/real", [f"{name}/imaginary"], axis=1)
        squares.append(graph.add("Add", [real, f"{name}/imaginary"], f"{name}/squares"))
    x = graph.add("Concat", squares, "power", axis=1)
    order = np.concatenate([np.arange(0, BINS, 2), np.arange(1, BINS, 2)])
    return graph.add("Sqrt", [x], "magnitudes"), order


def _lstm(graph: _Graph, weights: Weights, x: str) -> None:
    """Adds `next_h` and `next_c`, (1, 128) each."""
    kernel = np.concatenate([weights["decoder.rnn.weight_ih"], weights["decoder.rnn.weight_hh"]], axis=1)
    bias = weights["decoder.rnn.bias_ih"] + weights["decoder.rnn.bias_hh"]
    x = graph.linear(graph.add("Concat", [x, "h"], "lstm/input", axis=1), kernel, bias, "lstm/linear")
    graph.add("Split", [x], "lstm/i", ["lstm/f", "lstm/g", "lstm/o"], axis=1)  # PyTorch's order
    i, f, o = (graph.add("Sigmoid", [f"lstm/{gate}"], f"lstm/{gate}/gate") for gate in "ifo")
    kept = graph.add("Mul", [f, "c"], "lstm/kept")
    new = graph.add("Mul", [i, graph.add("Tanh", ["lstm/g"], "lstm/g/gate")], "lstm/new")
    c = graph.add("Add", [kept, new], "next_c")
    graph.add("Mul", [o, graph.add("Tanh", [c], "lstm/tanh")], "next_h")


def _encoder(weights: Weights, layer: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    return weights[f"encoder.{layer}.reparam_conv.weight"], weights[f"encoder.{layer}.reparam_conv.bias"]
