"""The command `ser-train choose`: which settings to take for each fold of `speaker`, by runs of `inner` alone.

What is chosen for a fold is judged on actors of other folds, by networks that heard neither these nor the fold's own.
So the choice knows nothing of the actors that the reported figure is made on.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from ser_train.data.atomic import write_text
from ser_train.data.corpus_loader import CorpusError
from ser_train.data.splits import SPEAKER_FOLDS
from ser_train.evaluation.metrics import score
from ser_train.runs.run_directory import Answers, RunDirectory

__all__ = ["choose", "unseen_answers"]


def unseen_answers(inner: dict[int, RunDirectory], fold: int) -> Iterator[Answers]:
    """What those runs of `inner`, by their fold, that never heard a fold of `speaker` say of other voices."""
    folds = len(SPEAKER_FOLDS)
    for left_out, judged in ((fold, (fold + 1) % folds), ((fold - 1) % folds, (fold - 1) % folds)):
        if left_out in inner:
            test = inner[left_out].answers.of_test()
            yield test.of(np.isin(test.actors, SPEAKER_FOLDS[judged]))


def choose(options: argparse.Namespace) -> int:
    """The command `ser-train choose`; returns the exit code."""
    table = markdown([run for run in map(RunDirectory, options.runs) if run.finished])
    if options.markdown:
        write_text(options.markdown, table)
    print(table, end="")
    return 0


def markdown(runs: Sequence[RunDirectory]) -> str:
    """A row for each network and its settings, a column for each fold of `speaker`: UAR, mean over seeds."""
    groups: dict[str, dict[int, dict[int, RunDirectory]]] = defaultdict(lambda: defaultdict(dict))
    for run in runs:
        if run.settings.protocol == "inner":
            groups[run.settings.label][run.settings.seed][run.settings.fold] = run
    if not groups:
        raise CorpusError("none of these is a finished run of the protocol inner; train some with --protocol inner")
    heads = " | ".join(f"for fold {fold}" for fold in range(len(SPEAKER_FOLDS)))
    lines = [f"| UAR on actors of two other folds, % | seeds | {heads} | mean |", "|---|" + "---|" * 7]
    for label, seeds in groups.items():
        figures = [_figure(seeds, fold) for fold in range(len(SPEAKER_FOLDS))]
        cells = [f"{figure:.1f}" if np.isfinite(figure) else "" for figure in (*figures, float(np.mean(figures)))]
        lines.append(f"| {label} | {len(seeds)} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _figure(seeds: dict[int, dict[int, RunDirectory]], fold: int) -> float:
    """Mean UAR over seeds; NaN where a run is missing."""
    uars = []
    for inner in seeds.values():
        answers = list(unseen_answers(inner, fold))
        if len(answers) < 2:
            return float("nan")
        labels, probabilities = (
            np.concatenate([getattr(a, name) for a in answers]) for name in ("labels", "probabilities")
        )
        uars.append(score(labels, probabilities).uar)
    return float(np.mean(uars))
