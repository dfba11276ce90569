"""Finished runs written by hand, with answers that are known."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ser_edge.features.config import FeatureConfig
from ser_edge.models.metadata import ModelMetadata
from ser_train.data.corpus_loader import EMOTIONS
from ser_train.data.splits import SPEAKER_FOLDS
from ser_train.evaluation.corruptions import CORRUPTIONS, WINDOW_SECONDS
from ser_train.evaluation.robustness import RobustnessAnswers, pool
from ser_train.evaluation.robustness_cache import figures_to_json
from ser_train.runs.run_directory import Answers, RunDirectory
from ser_train.runs.settings import Settings


def make_run(folder: Path, settings: Settings, *, wrong: int = 0, sure: float = 0.9, **described: Any) -> RunDirectory:
    """A finished run: RAVDESS's emotions once by each actor and intensity; the first so many answers are wrong."""
    run = RunDirectory(folder / settings.name)
    run.path.mkdir(parents=True)
    utterances = [
        (emotion, intensity, actor)
        for actor in SPEAKER_FOLDS[settings.fold]
        for emotion in range(8)
        for intensity in ((1, 2) if emotion else (1,))
    ]
    labels = np.array([emotion for emotion, _, _ in utterances])
    guesses = np.where(np.arange(len(labels)) < wrong, (labels + 1) % 8, labels)
    probabilities = np.full((len(labels), 8), (1 - sure) / 7, np.float32)
    probabilities[np.arange(len(labels)), guesses] = sure
    run.write_answers(
        Answers(
            np.zeros((len(labels), 2, 3), np.float32),
            labels,
            np.array(
                [f"03-01-{emotion + 1:02}-{intensity:02}-01-01-{actor:02}" for emotion, intensity, actor in utterances]
            ),
            np.array([actor for _, _, actor in utterances]),
            probabilities,
            np.ones(len(labels), bool),
        )
    )
    metadata = ModelMetadata(settings.network, EMOTIONS, FeatureConfig(), **described)
    run.write("description.json", metadata.to_json())
    run.write("run.json", {"settings": asdict(settings)})
    return run


def add_the_rest(run: RunDirectory) -> None:
    """What a run of today has as well."""
    run.write(
        "run.json", run.read("run.json") | {"epochs": 2, "best_epoch": 1, "parameters": 1234, "recipe": {"units": 80}}
    )
    run.write("history.json", [{"loss": 1.0, "accuracy": 0.5, "val_loss": 1.5, "val_accuracy": 0.4}] * 2)
    answers = run.answers
    count = len(answers.labels)
    measured = RobustnessAnswers(
        answers.names,
        answers.labels,
        np.stack([answers.probabilities] * len(CORRUPTIONS)),
        np.concatenate([answers.probabilities] * len(WINDOW_SECONDS)),
        np.repeat(WINDOW_SECONDS, count),
        np.tile(np.arange(count), len(WINDOW_SECONDS)),
    )
    np.savez(run.path / "conditions.npz", **asdict(measured))
    run.write("conditions.json", figures_to_json(pool([[measured]])))
