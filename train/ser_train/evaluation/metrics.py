"""Metrics of one set of answers, and of many runs together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.metrics import accuracy_score, f1_score, recall_score

from ser_train.runs.run_directory import Answers

BOOTSTRAP_DRAWS = 1000
_BINS = 15  # of the expected calibration error


@dataclass(frozen=True)
class Scores:
    """In percent, but for `ece`, a fraction."""

    wa: float  # accuracy
    uar: float  # unweighted average recall: the mean of the emotions' recalls
    f1: float  # macro-F1
    ece: float  # expected calibration error


@dataclass(frozen=True)
class Interval:
    """A metric over several runs: mean and deviation over seeds, and a 95 % bootstrap interval over actors."""

    mean: float
    std: float
    low: float
    high: float


@dataclass(frozen=True)
class Reliability:
    """Accuracy by confidence. Arrays have a row for each bin of confidence, empty ones too."""

    share: npt.NDArray[np.float64]  # of all answers, sums to 1
    confidence: npt.NDArray[np.float64]  # mean, 0 to 1; NaN in an empty bin
    accuracy: npt.NDArray[np.float64]  # 0 to 1; NaN in an empty bin

    @property
    def error(self) -> float:
        """ECE of Guo et al. (2017): |confidence - accuracy| of equally wide bins, weighted by their share."""
        return float(np.nansum(self.share * np.abs(self.confidence - self.accuracy)))


METRICS = tuple(Scores.__dataclass_fields__)


def score(labels: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float32]) -> Scores:
    """Scores (n,) labels against (n, labels) probabilities.

    >>> score(np.array([0, 1]), np.array([[1, 0], [0, 1]], np.float32))
    Scores(wa=100.0, uar=100.0, f1=100.0, ece=0.0)
    """
    guesses = probabilities.argmax(1)
    return Scores(
        wa=100 * float(accuracy_score(labels, guesses)),
        uar=100 * float(recall_score(labels, guesses, average="macro", labels=np.unique(labels), zero_division=0)),
        f1=100 * float(f1_score(labels, guesses, average="macro", labels=np.unique(labels), zero_division=0)),
        ece=reliability(labels, probabilities).error,
    )


def reliability(labels: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float32]) -> Reliability:
    """Bins (n,) labels and (n, labels) probabilities by the probability of the answer.

    >>> sure = reliability(np.array([0, 0]), np.array([[0.8, 0.2], [0.2, 0.8]], np.float32))
    >>> round(sure.error, 3)  # 80 % sure, 50 % right
    0.3
    """
    confidence, right = probabilities.max(1).astype(np.float64), probabilities.argmax(1) == labels
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    counts = np.bincount(bins, minlength=_BINS)
    with np.errstate(invalid="ignore"):  # 0 / 0 is the NaN of an empty bin
        sums = (np.bincount(bins, weights, _BINS) / counts for weights in (confidence, right))
        return Reliability(counts / len(labels), *sums)


def pooled(runs: Sequence[Sequence[Answers]]) -> dict[str, Interval]:
    """Scores of many runs together.

    Args:
        runs: for each seed, the test answers of its folds; a seed's folds are pooled before they are scored.

    Returns:
        For each of METRICS its mean and deviation over seeds, and the bootstrap interval: actors are drawn with
        replacement, because utterances of one actor are correlated.
    """
    seeds = [joined(folds) for folds in runs]
    by_seed = [score(labels, probabilities) for labels, probabilities, _ in seeds]
    draws = _bootstrap(seeds)
    intervals = {}
    for metric in METRICS:
        values, drawn = ([getattr(s, metric) for s in group] for group in (by_seed, draws))
        low, high = np.percentile(drawn, [2.5, 97.5])
        intervals[metric] = Interval(*(round(float(v), 4) for v in (np.mean(values), np.std(values), low, high)))
    return intervals


_Joined = tuple[npt.NDArray[np.int64], npt.NDArray[np.float32], npt.NDArray[np.int64]]


def joined(folds: Sequence[Answers]) -> _Joined:
    """Labels (n,), probabilities (n, labels) and actors (n,) of several folds together."""
    labels, probabilities, actors = (
        np.concatenate([getattr(fold, name) for fold in folds]) for name in ("labels", "probabilities", "actors")
    )
    return labels, probabilities, actors


def _bootstrap(seeds: Sequence[_Joined]) -> list[Scores]:
    random = np.random.default_rng(0)
    draws = []
    rows = [{actor: np.flatnonzero(actors == actor) for actor in np.unique(actors)} for _, _, actors in seeds]
    for _ in range(BOOTSTRAP_DRAWS):
        seed = int(random.integers(len(seeds)))
        labels, probabilities, _ = seeds[seed]
        drawn = random.choice(list(rows[seed]), len(rows[seed]))
        index = np.concatenate([rows[seed][actor] for actor in drawn])
        draws.append(score(labels[index], probabilities[index]))
    return draws
