"""Whether a model file may leave: it must answer as Keras does, in the runtime that will serve it.

The gates see a file only through `ser_edge`, as a user would. A file that fails is not written under its name.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.metrics import f1_score, recall_score

from ser_edge.errors import SerEdgeError
from ser_edge.features.frontend import FrontEnd
from ser_edge.models.loader import open_model
from ser_edge.models.tolerances import BATCH, TOLERANCES

__all__ = ["LIMITS", "ExportError", "Figures", "GateError", "Limits", "Proof", "check", "gate_inputs"]

INPUTS = 500  # a file is proven on at least so many


class ExportError(SerEdgeError):
    """A network that can't be exported."""

    exit_code = 4


class GateError(ExportError):
    """A file that doesn't answer as Keras does."""


@dataclass(frozen=True)
class Limits:
    """What a precision may change."""

    difference: float  # largest absolute difference of a probability
    labels_changed: int | None  # inputs where one label is clearly the likeliest; None for any number
    points: float  # of accuracy, UAR and macro-F1 that the test utterances may lose; one answer may always be another


def _limits(precision: str, labels_changed: int | None, points: float) -> Limits:
    return Limits(TOLERANCES[".tflite", precision].keras, labels_changed, points)  # the same in both formats


LIMITS = {
    "float32": _limits("float32", labels_changed=0, points=0.0),
    "float16": _limits("float16", labels_changed=None, points=0.2),
    "int8": _limits("int8", labels_changed=None, points=1.0),  # weights; what each runtime does with them: `tolerances`
    "int8-per-tensor": _limits("int8-per-tensor", labels_changed=None, points=1.0),  # a scale a matrix: tflite-runtime
    "int8-full": _limits("int8-full", labels_changed=None, points=1.0),  # all arithmetic in integers
}
_EDGES, _ASKED_AGAIN = 5, 20  # edge cases behind the real utterances; how many of those are asked once more


@dataclass(frozen=True)
class Figures:
    """Of the test utterances, in percent."""

    wa: float
    uar: float
    f1: float


@dataclass(frozen=True)
class Proof:
    """What was measured on the way through the gates."""

    inputs: int
    max_difference: float
    labels_changed: int
    utterances: int  # real ones, where accuracy is measured
    file: Figures
    keras: Figures


def gate_inputs(features: npt.NDArray[np.float32], front_end: FrontEnd) -> npt.NDArray[np.float32]:
    """Real utterances, then edge cases, then mixtures where real ones are few.

    The edge cases are silence, a click, one sample alone, and noise and a square wave at full scale. A mixture is of
    two different utterances (of one with itself nothing new would come but rounding, and on some processors not even
    that), and as long as the shorter: a frame that isn't there (NaN) isn't there in any mixture.

    Args:
        features: (n, frames, coefficients) of real utterances, not normalised.
        front_end: the model's.

    Returns:
        (at least INPUTS, frames, coefficients): the real ones first.
    """
    random = np.random.default_rng(0)
    length = front_end.config.samples or front_end.config.sample_rate
    silence, click = np.zeros((2, length), np.float32)
    click[length // 2] = 1
    noise = np.sign(random.standard_normal(length)).astype(np.float32)
    square = np.where(np.arange(length) // 40 % 2, -1, 1).astype(np.float32)  # 200 Hz at 16 kHz
    alone = np.ones(1 if front_end.config.samples else length, np.float32)
    edges = np.stack([front_end(signal) for signal in (silence, click, alone, noise, square)])
    missing = max(0, INPUTS - len(features) - len(edges))
    one, further = random.integers([[len(features)], [max(1, len(features) - 1)]], size=(2, missing))
    other = (one + 1 + further) % len(features)
    share = random.random((missing, 1, 1), np.float32)
    return np.concatenate([features, edges, share * features[one] + (1 - share) * features[other]])


def check(
    path: Path,
    features: npt.NDArray[np.float32],
    expected: npt.NDArray[np.float32],
    names: tuple[str, ...],
    labels: npt.NDArray[np.int64],
    test: npt.NDArray[np.bool_],
    limits: Limits,
) -> Proof:
    """Proves a model file, or refuses it.

    Args:
        path: the file, under any name.
        features: (n, frames, coefficients) from `gate_inputs`.
        expected: (n, labels), Keras's probabilities for them.
        names: the labels' names, in the order of Keras's output; the file's own names must say the same.
        labels: (m,) of the first m inputs, the real utterances.
        test: (m,) where accuracy is measured.
        limits: of the file's precision.

    Raises:
        GateError: a figure outside its limit; the message has all of them.
        ModelError: the runtime refuses the file, or it answers NaN.
    """
    model = open_model(path)
    answers = model.probabilities(features)
    rows = [*range(_ASKED_AGAIN), *range(len(labels), len(labels) + _EDGES)]
    once, again = (model.probabilities(features[rows]) for _ in range(2))
    single = np.concatenate([model.probabilities(features[row][None]) for row in rows])
    differences = np.abs(answers - expected).max(axis=1)
    heard = np.array(model.metadata.labels)[answers.argmax(1)]
    heard_by_keras, spoken = np.array(names)[expected.argmax(1)], np.array(names)[labels]
    tested = np.flatnonzero(test)
    file, keras = (_figures(spoken[tested], guesses[tested]) for guesses in (heard, heard_by_keras))
    lost = max(keras.wa - file.wa, keras.uar - file.uar, keras.f1 - file.f1)
    changed = heard != heard_by_keras
    second, first = np.partition(expected, -2, axis=1)[:, -2:].T
    decided = first - second > 2 * limits.difference  # else the difference that is allowed can turn them round
    proof = Proof(
        inputs=len(features),
        max_difference=float(differences.max()),
        labels_changed=int(changed.sum()),
        utterances=len(tested),
        file=file,
        keras=keras,
    )
    failures = {
        f"a probability is off by {proof.max_difference:.2g}, {limits.difference:.2g} is allowed": (
            proof.max_difference > limits.difference
        ),
        f"{proof.labels_changed} of {proof.inputs} labels changed, {limits.labels_changed} may": (
            limits.labels_changed is not None and int((changed & decided).sum()) > limits.labels_changed
        ),
        f"{lost:.2f} points lost on {len(tested)} test utterances, {limits.points} or one answer are allowed": (
            lost > limits.points + 1e-9 and int(changed[tested].sum()) > 1  # of few, one is more than the points
        ),
        "the same input gives another answer the second time: state leaks between calls": (
            not np.array_equal(again, once)
        ),
        "an input gives another answer alone than among others": (
            max(np.abs(single - few).max() for few in (once, answers[rows])) > BATCH
        ),
        f"{proof.inputs} inputs, {INPUTS} are needed": proof.inputs < INPUTS,
    }
    if any(failures.values()):
        raise GateError("; ".join(reason for reason, failed in failures.items() if failed))
    return proof


def _figures(spoken: npt.NDArray[np.str_], heard: npt.NDArray[np.str_]) -> Figures:
    every = np.unique(spoken)
    return Figures(
        wa=100 * float((spoken == heard).mean()),
        uar=100 * float(recall_score(spoken, heard, labels=every, average="macro", zero_division=0)),
        f1=100 * float(f1_score(spoken, heard, labels=every, average="macro", zero_division=0)),
    )
