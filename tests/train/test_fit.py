"""What one training leaves behind; that it is repeatable, and goes on after a kill as if nothing had happened."""

import json
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

import ser_train.fit
from ser_edge.features import FeatureConfig
from ser_train.corpus import EMOTIONS, Utterance, digest, read_corpus
from ser_train.fit import fit
from ser_train.networks import NETWORKS, Network
from ser_train.run import RunDirectory, Settings
from ser_train.splits import PROTOCOLS

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
    tiny = Network(build, features, learning_rate=0.02, epochs=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(NETWORKS, "tiny", tiny)
        patch.setitem(NETWORKS, "hasty", replace(tiny, learning_rate=0.5, epochs=20, patience=2))
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
    assert run.settings == replace(TINY, corpus=digest(utterances))
    assert content["utterances"] == {"train": 32, "validation": 32, "test": 32, "recordings": 96}
    assert content["parameters"] == 3 * (8 * 4 + 4 * 4 + 2 * 4) + (4 * 8 + 8)
    assert content["epochs"] == len(run.read("history.json")) == 3
    history = [epoch["val_accuracy"] for epoch in run.read("history.json")]
    assert content["best_epoch"] == 1 + history.index(max(history))
    assert content["versions"]["keras"] == keras.__version__
    test = run.answers.of_test()
    right = test.probabilities.argmax(1) == test.labels
    assert content["metrics"]["wa"] == pytest.approx(100 * right.mean())


def test_the_description_names_the_protocol_of_its_accuracy(run: RunDirectory) -> None:
    description, metrics = run.description, run.read("run.json")["metrics"]
    assert description.labels == EMOTIONS
    assert description.features == NETWORKS["tiny"].features
    assert (description.accuracy.protocol, description.accuracy.folds) == ("speaker", 1)
    assert description.accuracy.wa == round(metrics["wa"], 2)
    assert description.training["not_heard"] == [2, 5]


def test_the_normalization_is_that_of_the_training_set(run: RunDirectory, utterances: Sequence[Utterance]) -> None:
    train = {u.path.stem for u in PROTOCOLS["speaker"].split(utterances, 0, 0).train}
    features = run.answers.features[[name in train for name in run.answers.names]]
    scaled = run.description.normalization.apply(features)
    np.testing.assert_allclose(scaled.mean((0, 1)), 0, atol=1e-4)
    np.testing.assert_allclose(scaled.std((0, 1)), 1, atol=1e-4)


def test_answers_have_a_row_an_utterance_the_test_first(run: RunDirectory, utterances: Sequence[Utterance]) -> None:
    answers = run.answers
    assert answers.features.shape == (96, 13, 8)
    assert answers.test.tolist() == [True] * 32 + [False] * 64
    assert set(answers.of_test().actors) == {2, 5}
    named = {u.path.stem: u for u in utterances}
    assert sorted(answers.names) == sorted(named)
    assert [(named[n].label, named[n].actor) for n in answers.names] == list(
        zip(answers.labels, answers.actors, strict=True)
    )


def test_the_saved_network_gives_the_stored_answers_and_has_no_optimizer(run: RunDirectory) -> None:
    model = keras.models.load_model(run.path / "model.keras")
    inputs = run.description.normalization.apply(run.answers.features)
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
    monkeypatch.setattr(ser_train.fit, "_reseed", note(trained, ser_train.fit._reseed))
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
    monkeypatch.setattr(ser_train.fit, "_reseed", note(trained, ser_train.fit._reseed))
    assert same(fit(TINY, utterances, tmp_path, jobs=1), run)
    assert trained == []
    again = fit(replace(TINY, epochs=2), utterances, tmp_path, jobs=1)
    assert trained == [0, 1]
    assert again.path.name == run.path.name
    assert (again.settings.epochs, len(again.read("history.json"))) == (2, 2)


def test_a_killed_training_of_other_settings_leaves_no_whole_directory_and_no_state_to_go_on_with(
    run: RunDirectory, utterances: Sequence[Utterance], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(run.path, tmp_path / TINY.name)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ser_train.fit, "picture_curves", killed)  # when half of the directory is another run's
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
    assert len(history) == best + NETWORKS["hasty"].patience < NETWORKS["hasty"].epochs
    assert accuracies.index(max(accuracies)) == best - 1
    shorter = fit(replace(settings, epochs=best), utterances, tmp_path / "shorter", jobs=1)
    assert shorter.read("history.json") == history[:best]
    np.testing.assert_array_equal(run.answers.probabilities, shorter.answers.probabilities)


def test_nothing_is_trained_that_cannot_be_kept(utterances: Sequence[Utterance], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        fit(TINY, utterances, tmp_path / "file", jobs=1)


def recurrent_parameters(gates: int, biases: int, inputs: int, units: int) -> int:
    """Of both directions: input and recurrent kernels, and biases."""
    return 2 * gates * (inputs * units + units * units + biases * units)


@pytest.mark.parametrize(
    ("name", "layer", "gates", "biases"),
    [("rnn", "SimpleRNN", 1, 1), ("lstm", "LSTM", 4, 1), ("gru", "GRU", 3, 2)],
)
def test_the_real_networks_are_the_notebooks_layer_for_layer(name: str, layer: str, gates: int, biases: int) -> None:
    model = NETWORKS[name].build((94, 40), 8)
    first, _, second, _, dense, answer = model.layers
    assert model.input_shape == (None, 94, 40)
    assert [type(part).__name__ for part in model.layers] == [
        "Bidirectional", "Dropout", "Bidirectional", "Dropout", "Dense", "Dense"
    ]  # fmt: skip
    for part, units, sequences in ((first, 128, True), (second, 64, False)):
        assert part.merge_mode == "concat"
        assert type(part.forward_layer).__name__ == type(part.backward_layer).__name__ == layer
        assert (part.forward_layer.units, part.forward_layer.return_sequences) == (units, sequences)
    assert [part.rate for part in model.layers if isinstance(part, layers.Dropout)] == [0.2, 0.2]
    assert (dense.units, dense.activation.__name__) == (64, "relu")
    assert (answer.units, answer.activation.__name__) == (8, "softmax")
    expected = recurrent_parameters(gates, biases, 40, 128) + recurrent_parameters(gates, biases, 256, 64)
    assert model.count_params() == expected + (128 * 64 + 64) + (64 * 8 + 8)
    assert model.count_params() == {"rnn": 93_128, "lstm": 346_184, "gru": 262_984}[name]


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
def test_the_real_networks_are_trained_with_the_notebooks_settings(name: str) -> None:
    network = NETWORKS[name]
    assert (network.learning_rate, network.batch_size, network.epochs, network.patience) == (5e-4, 32, 30, 5)
    assert (network.features.frames, network.features.coefficients) == (94, 40)
    assert network.features == FeatureConfig()
