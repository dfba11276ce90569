"""Products in integers are exact on every processor: here, and in `make test-variations VARIATION=emulated-haswell`."""

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from ser_export.to_onnx.quantization.integer_products import has_integer_products, with_integer_products

INPUTS, OUTPUTS = 515, 250


def product(matrix: npt.NDArray[np.float32]) -> onnx.ModelProto:
    """(batch, steps, values) times a matrix."""
    inputs, outputs = matrix.shape
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "matrix"], ["y"], name="product")],
        "product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", "steps", inputs])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", "steps", outputs])],
        [numpy_helper.from_array(matrix, "matrix")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def run(model: onnx.ModelProto, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    answers: npt.NDArray[np.float32] = session.run(None, {"x": x})[0]
    return answers


def largest_sums() -> npt.NDArray[np.float32]:
    """Columns whose products reach as far as they can: of one sign, in turn, and in pairs."""
    signs = np.ones((4, INPUTS), np.float32)
    signs[1] = -1
    signs[2, ::2] = -1
    signs[3, np.arange(INPUTS) // 2 % 2 == 0] = -1
    return np.resize(signs, (OUTPUTS, INPUTS)).T


@pytest.mark.parametrize("steps", [1, 3, 40])
@pytest.mark.parametrize("value", [1.0, -1.0])
def test_the_largest_sums_are_exact(steps: int, value: float) -> None:
    matrix = largest_sums()
    model = with_integer_products(product(matrix))
    assert has_integer_products(model)
    x = np.full((2, steps, INPUTS), value, np.float32)
    np.testing.assert_allclose(run(model, x), x @ matrix, rtol=2e-2, atol=1e-2)


def test_neighbours_never_sum_to_more_than_16_bits_hold() -> None:
    random = np.random.default_rng(0)
    matrix = random.standard_t(2, (INPUTS, OUTPUTS)).astype(np.float32)
    made = with_integer_products(product(matrix))
    (stored,) = (numpy_helper.to_array(w) for w in made.graph.initializer if w.data_type == TensorProto.INT8)
    pairs = np.pad(stored.astype(int), ((0, 1), (0, 0))).reshape(-1, 2, OUTPUTS)
    assert np.abs(pairs.sum(axis=1)).max() <= 128
    assert 255 * 128 < 2**15


def test_random_products_are_those_of_rounded_numbers() -> None:
    random = np.random.default_rng(0)
    matrix = random.normal(size=(INPUTS, OUTPUTS)).astype(np.float32)
    x = (random.normal(size=(2, 7, INPUTS)) * random.uniform(1e-3, 1e3, (2, 7, 1))).astype(np.float32)
    x[1, 3] = 0
    answers = run(with_integer_products(product(matrix)), x)
    assert np.array_equal(answers[1, 3], np.zeros(OUTPUTS))
    scales = np.abs(x).max(axis=2, keepdims=True) / 127
    off = np.abs(answers - x @ matrix) / np.maximum(scales, 1e-30)
    assert off.max() < 0.02 * 127 * np.sqrt(INPUTS)  # about one step for each value, at random
    assert np.array_equal(answers, run(with_integer_products(product(matrix)), x))


def test_a_row_is_rounded_alone() -> None:
    random = np.random.default_rng(0)
    model = with_integer_products(product(random.normal(size=(INPUTS, OUTPUTS)).astype(np.float32)))
    x = random.normal(size=(3, 5, INPUTS)).astype(np.float32)
    together = run(model, x)
    x[1:] *= 100
    np.testing.assert_array_equal(run(model, x)[0], together[0])
    np.testing.assert_array_equal(run(model, x[:1, :2])[0], together[0, :2])


def test_small_products_stay_as_they_are() -> None:
    model = product(np.ones((300, 300), np.float32))
    assert with_integer_products(model) is model
    assert not has_integer_products(model)
