"""Model selection for each fold of `speaker` by runs of `inner` alone.

The settings for a fold are compared on actors of other folds, by networks trained on neither these nor the fold's own.
So the selection knows nothing of the actors behind the reported accuracy.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ser_train.data.splits import SPEAKER_FOLDS
from ser_train.data.utterance import CorpusError
from ser_train.evaluation.metrics import joined, score
from ser_train.runs.grouping import group_runs
from ser_train.runs.run_directory import Answers, RunDirectory


@dataclass(frozen=True)
class FoldScores:
    """One network and its settings."""

    label: str
    seeds: int
    uar: tuple[float, ...]  # for each fold of `speaker`, percent, mean over seeds; NaN where a run is missing


def unseen_answers(inner: dict[int, RunDirectory], fold: int) -> Iterator[Answers]:
    """Answers about other actors by those runs of `inner` that were not trained on a fold of `speaker`.

    Args:
        inner: runs by their fold.
        fold: of `speaker`.
    """
    folds = len(SPEAKER_FOLDS)
    for left_out, tested in ((fold, (fold + 1) % folds), ((fold - 1) % folds, (fold - 1) % folds)):
        if left_out in inner:
            test = inner[left_out].answers.of_test()
            yield test.of(np.isin(test.actors, SPEAKER_FOLDS[tested]))


def fold_scores(runs: Sequence[RunDirectory]) -> list[FoldScores]:
    """Scores each network and its settings; runs of other protocols are left out.

    Raises:
        SerEdgeError: no run of `inner`, or runs that don't belong together.
    """
    runs = [run for run in runs if run.settings.protocol == "inner"]
    if not runs:
        raise CorpusError(
            "none of these is a finished run of the protocol inner; train some with --protocol inner",
            code="runs-incomplete",
        )
    folds = range(len(SPEAKER_FOLDS))
    return [
        FoldScores(group.label, len(group.seeds), tuple(_mean_uar(group.seeds, fold) for fold in folds))
        for group in group_runs(runs).values()
    ]


def _mean_uar(seeds: dict[int, dict[int, RunDirectory]], fold: int) -> float:
    uars = []
    for inner in seeds.values():
        answers = list(unseen_answers(inner, fold))
        if len(answers) < 2:
            return float("nan")
        labels, probabilities, _ = joined(answers)
        uars.append(score(labels, probabilities).uar)
    return float(np.mean(uars))
