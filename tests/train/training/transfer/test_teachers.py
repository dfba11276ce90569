"""Distillation: which finished runs may teach, and what the new run says of them."""

import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from unittest.mock import ANY

import keras
import numpy as np
import pytest

from ser_train.data.corpus_loader import Utterance
from ser_train.runs.run_directory import RunDirectory
from ser_train.training.loop import TrainingError, fit
from ser_train.training.plans import make_plan, prepare
from tests import messages
from tests.train.training.trainings import CRNN, Trained, distilled

pytestmark = pytest.mark.slow


def test_metadata_lists_what_teachers_were_trained_on(
    augmented: Trained, utterances: Sequence[Utterance], tmp_path: Path
) -> None:
    settings = replace(
        distilled(augmented, tmp_path, "one-fold0", "other-fold0"), teachers=("one-fold*", "other-fold*")
    )
    job = prepare(settings, utterances, tmp_path)
    assert job.settings.name == "crnn-speaker-fold0-seed0-channels=4,4,4-dense=8-units=4-epochs=1-taught"
    assert job.settings.teachers == ("one-fold*", "other-fold*")
    assert job.lineage.training(job.split)["teachers"] == "one-fold0, other-fold0"
    assert job.lineage.training(job.split)["data"] == augmented.run.metadata.training["data"]
    assert make_plan(job, jobs=1).batches.teacher is not None


def test_a_missing_teacher_is_named(utterances: Sequence[Utterance], tmp_path: Path) -> None:
    with messages.raises(TrainingError, "teacher-unusable") as caught:
        fit(replace(CRNN, fold=0, teachers=("gone-fold*",)), utterances, tmp_path, jobs=1)
    assert f"{tmp_path}/gone-fold0" in str(caught.value)


def test_a_teacher_that_was_trained_anew_makes_another_training(
    augmented: Trained, utterances: Sequence[Utterance], tmp_path: Path
) -> None:
    settings = distilled(augmented, tmp_path, "teacher")
    before = prepare(settings, utterances, tmp_path).settings
    assert prepare(settings, utterances, tmp_path).settings == before
    network = keras.models.load_model(tmp_path / "teacher" / "model.keras", compile=False)
    network.set_weights([weight + 1 for weight in network.get_weights()])
    network.save(tmp_path / "teacher" / "model.keras")
    assert prepare(settings, utterances, tmp_path).settings == replace(before, corpus=ANY)
    assert prepare(settings, utterances, tmp_path).settings != before


def test_a_network_s_name_stands_for_its_run_of_the_same_protocol_and_fold(
    utterances: Sequence[Utterance], tmp_path: Path
) -> None:
    for protocol, name in ("speaker", "whisper-gru-speaker-fold1-seed0"), ("all", "whisper-gru-all-seed0"):
        settings = replace(CRNN, protocol=protocol, fold=1 if protocol == "speaker" else 0, teachers=("whisper-gru",))
        (teacher,) = prepare(settings, utterances, tmp_path).lineage.teachers
        assert teacher.path == tmp_path / name


def test_a_teacher_of_another_front_end_answers_the_utterances_as_they_are(
    augmented: Trained, utterances: Sequence[Utterance], tmp_path: Path
) -> None:
    teacher = RunDirectory(shutil.copytree(augmented.run.path, tmp_path / "teacher"))
    other = replace(teacher.metadata.features, trim_margin=11)
    teacher.write("description.json", replace(teacher.metadata, features=other).to_json())
    job = prepare(replace(CRNN, fold=0, teachers=("teacher",)), utterances, tmp_path)
    plan = make_plan(job, jobs=1)
    assert plan.batches.teacher is None
    (examples,) = plan.batches.corpora
    labels = examples.targets.argmax(axis=1)
    assert ((examples.targets > 0) & (examples.targets < 1)).all()
    np.testing.assert_allclose(examples.targets.sum(axis=1), 1, rtol=1e-5)
    assert (examples.targets[np.arange(len(labels)), labels] >= 1 - job.recipe.distillation_weight).all()


def test_a_teacher_of_other_labels_is_refused(
    augmented: Trained, utterances: Sequence[Utterance], tmp_path: Path
) -> None:
    teacher = RunDirectory(shutil.copytree(augmented.run.path, tmp_path / "teacher"))
    labels = ("bored", *teacher.metadata.labels[1:])
    teacher.write("description.json", replace(teacher.metadata, labels=labels).to_json())
    with messages.raises(TrainingError, "teacher-unusable"):
        fit(replace(CRNN, teachers=("teacher",)), utterances, tmp_path, jobs=1)


@pytest.mark.parametrize("teacher", [{"protocol": "all"}, {"protocol": "utterance", "seed": 1}])
def test_a_teacher_that_was_trained_on_test_recordings_is_refused(
    teacher: dict[str, object], augmented: Trained, utterances: Sequence[Utterance], tmp_path: Path
) -> None:
    settings = replace(distilled(augmented, tmp_path, "teacher"), protocol="utterance", fold=0)
    run = RunDirectory(tmp_path / "teacher")
    run.write("run.json", {**run.read("run.json"), "settings": asdict(replace(run.settings, fold=0, **teacher))})
    with messages.raises(TrainingError, "speakers-seen"):
        fit(settings, utterances, tmp_path, jobs=1)


@pytest.mark.parametrize(("protocol", "known"), [("speaker", "[3, 6]"), ("inner", "[3, 6]")])
def test_a_teacher_that_was_trained_on_test_speakers_is_refused(
    protocol: str, known: str, augmented: Trained, utterances: Sequence[Utterance], tmp_path: Path
) -> None:
    settings = replace(
        distilled(augmented, tmp_path, "teacher"), protocol=protocol, fold=1 if protocol == "speaker" else 0
    )
    with messages.raises(TrainingError, "speakers-seen") as caught:
        fit(settings, utterances, tmp_path, jobs=1)
    assert known in str(caught.value)
