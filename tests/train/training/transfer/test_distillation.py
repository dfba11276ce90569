"""The mean of teachers, each of which gets the student's input in its own normalisation."""

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from ser_edge.models.metadata import ModelMetadata, Normalization
from ser_train.data.corpus_loader import EMOTIONS
from ser_train.networks.config import AugmentedConfig
from ser_train.networks.zoo import NETWORKS
from ser_train.runs.run_directory import RunDirectory
from ser_train.training.transfer.distillation import ensemble_teacher

pytestmark = pytest.mark.slow

TINY = AugmentedConfig(channels=(4, 4, 4), dense=8, units=4)
CRNN = NETWORKS["crnn"]


def normalization(seed: int) -> Normalization:
    random = np.random.default_rng(seed)
    mean, std = random.uniform(-40, -20, 64), random.uniform(5, 15, 64)
    return Normalization(tuple(mean.tolist()), tuple(std.tolist()))


STUDENT = normalization(0)
NONE = np.zeros(len(EMOTIONS), np.float32)  # all labels are as frequent


def finished(path: Path, seed: int) -> RunDirectory:
    """As much of a run as a teacher needs, with weights of this seed."""
    keras.utils.set_random_seed(seed)
    model = CRNN.build((CRNN.features.frames, 64), 8, **TINY.sizes)
    model.set_weights([w + np.random.default_rng(seed).uniform(0, 0.2, w.shape) for w in model.get_weights()])
    run = RunDirectory(path)
    path.mkdir()
    model.save(path / "model.keras")
    run.write("description.json", ModelMetadata("crnn", EMOTIONS, CRNN.features, normalization(seed)).to_json())
    return run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[RunDirectory]:
    folder = tmp_path_factory.mktemp("teachers")
    return [finished(folder / f"{seed}", seed) for seed in (1, 2)]


def utterances(*lengths: int) -> np.ndarray:
    """(n, the longest, 64) dB; NaN where frames are missing."""
    features = np.full((len(lengths), max(lengths), 64), np.nan, np.float32)
    for row, length in zip(features, lengths, strict=True):
        row[:length] = np.random.default_rng(length).uniform(-56, 0, (length, 64))
    return features


def served(run: RunDirectory, features: np.ndarray) -> np.ndarray:
    """What a run's own network answers, filled up to the one length it takes."""
    model = keras.models.load_model(run.path / "model.keras")
    features = np.pad(features, ((0, 0), (0, 300 - features.shape[1]), (0, 0)), constant_values=np.nan)
    return model.predict(run.metadata.normalization.apply(features), verbose=0)


def test_without_runs_there_is_no_teacher() -> None:
    assert ensemble_teacher([], STUDENT, NONE) is None


@pytest.mark.parametrize("lengths", [(300,), (30, 45), (97, 224, 10)])
def test_a_teacher_gets_its_own_normalisation_whatever_the_students(
    lengths: tuple[int, ...], runs: list[RunDirectory]
) -> None:
    features = utterances(*lengths)
    for run in runs:
        teacher = ensemble_teacher([run], STUDENT, NONE)(STUDENT.apply(features))
        assert teacher.dtype == np.float32
        np.testing.assert_allclose(teacher, served(run, features), atol=1e-5)


def test_two_teachers_give_their_mean(runs: list[RunDirectory]) -> None:
    features = utterances(60, 45)
    one, two = (served(run, features) for run in runs)
    assert abs(one - two).max() > 0.01
    np.testing.assert_allclose(
        ensemble_teacher(runs, STUDENT, NONE)(STUDENT.apply(features)), (one + two) / 2, atol=1e-5
    )


def test_what_the_learner_will_gain_its_teachers_lose(runs: list[RunDirectory]) -> None:
    features, twice = utterances(60, 45), np.log(2) * np.eye(len(EMOTIONS), dtype=np.float32)[0]
    teacher = ensemble_teacher(runs[:1], STUDENT, twice)(STUDENT.apply(features))
    expected = served(runs[0], features) / [2, 1, 1, 1, 1, 1, 1, 1]
    np.testing.assert_allclose(teacher, expected / expected.sum(axis=1, keepdims=True), atol=1e-5)


def test_missing_frames_stay_missing_and_masked_ones_stay_there(runs: list[RunDirectory]) -> None:
    teacher = ensemble_teacher(runs, STUDENT, NONE)
    inputs = STUDENT.apply(utterances(60, 45))
    longer = np.pad(inputs, ((0, 0), (0, 30), (0, 0)))
    np.testing.assert_allclose(teacher(longer), teacher(inputs), atol=1e-5)
    masked = inputs.copy()
    masked[:, 20:30] = 1e-6  # of the mean, as augmentation leaves them
    raw = utterances(60, 45)
    raw[:, 20:30] = np.array(STUDENT.mean, np.float32)
    expected = np.mean([served(run, raw) for run in runs], axis=0)
    np.testing.assert_allclose(teacher(masked), expected, atol=1e-4)


def test_teaching_changes_neither_the_input_nor_the_teacher(runs: list[RunDirectory]) -> None:
    teacher, inputs = ensemble_teacher(runs, STUDENT, NONE), STUDENT.apply(utterances(60, 45))
    before = inputs.copy()
    first = teacher(inputs)
    np.testing.assert_array_equal(inputs, before)
    np.testing.assert_array_equal(teacher(inputs), first)  # no dropout, no statistics that move


def test_a_teacher_with_the_students_normalisation_gets_its_input(runs: list[RunDirectory]) -> None:
    own = runs[0].metadata.normalization
    features = utterances(80)
    np.testing.assert_allclose(
        ensemble_teacher(runs[:1], own, NONE)(own.apply(features)), served(runs[0], features), atol=1e-6
    )
    other = replace(own, mean=tuple(m + 1 for m in own.mean))
    assert abs(ensemble_teacher(runs[:1], other, NONE)(own.apply(features)) - served(runs[0], features)).max() > 1e-3
