"""The gates let through what answers as Keras does, and nothing else: each fault below is made, and caught."""

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

import ser_export.from_keras.run
from ser_edge.errors import ModelError
from ser_edge.features.frontend import FrontEnd
from ser_edge.models.metadata import KEY, ModelDescription, Normalization
from ser_edge.models.runtimes.base import LiteRT
from ser_edge.models.tolerances import TOLERANCES
from ser_export import pipeline as convert
from ser_export.cli.app import app as cli
from ser_export.embed_metadata import embed_tflite
from ser_export.from_keras.run import Run
from ser_export.pipeline import export
from ser_export.to_onnx.layers import LAYERS
from ser_export.to_onnx.nodes import Graph, Tensor
from ser_export.verification import verify as gates
from ser_export.verification.verify import INPUTS, VerificationError, verification_inputs
from tests.export.conftest import CONFIG, finished_run


def edit_weight(model: onnx.ModelProto, ending: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    for tensor in model.graph.initializer:
        if tensor.name.endswith(ending):
            changed = np.ascontiguousarray(change(numpy_helper.to_array(tensor).copy()))
            tensor.CopyFrom(numpy_helper.from_array(changed, tensor.name))
            return
    raise AssertionError(f"no weight {ending}")


def damage_one_number(model: onnx.ModelProto) -> None:
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
    """What "same" padding does to an even length."""
    (pads,) = (attribute for attribute in last(model, "Conv").attribute if attribute.name == "pads")
    pads.ints[:] = [0, 0, 2, 2]


def hear_missing_frames(model: onnx.ModelProto) -> None:
    """The recurrent layer without its mask."""
    del last(model, "GRU").input[4:]


def leak_from_missing_frames(model: onnx.ModelProto) -> None:
    """The last convolution's input without its mask."""
    masked = next(node for node in model.graph.node if node.output[0] == last(model, "Conv").input[0])
    assert masked.op_type == "Mul"
    masked.input[1] = "one"
    model.graph.initializer.append(numpy_helper.from_array(np.float32(1), "one"))


def pool_missing_frames(model: onnx.ModelProto) -> None:
    """The attention and the maximum without their mask."""
    (large,) = (w for w in model.graph.initializer if not w.dims and numpy_helper.to_array(w) == 1e4)
    edit_weight(model, large.name, np.zeros_like)


def edit_description(**changes: object) -> Callable[[onnx.ModelProto], None]:
    def edit(model: onnx.ModelProto) -> None:
        (stored,) = (p for p in model.metadata_props if p.key == KEY)
        stored.value = replace(ModelDescription.from_json(stored.value, "test"), **changes).to_json()

    return edit


def export_with(
    fault: Callable[[onnx.ModelProto], None], run: Run, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def faulty(run: Run, description: ModelDescription, path: Path) -> None:
        convert._onnx(run, description, path)
        model = onnx.load(path)
        fault(model)
        onnx.save_model(model, path)

    monkeypatch.setitem(convert.FORMATS, ".onnx", faulty)
    export(run, target)


@pytest.mark.parametrize(
    "fault",
    [
        damage_one_number,
        swap_two_gates,
        transpose_a_kernel,
        exchange_directions,
        answer_nan,
        edit_description(normalization=None),
        edit_description(normalization=Normalization((0.0,) * 13, (50.0,) * 13)),
        edit_description(temperature=1.5),
        edit_description(labels=("high", "middle", "low")),  # no probability shows it
    ],
    ids=lambda fault: getattr(fault, "__name__", "description"),
)
def test_a_fault_is_caught_and_nothing_is_written(
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
        hear_missing_frames,
        leak_from_missing_frames,
        pool_missing_frames,
    ],
)
def test_a_fault_in_convolutions_or_masks_is_caught(
    speech_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Callable[[onnx.ModelProto], None]
) -> None:
    with pytest.raises(VerificationError, match="a probability is off by"):
        export_with(fault, speech_run, tmp_path / "model.onnx", monkeypatch)


@pytest.mark.parametrize("without", [None, "gamma", "beta", "moving_mean", "moving_variance"])
def test_batch_normalization_that_is_folded_wrongly_is_caught(
    speech_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without: str | None
) -> None:
    fold = LAYERS[layers.BatchNormalization]

    def partly(graph: Graph, layer: layers.BatchNormalization, x: Tensor) -> Tensor:
        if without is None:
            return x
        part = getattr(layer, without)
        stored = part.numpy()
        part.assign(np.ones_like(stored) if without in ("gamma", "moving_variance") else np.zeros_like(stored))
        try:
            return fold(graph, layer, x)
        finally:
            part.assign(stored)

    monkeypatch.setitem(LAYERS, layers.BatchNormalization, partly)
    with pytest.raises(VerificationError, match="a probability is off by"):
        export(speech_run, tmp_path / "model.onnx")


def test_a_refusal_names_the_file_and_the_figures(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PRECISION_TOLERANCES, "float32", gates.Tolerances(difference=1e-12, labels_changed=0, points=0))
    with pytest.raises(VerificationError, match=r"model\.onnx: not written: a probability is off by .*1e-12 is allowed"):
        export(run, tmp_path / "model.onnx")


def answering_otherwise(monkeypatch: pytest.MonkeyPatch, run: Run, rows: list[int]) -> None:
    """A runtime that takes the second likeliest label for the likeliest, for some of the utterances."""
    answer, others = gates.Model.probabilities, {run.features[row].tobytes() for row in rows}

    def otherwise(model: gates.Model, features: np.ndarray) -> np.ndarray:
        answers = answer(model, features)
        for place, one in enumerate(features):
            if one.tobytes() in others:
                first, second = answers[place].argsort()[::-1][:2]
                answers[place, [first, second]] = answers[place, [second, first]]
        return answers

    monkeypatch.setattr(gates.Model, "probabilities", otherwise)


def test_of_a_few_test_utterances_one_may_be_answered_otherwise(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PRECISION_TOLERANCES, "int8", gates.Tolerances(difference=1, labels_changed=None, points=1.0))
    answering_otherwise(monkeypatch, run, [3])
    report = export(run, tmp_path / "model.onnx", "int8")  # 3.3 points of 30 utterances
    assert report.keras.wa - report.file.wa > 3
    answering_otherwise(monkeypatch, run, [4])  # and the first
    with pytest.raises(VerificationError, match=r" points lost on 30 test utterances, 1\.0 or one answer are allowed; try"):
        export(run, tmp_path / "model.onnx", "int8")


@pytest.mark.parametrize(("gap", "refused"), [(1e-5, False), (1e-4, True)])
def test_labels_that_are_as_likely_as_each_other_may_be_turned_round(
    gap: float, refused: bool, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = verification_inputs(run.features, FrontEnd(CONFIG))
    expected = run.model.predict(run.description.inputs(features), verbose=0)
    expected[35] = [0.5 + gap / 2, 0.5 - gap / 2, 0]
    turned = expected.copy()
    turned[35] = expected[35][[1, 0, 2]]
    export(run, path := tmp_path / "model.onnx")
    known = {one.tobytes(): answer for one, answer in zip(features, turned, strict=True)}
    monkeypatch.setattr(gates.Model, "probabilities", lambda _, asked: np.stack([known[a.tobytes()] for a in asked]))
    limits = gates.Tolerances(difference=2e-5, labels_changed=0, points=0)
    arguments = (path, features, expected, run.description.labels, run.labels, run.test, limits)
    if refused:
        with pytest.raises(VerificationError, match="1 of 500 labels changed, 0 may"):
            gates.check(*arguments)
    else:
        assert gates.check(*arguments).labels_changed == 1


@pytest.mark.parametrize(
    ("precision", "suffix", "instead"),
    [
        ("int8", ".onnx", "--precision float16"),
        ("int8", ".tflite", "--precision float16"),
        ("float16", ".onnx", "--precision float32"),
        ("float32", ".onnx", "--format tflite"),
        ("float32", ".tflite", "--format onnx"),
    ],
)
def test_a_refusal_ends_with_what_to_type_instead(
    precision: str, suffix: str, instead: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setitem(PRECISION_TOLERANCES, precision, gates.Tolerances(difference=1e-12, labels_changed=None, points=100))
    assert cli.main([str(run.path), "--format", suffix[1:], "--precision", precision, "--out", str(tmp_path)]) == 4
    assert capsys.readouterr().err.splitlines()[-1].endswith(f" is allowed; try {instead}")


def test_figures_of_voices_that_trained_the_network_say_so(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for training, ending in (
        ({}, "30 utterances\n"),
        ({"not_heard": []}, ", of voices that trained it: this says nothing of new ones\n"),
    ):
        described = replace(run, description=replace(run.description, training=training))
        monkeypatch.setattr(ser_export.from_keras.run, "read_run", lambda _, given=described: given)
        assert cli.main([str(run.path), "--format", "onnx", "--out", str(tmp_path)]) == 0
        assert capsys.readouterr().out.endswith(ending)


def test_state_that_leaks_between_calls_is_caught(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fused sequence operators of TFLite keep state between calls; here a runtime does the same."""
    answer = gates.Model.probabilities
    calls: list[None] = []

    def drifting(model: gates.Model, features: np.ndarray) -> np.ndarray:
        calls.append(None)
        return answer(model, features) + np.float32(1e-6) * len(calls)

    monkeypatch.setattr(gates.Model, "probabilities", drifting)
    with pytest.raises(VerificationError, match="state leaks"):
        export(run, tmp_path / "model.onnx")


def test_every_file_that_can_be_made_has_a_line_in_the_table_of_tolerances() -> None:
    impossible = {(".onnx", "int8-per-tensor"), (".onnx", "int8-full")}
    assert set(TOLERANCES) == {(suffix, p) for suffix in convert.FORMATS for p in PRECISION_TOLERANCES} - impossible


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


def fused(run: Run, description: ModelDescription, path: Path) -> None:
    """Writes what TensorFlow Lite's converter makes of a function that says that it is an LSTM."""
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
    embed_tflite(path, description)


def test_state_in_a_fused_operator_is_caught_by_the_numbers(remembering: Run, tmp_path: Path) -> None:
    run, path = remembering, tmp_path / "fused.tflite"
    fused(run, run.description, path)
    inputs = run.description.inputs(run.features[:1])
    np.testing.assert_allclose(
        LiteRT(path.read_bytes(), path.name).run(inputs), run.probabilities[:1], atol=1e-5
    )  # right once
    features = verification_inputs(run.features, FrontEnd(CONFIG))
    expected = run.model.predict(run.description.inputs(features), verbose=0)
    limits = gates.Tolerances(difference=1, labels_changed=None, points=100)
    with pytest.raises(VerificationError, match=r"^the same input gives another answer the second time: state leaks"):
        gates.check(path, features, expected, run.description.labels, run.labels, run.test, limits)


def test_an_operator_that_keeps_state_is_refused_by_its_name(
    remembering: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(convert.FORMATS, ".tflite", fused)
    with pytest.raises(VerificationError, match="operators that keep state between calls: UNIDIRECTIONAL_SEQUENCE_LSTM"):
        export(remembering, tmp_path / "model.tflite")
    assert not (tmp_path / "model.tflite").exists()


def test_an_operator_that_is_not_the_formats_own_is_refused(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def foreign(model: onnx.ModelProto) -> None:
        last(model, "Softmax").domain = "com.example"

    with pytest.raises(VerificationError, match="operators that its runtime alone doesn't have: Softmax"):
        export_with(foreign, run, tmp_path / "model.onnx", monkeypatch)


@pytest.mark.parametrize("fault", ["weight", "normalization", "labels"])
def test_a_fault_in_a_tflite_file_is_caught(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    def faulty(run: Run, description: ModelDescription, path: Path) -> None:
        if fault == "normalization":
            description = replace(description, normalization=None)
        if fault == "labels":
            description = replace(description, labels=description.labels[::-1])
        write(run, description, path)
        if fault == "weight":
            data = path.read_bytes()
            row = np.ascontiguousarray(run.model.get_weights()[0][:, 0]).tobytes()
            assert data.count(row) == 1
            path.write_bytes(data.replace(row, np.float32(5).tobytes() + row[4:]))

    write = convert.FORMATS[".tflite"]
    monkeypatch.setitem(convert.FORMATS, ".tflite", faulty)
    with pytest.raises(VerificationError):
        export(run, tmp_path / "model.tflite")
    assert list(tmp_path.iterdir()) == []


def test_inputs_are_the_real_ones_then_edge_cases_then_mixtures(run: Run) -> None:
    inputs = verification_inputs(run.features, FrontEnd(run.description.features))
    assert len(inputs) == INPUTS
    np.testing.assert_array_equal(inputs[:40], run.features)
    silence = FrontEnd(run.description.features)(np.zeros(8000, np.float32))
    np.testing.assert_array_equal(inputs[40], silence)
    rows = inputs.reshape(INPUTS, -1)
    nearest = [np.abs(rows[i] - rows[:i]).max(axis=1).min() for i in range(1, INPUTS)]
    assert min(nearest) > 1e-3  # dB: what is new in an input is more than another processor's rounding


def test_the_mixtures_of_two_utterances_hold_both(run: Run) -> None:
    two = run.features[:2]
    for mixture in verification_inputs(two, FrontEnd(run.description.features))[2 + 5 :]:
        assert all(np.abs(mixture - one).max() > 1e-3 for one in two)


def test_mixtures_are_as_long_as_the_shorter_one(speech_run: Run) -> None:
    inputs = verification_inputs(speech_run.features, FrontEnd(speech_run.description.features))
    there = ~np.isnan(inputs)
    assert (there.any(axis=2) == there.all(axis=2)).all()
    lengths = there.all(axis=2).sum(axis=1)
    assert lengths.min() == 1  # the edge case of one sample
    assert set(lengths[45:]) <= set(lengths[:40])
    assert len(set(lengths)) > 10


def test_a_damaged_run_is_not_exported(run: Run, tmp_path: Path) -> None:
    other = replace(run, probabilities=run.probabilities[::-1])
    with pytest.raises(Exception, match="doesn't give the answers stored beside it"):
        export(other, tmp_path / "model.onnx")
