"""Verification accepts files that answer as Keras does, and no others: each fault below is made, and refused."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import onnx
import pytest
import tensorflow as tf
from keras import layers
from onnx import numpy_helper

from ser_edge.errors import ModelError
from ser_edge.features.frontend import FrontEnd
from ser_edge.models.loader import open_model
from ser_edge.models.metadata import KEY, ModelMetadata, Normalization
from ser_edge.models.runtimes.litert import LiteRT
from ser_edge.models.tolerances import TOLERANCES
from ser_export.cli.app import main
from ser_export.embed_metadata import embed_tflite
from ser_export.errors import ExportError, VerificationError
from ser_export.from_keras.run import Run
from ser_export.pipeline import FORMATS, export
from ser_export.to_onnx.layers import LAYERS
from ser_export.to_onnx.nodes import Graph, Tensor
from ser_export.verification.verify import MIN_INPUTS, PRECISIONS, Tolerances, verification_inputs, verify
from tests import messages
from tests.export.conftest import CONFIG, finished_run


def edit_weight(model: onnx.ModelProto, ending: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    for tensor in model.graph.initializer:
        if tensor.name.endswith(ending):
            changed = np.ascontiguousarray(change(numpy_helper.to_array(tensor).copy()))
            tensor.CopyFrom(numpy_helper.from_array(changed, tensor.name))
            return
    raise AssertionError(f"no weight {ending}")


def change_one_weight(model: onnx.ModelProto) -> None:
    def change(weights: np.ndarray) -> np.ndarray:
        weights[0, 0, 0] += 0.5
        return weights

    edit_weight(model, "/R", change)


def swap_two_gates(model: onnx.ModelProto) -> None:
    """The classic mistake: Keras has i, f, c, o; ONNX has i, o, f, c."""

    def change(weights: np.ndarray) -> np.ndarray:
        parts = np.split(weights, 4, axis=1)
        return np.concatenate([parts[0], parts[2], parts[1], parts[3]], axis=1)

    edit_weight(model, "/W", change)


def transpose_a_kernel(model: onnx.ModelProto) -> None:
    edit_weight(model, "/R", lambda weights: weights.reshape(2, 4, 20, 20).swapaxes(2, 3).reshape(2, 80, 20))


def exchange_directions(model: onnx.ModelProto) -> None:
    edit_weight(model, "/W", lambda weights: weights[::-1])


def answer_nan(model: onnx.ModelProto) -> None:
    edit_weight(model, "/bias", lambda weights: weights * np.nan)


def last(model: onnx.ModelProto, op: str) -> onnx.NodeProto:
    return [node for node in model.graph.node if node.op_type == op][-1]


def swap_two_channels(model: onnx.ModelProto) -> None:
    edit_weight(model, last(model, "Conv").input[1], lambda weights: weights[:, [1, 0, *range(2, weights.shape[1])]])


def exchange_time_and_frequency(model: onnx.ModelProto) -> None:
    edit_weight(model, last(model, "Conv").input[1], lambda weights: weights.swapaxes(2, 3))


def pad_only_the_end(model: onnx.ModelProto) -> None:
    """As "same" padding of an even length."""
    (pads,) = (attribute for attribute in last(model, "Conv").attribute if attribute.name == "pads")
    pads.ints[:] = [0, 0, 2, 2]


def unmask_recurrent_layer(model: onnx.ModelProto) -> None:
    """The recurrent layer without its mask."""
    del last(model, "GRU").input[4:]


def unmask_convolution(model: onnx.ModelProto) -> None:
    """The last convolution's input without its mask."""
    masked = next(node for node in model.graph.node if node.output[0] == last(model, "Conv").input[0])
    assert masked.op_type == "Mul"
    masked.input[1] = "one"
    model.graph.initializer.append(numpy_helper.from_array(np.float32(1), "one"))


def unmask_pooling(model: onnx.ModelProto) -> None:
    """The attention and the maximum without their mask."""
    (large,) = (w for w in model.graph.initializer if not w.dims and numpy_helper.to_array(w) == 1e4)
    edit_weight(model, large.name, np.zeros_like)


def edit_metadata(**changes: object) -> Callable[[onnx.ModelProto], None]:
    def edit(model: onnx.ModelProto) -> None:
        (stored,) = (p for p in model.metadata_props if p.key == KEY)
        stored.value = replace(ModelMetadata.from_json(stored.value, "test"), **changes).to_json()

    return edit


def export_with(
    fault: Callable[[onnx.ModelProto], None], run: Run, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = FORMATS[".onnx"]

    def faulty(run: Run, metadata: ModelMetadata, path: Path) -> None:
        write(run, metadata, path)
        model = onnx.load(path)
        fault(model)
        onnx.save_model(model, path)

    monkeypatch.setitem(FORMATS, ".onnx", faulty)
    export(run, target)


@pytest.mark.parametrize(
    "fault",
    [
        change_one_weight,
        swap_two_gates,
        transpose_a_kernel,
        exchange_directions,
        answer_nan,
        edit_metadata(normalization=None),
        edit_metadata(normalization=Normalization((0.0,) * 13, (50.0,) * 13)),
        edit_metadata(temperature=1.5),
        edit_metadata(labels=("high", "middle", "low")),  # no probability shows it
    ],
    ids=lambda fault: getattr(fault, "__name__", "metadata"),
)
def test_a_faulty_file_is_refused_and_not_written(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Callable[[onnx.ModelProto], None]
) -> None:
    with pytest.raises((VerificationError, ModelError)):
        export_with(fault, run, tmp_path / "model.onnx", monkeypatch)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "fault",
    [
        swap_two_channels,
        exchange_time_and_frequency,
        pad_only_the_end,
        exchange_directions,
        unmask_recurrent_layer,
        unmask_convolution,
        unmask_pooling,
    ],
)
def test_a_fault_in_convolutions_or_masks_is_refused(
    speech_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Callable[[onnx.ModelProto], None]
) -> None:
    with messages.raises(VerificationError, "export-verification-failed"):
        export_with(fault, speech_run, tmp_path / "model.onnx", monkeypatch)


@pytest.mark.parametrize("without", [None, "gamma", "beta", "moving_mean", "moving_variance"])
def test_batch_normalization_folded_wrongly_is_refused(
    speech_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without: str | None
) -> None:
    fold = LAYERS[layers.BatchNormalization]

    def fold_without(graph: Graph, layer: layers.BatchNormalization, x: Tensor) -> Tensor:
        if without is None:
            return x
        part = getattr(layer, without)
        stored = part.numpy()
        part.assign(np.ones_like(stored) if without in ("gamma", "moving_variance") else np.zeros_like(stored))
        try:
            return fold(graph, layer, x)
        finally:
            part.assign(stored)

    monkeypatch.setitem(LAYERS, layers.BatchNormalization, fold_without)
    with messages.raises(VerificationError, "export-verification-failed"):
        export(speech_run, tmp_path / "model.onnx")


def test_a_refusal_names_the_file_and_the_difference(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PRECISIONS, "float32", Tolerances(difference=1e-12, labels_changed=0, points=0))
    with messages.raises(VerificationError, "export-verification-failed") as refusal:
        export(run, target := tmp_path / "model.onnx")
    assert str(refusal.value).startswith(f"{target}: ")
    assert " > 1e-12" in str(refusal.value)


class AlteredModel:
    """A model whose answers are changed: `alter` takes answers (n, labels) and features, and returns answers."""

    def __init__(self, path: Path, alter: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> None:
        self._model, self._alter = open_model(path), alter
        self.metadata = self._model.metadata

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        return self._alter(self._model.probabilities(features), features)


def keras_answers(run: Run) -> tuple[np.ndarray, np.ndarray]:
    features = verification_inputs(run.features, FrontEnd(run.metadata.features))
    return features, run.model.predict(run.metadata.inputs(features), verbose=0)


@pytest.fixture(scope="module")
def exported(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    export(run, path := tmp_path_factory.mktemp("exported") / "model.onnx")
    return path


@pytest.mark.parametrize(("rows", "refused"), [([3], False), ([3, 4], True)])
def test_one_changed_label_of_a_few_test_utterances_is_allowed(
    rows: list[int], refused: bool, run: Run, exported: Path
) -> None:
    """Though it is 3.3 points of 30 utterances."""
    changed = {run.features[row].tobytes() for row in rows}

    def swap_best_two(answers: np.ndarray, features: np.ndarray) -> np.ndarray:
        for answer, item in zip(answers, features, strict=True):
            if item.tobytes() in changed:
                best = answer.argsort()[::-1][:2]
                answer[best] = answer[best[::-1]]
        return answers

    model, tolerances = AlteredModel(exported, swap_best_two), Tolerances(1, labels_changed=None, points=1.0)
    arguments = (model, *keras_answers(run), run.metadata.labels, run.labels, run.test, tolerances)
    if refused:
        with messages.raises(VerificationError, "export-verification-failed"):
            verify(*arguments)
    else:
        report = verify(*arguments)
        assert report.keras.wa - report.file.wa > 3


@pytest.mark.parametrize(("gap", "refused"), [(1e-5, False), (1e-4, True)])
def test_nearly_equal_probabilities_may_change_places(gap: float, refused: bool, run: Run, exported: Path) -> None:
    features, expected = keras_answers(run)
    expected[35] = [0.5 + gap / 2, 0.5 - gap / 2, 0]
    swapped = expected.copy()
    swapped[35] = expected[35][[1, 0, 2]]
    answers = {item.tobytes(): answer for item, answer in zip(features, swapped, strict=True)}
    model = AlteredModel(exported, lambda _, asked: np.stack([answers[item.tobytes()] for item in asked]))
    tolerances = Tolerances(difference=2e-5, labels_changed=0, points=0)
    arguments = (model, features, expected, run.metadata.labels, run.labels, run.test, tolerances)
    if refused:
        with messages.raises(VerificationError, "export-verification-failed"):
            verify(*arguments)
    else:
        assert verify(*arguments).labels_changed == 1


def test_state_that_leaks_between_calls_is_refused(run: Run, exported: Path) -> None:
    """As in TFLite's fused sequence operators."""
    calls: list[None] = []

    def drift(answers: np.ndarray, _: np.ndarray) -> np.ndarray:
        calls.append(None)
        return answers + np.float32(1e-6) * len(calls)

    tolerances = Tolerances(1, labels_changed=None, points=100)
    with messages.raises(VerificationError, "export-stateful"):
        verify(
            AlteredModel(exported, drift), *keras_answers(run), run.metadata.labels, run.labels, run.test, tolerances
        )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("precision", "suffix", "advice"),
    [
        ("int8", ".onnx", "--precision float16"),
        ("int8", ".tflite", "--precision float16"),
        ("float16", ".onnx", "--precision float32"),
        ("float32", ".onnx", "--format tflite"),
        ("float32", ".tflite", "--format onnx"),
    ],
)
def test_a_refusal_ends_with_the_option_to_try_next(
    precision: str, suffix: str, advice: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setitem(PRECISIONS, precision, Tolerances(difference=1e-12, labels_changed=None, points=100))
    assert main([str(run.path), "--format", suffix[1:], "--precision", precision, "--out", str(tmp_path)]) == 4
    assert capsys.readouterr().err.rstrip().endswith(f"; try {advice}")


@pytest.mark.parametrize("training", [{}, {"not_heard": []}])
def test_scores_of_training_speakers_are_marked(
    training: dict[str, list[int]], run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(run.path, tmp_path / "run")
    (tmp_path / "run" / "description.json").write_text(replace(run.metadata, training=training).to_json())
    assert main([str(tmp_path / "run"), "--format", "onnx", "--out", str(tmp_path)]) == 0
    assert ("speakers in the training set" in capsys.readouterr().out) == bool(training)


def test_every_supported_precision_has_its_tolerances() -> None:
    unsupported = {(".onnx", "int8-per-tensor"), (".onnx", "int8-full")}
    assert set(TOLERANCES) == {(suffix, p) for suffix in FORMATS for p in PRECISIONS} - unsupported


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


def test_a_custom_operator_is_refused(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def foreign(model: onnx.ModelProto) -> None:
        last(model, "Softmax").domain = "com.example"

    with messages.raises(VerificationError, "export-unsupported-operator"):
        export_with(foreign, run, tmp_path / "model.onnx", monkeypatch)


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


def test_inputs_are_the_real_ones_then_edge_cases_then_mixtures(run: Run) -> None:
    inputs = verification_inputs(run.features, FrontEnd(run.metadata.features))
    assert len(inputs) == MIN_INPUTS
    np.testing.assert_array_equal(inputs[:40], run.features)
    silence = FrontEnd(run.metadata.features)(np.zeros(8000, np.float32))
    np.testing.assert_array_equal(inputs[40], silence)
    rows = inputs.reshape(MIN_INPUTS, -1)
    nearest = [np.abs(rows[i] - rows[:i]).max(axis=1).min() for i in range(1, MIN_INPUTS)]
    assert min(nearest) > 1e-3  # dB, more than the rounding of another processor


def test_the_mixtures_of_two_utterances_hold_both(run: Run) -> None:
    two = run.features[:2]
    for mixture in verification_inputs(two, FrontEnd(run.metadata.features))[2 + 5 :]:
        assert all(np.abs(mixture - one).max() > 1e-3 for one in two)


def test_mixtures_are_as_long_as_the_shorter_one(speech_run: Run) -> None:
    inputs = verification_inputs(speech_run.features, FrontEnd(speech_run.metadata.features))
    there = ~np.isnan(inputs)
    assert (there.any(axis=2) == there.all(axis=2)).all()
    lengths = there.all(axis=2).sum(axis=1)
    assert lengths.min() == 1  # the edge case of one sample
    assert set(lengths[45:]) <= set(lengths[:40])
    assert len(set(lengths)) > 10


def test_a_damaged_run_is_not_exported(run: Run, tmp_path: Path) -> None:
    other = replace(run, probabilities=run.probabilities[::-1])
    with messages.raises(ExportError, "run-damaged"):
        export(other, tmp_path / "model.onnx")
