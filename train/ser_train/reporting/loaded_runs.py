"""Reads finished runs of one network and protocol into memory, and reports damaged ones in one line."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ser_edge.models.metadata import ModelMetadata
from ser_edge.models.network import apply_temperature
from ser_train.data.utterance import CorpusError
from ser_train.evaluation.robustness import RobustnessAnswers
from ser_train.evaluation.robustness_cache import network_answers
from ser_train.runs.grouping import single_group
from ser_train.runs.run_directory import DAMAGES, Answers, RunDirectory, damaged
from ser_train.runs.settings import Settings


@dataclass(frozen=True, eq=False)
class LoadedRun:
    """What one run left behind."""

    path: Path
    settings: Settings
    metadata: ModelMetadata
    answers: Answers  # of the test, without features: those of many folds would fill the memory
    history: tuple[dict[str, float], ...]  # of each epoch; empty if there is none
    facts: dict[str, Any]  # run.json
    robustness: RobustnessAnswers | None  # None if it wasn't measured

    @cached_property
    def calibrated_answers(self) -> Answers:
        """With the probabilities that a user sees."""
        probabilities = apply_temperature(self.answers.probabilities, self.metadata.temperature)
        return replace(self.answers, probabilities=probabilities)


def load_runs(runs: Sequence[RunDirectory]) -> tuple[tuple[LoadedRun, ...], ...]:
    """For each seed its folds; every seed has the same.

    Raises:
        CorpusError: a run that isn't finished, or is damaged.
        SerEdgeError: runs that don't belong together.
        ModelError: metadata that this ser-edge doesn't read.
    """
    loaded = {run.path: _load(run) for run in runs}
    group = single_group(runs)
    return tuple(tuple(loaded[run.path] for run in folds.values()) for folds in group.seeds.values())


def _load(run: RunDirectory) -> LoadedRun:
    if not run.finished:
        message = f"{run.path}: not a finished run; train it with ser-train, or leave it out"
        raise CorpusError(message, code="run-not-found")
    try:
        test = run.answers.of_test()
        return LoadedRun(
            run.path,
            run.settings,
            run.metadata,
            replace(test, features=np.empty((len(test.labels), 0, 0), np.float32)),
            tuple(run.read("history.json")) if (run.path / "history.json").exists() else (),
            run.read("run.json"),
            network_answers(run),
        )
    except DAMAGES as e:
        raise damaged(run.path, e) from e
