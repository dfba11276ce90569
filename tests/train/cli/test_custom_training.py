"""From custom recordings to predictions at the edge; and trainings with a warm start."""

import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

import ser_edge.cli.app
import ser_export.cli.app
from ser_edge import Recognizer
from ser_edge.errors import SerEdgeError
from ser_edge.features.config import FeatureConfig
from ser_edge.models.loader import open_model
from ser_edge.models.metadata import Accuracy
from ser_train.cli.app import main
from ser_train.data.corpus_loader import CorpusError, Utterance, read_corpus
from ser_train.evaluation.cross_corpus import score_corpora
from ser_train.evaluation.keras_model import open_run
from ser_train.evaluation.results import evaluate, update_runs
from ser_train.evaluation.robustness_cache import evaluated_utterances
from ser_train.networks.zoo import NETWORKS
from ser_train.reporting.model_card import card
from ser_train.reporting.statistics import gather
from ser_train.runs.provenance import seen_speakers
from ser_train.runs.run_directory import RunDirectory
from ser_train.runs.settings import Settings
from ser_train.training.loop import TrainingError, fit
from ser_train.training.transfer.warm_start import find_warm_start
from tests import messages
from tests.conftest import make_recordings

pytestmark = pytest.mark.slow

LABELS = ("bored", "engaged", "sad")
TINY = ("channels=4,4,4", "dense=8", "units=4")
OWN = Settings("crnn", "speaker", epochs=2, changes=TINY)
TUNED = Settings("crnn", "speaker", epochs=1, init="crnn")
BUNDLED_DATA = "RAVDESS speech, CC BY-NC-SA 4.0; RAVDESS song, CC BY-NC-SA 4.0; nEMO, CC BY-NC-SA 4.0"


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_recordings(tmp_path_factory.mktemp("own") / "recordings", LABELS, files=2)


@pytest.fixture(scope="module")
def utterances(recordings: Path) -> list[Utterance]:
    return read_corpus(recordings, jobs=1)


@pytest.fixture(scope="module")
def run(utterances: Sequence[Utterance], tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A network of one's own labels."""
    return fit(OWN, utterances, tmp_path_factory.mktemp("runs"), jobs=1, bar=False)


def copied(run: RunDirectory, folder: Path, settings: Settings) -> RunDirectory:
    """As if a run of these settings had been trained."""
    copy = RunDirectory(shutil.copytree(run.path, folder / settings.name))
    content = copy.read("run.json")
    copy.write(
        "run.json", content | {"settings": content["settings"] | {"protocol": settings.protocol, "fold": settings.fold}}
    )
    return copy


def test_a_run_has_the_labels_and_the_speakers_of_its_recordings(run: RunDirectory) -> None:
    answers, metadata = run.answers, run.metadata
    assert metadata.labels == LABELS
    assert metadata.training == {
        "run": OWN.name,
        "data": "own recordings, on their owner's terms",
        "not_heard": ["anna"],
    }
    assert answers.probabilities.shape == (30, 3)
    assert answers.of_test().actors.tolist() == ["anna"] * 6
    assert answers.names[0] == "bored/anna/1.wav"
    assert [LABELS[label] for label in answers.labels] == [name.split("/")[0] for name in answers.names.tolist()]


def test_a_finished_run_is_not_trained_again(
    run: RunDirectory, utterances: Sequence[Utterance], capsys: pytest.CaptureFixture[str]
) -> None:
    fit(OWN, utterances, run.path.parent, jobs=1)
    assert epochs_trained(capsys) == 0


def epochs_trained(capsys: pytest.CaptureFixture[str]) -> int:
    """Epochs that trainings since the last call reported."""
    return len(re.findall(r"  epoch \d+/", capsys.readouterr().err))


def test_what_is_trained_is_exported_and_predicts_at_the_edge_with_its_labels(
    run: RunDirectory, recordings: Path, tmp_path: Path
) -> None:
    assert ser_export.cli.app.main([str(run.path), "--format", "onnx", "--name", "own", "--out", str(tmp_path)]) == 0
    recognizer = Recognizer(tmp_path / "own.onnx")
    assert recognizer.metadata.labels == LABELS
    assert recognizer.metadata.training["data"] == "own recordings, on their owner's terms"
    sound = recordings / "sad/anna/2.wav"
    predicted = recognizer.predict(sound).probabilities
    assert tuple(predicted) == LABELS
    answers = run.answers
    expected = answers.probabilities[answers.names == "sad/anna/2.wav"][0]
    np.testing.assert_allclose(list(predicted.values()), expected, atol=1e-4)


def test_figures_and_pages_are_of_these_labels(run: RunDirectory, tmp_path: Path) -> None:
    summary = gather([run])
    assert [emotion.name for emotion in summary.emotions] == list(LABELS)
    assert [(bar.actor, bar.sex) for bar in summary.actors] == [("anna", "")]
    assert (summary.sexes, summary.intensities, round(summary.chance, 1)) == ([], [], 33.3)
    assert main(["report", str(run.path), "--out", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text()
    assert "Chance is 33.3 %" in page
    assert "The emotions were acted" not in page
    assert (tmp_path / "page-actors.png").exists()


def test_the_accuracy_of_one_speaker_has_a_note_wherever_it_is_printed(
    run: RunDirectory, recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = ["--set", *TINY, "--epochs", "2", "--fold", "0"]
    assert main(["--data", str(recordings), *changes, "--out", str(run.path.parent)]) == 0  # is there already
    assert capsys.readouterr().out.endswith(" % (say little: of one speaker alone)\n")
    assert main(["report", str(run.path), "--out", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text()
    assert "These figures say little: of one speaker alone." in page
    assert "<span>95 % interval" not in page
    assert "A single speaker, which says little about others" in card(gather([run]))
    assert ser_export.cli.app.main([str(run.path), "--format", "onnx", "--name", "own", "--out", str(tmp_path)]) == 0
    capsys.readouterr()
    assert ser_edge.cli.app.main(["--model", str(tmp_path / "own.onnx"), str(recordings / "sad/anna/2.wav")]) == 0
    assert "; too few speakers to rely on)" in capsys.readouterr().err


def test_the_accuracy_of_training_speakers_has_a_note_wherever_it_is_printed(
    recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--data", str(recordings), "--protocol", "all", "--set", *TINY, "--epochs", "1"]
    assert main([*arguments, "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out.endswith(" % (mean nothing: speakers that it was trained on)\n")
    (run,) = tmp_path.glob("crnn-all-*")
    assert RunDirectory(run).metadata.accuracy is None
    assert main(["evaluate", str(run)]) == 1
    assert "no accuracy: protocol all tests speakers that it was trained on" in capsys.readouterr().err
    assert main(["report", str(run), "--out", str(tmp_path / "page.html")]) == 0
    assert "these figures mean nothing" in (tmp_path / "page.html").read_text()
    assert ser_export.cli.app.main([str(run), "--format", "onnx", "--name", "own", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out.endswith(" by speakers in the training set: says nothing about new ones\n")
    assert ser_edge.cli.app.main(["--model", str(tmp_path / "own.onnx"), str(recordings / "sad/anna/2.wav")]) == 0
    assert "its accuracy was never measured" in capsys.readouterr().err


def test_the_accuracy_of_training_speakers_in_a_file_has_a_note(run: RunDirectory) -> None:
    accuracy = Accuracy("all", 1, 1, 100.0, 100.0, 100.0)
    notice = ser_edge.cli.app.accuracy_notice(replace(run.metadata, accuracy=accuracy))
    assert notice == "model crnn: its accuracy was never measured on speakers that it wasn't trained on"


def test_a_row_names_corpus_and_labels(run: RunDirectory, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("ser_train.evaluation.metrics.BOOTSTRAP_DRAWS", 20)
    shipped = copied(run, tmp_path, replace(OWN, protocol="all"))
    evaluation = evaluate([shipped, *(copied(run, tmp_path, replace(OWN, fold=fold)) for fold in range(5))])
    (row,) = evaluation.rows
    update_runs(evaluation)
    assert (row["corpus"], row["labels"], row["folds"]) == ("own recordings", 3, 5)
    assert (shipped.metadata.accuracy.protocol, shipped.metadata.accuracy.folds) == ("speaker", 5)
    assert shipped.metadata.temperature != 1


def test_another_corpus_is_tested_on_the_labels_both_have(run: RunDirectory, utterances: Sequence[Utterance]) -> None:
    assert evaluated_utterances(run, utterances) == [u for u in utterances if u.actor == "anna"]
    (figure,) = score_corpora(open_run(run), "mine", utterances)
    assert (figure.corpus, figure.utterances, figure.emotions) == ("own", 30, 3)
    (foreign,) = score_corpora(open_model("crnn"), "crnn", [u for u in utterances if u.emotion == "sad"])
    assert (foreign.utterances, foreign.uar) == (10, 100.0)  # sad is all that it may answer
    with messages.raises(CorpusError, "corpus-labels"):
        score_corpora(open_model("crnn"), "crnn", [u for u in utterances if u.emotion == "bored"])


# Warm starts.


@pytest.fixture(scope="module")
def tuned(utterances: Sequence[Utterance], tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """An epoch, from the bundled network."""
    return fit(TUNED, utterances, tmp_path_factory.mktemp("tuned"), jobs=1, bar=False)


def test_a_warm_start_from_the_bundled_network_records_its_training_data(tuned: RunDirectory) -> None:
    metadata, bundled = tuned.metadata, open_model("crnn.onnx").metadata
    assert tuned.path.name == "crnn-speaker-fold0-seed0-tuned"
    assert tuned.settings.init == "crnn"
    assert metadata.labels == LABELS
    assert metadata.normalization == bundled.normalization
    assert metadata.training == {
        "run": TUNED.name,
        "data": f"own recordings, on their owner's terms; {BUNDLED_DATA}",
        "not_heard": ["anna"],
        "init": "crnn-all-seed0",
    }
    stored = keras.models.load_model(tuned.path / "model.keras").get_weights()
    first = NETWORKS["crnn"].build((None, 64), 3)
    find_warm_start("crnn", 0).initialize(first, LABELS, [np.ones((2, 60, 64), np.float32)])
    body = zip(stored[:-2], first.get_weights()[:-2], strict=True)
    moved = [np.abs(a - b).max() for a, b in body if a.ndim > 1]
    assert 0 < max(moved) < 0.05  # a few small steps away


@pytest.fixture(scope="module")
def begun(run: RunDirectory, utterances: Sequence[Utterance]) -> RunDirectory:
    """Two epochs, from a finished run, named with a * for its fold."""
    settings = replace(OWN, init=str(run.path).replace("fold0", "fold*"))
    return fit(settings, utterances, run.path.parent, jobs=1, bar=False)


def test_a_warm_start_from_a_finished_run(
    begun: RunDirectory, run: RunDirectory, utterances: Sequence[Utterance], capsys: pytest.CaptureFixture[str]
) -> None:
    assert begun.path.name == f"{OWN.name}-tuned"
    assert begun.metadata.training == run.metadata.training | {"run": begun.path.name, "init": OWN.name}
    assert begun.read("history.json")[0] != run.read("history.json")[0]
    fit(replace(OWN, init=begun.settings.init), utterances, run.path.parent, jobs=1)
    assert epochs_trained(capsys) == 0


def test_the_frequencies_of_labels_are_not_taken_out_twice(
    run: RunDirectory, utterances: Sequence[Utterance], tmp_path: Path
) -> None:
    rare = [u for u in utterances if u.emotion != "bored" or u.name.endswith("1.wav")]
    still = replace(OWN, changes=(*TINY, "epochs=1", "learning_rate=1e-9"), epochs=None, init=str(run.path))
    before, after = (
        keras.models.load_model(r.path / "model.keras").get_weights()[-1]
        for r in (run, fit(still, rare, tmp_path, jobs=1, bar=False))
    )
    np.testing.assert_allclose(after, before, atol=1e-5)  # balanced it began, and balanced it is


def test_other_weights_under_the_same_name_are_another_training(
    begun: RunDirectory, run: RunDirectory, tmp_path: Path
) -> None:
    before = find_warm_start(str(run.path), 0).digest
    assert begun.settings.corpus == f"{run.settings.corpus} {before}"
    again = RunDirectory(shutil.copytree(run.path, tmp_path / "again"))
    (again.path / "model.keras").write_bytes(b"trained anew")
    assert find_warm_start(str(again.path), 0).digest != before


def test_a_killed_training_continues_and_does_not_start_again(
    begun: RunDirectory, utterances: Sequence[Utterance], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings, write = replace(OWN, init=begun.settings.init), RunDirectory.write

    def killed(self: RunDirectory, name: str, data: object) -> None:
        write(self, name, data)
        if name == "checkpoint/progress.json":
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunDirectory, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            fit(settings, utterances, tmp_path, jobs=1, bar=False)
    capsys.readouterr()
    again = fit(settings, utterances, tmp_path, jobs=1, bar=False)
    assert epochs_trained(capsys) == 1
    one, other = (keras.models.load_model(r.path / "model.keras").get_weights() for r in (begun, again))
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


def test_training_speakers_of_the_initial_network_are_not_unseen(
    run: RunDirectory, utterances: Sequence[Utterance], corpus: Path, tmp_path: Path
) -> None:
    ravdess = [u for u in read_corpus(corpus, jobs=1) if u.actor <= 6]
    for protocol in ("speaker", "utterance"):
        with messages.raises(TrainingError, "speakers-seen"):
            fit(replace(TUNED, protocol=protocol), ravdess, tmp_path, jobs=1)
    another_fold = replace(OWN, fold=1, init=str(run.path))
    with messages.raises(TrainingError, "speakers-seen") as caught:
        fit(another_fold, utterances, tmp_path, jobs=1)
    assert "['ben']" in str(caught.value)


def test_a_file_of_a_known_corpus_under_another_label_is_still_that_speaker(
    utterances: Sequence[Utterance], corpus: Path, tmp_path: Path
) -> None:
    name = "03-01-05-01-01-01-02.wav"
    relabelled = [replace(u, path=corpus / "Actor_02" / name) if u.actor == "anna" else u for u in utterances]
    with messages.raises(TrainingError, "speakers-seen") as caught:
        fit(TUNED, relabelled, tmp_path, jobs=1)
    assert "['anna']" in str(caught.value)


def test_a_name_that_only_looks_like_a_known_corpuss_is_no_known_speaker(utterances: Sequence[Utterance]) -> None:
    bundled = open_model("crnn.onnx").metadata
    for name, seen in (("AB1_angry_1.wav", set()), ("EB0_anger_1.wav", {"anna"})):  # nEMO has no AB1
        mine = [replace(u, path=u.path.with_name(name)) for u in utterances if u.actor == "anna"]
        assert seen_speakers(bundled, mine) == seen


def test_a_network_with_another_front_end_or_size_is_no_warm_start(
    utterances: Sequence[Utterance], tmp_path: Path
) -> None:
    with messages.raises(TrainingError, "warm-start-unusable"):
        fit(replace(TUNED, network="gru"), utterances, tmp_path, jobs=1)
    with messages.raises(SerEdgeError, "warm-start-unusable"):
        fit(replace(TUNED, changes=TINY), utterances, tmp_path, jobs=1)


def test_a_network_of_the_notebook_learns_custom_labels_too(
    utterances: Sequence[Utterance], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = FeatureConfig(n_fft=512, n_mels=20, n_mfcc=8, seconds=0.4)
    monkeypatch.setitem(NETWORKS, "rnn", replace(NETWORKS["rnn"], features=features))
    run = fit(Settings("rnn", "speaker", epochs=1), utterances, tmp_path, jobs=1, bar=False)
    assert run.metadata.labels == LABELS
    assert run.read("run.json")["utterances"] == {"train": 12, "validation": 12, "test": 6, "others": 0}
