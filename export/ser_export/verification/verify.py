"""Verifies a model file: it must answer as Keras does, in the runtime that will run it.

The file is run through `ser_edge` only, as a user would.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.metrics import f1_score, recall_score

from ser_edge.features.frontend import FrontEnd
from ser_edge.models.network import Model
from ser_edge.models.tolerances import BATCH, DYNAMIC, TOLERANCES
from ser_export.errors import VerificationError

MIN_INPUTS = 500
# Points of accuracy that an "int8-dynamic" file may lose. Its steps change 3 % of the labels, as often for the better
# as for the worse: of 300 utterances ten, whose sum has a standard deviation of a point. Over 15 networks it lost 0.1.
_DYNAMIC_POINTS = 2.0
_EDGE_CASES, _REPEATED = 8, 20  # edge cases after the real utterances; how many of those are predicted again


@dataclass(frozen=True)
class Tolerances:
    """How far a file's answers may differ from Keras's."""

    difference: float  # largest absolute difference of a probability
    labels_changed: int | None  # among inputs with one label clearly ahead; None: any number
    points: float  # of accuracy, UAR and macro-F1 lost on the test utterances; one changed label is always allowed


PRECISIONS = {
    precision: Tolerances(TOLERANCES[".tflite", precision].keras, labels_changed, points)  # the same in both formats
    for precision, labels_changed, points in (
        ("float32", 0, 0.0),
        ("float16", None, 0.2),
        ("int8", None, 1.0),  # weights; what each runtime computes with them: `ser_edge.models.tolerances`
        ("int8-per-tensor", None, 1.0),  # one scale for a matrix, for tflite-runtime
        ("int8-full", None, 1.0),  # all arithmetic in integers
    )
}


@dataclass(frozen=True)
class Scores:
    """Accuracy on the test utterances, in percent."""

    wa: float
    uar: float
    f1: float


@dataclass(frozen=True)
class VerificationReport:
    """The measurements of a file that passed."""

    inputs: int
    max_difference: float
    labels_changed: int
    utterances: int  # real ones, on which accuracy is measured
    file: Scores
    keras: Scores


def verification_inputs(features: npt.NDArray[np.float32], front_end: FrontEnd) -> npt.NDArray[np.float32]:
    """Real utterances, then edge cases, then mixtures of utterances up to MIN_INPUTS.

    The edge cases are silence, a click, noise and a square wave at full scale, and noise of 1, 2 and 3 frames and of
    half an input, since a file of a free length computes the frames that are there only. A mixture is of two different
    utterances (one with itself would differ only by rounding, and on some processors not even that), and as long as
    the shorter: a missing frame (NaN) is missing from the mixture.

    Args:
        features: (n, frames, coefficients) of real utterances, not normalised.
        front_end: the model's.

    Returns:
        (at least MIN_INPUTS, frames, coefficients): the real ones first.
    """
    random = np.random.default_rng(0)
    length = front_end.config.samples or front_end.config.sample_rate
    silence, click = np.zeros((2, length), np.float32)
    click[length // 2] = 1
    noise = np.sign(random.standard_normal(length)).astype(np.float32)
    square = np.where(np.arange(length) // 40 % 2, -1, 1).astype(np.float32)  # 200 Hz at 16 kHz
    hop = front_end.config.hop_length
    short = [noise[:count] if front_end.config.samples else noise for count in (1, hop, 2 * hop, length // 2)]
    edge_cases = np.stack([front_end(signal) for signal in (silence, click, noise, square, *short)])
    missing = max(0, MIN_INPUTS - len(features) - len(edge_cases))
    first, step = random.integers([[len(features)], [max(1, len(features) - 1)]], size=(2, missing))
    second = (first + 1 + step) % len(features)
    weight = random.random((missing, 1, 1), np.float32)
    return np.concatenate([features, edge_cases, weight * features[first] + (1 - weight) * features[second]])


def verify(
    model: Model,
    features: npt.NDArray[np.float32],
    expected: npt.NDArray[np.float32],
    names: tuple[str, ...],
    labels: npt.NDArray[np.int64],
    test: npt.NDArray[np.bool_],
    tolerances: Tolerances,
) -> VerificationReport:
    """Compares a model file's answers with Keras's.

    Args:
        model: the opened file.
        features: (n, frames, coefficients) from `verification_inputs`.
        expected: (n, labels), Keras's probabilities for them.
        names: the labels' names, in the order of Keras's output; compared with the file's own.
        labels: (m,) of the first m inputs, the real utterances.
        test: (m,) where accuracy is measured.
        tolerances: of the file's precision.

    Raises:
        VerificationError: a tolerance is exceeded; the message lists all.
        ModelError: the file answers NaN.
    """
    answers = model.probabilities(features)
    rows = [*range(_REPEATED), *range(len(labels), len(labels) + _EDGE_CASES)]
    repeated, again = (model.probabilities(features[rows]) for _ in range(2))
    alone = np.concatenate([model.probabilities(features[row][None]) for row in rows])
    predicted = np.array(model.metadata.labels)[answers.argmax(1)]
    keras_predicted, true = np.array(names)[expected.argmax(1)], np.array(names)[labels]
    changed = predicted != keras_predicted
    tested = np.flatnonzero(test)
    file, keras = (_scores(true[tested], found[tested]) for found in (predicted, keras_predicted))
    difference, allowed = float(np.abs(answers - expected).max()), tolerances.difference
    report = VerificationReport(len(features), difference, int(changed.sum()), len(tested), file, keras)
    failures = []
    if not difference <= allowed:  # NaN neither
        failures.append(f"a probability differs by more than allowed ({difference:.2g} > {allowed:.2g})")
    second, first = np.partition(expected, -2, axis=1)[:, -2:].T
    clear = first - second > 2 * allowed  # closer ones may change places within the tolerance
    if tolerances.labels_changed is not None and (changed & clear).sum() > tolerances.labels_changed:
        failures.append(f"more labels changed than allowed ({report.labels_changed} > {tolerances.labels_changed})")
    lost = max(keras.wa - file.wa, keras.uar - file.uar, keras.f1 - file.f1)
    points = _DYNAMIC_POINTS if model.metadata.precision == DYNAMIC else tolerances.points
    if lost > points + 1e-9 and changed[tested].sum() > 1:  # of few utterances one is more than the points
        failures.append(
            "more accuracy lost than allowed "
            f"({lost:.2f} > {points} percentage points or one of {len(tested)} test utterances)"
        )
    if stateful := not np.array_equal(again, repeated):
        failures.append("the same input gets another answer the second time: the file keeps state between calls")
    in_batch = TOLERANCES[".onnx", DYNAMIC].inputs if model.metadata.precision == DYNAMIC else BATCH
    if max(np.abs(alone - batch).max() for batch in (repeated, answers[rows])) > in_batch:
        failures.append("an input gets another answer alone than in a batch")
    if not np.abs(model.probabilities(_with_padding(features[rows], model)) - answers[rows]).max() <= allowed:
        failures.append("frames that are missing change an answer")
    if len(features) < MIN_INPUTS:
        failures.append(f"too few inputs to verify with ({len(features)} < {MIN_INPUTS})")
    if failures:
        raise VerificationError(
            "; ".join(failures), code="export-stateful" if stateful else "export-verification-failed"
        )
    return report


def _with_padding(features: npt.NDArray[np.float32], model: Model) -> npt.NDArray[np.float32]:
    """Features whose missing frames are zeros when they are normalised, so that they reach the network, as in a batch.

    A file of a free length would otherwise get the frames that are there, and its masks would never matter.
    """
    normalization = model.metadata.normalization
    mean = np.array(normalization.mean if normalization else 0, np.float32)
    return np.where(np.isnan(features), mean, features)


def _scores(true: npt.NDArray[np.str_], predicted: npt.NDArray[np.str_]) -> Scores:
    macro = {"labels": np.unique(true), "average": "macro", "zero_division": 0}
    uar, f1 = recall_score(true, predicted, **macro), f1_score(true, predicted, **macro)
    return Scores(100 * float((true == predicted).mean()), 100 * float(uar), 100 * float(f1))
