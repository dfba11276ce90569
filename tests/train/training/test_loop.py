"""What one training leaves behind; that it is repeatable, and goes on after a kill as if nothing had happened."""

import json
import random
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

import ser_train.training.loop
from ser_edge.features.config import FeatureConfig
from ser_train.data.corpus_loader import EMOTIONS, Utterance, digest, read_corpus
from ser_train.data.splits import PROTOCOLS
from ser_train.networks.config import BaselineConfig, fingerprint
from ser_train.networks.zoo import NETWORKS, Network
from ser_train.runs.run_directory import RunDirectory
from ser_train.runs.settings import Settings
from ser_train.training.loop import TrainingError, _seeded, fit
from tests import messages

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
def utterances(corpus: Path) -> list[Utterance]:
    return [u for u in read_corpus(corpus, jobs=1) if u.actor <= 6]


@pytest.fixture(scope="module")
def run(utterances: Sequence[Utterance], tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A training from beginning to end, which others are compared with."""
    return fit(TINY, utterances, tmp_path_factory.mktemp("runs"), jobs=1)


def weights(run: RunDirectory) -> list[np.ndarray]:
    return keras.models.load_model(run.path / "model.keras").get_weights()


def same(a: RunDirectory, b: RunDirectory) -> bool:
    equal = [np.array_equal(x, y) for x, y in zip(weights(a), weights(b), strict=True)]
    return all(equal) and a.read("history.json") == b.read("history.json")


def test_a_run_directory_holds_what_its_module_says(run: RunDirectory) -> None:
    assert run.path.name == "tiny-speaker-fold0-seed0"
    assert sorted(p.name for p in run.path.iterdir()) == [
        "answers.npz",
        "confusion.png",
        "curves.png",
        "description.json",
        "history.json",
        "model.keras",
        "report.txt",
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
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write = RunDirectory.write

    def killed(self: RunDirectory, name: str, data: dict) -> None:
        last = name == "checkpoint/progress.json" and data["epoch"] == epoch
        if not (last and moment == "while"):
            write(self, name, data)
        if last:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RunDirectory, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            fit(TINY, utterances, tmp_path, jobs=1)
    assert not RunDirectory(tmp_path / TINY.name).finished
    trained = []
    monkeypatch.setattr(ser_train.training.loop, "_reseed", note(trained, ser_train.training.loop._reseed))
    assert same(fit(TINY, utterances, tmp_path, jobs=1), run)
    assert trained == [1, 2]


def note(epochs: list[int], reseed):
    """`_reseed`, noting the epochs that are trained."""

    def noting(model: keras.Model, seed: int, epoch: int) -> None:
        epochs.append(epoch)
        reseed(model, seed, epoch)

    return noting


def test_a_finished_training_is_not_done_again_but_with_other_settings(
    run: RunDirectory, utterances: Sequence[Utterance], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(run.path, tmp_path / TINY.name)
    trained = []
    monkeypatch.setattr(ser_train.training.loop, "_reseed", note(trained, ser_train.training.loop._reseed))
    assert same(fit(TINY, utterances, tmp_path, jobs=1), run)
    assert trained == []
    again = fit(replace(TINY, epochs=2), utterances, tmp_path, jobs=1)
    assert trained == [0, 1]
    assert again.path.name == run.path.name
    assert (again.settings.epochs, len(again.read("history.json"))) == (2, 2)
    fit(replace(TINY, epochs=2), utterances[:-1], tmp_path, jobs=1)  # other data
    assert trained == [0, 1, 0, 1]


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


def test_other_corpora_are_not_heard_by_a_recipe_that_does_not_want_them(
    run: RunDirectory, utterances: Sequence[Utterance], others: Path, tmp_path: Path
) -> None:
    more = fit(TINY, [*utterances, *read_corpus(others, jobs=1)], tmp_path, jobs=1)
    assert same(more, run)
    assert more.read("run.json") == run.read("run.json")


def test_a_network_that_learns_from_labels_alone_refuses_teachers(
    run: RunDirectory, utterances: Sequence[Utterance], tmp_path: Path
) -> None:
    shutil.copytree(run.path, tmp_path / TINY.name)
    with pytest.raises(TrainingError, match=r"^a network with the notebook's recipe .*: no --teachers$"):
        fit(replace(TINY, seed=1, teachers=(TINY.name,)), utterances, tmp_path, jobs=1)


def test_a_killed_training_of_other_settings_leaves_no_whole_directory_and_no_state_to_go_on_with(
    run: RunDirectory, utterances: Sequence[Utterance], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(run.path, tmp_path / TINY.name)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ser_train.training.loop, "plot_history", killed)  # when half of the directory is another run's
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


# From here on the augmented recipe: a small `crnn`, with song and Polish speech beside RAVDESS.

SMALL = ("channels=4,4,4", "dense=8", "units=4", "epochs=3", "restart=2", "others=0.5")
CRNN = Settings("crnn", "speaker", changes=SMALL)


@dataclass(frozen=True)
class Trained:
    run: RunDirectory
    optimizer: list[np.ndarray]  # its variables at the end; the moving average of the weights is among them
    average: list[np.ndarray]


@pytest.fixture(scope="module")
def everything(utterances: Sequence[Utterance], others: Path) -> list[Utterance]:
    return [*read_corpus(others, jobs=1), *utterances]


@contextmanager
def noting_the_end() -> Iterator[list[keras.Model]]:
    """The models that trainings in the block end with."""
    models = []
    finish = ser_train.training.loop._finish

    def noting(*arguments: object) -> None:
        models.extend(argument for argument in arguments if isinstance(argument, keras.Model))
        finish(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ser_train.training.loop, "_finish", noting)
        yield models


def train(settings: Settings, utterances: Sequence[Utterance], out: Path) -> Trained:
    with noting_the_end() as models:
        run = fit(settings, utterances, out, jobs=1)
    (model,) = models
    optimizer = model.optimizer
    average = optimizer._model_variables_moving_average
    return Trained(run, [v.numpy() for v in optimizer.variables], [v.numpy() for v in average])


@pytest.fixture(scope="module")
def augmented(everything: Sequence[Utterance], tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A training from beginning to end."""
    return train(CRNN, everything, tmp_path_factory.mktemp("augmented"))


def lesson(settings: Settings, utterances: Sequence[Utterance], out: Path) -> ser_train.training.loop._Lesson:
    """What would be trained on; nothing is trained."""

    class Stopped(Exception):
        pass

    lessons = []

    def stop(*arguments: object) -> None:
        lessons.extend(argument for argument in arguments if isinstance(argument, ser_train.training.loop._Lesson))
        raise Stopped

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ser_train.training.loop, "_train", stop)
        with pytest.raises(Stopped):
            fit(settings, utterances, out, jobs=1)
    return lessons[0]


def test_an_augmented_training_is_of_all_training_voices_and_says_what_it_learned_from(augmented: Trained) -> None:
    run = augmented.run
    assert run.path.name == "crnn-speaker-fold0-seed0-channels=4,4,4-dense=8-units=4-epochs=3-restart=2-others=0.5"
    content = run.read("run.json")
    assert content["utterances"] == {"train": 32, "validation": 32, "test": 32, "others": 36}
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
    begun = []
    restart = ser_train.training.loop._restart

    def noting(model: keras.Model, *rest: object) -> None:
        restart(model, *rest)
        begun.append(model.get_weights())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ser_train.training.loop, "_restart", noting)
        patch.setattr(ser_train.training.loop, "_finish", lambda *_: None)
        fit(CRNN, everything, tmp_path, jobs=1)
    (weights,) = begun
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


@pytest.mark.parametrize(("moment", "epoch"), [("between epochs", 1), ("within an epoch", 1), ("after the restart", 2)])
def test_an_augmented_training_that_was_killed_goes_on_to_the_same_weights_and_moving_average(
    moment: str, epoch: int, augmented: Trained, everything: Sequence[Utterance], tmp_path: Path
) -> None:
    count = 0
    write, step = RunDirectory.write, keras.Model.train_on_batch

    def killed_writing(self: RunDirectory, name: str, data: object) -> None:
        write(self, name, data)
        if name == "checkpoint/progress.json":
            raise KeyboardInterrupt

    def killed_stepping(self: keras.Model, *rest: object, **options: object) -> object:
        nonlocal count
        count += 1
        if count == 6 * epoch + 3:  # of 6 in an epoch
            raise KeyboardInterrupt
        return step(self, *rest, **options)

    with pytest.MonkeyPatch.context() as patch:
        if moment == "between epochs":
            patch.setattr(RunDirectory, "write", killed_writing)
        else:
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
    augmented: Trained, everything: Sequence[Utterance], tmp_path: Path
) -> None:
    shutil.copytree(augmented.run.path, tmp_path / CRNN.name)
    with noting_the_end() as trained:
        assert fit(CRNN, everything, tmp_path, jobs=1).settings == augmented.run.settings
    assert trained == []
    without_song = [u for u in everything if u.corpus != "ravdess_song"]
    assert len(lesson(CRNN, without_song, tmp_path).batches.corpora) == 2  # so it is trained
    other = lesson(replace(CRNN, seed=1), everything, tmp_path).batches(1, 0)
    first = lesson(replace(CRNN, fold=0), everything, tmp_path / "first").batches(0, 0)
    assert any(not np.array_equal(a, b) for (a, _), (b, _) in zip(first, other, strict=True))


def test_who_is_tested_is_not_heard_singing_either(everything: Sequence[Utterance], tmp_path: Path) -> None:
    made = lesson(CRNN, everything, tmp_path)
    speakers = {source.speaker for source in made.batches.augmenter._sources}
    assert speakers == {"ravdess/01", "ravdess/03", "ravdess/04", "ravdess/06", "nemo/EB0", "nemo/KS0"}
    assert len(made.batches.augmenter._sources) == 64 + 24 + 12


def test_a_label_that_a_corpus_does_not_have_is_never_taught_by_it(
    everything: Sequence[Utterance], tmp_path: Path
) -> None:
    settings = replace(CRNN, changes=(*SMALL, "mixup=0.2"))  # of many a share that rounds to 1
    batches = lesson(settings, everything, tmp_path).batches
    missing = {
        "ravdess": set(),
        "ravdess_song": {"disgust", "surprised"},
        "nemo": {"calm", "disgust"},
    }
    for examples, (corpus, labels) in zip(batches.corpora, missing.items(), strict=True):
        without = {label for label, column in zip(EMOTIONS, examples.targets.T, strict=True) if (column == -1).all()}
        assert without == labels, corpus
        known = [label not in labels for label in EMOTIONS]
        np.testing.assert_array_equal(examples.targets[:, known].sum(axis=1), 1)
    for features, targets in batches(0, 0):
        assert np.isfinite(features).all()
        assert ((targets == -1) | (targets > 0)).all()
        np.testing.assert_allclose(np.maximum(targets, 0).sum(axis=1), 1, atol=1e-6)


def test_other_corpora_share_their_part_by_the_root_of_their_sizes(
    everything: Sequence[Utterance], tmp_path: Path
) -> None:
    speech, song, polish = lesson(CRNN, everything, tmp_path).batches.corpora
    assert [len(e.places) for e in (speech, song, polish)] == [64, 24, 12]
    assert speech.share == 1
    assert song.share == pytest.approx(0.5 * 24**0.5 / (24**0.5 + 12**0.5))
    assert polish.share == 12 / 64  # no more than there is
    whole = lesson(replace(CRNN, changes=(*SMALL, "others=9")), everything, tmp_path).batches.corpora
    assert [examples.share for examples in whole] == [1, 24 / 64, 12 / 64]


def test_every_actor_trains_the_network_to_ship(everything: Sequence[Utterance], tmp_path: Path) -> None:
    made = lesson(replace(CRNN, protocol="all"), everything, tmp_path)
    assert len(made.batches.augmenter._sources) == 96 + 36 + 12


def taught(augmented: Trained, out: Path, *names: str) -> Settings:
    """A training by teachers, which are there under these names."""
    for name in names:
        shutil.copytree(augmented.run.path, out / name)
    return replace(CRNN, changes=("channels=4,4,4", "dense=8", "units=4", "epochs=1"), teachers=names)


def test_a_network_learns_from_teachers_what_they_learned_from_is_told(
    augmented: Trained, utterances: Sequence[Utterance], tmp_path: Path
) -> None:
    settings = replace(taught(augmented, tmp_path, "one-fold0", "other-fold0"), teachers=("one-fold*", "other-fold*"))
    run = fit(settings, utterances, tmp_path, jobs=1)
    assert run.path.name == "crnn-speaker-fold0-seed0-channels=4,4,4-dense=8-units=4-epochs=1-taught"
    assert run.settings.teachers == ("one-fold*", "other-fold*")
    assert run.metadata.training["data"] == augmented.run.metadata.training["data"]


def test_a_missing_teacher_is_named(utterances: Sequence[Utterance], tmp_path: Path) -> None:
    with messages.raises(TrainingError, "teacher-unusable") as caught:
        fit(replace(CRNN, fold=0, teachers=("gone-fold*",)), utterances, tmp_path, jobs=1)
    assert f"{tmp_path}/gone-fold0" in str(caught.value)


def test_a_teacher_of_another_front_end_is_refused(
    run: RunDirectory, utterances: Sequence[Utterance], tmp_path: Path
) -> None:
    shutil.copytree(run.path, tmp_path / "teacher")
    with messages.raises(TrainingError, "teacher-unusable"):
        fit(replace(CRNN, teachers=("teacher",)), utterances, tmp_path, jobs=1)


@pytest.mark.parametrize(("protocol", "known"), [("speaker", "[3, 6]"), ("inner", "[3, 6]")])
def test_a_teacher_that_has_heard_the_voices_of_the_test_is_refused(
    protocol: str, known: str, augmented: Trained, utterances: Sequence[Utterance], tmp_path: Path
) -> None:
    settings = replace(
        taught(augmented, tmp_path, "teacher"), protocol=protocol, fold=1 if protocol == "speaker" else 0
    )
    with messages.raises(TrainingError, "speakers-seen") as caught:
        fit(settings, utterances, tmp_path, jobs=1)
    assert known in str(caught.value)


def test_first_weights_are_the_seeds_whoever_else_draws_random_numbers() -> None:
    drawn: list[int] = []

    def build() -> keras.Model:
        if len(drawn) in (0, 2):  # another thread draws
            random.random()
        drawn.append(1)
        return keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])

    keras.utils.set_random_seed(7)
    undisturbed = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)]).get_weights()[0]
    assert np.array_equal(_seeded(7, build).get_weights()[0], undisturbed)
