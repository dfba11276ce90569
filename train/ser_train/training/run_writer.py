"""Evaluates a trained network on the test set, and writes its run directory."""

from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version

import keras
import numpy as np

from ser_edge.models.metadata import Accuracy, ModelMetadata
from ser_train.data.splits import Split
from ser_train.data.utterance import Utterance, digest, unique
from ser_train.evaluation.metrics import score
from ser_train.networks.logit_adjustment import adjust
from ser_train.runs.provenance import RUN
from ser_train.runs.run_directory import ROBUSTNESS, SUMMARY_FILES, Answers, RunDirectory
from ser_train.training.checkpoint import Progress
from ser_train.training.plans import TrainingJob, TrainingPlan, label_indices

_VERIFICATION_UTTERANCES = 600  # at least, where the corpus has them; ser-export's verification wants 500
_VERSIONS = ("ser-edge", "keras", "tensorflow", "numpy", "soundfile", "soxr", "scikit-learn")


def write_run(run: RunDirectory, job: TrainingJob, plan: TrainingPlan, model: keras.Model, progress: Progress) -> None:
    """Writes everything that a run directory holds, but for the summary that people read; `run.json` last."""
    settings, split = job.settings, job.split
    utterances = verification_set(split)
    features = plan.features(utterances)
    network = plan.part.whole(model, features.shape[1:])
    adjust(network, plan.adjustment)
    answers = Answers(
        features,
        label_indices(utterances, split.labels),
        np.array([u.name for u in utterances]),
        np.array([u.actor for u in utterances]),
        network.predict(plan.normalization.apply(features), batch_size=256, verbose=0),
        np.arange(len(utterances)) < len(split.test),
    )
    test = answers.of_test()
    scores = score(test.labels, test.probabilities)
    accuracy = Accuracy(settings.protocol, 1, 1, round(scores.wa, 2), round(scores.uar, 2), round(scores.f1, 2))
    metadata = ModelMetadata(
        name=settings.network,
        labels=split.labels,
        features=job.network.features,
        normalization=plan.normalization,
        accuracy=accuracy if settings.protocol != "all" else None,  # `evaluate` sets the folds' accuracy
        training={RUN: settings.name, **job.lineage.training(split), **plan.part.provenance},
    )
    # Of an older training: until the end the directory isn't complete.
    for name in ("run.json", *SUMMARY_FILES, f"{ROBUSTNESS}*"):
        for path in run.path.glob(name):
            path.unlink()
    network.save(run.path / "model.keras")
    run.write("description.json", metadata.to_json())
    run.write("history.json", progress.history)
    run.write_answers(answers)
    train, validation = split.train, split.validation
    if plan.validation is None:  # what would validate trains as well
        train, validation = tuple(unique([*train, *validation])), ()
    parts = {"train": train, "validation": validation, "test": split.test, "others": split.extra}
    run.write(
        "run.json",
        {
            "settings": asdict(settings),
            "recipe": asdict(job.recipe),
            "metrics": asdict(scores),
            "epochs": progress.epoch,
            "best_epoch": progress.best_epoch,
            "parameters": network.count_params(),
            "utterances": {name: len(part) for name, part in parts.items()},
            "own_speakers": job.lineage.own_speakers(split),
            "recordings": digest([*split.train, *split.validation, *split.test]),  # the same in all folds
            "versions": {name: version(name) for name in _VERSIONS},
        },
    )


def verification_set(split: Split) -> Sequence[Utterance]:
    """The test set; then, if it is small, other utterances, on which ser-export compares answers."""
    rest = unique([*split.validation, *split.train])
    return [*split.test, *rest[: max(0, _VERIFICATION_UTTERANCES - len(split.test))]]
