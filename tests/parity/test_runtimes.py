"""Keras, tf2onnx's graph, our ONNX and our TFLite answer alike, for each of the three networks."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest

from ser_edge.description import ModelDescription, Normalization
from ser_edge.features import FeatureConfig, FrontEnd
from ser_edge.model import Model
from ser_export.convert import export
from ser_export.gates import gate_inputs
from ser_export.run import Run
from ser_train.corpus import EMOTIONS
from ser_train.networks import NETWORKS

ALIKE = 1e-5  # probabilities, float32 everywhere
NORMALIZATION = Normalization((-3.0,) * 40, (60.0,) * 40)


@dataclass(frozen=True)
class Exported:
    network: str
    keras: npt.NDArray[np.float32]  # answers
    inputs: npt.NDArray[np.float32]  # not normalised
    folder: Path


@pytest.fixture(scope="module", params=NETWORKS)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """A network with random weights and biases, in both formats."""
    folder = tmp_path_factory.mktemp(request.param)
    keras.utils.set_random_seed(7)
    model = NETWORKS[request.param].build((94, 40), len(EMOTIONS))
    random = np.random.default_rng(0)  # biases begin at zero, where a misplaced one wouldn't show; kernels are small
    for weight in model.weights:
        is_bias = weight.path.endswith("bias")
        scale = 1 if "recurrent" in weight.path else 2  # a SimpleRNN with a larger one is chaotic
        weight.assign(random.normal(0, 0.1, weight.shape) if is_bias else scale * np.asarray(weight.numpy()))
    model.save(folder / "model.keras")
    real = random.normal(0, 60, (40, 94, 40)).astype(np.float32)
    inputs = gate_inputs(real, FrontEnd(FeatureConfig()))
    answers = model.predict(NORMALIZATION.apply(inputs), verbose=0)
    description = ModelDescription(request.param, EMOTIONS, FeatureConfig(), NORMALIZATION)
    run = Run(folder, model, description, real, np.zeros(40, np.int64), answers[:40], np.ones(40, bool))
    for suffix in (".onnx", ".tflite"):
        export(run, folder / f"model{suffix}")
    return Exported(request.param, answers, inputs, folder)


def test_the_answers_are_worth_comparing(exported: Exported) -> None:
    assert len(exported.inputs) >= 500
    assert len(set(exported.keras.argmax(1))) > 1
    assert exported.keras.std(axis=0).max() > 0.01


@pytest.mark.parametrize("suffix", [".onnx", ".tflite"])
def test_a_model_file_answers_as_keras(exported: Exported, suffix: str) -> None:
    answers = Model(exported.folder / f"model{suffix}").probabilities(exported.inputs)
    np.testing.assert_allclose(answers, exported.keras, rtol=0, atol=ALIKE)
    assert (answers.argmax(1) == exported.keras.argmax(1)).all()


def test_tf2onnx_is_of_the_same_opinion(exported: Exported) -> None:
    """An independent translation of the same network; it fails with Keras 3 except from a tf.function."""
    target = exported.folder / "second_opinion.onnx"
    subprocess.run([sys.executable, "-c", SECOND_OPINION, exported.folder / "model.keras", target], check=True)
    session = onnxruntime.InferenceSession(target, providers=["CPUExecutionProvider"])
    (answers,) = session.run(None, {"features": NORMALIZATION.apply(exported.inputs)})
    np.testing.assert_allclose(answers, exported.keras, rtol=0, atol=ALIKE)
    ours = Model(exported.folder / "model.onnx").probabilities(exported.inputs)
    np.testing.assert_allclose(ours, answers, rtol=0, atol=ALIKE)


@pytest.mark.parametrize("frames", [1, 2, 93, 200])
def test_an_onnx_file_takes_any_length(exported: Exported, frames: int) -> None:
    features = np.random.default_rng(frames).normal(size=(2, frames, 40)).astype(np.float32)
    model = keras.models.load_model(exported.folder / "model.keras", compile=False)
    session = onnxruntime.InferenceSession(exported.folder / "model.onnx", providers=["CPUExecutionProvider"])
    (answers,) = session.run(None, {"features": features})
    other = NETWORKS[exported.network].build((frames, 40), len(EMOTIONS))
    other.set_weights(model.get_weights())
    np.testing.assert_allclose(answers, other.predict(features, verbose=0), rtol=0, atol=ALIKE)


# In a process of its own: tf2onnx warns of deprecations in the libraries it uses, and patches them.
SECOND_OPINION = """
import sys, keras, tensorflow as tf, tf2onnx
model = keras.models.load_model(sys.argv[1], compile=False)
call = tf.function(lambda features: model(features, training=False))
signature = [tf.TensorSpec((None, 94, 40), tf.float32, name="features")]
tf2onnx.convert.from_function(call, input_signature=signature, opset=17, output_path=sys.argv[2])
"""
