"""What a training writes; that its seed reproduces it, and that it continues after a kill to the same weights."""

import json
import random
import shutil
import threading
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from ser_edge.features.config import FeatureConfig
from ser_train.data.corpus_loader import EMOTIONS, Utterance, digest, read_corpus
from ser_train.data.splits import PROTOCOLS
from ser_train.networks.config import BaselineConfig, fingerprint
from ser_train.networks.zoo import NETWORKS, Network
from ser_train.runs.run_directory import RunDirectory
from ser_train.runs.settings import Settings
from ser_train.training.loop import TrainingError, build_seeded, fit
from tests import messages
from tests.train.training.trainings import (
    epochs_trained,
    same,
)

pytestmark = pytest.mark.slow

TINY = Settings("tiny", "speaker")  # of actors 1 to 6, fold 0 tests 2 and 5


def build(shape: tuple[int, int], labels: int) -> keras.Model:
    return keras.Sequential(
        [
            keras.Input(shape),
            layers.GRU(4),
            layers.Dropout(0.2),
            layers.Dense(labels, activation="softmax"),
        ]
    )


@pytest.fixture(autouse=True, scope="module")
def networks() -> Iterator[None]:
    """Networks that train in a second, beside the real ones."""
    features = FeatureConfig(n_fft=512, n_mels=20, n_mfcc=8, seconds=0.4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(NETWORKS, "tiny", Network(build, features, BaselineConfig(learning_rate=0.02, epochs=3)))
        hasty = BaselineConfig(learning_rate=0.5, epochs=20, patience=2)
        patch.setitem(NETWORKS, "hasty", Network(build, features, hasty))
        yield


@pytest.fixture(scope="module")
def run(utterances: Sequence[Utterance], tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A training from beginning to end, which others are compared with."""
    return fit(TINY, utterances, tmp_path_factory.mktemp("runs"), jobs=1)


def test_a_run_directory_holds_what_its_module_says(run: RunDirectory) -> None:
    assert run.path.name == "tiny-speaker-fold0-seed0"
    assert sorted(p.name for p in run.path.iterdir()) == [
        "answers.npz",
        "description.json",
        "history.json",
        "model.keras",
        "run.json",
    ]


def test_run_json_says_how_the_figure_was_made(run: RunDirectory, utterances: Sequence[Utterance]) -> None:
    content = run.read("run.json")
    recipe = fingerprint(NETWORKS["tiny"].features, NETWORKS["tiny"].recipe)
    assert run.settings == replace(TINY, corpus=digest(utterances), recipe=recipe)
    assert content["recipe"] == asdict(NETWORKS["tiny"].recipe)
    assert content["utterances"] == {"train": 32, "validation": 32, "test": 32, "others": 0}
    assert content["parameters"] == 3 * (8 * 4 + 4 * 4 + 2 * 4) + (4 * 8 + 8)
    assert content["epochs"] == len(run.read("history.json")) == 3
    history = [epoch["val_accuracy"] for epoch in run.read("history.json")]
    assert content["best_epoch"] == 1 + history.index(max(history))
    assert content["versions"]["keras"] == keras.__version__
    test = run.answers.of_test()
    right = test.probabilities.argmax(1) == test.labels
    assert content["metrics"]["wa"] == pytest.approx(100 * right.mean())


def test_the_description_names_the_protocol_of_its_accuracy(run: RunDirectory) -> None:
    metadata, metrics = run.metadata, run.read("run.json")["metrics"]
    assert metadata.labels == EMOTIONS
    assert metadata.features == NETWORKS["tiny"].features
    assert (metadata.accuracy.protocol, metadata.accuracy.folds) == ("speaker", 1)
    assert metadata.accuracy.wa == round(metrics["wa"], 2)
    assert metadata.training["not_heard"] == [2, 5]
    assert metadata.training["data"] == "RAVDESS speech, CC BY-NC-SA 4.0"


def test_the_normalization_is_that_of_the_training_set(run: RunDirectory, utterances: Sequence[Utterance]) -> None:
    train = {u.path.stem for u in PROTOCOLS["speaker"].split(utterances, 0, 0).train}
    features = run.answers.features[[name in train for name in run.answers.names]]
    scaled = run.metadata.normalization.apply(features)
    np.testing.assert_allclose(scaled.mean((0, 1)), 0, atol=1e-4)
    np.testing.assert_allclose(scaled.std((0, 1)), 1, atol=1e-4)


def test_answers_have_a_row_an_utterance_the_test_first(run: RunDirectory, utterances: Sequence[Utterance]) -> None:
    answers = run.answers
    assert answers.features.shape == (96, 13, 8)
    assert answers.test.tolist() == [True] * 32 + [False] * 64
    assert set(answers.of_test().actors) == {2, 5}
    named = {u.path.stem: u for u in utterances}
    assert sorted(answers.names) == sorted(named)
    assert [(EMOTIONS.index(named[n].emotion), named[n].actor) for n in answers.names] == list(
        zip(answers.labels, answers.actors, strict=True)
    )


def test_the_saved_network_gives_the_stored_answers_and_has_no_optimizer(run: RunDirectory) -> None:
    model = keras.models.load_model(run.path / "model.keras")
    inputs = run.metadata.normalization.apply(run.answers.features)
    np.testing.assert_allclose(model.predict(inputs, verbose=0), run.answers.probabilities, atol=1e-6)
    with zipfile.ZipFile(run.path / "model.keras") as contents:
        assert not json.loads(contents.read("config.json"))["compile_config"]
        assert b"optimizer" not in contents.read("model.weights.h5")


def test_a_training_is_repeatable_by_its_seed_and_another_by_another(
    run: RunDirectory, utterances: Sequence[Utterance], tmp_path: Path
) -> None:
    assert same(fit(TINY, utterances, tmp_path, jobs=1), run)
    assert not same(fit(replace(TINY, seed=1), utterances, tmp_path, jobs=1), run)


@pytest.mark.parametrize(("moment", "epoch"), [("after", 1), ("while", 2)])
def test_a_training_killed_around_a_save_goes_on_to_the_same_weights(
    moment: str,
    epoch: int,
    run: RunDirectory,
    utterances: Sequence[Utterance],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write = RunDirectory.write

    def killed(self: RunDirectory, name: str, data: dict) -> None:
        last = name == "checkpoint/progress.json" and data["epoch"] == epoch
        if not (last and moment == "while"):
            write(self, name, data)
        if last:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunDirectory, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            fit(TINY, utterances, tmp_path, jobs=1)
    assert not RunDirectory(tmp_path / TINY.name).finished
    capsys.readouterr()
    assert same(fit(TINY, utterances, tmp_path, jobs=1), run)
    assert epochs_trained(capsys) == [2, 3]


@pytest.mark.parametrize("name", ["run.json", "description.json", "answers.npz", "model.keras"])
def test_a_damaged_run_is_trained_again(
    name: str, run: RunDirectory, utterances: Sequence[Utterance], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(run.path, tmp_path / TINY.name)
    file = tmp_path / TINY.name / name
    file.write_bytes(file.read_bytes()[:50])
    assert same(fit(TINY, utterances, tmp_path, jobs=1), run)
    assert epochs_trained(capsys) == [1, 2, 3]


def test_a_finished_training_is_not_done_again_but_with_other_settings(
    run: RunDirectory, utterances: Sequence[Utterance], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(run.path, tmp_path / TINY.name)
    assert same(fit(TINY, utterances, tmp_path, jobs=1), run)
    assert epochs_trained(capsys) == []
    run.write("conditions.json", {})  # of its robustness, which another training hasn't
    again = fit(replace(TINY, epochs=2), utterances, tmp_path, jobs=1)
    assert not (again.path / "conditions.json").exists()
    assert epochs_trained(capsys) == [1, 2]
    assert again.path.name == run.path.name
    assert (again.settings.epochs, len(again.read("history.json"))) == (2, 2)
    fit(replace(TINY, epochs=1), utterances, tmp_path, jobs=1)
    assert epochs_trained(capsys) == [1]
    fit(replace(TINY, epochs=1), utterances[:-1], tmp_path, jobs=1)  # other data
    assert epochs_trained(capsys) == [1]


def test_a_training_is_done_again_when_the_networks_own_recipe_or_front_end_is_another(
    run: RunDirectory, utterances: Sequence[Utterance], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(run.path, tmp_path / TINY.name)
    tiny = NETWORKS["tiny"]
    for other in (
        replace(tiny, recipe=replace(tiny.recipe, batch_size=16)),
        replace(tiny, features=replace(tiny.features, n_mfcc=7)),
    ):
        monkeypatch.setitem(NETWORKS, "tiny", other)
        before = RunDirectory(tmp_path / TINY.name).settings
        again = fit(TINY, utterances, tmp_path, jobs=1)
        assert not same(again, run)
        assert replace(again.settings, recipe="") == replace(before, recipe="")
        assert again.settings.recipe != before.recipe


def test_a_run_of_an_older_version_is_trained_again(
    run: RunDirectory, utterances: Sequence[Utterance], tmp_path: Path
) -> None:
    old = RunDirectory(shutil.copytree(run.path, tmp_path / TINY.name))
    content = old.read("run.json")
    content["settings"] = {
        name: content["settings"][name] for name in ("network", "protocol", "fold", "seed", "corpus")
    }
    old.write("run.json", content | {"metrics": {}})
    assert same(fit(TINY, utterances, tmp_path, jobs=1), run)
    assert RunDirectory(tmp_path / TINY.name).read("run.json") == run.read("run.json")


def test_changes_of_the_recipe_name_the_run_and_are_what_it_is_trained_with(
    utterances: Sequence[Utterance], tmp_path: Path
) -> None:
    settings = replace(TINY, changes=("epochs=2", "batch_size=16"))
    run = fit(settings, utterances, tmp_path, jobs=1)
    assert run.path.name == "tiny-speaker-fold0-seed0-epochs=2-batch_size=16"
    assert len(run.read("history.json")) == 2
    assert run.read("run.json")["recipe"] == {"learning_rate": 0.02, "batch_size": 16, "epochs": 2, "patience": 5}


def test_the_baseline_recipe_ignores_extra_corpora(
    run: RunDirectory, utterances: Sequence[Utterance], others: Path, tmp_path: Path
) -> None:
    more = fit(TINY, [*utterances, *read_corpus(others, jobs=1)], tmp_path, jobs=1)
    assert same(more, run)
    assert more.read("run.json") == run.read("run.json")


def test_a_network_that_learns_from_labels_alone_refuses_teachers(
    run: RunDirectory, utterances: Sequence[Utterance], tmp_path: Path
) -> None:
    shutil.copytree(run.path, tmp_path / TINY.name)
    with messages.raises(TrainingError, "teacher-unusable"):
        fit(replace(TINY, seed=1, teachers=(TINY.name,)), utterances, tmp_path, jobs=1)


def test_a_killed_training_of_other_settings_leaves_no_whole_directory_and_no_state_to_go_on_with(
    run: RunDirectory, utterances: Sequence[Utterance], tmp_path: Path
) -> None:
    shutil.copytree(run.path, tmp_path / TINY.name)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunDirectory, "write_answers", killed)  # when half of the directory is another run's
        with pytest.raises(KeyboardInterrupt):
            fit(replace(TINY, epochs=1), utterances, tmp_path, jobs=1)
    assert not RunDirectory(tmp_path / TINY.name).finished
    assert same(fit(TINY, utterances, tmp_path, jobs=1), run)


def test_a_training_that_no_longer_improves_is_stopped_and_the_best_weights_are_taken(
    utterances: Sequence[Utterance], tmp_path: Path
) -> None:
    settings = Settings("hasty", "speaker")
    run = fit(settings, utterances, tmp_path, jobs=1)
    history, best = run.read("history.json"), run.read("run.json")["best_epoch"]
    accuracies = [epoch["val_accuracy"] for epoch in history]
    assert len(history) == best + NETWORKS["hasty"].recipe.patience < NETWORKS["hasty"].recipe.epochs
    assert accuracies.index(max(accuracies)) == best - 1
    shorter = fit(replace(settings, epochs=best), utterances, tmp_path / "shorter", jobs=1)
    assert shorter.read("history.json") == history[:best]
    np.testing.assert_array_equal(run.answers.probabilities, shorter.answers.probabilities)


def test_nothing_is_trained_that_cannot_be_kept(utterances: Sequence[Utterance], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        fit(TINY, utterances, tmp_path / "file", jobs=1)


def test_first_weights_are_the_seeds_whoever_else_draws_random_numbers() -> None:
    def network() -> keras.Model:
        return keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])

    def build() -> keras.Model:
        other = threading.Thread(target=lambda: random.randint(0, 9))  # as one of Dask's does
        other.start()
        other.join()
        return network()

    keras.utils.set_random_seed(7)
    undisturbed = network().get_weights()[0]
    assert np.array_equal(build_seeded(7, build).get_weights()[0], undisturbed)
