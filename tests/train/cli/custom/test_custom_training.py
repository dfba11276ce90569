"""From custom recordings to predictions at the edge, and the notes that their figures carry."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import ser_edge.cli.app
import ser_export.cli.app
from ser_edge import Recognizer
from ser_edge.features.config import FeatureConfig
from ser_edge.models.loader import open_model
from ser_edge.models.metadata import Accuracy
from ser_train.cli.app import main
from ser_train.data.corpus_loader import CorpusError, Utterance
from ser_train.evaluation.cross_corpus import score_corpora
from ser_train.evaluation.keras_model import open_run
from ser_train.evaluation.results import evaluate, update_runs
from ser_train.evaluation.robustness_cache import evaluated_utterances
from ser_train.networks.zoo import NETWORKS
from ser_train.reporting.model_card import card
from ser_train.reporting.statistics import gather
from ser_train.runs.run_directory import RunDirectory
from ser_train.runs.settings import Settings
from ser_train.training.loop import fit
from ser_train.training.plans import prepare
from tests import messages
from tests.train.cli.custom.custom_runs import LABELS, OWN, TINY, epochs_trained

pytestmark = pytest.mark.slow


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
    changes = ["--arch", "crnn", "--set", *TINY, "--epochs", "2", "--fold", "0"]
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
    arguments = ["--data", str(recordings), "--arch", "crnn", "--protocol", "all", "--set", *TINY, "--epochs", "1"]
    assert main([*arguments, "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out.endswith(" % (mean nothing: speakers that it was trained on)\n")
    (run,) = tmp_path.glob("crnn-all-*")
    assert RunDirectory(run).metadata.accuracy is None
    assert main(["cross-corpus", str(run), "--data", str(recordings)]) == 1
    assert "trained on all of this data, left out" in capsys.readouterr().err
    assert main(["evaluate", str(run)]) == 1
    assert "no accuracy: protocol all tests speakers that it was trained on" in capsys.readouterr().err
    assert main(["report", str(run), "--out", str(tmp_path / "page.html")]) == 0
    assert "these figures mean nothing" in (tmp_path / "page.html").read_text()
    assert ser_export.cli.app.main([str(run), "--format", "onnx", "--name", "own", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out.endswith(" by speakers in the training set: says nothing about new ones\n")
    assert ser_edge.cli.app.main(["--model", str(tmp_path / "own.onnx"), str(recordings / "sad/anna/2.wav")]) == 0
    assert "its accuracy was never measured" in capsys.readouterr().err
    assert main(["cross-corpus", str(tmp_path / "own.onnx"), "--data", str(recordings)]) == 1
    assert "doesn't say whose (give its run, of this version of ser-train), left out" in capsys.readouterr().err


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
    new = [replace(u, speaker="own/zoe", digest=f"{u.digest} again") for u in utterances if u.actor == "ben"]
    (figure,) = score_corpora(open_run(run), "mine", [*utterances, *new], run.own_speakers)
    assert (figure.corpus, figure.utterances, figure.emotions, figure.speakers) == ("own", 12, 3, 2)  # anna, zoe
    (figure,) = score_corpora(open_run(run), "its file", [*utterances, *new])
    assert (figure.utterances, figure.speakers) == (6, 1)  # a file says only who didn't train it: anna
    (foreign,) = score_corpora(open_model("crnn"), "crnn", [u for u in utterances if u.emotion == "sad"])
    assert (foreign.utterances, foreign.uar) == (10, 100.0)  # sad is all that it may answer
    with messages.raises(CorpusError, "corpus-labels"):
        score_corpora(open_model("crnn"), "crnn", [u for u in utterances if u.emotion == "bored"])


def test_a_network_of_the_notebook_learns_custom_labels_too(
    utterances: Sequence[Utterance], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = FeatureConfig(n_fft=512, n_mels=20, n_mfcc=8, seconds=0.4)
    monkeypatch.setitem(NETWORKS, "rnn", replace(NETWORKS["rnn"], features=features))
    run = fit(Settings("rnn", "speaker", epochs=1), utterances, tmp_path, jobs=1, bar=False)
    assert run.metadata.labels == LABELS
    assert run.read("run.json")["utterances"] == {"train": 12, "validation": 12, "test": 6, "others": 0}


def test_a_label_that_only_validation_speakers_recorded_has_no_training_example(
    utterances: Sequence[Utterance], tmp_path: Path
) -> None:
    job = prepare(Settings("rnn", "speaker", epochs=1), utterances, tmp_path)
    validated = {u.speaker for u in job.split.validation}
    few = [u for u in utterances if u.emotion != "sad" or u.speaker in validated or u.actor == "anna"]
    with messages.raises(CorpusError, "corpus-too-small") as caught:
        fit(Settings("rnn", "speaker", epochs=1), few, tmp_path, jobs=1)
    assert str(caught.value).startswith("sad: only recorded by validation and test speakers")
