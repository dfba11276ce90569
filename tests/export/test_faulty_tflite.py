"""Verification refuses TFLite files with a fault, and operators that keep state between calls."""

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from ser_edge.features.frontend import FrontEnd
from ser_edge.models.loader import open_model
from ser_edge.models.metadata import ModelMetadata
from ser_edge.models.runtimes.litert import LiteRT
from ser_export.embed_metadata import embed_tflite
from ser_export.errors import VerificationError
from ser_export.from_keras.run import Run
from ser_export.pipeline.model_files import FORMATS, export
from ser_export.verification.verify import Tolerances, verification_inputs, verify
from tests import messages
from tests.export.conftest import CONFIG, finished_run


@pytest.fixture(scope="module")
def remembering(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Of one LSTM that forgets slowly."""

    def network() -> keras.Model:
        model = keras.Sequential(
            [keras.Input((CONFIG.frames, CONFIG.coefficients)), layers.LSTM(8), layers.Dense(3, activation="softmax")]
        )
        model.layers[0].cell.bias.assign(np.repeat(np.float32([0, 6, 0, 0]), 8))
        return model

    return finished_run(tmp_path_factory.mktemp("runs") / "remembering", network, CONFIG, 0.3)


def fused(run: Run, metadata: ModelMetadata, path: Path) -> None:
    """Writes TensorFlow Lite's conversion of a function that is marked as an LSTM."""
    kernel, recurrent, bias, *dense = map(tf.constant, run.model.get_weights())
    marks = {"api_implements": "lstm_1", "api_preferred_device": "CPU", "time_major": False, "go_backwards": False}

    @tf.function(experimental_attributes=marks)
    def lstm(x: tf.Tensor, h: tf.Tensor, c: tf.Tensor, *weights: tf.Tensor) -> tuple[tf.Tensor, ...]:
        sequence = tf.reduce_sum(x) + tf.zeros((1, x.shape[1], 8))  # the converter puts its operator in place of this
        return sequence[:, -1], sequence, h, c, tf.constant(1.0)

    @tf.function(input_signature=[tf.TensorSpec((1, CONFIG.frames, CONFIG.coefficients), tf.float32, "features")])
    def call(features: tf.Tensor) -> tf.Tensor:
        state = tf.zeros((1, 8))
        return tf.nn.softmax(lstm(features, state, state, kernel, recurrent, bias)[0] @ dense[0] + dense[1])

    network = tf.Module()
    network.call = call
    tf.saved_model.save(network, path.parent / "saved", signatures=call.get_concrete_function())
    path.write_bytes(tf.lite.TFLiteConverter.from_saved_model(str(path.parent / "saved")).convert())
    embed_tflite(path, metadata)


@pytest.mark.slow
def test_state_in_a_fused_operator_is_refused_by_its_answers(remembering: Run, tmp_path: Path) -> None:
    run, path = remembering, tmp_path / "fused.tflite"
    fused(run, run.metadata, path)
    inputs = run.metadata.inputs(run.features[:1])
    np.testing.assert_allclose(
        LiteRT(path.read_bytes(), path.name).run(inputs), run.probabilities[:1], atol=1e-5
    )  # right once
    features = verification_inputs(run.features, FrontEnd(CONFIG))
    expected = run.model.predict(run.metadata.inputs(features), verbose=0)
    tolerances = Tolerances(difference=1, labels_changed=None, points=100)
    with messages.raises(VerificationError, "export-stateful"):
        verify(open_model(path), features, expected, run.metadata.labels, run.labels, run.test, tolerances)


@pytest.mark.slow
def test_an_operator_that_keeps_state_is_refused_by_its_name(
    remembering: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(FORMATS, ".tflite", fused)
    with messages.raises(VerificationError, "export-stateful"):
        export(remembering, tmp_path / "model.tflite")
    assert not (tmp_path / "model.tflite").exists()


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["weight", "normalization", "labels"])
def test_a_fault_in_a_tflite_file_is_refused(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    def faulty(run: Run, metadata: ModelMetadata, path: Path) -> None:
        if fault == "normalization":
            metadata = replace(metadata, normalization=None)
        if fault == "labels":
            metadata = replace(metadata, labels=metadata.labels[::-1])
        write(run, metadata, path)
        if fault == "weight":
            data = path.read_bytes()
            row = np.ascontiguousarray(run.model.get_weights()[0][:, 0]).tobytes()
            assert data.count(row) == 1
            path.write_bytes(data.replace(row, np.float32(5).tobytes() + row[4:]))

    write = FORMATS[".tflite"]
    monkeypatch.setitem(FORMATS, ".tflite", faulty)
    with pytest.raises(VerificationError):
        export(run, tmp_path / "model.tflite")
    assert list(tmp_path.iterdir()) == []
