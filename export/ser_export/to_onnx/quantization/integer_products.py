"""Computes products with large constant matrices in integers: half the CPU time and a third of the memory of float32.

The matrix is stored in int8 with a scale for each column; what it multiplies is rounded to uint8 when the network is
run, with a scale for each row ("dynamic range", as LiteRT does it). So a step's answer depends neither on the other
steps nor on the other inputs of a batch, as it would with the one scale that ONNX's DynamicQuantizeLinear takes.

Processors without VNNI add the products of two neighbours in 16 bits, which saturate. So the scale of a column leaves
room for the sum of any two of its neighbours, and every processor gets the same sums; with 7 bits for each weight
instead, answers differ from Keras's by half as much again. Unsigned matrices wouldn't saturate either, but take ONNX
Runtime nearly twice as long.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from ser_export.from_keras.compensated_rounding import round_compensated
from ser_export.to_onnx.quantization.rounding import rows_to_int8

_Array = npt.NDArray[Any]

_MIN_SIZE = 100_000  # values; for smaller matrices the added nodes cost more than the product saves
_ZERO = 128  # of the rounded rows, which are symmetric: 1 to 255


def large_products(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The products with constant matrices that are worth computing in integers."""
    sizes = {weight.name: int(np.prod(weight.dims)) for weight in model.graph.initializer}
    products = [node for node in model.graph.node if node.op_type == "MatMul"]
    return [node for node in products if sizes.get(node.input[1], 0) >= _MIN_SIZE]


def with_integer_products(model: onnx.ModelProto, moments: Mapping[str, _Array] | None = None) -> onnx.ModelProto:
    """A copy whose large products are computed in integers; the same model if it has none.

    Args:
        model: in float32.
        moments: of the inputs of the large matrices, by their names; the others are rounded to the nearest.
    """
    made = onnx.ModelProto()
    made.CopyFrom(model)
    weights = {weight.name: numpy_helper.to_array(weight) for weight in made.graph.initializer}
    nodes: list[onnx.NodeProto] = []
    stored: dict[str, _Array] = {}
    large, replaced = {node.name for node in large_products(model)}, set()
    for node in made.graph.node:
        if node.name not in large:
            nodes.append(node)
            continue
        matrix = weights[node.input[1]]
        replaced.add(node.input[1])
        added, constants = _integer_product(node, matrix, (moments or {}).get(node.input[1]))
        nodes += added
        stored |= constants
        # Its last axis, which can't be inferred any more; ONNX Runtime fuses the bias and GELU that follow only then.
        shape = [None, None, matrix.shape[1]]
        made.graph.value_info.append(helper.make_tensor_value_info(node.output[0], TensorProto.FLOAT, shape))
    if not replaced:
        return model
    kept = [weight for weight in made.graph.initializer if weight.name not in replaced]
    del made.graph.initializer[:], made.graph.node[:]
    made.graph.initializer.extend(kept + [numpy_helper.from_array(array, name) for name, array in stored.items()])
    made.graph.node.extend(nodes)
    onnx.checker.check_model(made, full_check=True)
    return made


def has_integer_products(model: onnx.ModelProto) -> bool:
    """Whether some of its arithmetic is in integers."""
    return any(node.op_type == "MatMulInteger" for node in model.graph.node)


def _integer_product(
    node: onnx.NodeProto, matrix: _Array, moments: _Array | None
) -> tuple[list[onnx.NodeProto], dict[str, _Array]]:
    """What replaces a product of (batch, steps, values) and a matrix, and its constants."""
    values, scales = rows_to_int8(matrix, (0,), _furthest(matrix))
    if moments is not None:
        values = round_compensated(matrix, moments, scales[0], pairs=True).astype(np.int8)
    constants = {
        "matrix": values,
        "matrix_scales": scales[0].astype(np.float32),
        "flat": np.array([-1, len(matrix)]),
        "to_scale": np.float32(1 / 127),
        "smallest": np.float32(np.finfo(np.float32).tiny),  # of a scale: rows of zeros stay zeros
        "zero": np.uint8(_ZERO),
        "columns": np.array([1]),
        "outputs": np.array(matrix.shape[1:]),
    }
    nodes = []

    def add(op: str, inputs: list[str], name: str, **attributes: Any) -> str:
        names = [f"{node.name}/{part}" if part in constants else part for part in inputs]
        nodes.append(helper.make_node(op, names, [f"{node.name}/{name}"], name=f"{node.name}/{name}", **attributes))
        return f"{node.name}/{name}"

    rows = add("Reshape", [node.input[0], "flat"], "rows")
    largest = add("ReduceMax", [add("Abs", [rows], "sizes")], "largest", axes=[1], keepdims=0)
    row_scales = add("Max", [add("Mul", [largest, "to_scale"], "row_scale"), "smallest"], "row_scales")
    zero = helper.make_tensor("zero", TensorProto.UINT8, [1], [_ZERO])
    zeros = add("ConstantOfShape", [add("Shape", [row_scales], "count")], "zeros", value=zero)
    rounded = add("QuantizeLinear", [rows, row_scales, zeros], "rounded", axis=0)
    sums = add("Cast", [add("MatMulInteger", [rounded, "matrix", "zero"], "sums")], "floats", to=TensorProto.FLOAT)
    sums = add("Mul", [sums, "matrix_scales"], "scaled")
    sums = add("Mul", [sums, add("Unsqueeze", [row_scales, "columns"], "by_row")], "product")
    shape = add("Concat", [add("Shape", [node.input[0]], "steps", end=2), "outputs"], "shape", axis=0)
    nodes.append(helper.make_node("Reshape", [sums, shape], [node.output[0]], name=node.name))
    return nodes, {f"{node.name}/{name}": np.asarray(array) for name, array in constants.items()}


def _furthest(matrix: _Array) -> _Array:
    """(1, outputs): the largest magnitude, and sum of two neighbours, in each column.

    As 127 it keeps sums in 16 bits: 255 * (127 + 1) < 2 ** 15, where 1 is the rounding of two.
    """
    pairs = np.pad(matrix, ((0, len(matrix) % 2), (0, 0))).reshape(-1, 2, matrix.shape[1])
    furthest: _Array = np.maximum(abs(matrix).max(axis=0), abs(pairs.sum(axis=1)).max(axis=0))[None]
    return furthest
