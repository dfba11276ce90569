"""Recurrent layers as LiteRT's loops: with masks, and of any length, they answer as Keras's."""

from functools import partial
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from keras import layers

from ser_export.from_keras.run import Run
from ser_export.pipeline.model_files import export
from ser_export.to_tflite.convert import convert
from ser_export.to_tflite.operations import run_network
from ser_export.to_tflite.recurrent import run_bidirectional

pytestmark = pytest.mark.slow


def test_a_recurrent_layer_is_one_loop_in_tflite(run: Run, tmp_path: Path) -> None:
    """Of both directions, two steps an iteration, without the product of the input."""
    export(run, tmp_path / "model.tflite")
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs((tmp_path / "model.tflite").read_bytes()))
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
    main, *loops = [[codes[o.opcodeIndex] for o in graph.operators] for graph in model.subgraphs]
    assert main.count(schema.BuiltinOperator.WHILE) == 2  # of two layers
    products = [loop.count(schema.BuiltinOperator.FULLY_CONNECTED) for loop in loops]
    assert products == [0, 4, 0, 4]  # conditions and bodies


@pytest.mark.parametrize("layer", [layers.SimpleRNN, layers.LSTM, layers.GRU])
@pytest.mark.parametrize("frames", [7, 8])
@pytest.mark.parametrize("unrolled", [False, True])
def test_recurrent_layers_for_tflite_answer_as_keras(layer: type[layers.Layer], frames: int, unrolled: bool) -> None:
    keras.utils.set_random_seed(frames)
    model = keras.Sequential(
        [
            keras.Input((frames, 5)),
            layers.Bidirectional(layer(6, return_sequences=True, bias_initializer="random_normal")),
            layers.Bidirectional(layer(3, bias_initializer="random_normal")),
        ]
    )
    inputs = np.random.default_rng(0).normal(size=(1, frames, 5)).astype(np.float32)
    answers = tf.function(partial(run_network, model, unrolled=unrolled), autograph=False)(tf.constant(inputs))
    np.testing.assert_allclose(answers, model(inputs), rtol=0, atol=1e-6)


@pytest.mark.parametrize("layer", [layers.SimpleRNN, layers.LSTM, layers.GRU])
@pytest.mark.parametrize("frames", [1, 7, 8])
def test_recurrent_layers_of_a_free_length_answer_as_keras(layer: type[layers.Layer], frames: int) -> None:
    keras.utils.set_random_seed(frames)
    both = [layer(4, return_sequences=whole, bias_initializer="random_normal") for whole in (True, False)]
    model = keras.Sequential([keras.Input((None, 5)), *map(layers.Bidirectional, both)])
    signature = [tf.TensorSpec((1, None, 5), tf.float32)]
    ours = tf.function(partial(run_network, model), signature, autograph=False)
    inputs = np.random.default_rng(0).normal(size=(1, frames, 5)).astype(np.float32)
    np.testing.assert_allclose(ours(tf.constant(inputs)), model(inputs), rtol=0, atol=1e-6)


@pytest.mark.parametrize("cell", [layers.SimpleRNN, layers.LSTM, layers.GRU])
@pytest.mark.parametrize("one_scale", [False, True])
@pytest.mark.parametrize("sequence", [False, True])
@pytest.mark.parametrize("present", ["1000000", "1111000", "1111111", "0101100"])
def test_a_masked_layer_for_tflite_answers_as_keras(
    cell: type[layers.Layer], one_scale: bool, sequence: bool, present: str
) -> None:
    """Also in missing frames, where the answer is zero."""
    inputs, mask = keras.Input((7, 5)), keras.Input((7,), dtype="bool")
    layer = layers.Bidirectional(cell(6, return_sequences=sequence, bias_initializer="random_normal"))
    model = keras.Model([inputs, mask], layer(inputs, mask=mask))
    values = np.random.default_rng(0).normal(size=(1, 7, 5)).astype(np.float32)
    mask_values = np.array([[frame == "1" for frame in present]])
    ours = tf.function(partial(run_bidirectional, layer, one_scale=one_scale), autograph=False)
    np.testing.assert_allclose(
        ours(tf.constant(values), tf.constant(mask_values)), model([values, mask_values]), atol=1e-6
    )


@pytest.mark.parametrize("layer", [layers.SimpleRNN, layers.LSTM, layers.GRU])
def test_small_rows_keep_their_precision_with_one_scale_a_matrix(layer: type[layers.Layer], tmp_path: Path) -> None:
    """One row a hundred times as large as the others would leave these a few of the 255 steps; a row of zeros stays."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((8, 16)), layers.Bidirectional(layer(64, return_sequences=True))])
    kernel, *others = model.layers[0].forward_layer.get_weights()
    kernel[:, 0], kernel[:, 1] = 100 * kernel[:, 0], 0
    model.layers[0].forward_layer.set_weights([kernel, *others])
    model.save(tmp_path / "model.keras")
    inputs = np.random.default_rng(0).normal(size=(1, 8, 16)).astype(np.float32)
    convert(tmp_path / "model.keras", tmp_path / "model.tflite", "int8-per-tensor", inputs)
    interpreter = Interpreter(str(tmp_path / "model.tflite"))
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], inputs)
    interpreter.invoke()
    answers = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    assert np.abs(answers - model(inputs))[..., 1:].max() < 0.05
