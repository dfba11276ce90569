"""Networks with Transformer blocks, exported: every layer and operation answers as in Keras."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
import soundfile
import tensorflow as tf
from keras import layers, ops

from ser_edge.features.frontend import FrontEnd
from ser_edge.models.loader import open_model
from ser_edge.models.metadata import ModelMetadata
from ser_edge.models.runtimes.litert import LiteRT
from ser_edge.models.tolerances import DYNAMIC, tolerance
from ser_export.errors import ExportError
from ser_export.pipeline.model_files import export
from ser_export.to_onnx.graph import build_graph
from ser_export.to_onnx.quantization.quantize import ONNX_PRECISIONS
from ser_export.to_tflite.convert import convert
from ser_export.to_tflite.flatbuffer import flatbuffer_operators
from ser_export.to_tflite.operations import run_network
from ser_export.verification.verify import PRECISIONS
from ser_train.networks.layers import frame_mask, masked_steps
from ser_train.networks.whisper import set_weights
from ser_train.networks.whisper_gru import whisper_gru
from ser_train.networks.whisper_weights.loader import load_encoder_weights
from ser_train.networks.zoo import NETWORKS
from tests import messages
from tests.export.conftest import LABELS, SPEECH, finished_run

VALUES = 6
Apply = Callable[[Any], Any]


def network(apply: Apply, frames: int | None = None) -> keras.Model:
    """One whose weights are all different from 0 and 1, from (frames, 6)."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((frames, VALUES))
    return shaken(keras.Model(inputs, apply(inputs)))


def shaken(model: keras.Model, noise: float = 0.3) -> keras.Model:
    random = np.random.default_rng(0)
    for weight in model.weights:
        moved = weight.numpy() + random.normal(0, noise, weight.shape)
        weight.assign(np.abs(moved) + 0.1 if weight.path.endswith("variance") else moved)
    return model


def sequences(frames: int, values: int = VALUES, count: int = 3) -> npt.NDArray[np.float32]:
    """(count, frames, values) of noise, each but the first with fewer frames than the one before; zeros follow."""
    inputs = np.random.default_rng(1).normal(size=(count, frames, values)).astype(np.float32)
    for row in range(1, count):
        inputs[row, frames - row * frames // count :] = 0
    return inputs


def run_onnx(model: onnx.ModelProto, inputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    answers: npt.NDArray[np.float32] = session.run(None, {"features": inputs})[0]
    return answers


def pooled(x: Any) -> Any:
    """(batch, steps, values) to (batch, values), different if steps change places."""
    return ops.sum(x * ops.cumsum(ops.cast(ops.ones_like(x), "float32"), axis=1), axis=1)


def attention(x: Any) -> Any:
    return layers.MultiHeadAttention(3, 4)(x, x)


def masked_attention(x: Any) -> Any:
    return layers.MultiHeadAttention(2, 5)(x, x, attention_mask=frame_mask(x)[:, None])


OPERATIONS: dict[str, Apply] = {
    "add": lambda x: x + x * np.linspace(1, 2, VALUES, dtype=np.float32),
    "average": lambda x: layers.Average()([x, ops.sin(x), ops.cos(x)]),
    "average pooling": lambda x: layers.AveragePooling1D(4)(layers.ZeroPadding1D((0, 3))(x)),
    "average pooling, strided": lambda x: layers.AveragePooling1D(3, strides=2)(x),
    "batch normalization": layers.BatchNormalization(),
    "batch normalization, without weights": layers.BatchNormalization(center=False, scale=False),
    "convolution": layers.Conv1D(5, 3, padding="same"),
    "convolution, even": layers.Conv1D(5, 4, padding="same"),
    "convolution, of one": layers.Conv1D(5, 1, strides=2),
    "convolution, strided": lambda x: layers.Conv1D(5, 3, strides=2)(layers.ZeroPadding1D(1)(x)),
    "convolution, without bias": layers.Conv1D(5, 2, use_bias=False),
    "cumsum": lambda x: ops.cumsum(x, axis=1),
    "gelu": lambda x: ops.gelu(x, approximate=False),
    "layer normalization": layers.LayerNormalization(epsilon=1e-5),
    "masked": lambda x: masked_steps(layers.Conv1D(5, 3, padding="same")(x), frame_mask(x)),
    "multi-head attention": attention,
    "multi-head attention, masked": masked_attention,
    "cosine": ops.cos,
    "sine": ops.sin,
}


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("frames", [7, 12])
def test_operations_in_onnx_answer_as_in_keras(name: str, frames: int) -> None:
    model = network(lambda x: pooled(OPERATIONS[name](x)))
    inputs = sequences(frames)
    np.testing.assert_allclose(run_onnx(build_graph(model), inputs), model(inputs), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_for_tflite_answer_as_in_keras(name: str) -> None:
    model = network(lambda x: pooled(OPERATIONS[name](x)))
    convertible = tf.function(partial(run_network, model), [tf.TensorSpec((1, None, VALUES))], autograph=False)
    for row in sequences(12):
        np.testing.assert_allclose(convertible(row[None]), model(row[None]), rtol=1e-5, atol=1e-4)


def small_whisper_gru(frames: int | None, classifiers: tuple[str, ...] = ("2",)) -> keras.Model:
    keras.utils.set_random_seed(0)
    made = whisper_gru((frames, VALUES), 3, classifiers, dense=10, units=4, width=16, heads=2)
    return shaken(made, noise=0.1)


@pytest.mark.parametrize("classifiers", [("1",), ("1", "2+1", "2-mean")])
def test_a_network_in_onnx_answers_as_in_keras(classifiers: tuple[str, ...]) -> None:
    model = small_whisper_gru(None, classifiers)
    graph, inputs = build_graph(model), sequences(41)
    answers = run_onnx(graph, inputs)
    assert np.ptp(answers, axis=0).max() > 0.01
    np.testing.assert_allclose(answers, model(inputs), atol=1e-5)
    for row, frames in enumerate((41, 28, 14)):  # without the missing frames, and alone
        np.testing.assert_allclose(run_onnx(graph, inputs[row : row + 1, :frames])[0], answers[row], atol=1e-6)


@pytest.mark.parametrize(("precision", "bound"), [("float16", 1e-3), ("int8", 2e-2)])
def test_small_weights_in_onnx_answer_nearly_as_keras(precision: str, bound: float) -> None:
    model, inputs = small_whisper_gru(None), sequences(41)
    answers = run_onnx(ONNX_PRECISIONS[precision](build_graph(model)), inputs)
    assert 0 < np.abs(answers - model(inputs)).max() < bound


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "bound"), [("float32", 1e-5), ("float16", 1e-3), ("int8", 2e-2)])
def test_a_network_in_tflite_answers_as_keras(precision: str, bound: float, tmp_path: Path) -> None:
    model, file = small_whisper_gru(41, ("1", "2-mean")), tmp_path / "model.tflite"
    model.save(tmp_path / "model.keras")
    convert(tmp_path / "model.keras", file, precision, sequences(41), free_length=True)
    assert all(version > 0 for version in flatbuffer_operators(file.read_bytes()).values())  # builtin
    runtime, inputs = LiteRT(file.read_bytes(), file.name), sequences(41)
    answers = runtime.run(inputs)
    np.testing.assert_allclose(answers, model(inputs), atol=bound)
    for row, frames in enumerate((41, 28, 14)):
        np.testing.assert_allclose(runtime.run(inputs[row : row + 1, :frames])[0], answers[row], atol=bound)


def large_whisper_gru() -> keras.Model:
    """Large enough that some products are computed in integers."""
    shape = (SPEECH.frames, SPEECH.coefficients)
    return whisper_gru(shape, len(LABELS), ("1",), dense=10, units=4, width=160, heads=2)


@pytest.mark.slow
def test_the_files_of_a_large_network_compute_in_integers(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "large", large_whisper_gru, SPEECH, 0.02)
    for suffix in (".onnx", ".tflite"):
        export(run, tmp_path / f"large{suffix}", "int8")
        model = open_model(tmp_path / f"large{suffix}")
        assert model.metadata.precision == DYNAMIC
        features = run.features[:20]
        alone = np.concatenate([model.probabilities(item[None]) for item in features])
        bound = tolerance(suffix, DYNAMIC).inputs
        np.testing.assert_allclose(model.probabilities(features), alone, atol=bound)


@pytest.mark.slow
def test_whispers_own_weights_in_onnx(sounds: list[Path]) -> None:
    network = NETWORKS["whisper-gru"]
    config = network.features
    model = shaken(whisper_gru((None, config.coefficients), 8), 0.02)
    set_weights(model, load_encoder_weights(blocks=2))
    front_end, graph = FrontEnd(config), build_graph(model)
    features = np.stack([front_end(soundfile.read(path, dtype="float32")[0][:48_000]) for path in sounds])
    inputs = ModelMetadata("whisper-gru", tuple("abcdefgh"), config, network.normalization).inputs(features)
    expected = model(inputs)
    np.testing.assert_allclose(run_onnx(graph, inputs), expected, atol=1e-5)
    small = ONNX_PRECISIONS["int8"](graph)
    np.testing.assert_allclose(run_onnx(small, inputs), expected, atol=PRECISIONS["int8"].difference)
    assert small.ByteSize() < 5.2 * 2**20


@pytest.mark.parametrize(
    ("apply", "named"),
    [
        (layers.Conv1D(4, 3, padding="causal"), "padding='causal'"),
        (layers.Conv1D(4, 3, strides=2, padding="same"), "strides=(2,)"),
        (layers.Conv1D(4, 3, activation="relu"), "activation='relu'"),
        (layers.AveragePooling1D(2, padding="same"), "padding='same'"),
        (lambda x: layers.Dense(4)(layers.ZeroPadding1D(1)(x)), "zero padding"),
        (layers.LayerNormalization(center=False), "center=False"),
        (layers.LayerNormalization(axis=1), "axis="),
        (ops.gelu, "approximate=True"),
        (ops.cumsum, "axis=None"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_unsupported_setting_is_named(apply: Apply, named: str) -> None:
    with messages.raises(ExportError, "export-unsupported-layer") as refusal:
        build_graph(network(apply, 8))
    assert named in str(refusal.value)


@pytest.mark.parametrize(
    ("apply", "named"),
    [
        (lambda x: layers.MultiHeadAttention(2, 4, use_bias=False)(x, x), "use_bias=False"),
        (lambda x: layers.MultiHeadAttention(2, 4, value_dim=3)(x, x), "value_dim=3"),
        (lambda x: layers.MultiHeadAttention(2, 4, output_shape=5)(x, x), "output_shape="),
        (lambda x: layers.MultiHeadAttention(2, 4)(x, ops.sin(x)), "to itself"),
        (lambda x: layers.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True), "use_causal_mask"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_unsupported_attention_is_named(apply: Apply, named: str) -> None:
    with messages.raises(ExportError, "export-unsupported-layer") as refusal:
        build_graph(network(apply))
    assert named in str(refusal.value)
    with messages.raises(ExportError, "export-unsupported-layer"):
        run_network(network(apply), sequences(8)[:1])
