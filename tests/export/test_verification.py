"""What verification accepts: differences within the tolerances, on inputs that find faults."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ser_edge.features.frontend import FrontEnd
from ser_edge.models.loader import open_model
from ser_edge.models.tolerances import DYNAMIC, TOLERANCES
from ser_export.cli.app import main
from ser_export.errors import ExportError, VerificationError
from ser_export.from_keras.run import Run
from ser_export.pipeline.model_files import FORMATS, export
from ser_export.verification.verify import MIN_INPUTS, PRECISIONS, Tolerances, verification_inputs, verify
from tests import messages


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


def test_answers_that_are_no_numbers_are_refused_on_either_side(run: Run, exported: Path) -> None:
    features, expected = keras_answers(run)
    nowhere = np.where(np.arange(len(expected))[:, None] == 35, np.float32(np.nan), expected)
    tolerances = Tolerances(difference=1, labels_changed=None, points=100)
    with messages.raises(VerificationError, "export-verification-failed"):
        verify(open_model(exported), features, nowhere, run.metadata.labels, run.labels, run.test, tolerances)


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
        ("int8-full", ".onnx", "--format tflite"),
        ("int8-per-tensor", ".onnx", "--format tflite"),
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
    assert set(TOLERANCES) == {(suffix, p) for suffix in FORMATS for p in (*PRECISIONS, DYNAMIC)} - unsupported


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
    for mixture in verification_inputs(two, FrontEnd(run.metadata.features))[2 + 8 :]:
        assert all(np.abs(mixture - one).max() > 1e-3 for one in two)


def test_mixtures_are_as_long_as_the_shorter_one(speech_run: Run) -> None:
    inputs = verification_inputs(speech_run.features, FrontEnd(speech_run.metadata.features))
    there = ~np.isnan(inputs)
    assert (there.any(axis=2) == there.all(axis=2)).all()
    lengths = there.all(axis=2).sum(axis=1)
    assert lengths[40:48].tolist() == [50, 21, 50, 50, 1, 2, 3, 26]  # the edge cases
    assert set(lengths[48:]) <= set(lengths[:40])
    assert len(set(lengths)) > 10


def test_a_damaged_run_is_not_exported(run: Run, tmp_path: Path) -> None:
    other = replace(run, probabilities=run.probabilities[::-1])
    with messages.raises(ExportError, "run-damaged"):
        export(other, tmp_path / "model.onnx")
