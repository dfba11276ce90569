"""Small trainings that several test modules share."""

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
import pytest

from ser_train.data.utterance import Utterance
from ser_train.runs.run_directory import RunDirectory
from ser_train.runs.settings import Settings
from ser_train.training.checkpoint import Checkpoint
from ser_train.training.loop import train_network
from ser_train.training.plans import TrainingPlan, make_plan, prepare
from ser_train.training.run_writer import write_run

# The augmented recipe on a small `crnn`, with song and Polish speech beside RAVDESS.
SMALL = ("channels=4,4,4", "dense=8", "units=4", "epochs=3", "restart=2", "extra_corpora_ratio=0.5")
CRNN = Settings("crnn", "speaker", changes=SMALL)


def weights(run: RunDirectory) -> list[np.ndarray]:
    return keras.models.load_model(run.path / "model.keras").get_weights()


def same(a: RunDirectory, b: RunDirectory) -> bool:
    equal = [np.array_equal(x, y) for x, y in zip(weights(a), weights(b), strict=True)]
    return all(equal) and a.read("history.json") == b.read("history.json")


def epochs_trained(capsys: pytest.CaptureFixture[str]) -> list[int]:
    """The epochs that trainings since the last call reported, from 1."""
    return [int(epoch) for epoch in re.findall(r"epoch (\d+)/", capsys.readouterr().err)]


@dataclass(frozen=True)
class Trained:
    run: RunDirectory
    optimizer: list[np.ndarray]  # its variables at the end; the moving average of the weights is among them
    average: list[np.ndarray]


def train(settings: Settings, utterances: Sequence[Utterance], out: Path) -> Trained:
    job = prepare(settings, utterances, out)
    run, plan = RunDirectory(out / settings.name), make_plan(job, jobs=1)
    checkpoint = Checkpoint(run, job.settings)
    model, progress = train_network(job, plan, checkpoint)
    write_run(run, job, plan, model, progress)
    checkpoint.remove()
    average = model.optimizer._model_variables_moving_average
    return Trained(run, [v.numpy() for v in model.optimizer.variables], [v.numpy() for v in average])


def plan_of(settings: Settings, utterances: Sequence[Utterance], out: Path) -> TrainingPlan:
    return make_plan(prepare(settings, utterances, out), jobs=1)


def distilled(augmented: Trained, out: Path, *names: str) -> Settings:
    """A training by teachers, which are there under these names."""
    for name in names:
        shutil.copytree(augmented.run.path, out / name)
    return replace(CRNN, changes=("channels=4,4,4", "dense=8", "units=4", "epochs=1"), teachers=names)
