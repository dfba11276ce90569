"""Keras, tf2onnx's graph, our ONNX and our TFLite files agree, for each of the networks."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest

from ser_edge.features.frontend import FrontEnd
from ser_edge.models.loader import open_model
from ser_edge.models.metadata import ModelMetadata, Normalization
from ser_edge.models.tolerances import TOLERANCES
from ser_export.from_keras.run import Run
from ser_export.pipeline.model_files import export, keras_predict_proba
from ser_export.pipeline.waveform_files import export_waveform
from ser_export.verification.verify import PRECISIONS, Tolerances, verification_inputs
from ser_train.data.corpus_loader import EMOTIONS
from ser_train.networks.zoo import NETWORKS

pytestmark = pytest.mark.slow
SAME = TOLERANCES[".onnx", "float32"].keras  # float32 everywhere


@dataclass(frozen=True)
class Exported:
    network: str
    keras: npt.NDArray[np.float32]  # answers
    inputs: npt.NDArray[np.float32]  # normalised
    features: npt.NDArray[np.float32]  # the same, not normalised
    run: Run
    folder: Path


@pytest.fixture(scope="module")
def made() -> dict[str, Exported]:
    """Each network once, in whatever order the tests ask."""
    return {}


@pytest.fixture(params=NETWORKS)
def exported(
    request: pytest.FixtureRequest, made: dict[str, Exported], tmp_path_factory: pytest.TempPathFactory
) -> Exported:
    """A network with random weights and statistics, in both formats."""
    if request.param not in made:
        made[request.param] = random_network(request.param, tmp_path_factory.mktemp(request.param))
    return made[request.param]


def random_network(name: str, folder: Path) -> Exported:
    config = NETWORKS[name].features
    keras.utils.set_random_seed(7)
    model = NETWORKS[name].build((config.frames, config.coefficients), len(EMOTIONS))
    random = np.random.default_rng(0)
    for weight in model.weights:  # what begins at 0 or 1 wouldn't show where it is misplaced; kernels are small
        kind = weight.path.split("/")[-1]
        if kind in ("bias", "beta", "moving_mean"):
            value = random.normal(0, 0.1, weight.shape)
        elif kind in ("gamma", "moving_variance"):
            value = random.uniform(0.5, 2, weight.shape)
        else:  # a SimpleRNN with a larger recurrent kernel is chaotic
            value = (1 if "recurrent" in kind else 2) * np.asarray(weight.numpy())
        weight.assign(value)
    model.save(folder / "model.keras")
    real = random.normal(0, 60, (40, config.frames, config.coefficients)).astype(np.float32)
    if config.trim_db is not None:
        for length, one in zip(range(1, config.frames, config.frames // 40), real, strict=False):
            one[length:] = np.nan  # frames that aren't there
    normalization = Normalization((-3.0,) * config.coefficients, (60.0,) * config.coefficients)
    metadata = ModelMetadata(name, EMOTIONS, config, normalization)
    features = verification_inputs(real, FrontEnd(config))
    inputs = metadata.inputs(features)
    answers = model.predict(inputs, verbose=0)
    run = Run(folder, model, metadata, real, np.zeros(40, np.int64), answers[:40], np.ones(40, bool))
    for suffix in (".onnx", ".tflite"):
        export(run, folder / f"model{suffix}")
    return Exported(name, answers, inputs, features, run, folder)


def test_the_compared_answers_differ(exported: Exported) -> None:
    assert len(exported.features) >= 500
    assert len(set(exported.keras.argmax(1))) > 1
    assert exported.keras.std(axis=0).max() > 0.01


@pytest.mark.parametrize("suffix", [".onnx", ".tflite"])
def test_a_model_file_equals_keras(exported: Exported, suffix: str) -> None:
    answers = open_model(exported.folder / f"model{suffix}").probabilities(exported.features)
    np.testing.assert_allclose(answers, exported.keras, rtol=0, atol=SAME)  # and so the labels, but for ties


@pytest.mark.parametrize("suffix", [".onnx", ".tflite"])
def test_the_embedding_is_what_the_last_layer_of_keras_gets(exported: Exported, suffix: str) -> None:
    model = exported.run.model
    last = [layer for layer in model.layers if layer.get_config().get("activation") == "softmax"]
    inputs = [layer.input for layer in last]
    reference = keras.Model(model.inputs, keras.ops.concatenate(inputs) if len(inputs) > 1 else inputs[0])
    expected = reference.predict(exported.inputs[:50], verbose=0)
    embeddings = open_model(exported.folder / f"model{suffix}").embeddings(exported.features[:50])
    np.testing.assert_allclose(embeddings, expected, rtol=0, atol=1e-3 * np.abs(expected).max())


def test_a_file_that_takes_samples_equals_keras(exported: Exported) -> None:
    target = exported.folder / "model.wave.onnx"
    report = export_waveform(exported.folder / "model.onnx", target, keras_predict_proba(exported.run))
    assert report.max_difference <= TOLERANCES[".onnx", "float32"].inputs


def test_tf2onnx_agrees(exported: Exported) -> None:
    """An independent translation of the same network; it fails with Keras 3 except from a tf.function."""
    target = exported.folder / "second_opinion.onnx"
    shape = map(str, exported.inputs.shape[1:])
    subprocess.run([sys.executable, "-c", SECOND_OPINION, exported.folder / "model.keras", target, *shape], check=True)
    session = onnxruntime.InferenceSession(target, providers=["CPUExecutionProvider"])
    (answers,) = session.run(None, {"features": exported.inputs})
    np.testing.assert_allclose(answers, exported.keras, rtol=0, atol=SAME)
    ours = open_model(exported.folder / "model.onnx").probabilities(exported.features)
    np.testing.assert_allclose(ours, answers, rtol=0, atol=SAME)


@pytest.mark.parametrize("frames", [1, 2, 93, 200])
def test_an_onnx_file_takes_any_length(exported: Exported, frames: int) -> None:
    coefficients = exported.inputs.shape[-1]
    features = np.random.default_rng(frames).normal(size=(2, frames, coefficients)).astype(np.float32)
    model = keras.models.load_model(exported.folder / "model.keras", compile=False)
    session = onnxruntime.InferenceSession(exported.folder / "model.onnx", providers=["CPUExecutionProvider"])
    (answers,) = session.run(["probabilities"], {"features": features})
    other = NETWORKS[exported.network].build((None, coefficients), len(EMOTIONS))
    other.set_weights(model.get_weights())
    np.testing.assert_allclose(answers, other.predict(features, verbose=0), rtol=0, atol=SAME)


@pytest.mark.parametrize(
    ("exported", "suffix", "limit"),
    [
        ("rnn", ".onnx", 100),
        ("lstm", ".onnx", 356),
        ("gru", ".onnx", 275),
        ("gru", ".tflite", 345),
        ("crnn", ".onnx", 300),
        ("crnn", ".tflite", 300),
    ],
    indirect=["exported"],
)
def test_int8_files_are_small(exported: Exported, suffix: str, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # What networks with random weights answer isn't worth much: labels are no measure, and an RNN amplifies.
    monkeypatch.setitem(PRECISIONS, "int8", Tolerances(difference=0.25, labels_changed=None, points=100.0))
    target = exported.folder / f"model-int8{suffix}"
    export(exported.run, target, "int8")
    assert target.stat().st_size <= limit * 1024


@pytest.mark.parametrize("exported", [n for n in NETWORKS if NETWORKS[n].features.trim_db], indirect=True)
def test_frames_that_are_missing_do_not_change_the_answer(exported: Exported) -> None:
    """An utterance padded to the network's length, or cut to its length."""
    model = keras.models.load_model(exported.folder / "model.keras", compile=False)
    any_length = NETWORKS[exported.network].build((None, model.input_shape[-1]), len(EMOTIONS))
    any_length.set_weights(model.get_weights())
    session = onnxruntime.InferenceSession(exported.folder / "model.onnx", providers=["CPUExecutionProvider"])
    for row in range(0, 40, 4):
        there = ~np.isnan(exported.features[row]).any(axis=1)
        assert not there.all()
        cut = exported.inputs[row, there][None]
        (answers,) = session.run(["probabilities"], {"features": cut})
        np.testing.assert_allclose(answers[0], exported.keras[row], rtol=0, atol=SAME)
        np.testing.assert_allclose(any_length.predict(cut, verbose=0)[0], exported.keras[row], rtol=0, atol=SAME)


# In another process: tf2onnx warns of deprecations in the libraries it uses, and patches them.
SECOND_OPINION = """
import sys, keras, numpy as np, tensorflow as tf, tf2onnx

def erfc(graph, node, name, arguments):  # which TensorFlow makes of GELU, and tf2onnx doesn't know: 1 - erf
    one = graph.make_const(name + "/one", np.float32(1)).output[0]
    node.type, node.domain = "Sub", ""
    graph.replace_inputs(node, [one, graph.make_node("Erf", [node.input[0]]).output[0]])

model = keras.models.load_model(sys.argv[1], compile=False)
call = tf.function(lambda features: model(features, training=False))
signature = [tf.TensorSpec((None, *map(int, sys.argv[3:])), tf.float32, name="features")]
tf2onnx.convert.from_function(call, input_signature=signature, opset=17, output_path=sys.argv[2],
                              custom_op_handlers={"Erfc": (erfc, [])})
"""
