"""Rounding that later weights make up for: what a matrix gives changes less than by rounding to the nearest."""

from pathlib import Path

import keras
import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema
from keras import layers
from onnx import TensorProto, helper, numpy_helper

from ser_export.from_keras.compensated_rounding import LARGEST, round_compensated
from ser_export.to_onnx.quantization.input_moments import input_moments
from ser_export.to_onnx.quantization.integer_products import with_integer_products
from ser_export.to_tflite.convert import convert
from ser_export.to_tflite.fitted_rounding import round_weights

RANDOM = np.random.default_rng(0)
INPUTS, OUTPUTS = 320, 320
# Inputs that are alike, as those of a network are.
X = (RANDOM.normal(size=(900, 40)) @ RANDOM.normal(size=(40, INPUTS)) + RANDOM.normal(size=(900, INPUTS))).astype("f4")
MOMENTS = X.T.astype(np.float64) @ X
MATRIX = RANDOM.normal(size=(INPUTS, OUTPUTS)).astype(np.float32)
SCALES = np.abs(MATRIX).max(axis=0) / LARGEST


def error(values: np.ndarray, scales: np.ndarray) -> float:
    return float(np.abs(X @ (values * scales - MATRIX)).mean())


@pytest.mark.parametrize("pairs", [False, True])
def test_products_change_less_than_by_rounding_to_the_nearest(pairs: bool) -> None:
    scales = SCALES * (2 if pairs else 1)  # room for the sum of two
    values = round_compensated(MATRIX, MOMENTS, scales, pairs)
    assert (values == np.rint(values)).all()
    assert np.abs(values).max() <= LARGEST
    assert error(values, scales) < 0.5 * error(np.rint(MATRIX / scales).clip(-LARGEST, LARGEST), scales)
    if pairs:
        assert np.abs(values[::2] + values[1::2]).max() <= LARGEST + 1
    else:
        largest = np.abs(MATRIX).argmax(axis=0), np.arange(OUTPUTS)
        np.testing.assert_array_equal(values[largest], LARGEST * np.sign(MATRIX[largest]))


def test_of_inputs_that_are_not_alike_or_not_there_each_weight_is_rounded_by_itself() -> None:
    nearest = np.rint(MATRIX / SCALES)
    for moments in (np.eye(INPUTS), np.zeros((INPUTS, INPUTS))):
        np.testing.assert_array_equal(round_compensated(MATRIX, moments, SCALES), nearest)
    zeros = round_compensated(0 * MATRIX, MOMENTS, np.full(OUTPUTS, np.finfo(np.float32).tiny))
    assert not zeros.any()


def graph() -> onnx.ModelProto:
    """A large product, of which each input is the double of what the network gets."""
    nodes = [
        helper.make_node("Add", ["features", "features"], ["double"], name="double"),
        helper.make_node("MatMul", ["double", "large/kernel"], ["answers"], name="large"),
    ]
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, None, size])
        for name, size in (("features", INPUTS), ("answers", OUTPUTS))
    ]
    made = helper.make_graph(nodes, "g", values[:1], values[1:], [numpy_helper.from_array(MATRIX, "large/kernel")])
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_moments_are_those_of_the_frames_that_are_there() -> None:
    padded = np.concatenate([X[:600].reshape(2, 300, INPUTS), np.zeros((2, 50, INPUTS), np.float32)], axis=1)
    moments = input_moments(graph(), padded)
    assert list(moments) == ["large/kernel"]
    half = X[:600].astype(np.float64)
    np.testing.assert_allclose(moments["large/kernel"], 4 * half.T @ half, rtol=1e-3, atol=1)
    assert input_moments(graph(), padded[:0]) == {}


def test_the_products_of_a_graph_are_rounded_by_the_moments_of_their_inputs() -> None:
    nearest, fitted = (
        {w.name: numpy_helper.to_array(w) for w in made.graph.initializer}
        for made in (with_integer_products(graph()), with_integer_products(graph(), {"large/kernel": MOMENTS}))
    )
    np.testing.assert_array_equal(nearest["large/matrix_scales"], fitted["large/matrix_scales"])
    both = [error(stored["large/matrix"].astype(float), stored["large/matrix_scales"]) for stored in (nearest, fitted)]
    assert both[1] < 0.6 * both[0]


@pytest.mark.slow
def test_the_converter_keeps_weights_that_were_rounded_before(tmp_path: Path) -> None:
    features = keras.Input((30, INPUTS))
    attention = layers.MultiHeadAttention(4, 80, name="attention")
    model = keras.Model(features, layers.Dense(OUTPUTS, name="dense")(attention(features, features)))
    before = model.get_layer("dense").kernel.numpy()
    names = ("dense/kernel", "attention/projection/kernel", "attention/output/kernel")
    round_weights(model, dict.fromkeys(names, MOMENTS))
    after = model.get_layer("dense").kernel.numpy()
    assert 0 < np.abs(after - before).max() < 3 * np.abs(before).max() / LARGEST
    model.save(tmp_path / "model.keras")
    convert(tmp_path / "model.keras", tmp_path / "model.tflite", "int8", np.zeros((1, 30, INPUTS), np.float32))
    file = schema.ModelT.InitFromObj(schema.Model.GetRootAs((tmp_path / "model.tflite").read_bytes()))
    stored = [
        file.buffers[tensor.buffer].data.view(np.int8).reshape(tensor.shape) * tensor.quantization.scale[:, None]
        for tensor in file.subgraphs[0].tensors
        if tensor.type == schema.TensorType.INT8 and list(tensor.shape) == [OUTPUTS, INPUTS]
    ]
    assert min(np.abs(weights.T - after).max() for weights in stored) < 1e-6
