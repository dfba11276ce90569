"""Training with the augmented recipe: what it writes, its moving average, its restart, and resuming."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from ser_train.data.corpus_loader import Utterance
from ser_train.runs.run_directory import RunDirectory
from ser_train.training.loop import fit
from tests.train.training.trainings import (
    CRNN,
    SMALL,
    Trained,
    epochs_trained,
    plan_of,
    same,
    train,
)

pytestmark = pytest.mark.slow


def test_an_augmented_training_is_of_all_training_voices_and_says_what_it_learned_from(augmented: Trained) -> None:
    run = augmented.run
    assert (
        run.path.name
        == "crnn-speaker-fold0-seed0-channels=4,4,4-dense=8-units=4-epochs=3-restart=2-extra_corpora_ratio=0.5"
    )
    content = run.read("run.json")
    assert content["utterances"] == {"train": 64, "validation": 0, "test": 32, "others": 36}  # it trains on both
    assert (content["epochs"], content["best_epoch"]) == (3, 3)
    assert [set(epoch) for epoch in run.read("history.json")] == [{"accuracy", "loss"}] * 3
    assert run.metadata.training["not_heard"] == [2, 5]
    assert run.metadata.training["data"] == (
        "RAVDESS speech, CC BY-NC-SA 4.0; RAVDESS song, CC BY-NC-SA 4.0; nEMO, CC BY-NC-SA 4.0"
    )
    answers = run.answers
    assert answers.features.shape == (96, 300, 64)
    assert set(answers.of_test().actors) == {2, 5}
    frames = np.isfinite(answers.features).all(-1).sum(1)
    assert 20 < frames.min() <= frames.max() <= 41  # of 0.4 s; the rest is missing


def test_the_network_that_is_kept_is_the_moving_average(augmented: Trained) -> None:
    model = keras.models.load_model(augmented.run.path / "model.keras")
    for weight, average in zip(model.trainable_weights, augmented.average, strict=True):
        np.testing.assert_array_equal(weight.numpy(), average)
    inputs = augmented.run.metadata.normalization.apply(augmented.run.answers.features)
    np.testing.assert_allclose(model.predict(inputs, verbose=0), augmented.run.answers.probabilities, atol=1e-6)


def test_the_restart_goes_on_from_the_moving_average(everything: Sequence[Utterance], tmp_path: Path) -> None:
    before = train(replace(CRNN, changes=(*SMALL, "epochs=2", "balance=0")), everything, tmp_path)
    write = RunDirectory.write

    def killed_after_the_restart(self: RunDirectory, name: str, data: dict) -> None:
        write(self, name, data)
        if name == "checkpoint/progress.json" and data["epoch"] == 2:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunDirectory, "write", killed_after_the_restart)
        with pytest.raises(KeyboardInterrupt):
            fit(CRNN, everything, tmp_path, jobs=1)
    state = tmp_path / CRNN.name / "checkpoint/epoch2.keras"
    weights = keras.models.load_model(state, compile=False).get_weights()
    kept = keras.models.load_model(before.run.path / "model.keras").get_weights()
    for begins, ends in zip(weights, kept, strict=True):
        np.testing.assert_array_equal(begins, ends)


def test_a_label_that_is_rare_in_training_is_no_less_likely_in_the_kept_network(
    everything: Sequence[Utterance], tmp_path: Path
) -> None:
    rare = [u for u in everything if not (u.corpus == "ravdess" and u.emotion == "neutral" and u.name[-4] == "2")]
    trained = train(CRNN, rare, tmp_path)
    kept = keras.models.load_model(trained.run.path / "model.keras").trainable_weights[-1].numpy()
    gained = kept - trained.average[-1]
    assert gained[0] - gained[1] == pytest.approx(np.log(2), abs=1e-6)
    np.testing.assert_allclose(gained[1:], gained[1], atol=1e-6)  # what was added to biases, and taken off again


@pytest.mark.parametrize("epoch", [1, 2], ids=["before the restart", "after the restart"])
def test_an_augmented_training_that_was_killed_goes_on_to_the_same_weights_and_moving_average(
    epoch: int, augmented: Trained, everything: Sequence[Utterance], tmp_path: Path
) -> None:
    count = 0
    step = keras.Model.train_on_batch

    def killed_stepping(self: keras.Model, *rest: object, **options: object) -> object:
        nonlocal count
        count += 1
        if count == 6 * epoch + 3:  # of 6 in an epoch
            raise KeyboardInterrupt
        return step(self, *rest, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.Model, "train_on_batch", killed_stepping)
        with pytest.raises(KeyboardInterrupt):
            fit(CRNN, everything, tmp_path, jobs=1)
    assert RunDirectory(tmp_path / CRNN.name).read("checkpoint/progress.json")["epoch"] == epoch
    again = train(CRNN, everything, tmp_path)
    assert same(again.run, augmented.run)
    for name in ("optimizer", "average"):
        for resumed, whole in zip(getattr(again, name), getattr(augmented, name), strict=True):
            np.testing.assert_array_equal(resumed, whole)


def test_another_seed_or_other_corpora_make_another_training(
    augmented: Trained, everything: Sequence[Utterance], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(augmented.run.path, tmp_path / CRNN.name)
    assert fit(CRNN, everything, tmp_path, jobs=1).settings == augmented.run.settings
    assert epochs_trained(capsys) == []
    without_song = [u for u in everything if u.corpus != "ravdess_song"]
    assert len(plan_of(CRNN, without_song, tmp_path).batches.corpora) == 2  # so it is trained
    other = plan_of(replace(CRNN, seed=1), everything, tmp_path).batches(1, 0)
    first = plan_of(replace(CRNN, fold=0), everything, tmp_path / "first").batches(0, 0)
    assert any(not np.array_equal(a, b) for (a, _), (b, _) in zip(first, other, strict=True))
