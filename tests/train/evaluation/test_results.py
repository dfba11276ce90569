"""Many runs become rows and a table; runs are written by hand here, nothing is trained."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import ser_train.evaluation.metrics
import ser_train.evaluation.results
from ser_edge.errors import SerEdgeError
from ser_edge.features.config import FeatureConfig
from ser_edge.models.metadata import Accuracy, ModelMetadata
from ser_train.cli.app import main
from ser_train.data.corpus_loader import EMOTIONS
from ser_train.data.splits import SPEAKER_FOLDS
from ser_train.evaluation.results import Row, calibration_answers, evaluate, read_rows, update_runs, with_other_networks
from ser_train.reporting.tables import results_table
from ser_train.runs.grouping import group_runs
from ser_train.runs.run_directory import Answers, RunDirectory
from ser_train.runs.settings import Settings
from tests import messages

MakeRun = Callable[..., RunDirectory]
TRAINING = {"data": "RAVDESS speech, CC BY-NC-SA 4.0; nEMO, CC BY-NC-SA 4.0"}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ser_train.evaluation.metrics, "BOOTSTRAP_DRAWS", 20)


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    def make(settings: Settings, wrong: int = 0, sure: float = 1.0) -> RunDirectory:
        """A finished run with an answer for each emotion and actor; the first `wrong` answers are wrong.

        An answer's confidence is `sure`, the rest is spread over the other labels.
        """
        run = RunDirectory(tmp_path / settings.name)
        run.path.mkdir()
        tested = {
            "inner": SPEAKER_FOLDS[settings.fold] + SPEAKER_FOLDS[(settings.fold + 1) % 5],
            "all": SPEAKER_FOLDS[4][:3],
        }.get(settings.protocol, SPEAKER_FOLDS[settings.fold])
        actors = np.repeat(tested, 8)
        labels = np.tile(np.arange(8), len(tested))
        guesses = np.where(np.arange(len(labels)) < wrong, (labels + 1) % 8, labels)
        run.write_answers(
            Answers(
                np.zeros((len(labels) + 1, 2, 3), np.float32),
                np.append(labels, 0),
                np.array([f"{place}" for place in range(len(labels) + 1)]),
                np.append(actors, 99),
                # The last is wrong, and not of the test.
                np.where(np.eye(8, dtype=bool)[np.append(guesses, 7)], sure, (1 - sure) / 7).astype(np.float32),
                np.append(np.ones(len(labels), bool), False),
            )
        )
        lucky = Accuracy(settings.protocol, 1, 1, 99.0, 99.0, 99.0)
        metadata = ModelMetadata(settings.network, EMOTIONS, FeatureConfig(), accuracy=lucky, training=TRAINING)
        run.write("description.json", metadata.to_json())
        run.write("run.json", {"settings": vars(settings), "parameters": 1234})
        (run.path / "model.keras").write_bytes(b"12345")
        return run

    return make


def test_a_row_names_its_runs_and_the_intervals_of_its_metrics(make_run: MakeRun) -> None:
    (row,) = evaluate([make_run(Settings("gru", "utterance"), wrong=10)]).rows
    figures = {name: row.pop(name) for name in ("wa", "uar", "f1", "ece")}
    assert row == {
        "network": "gru",
        "protocol": "utterance",
        "corpus": "RAVDESS speech",
        "labels": 8,
        "format": "keras",
        "precision": "float32",
        "seeds": 1,
        "folds": 1,
        "parameters": 1234,
        "bytes": 5,
    }
    assert all(set(figure) == {"mean", "std", "low", "high"} for figure in figures.values())
    assert (figures["wa"]["mean"], figures["wa"]["std"]) == (75, 0)  # 30 of 40


def test_folds_and_seeds_of_one_network_and_protocol_are_one_row(make_run: MakeRun) -> None:
    runs = [
        make_run(Settings("gru", "speaker", fold, seed), wrong=8 * (fold == 4)) for fold in range(5) for seed in (0, 7)
    ]
    runs.append(make_run(Settings("rnn", "notebook")))
    runs.append(make_run(Settings("rnn", "all")))
    evaluation = evaluate(runs)
    assert evaluation.incomplete == ["rnn: without runs of speaker, that of all gets neither calibration nor accuracy"]
    rows = evaluation.rows
    assert [(r["network"], r["protocol"], r["seeds"], r["folds"]) for r in rows] == [
        ("gru", "speaker", 2, 5),
        ("rnn", "notebook", 1, 1),
    ]
    assert rows[0]["wa"]["mean"] == round(100 * 184 / 192, 4)  # pooled: the last fold has fewer actors


def test_a_missing_fold_is_refused_by_its_number(make_run: MakeRun) -> None:
    runs = [make_run(Settings("gru", "speaker", fold)) for fold in (0, 2, 3)]
    with messages.raises(SerEdgeError, "runs-incomplete") as caught:
        evaluate(runs)
    assert "[1, 4]" in str(caught.value)


def test_answers_that_are_cut_off_are_a_damaged_run(make_run: MakeRun) -> None:
    runs = [make_run(Settings("gru", "speaker", fold)) for fold in range(5)]
    answers = runs[3].path / "answers.npz"
    answers.write_bytes(answers.read_bytes()[:-30])
    with messages.raises(SerEdgeError, "run-damaged") as caught:
        evaluate(runs)
    assert str(caught.value).startswith(str(runs[3].path))


def test_runs_are_updated_with_the_cross_validated_accuracy_on_request_alone(make_run: MakeRun) -> None:
    runs = [make_run(Settings("gru", "speaker", fold), wrong=8 * (fold == 4)) for fold in range(5)]
    before = [run.metadata for run in runs]
    evaluation = evaluate(runs)
    assert [run.metadata for run in runs] == before
    update_runs(evaluation)
    for run in runs:
        assert run.metadata == evaluation.metadata[run]
        accuracy = run.metadata.accuracy
        assert (accuracy.protocol, accuracy.folds, accuracy.seeds) == ("speaker", 5, 1)
        assert accuracy.wa == round(100 * 184 / 192, 2)


def test_a_changed_recipe_is_a_network_of_its_own_in_the_table(make_run: MakeRun) -> None:
    plain, changed = Settings("crnn", "utterance", recipe="one"), ("mixup=0.2", "epochs=60")
    rows = evaluate([make_run(plain), make_run(replace(plain, recipe="other", changes=changed))]).rows
    assert [row["network"] for row in rows] == ["crnn", "crnn, mixup=0.2, epochs=60"]


# Calibration.


def crnn(protocol: str, fold: int = 0, seed: int = 0) -> Settings:
    return Settings("crnn", protocol, fold, seed)


def test_a_fold_is_calibrated_by_the_other_folds_of_all_seeds(make_run: MakeRun) -> None:
    speaker = [make_run(crnn("speaker", fold, seed), wrong=10, sure=0.9) for fold in range(5) for seed in (0, 1)]
    groups = group_runs(speaker)
    for run in speaker:
        answers = calibration_answers(run, groups)
        others = set(range(1, 25)) - set(SPEAKER_FOLDS[run.settings.fold])
        assert [set(a.actors.tolist()) <= others for a in answers] == [True] * 8  # nor by what isn't of the test
        assert set(np.concatenate([a.actors for a in answers]).tolist()) == others
    update_runs(evaluate(speaker))
    assert all(run.metadata.temperature > 1 for run in speaker)  # 90 % sure, 74 % right
    assert all(0 < run.metadata.threshold < 1 for run in speaker)


def test_runs_of_inner_calibrate_nothing(make_run: MakeRun) -> None:
    runs = [make_run(crnn("inner", fold)) for fold in (0, 3)]
    assert [calibration_answers(run, group_runs(runs)) for run in runs] == [[], []]


def test_the_speaker_runs_calibrate_the_network_to_ship_and_give_it_their_accuracy(make_run: MakeRun) -> None:
    speaker = [make_run(crnn("speaker", fold), wrong=10, sure=0.9) for fold in range(5)]
    shipped = make_run(crnn("all"))
    groups, evaluation = group_runs([shipped, *speaker]), evaluate([shipped, *speaker])
    (row,) = evaluation.rows
    actors = np.concatenate([answers.actors for answers in calibration_answers(shipped, groups)])
    assert sorted(actors) == sorted(np.repeat(range(1, 25), 8))
    update_runs(evaluation)
    metadata = shipped.metadata
    right = round(100 * 142 / 192, 2)
    assert metadata.accuracy == Accuracy(
        "speaker", 5, 1, right, round(row["uar"]["mean"], 2), round(row["f1"]["mean"], 2)
    )
    assert 0 < metadata.threshold < 1
    assert metadata.temperature > 1  # 90 % sure, 74 % right
    assert row["protocol"] == "speaker"


def test_the_protocols_inner_and_all_have_no_row(make_run: MakeRun) -> None:
    runs = [*(make_run(crnn("inner", fold)) for fold in (0, 3)), make_run(crnn("all"))]
    evaluation = evaluate(runs)
    assert evaluation.rows == []
    update_runs(evaluation)
    assert [run.metadata.accuracy.wa for run in runs] == [99.0] * 3  # their own


def test_the_figures_are_those_of_calibrated_answers(make_run: MakeRun) -> None:
    speaker = [make_run(crnn("speaker", fold), wrong=12, sure=0.95) for fold in range(5)]
    answers = [run.answers.of_test() for run in speaker]
    before = np.mean([ser_train.evaluation.metrics.score(a.labels, a.probabilities).ece for a in answers])
    assert before == pytest.approx(0.95 - (192 - 60) / 192, abs=0.03)
    assert evaluate(speaker).rows[0]["ece"]["mean"] < before / 2


# Files that ser-export made.


class Exported:
    """A model file with right answers, but for the first one of `int8`."""

    metadata = ModelMetadata("crnn", EMOTIONS, FeatureConfig())

    def __init__(self, path: Path):
        self.path = path

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        assert features.shape[1:] == (2, 3)
        labels = np.arange(len(features)) % 8
        labels[: 1 if "int8" in self.path.name else 0] += 1
        return np.eye(8, dtype=np.float32)[labels]


def test_each_kind_of_file_that_is_there_for_every_fold_is_a_row(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ser_train.evaluation.results, "open_model", Exported)
    runs = [make_run(crnn("speaker", fold), wrong=2) for fold in range(5)]
    folder = tmp_path / "exported"
    folder.mkdir()
    for fold in range(5):
        (folder / f"crnn-speaker-fold{fold}-seed0.onnx").write_bytes(b"x" * (100 + fold))
        (folder / f"crnn-speaker-fold{fold}-seed0-int8.tflite").write_bytes(b"x" * 30)
    (folder / "crnn-speaker-fold0-seed0-float16.onnx").write_bytes(b"of one fold alone")
    evaluation = evaluate(runs, folder)
    rows = evaluation.rows
    assert [(row["format"], row["precision"], row["bytes"]) for row in rows] == [
        ("keras", "float32", 5),
        ("tflite", "int8", 30),
        ("onnx", "float32", 104),
    ]
    assert [row["wa"]["mean"] for row in rows] == [
        pytest.approx(100 * (192 - wrong) / 192, abs=1e-3) for wrong in (10, 5, 0)
    ]
    assert all(row["network"] == "crnn" and row["parameters"] == 1234 for row in rows)
    accuracy = evaluation.metadata[runs[0]].accuracy
    assert accuracy.wa == round(100 * 182 / 192, 2)  # the network's, not that of a file
    (lacking,) = evaluation.incomplete
    names = ", ".join(run.path.name for run in runs[1:])
    assert lacking == f"crnn: no row of its float16 .onnx files, since 4 of 5 runs lack one: {names}"
    for elsewhere in (None, tmp_path / "no such folder"):
        evaluation = evaluate(runs, elsewhere)
        assert (evaluation.rows, evaluation.incomplete) == (rows[:1], [])


def test_a_file_of_another_training_is_refused(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ser_train.evaluation.results, "open_model", Exported)
    run = make_run(Settings("gru", "utterance"), wrong=20)
    (tmp_path / "gru-utterance-seed0.onnx").write_bytes(b"x")
    with messages.raises(SerEdgeError, "runs-mismatched") as caught:
        evaluate([run], tmp_path)
    assert str(caught.value).startswith(str(tmp_path / "gru-utterance-seed0.onnx"))


def test_the_readmes_table_shows_the_network_not_its_files(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ser_train.evaluation.results, "open_model", Exported)
    run = make_run(Settings("gru", "utterance"), wrong=2)
    (tmp_path / "gru-utterance-seed0.onnx").write_bytes(b"x")
    rows = evaluate([run], tmp_path).rows
    assert len(rows) == 2
    assert results_table(rows) == results_table(rows[:1])


def test_rows_of_networks_that_were_not_evaluated_stay(tmp_path: Path) -> None:
    def row(network: str, wa: float) -> Row:
        return {"network": network, "protocol": "speaker", "wa": wa}

    file = tmp_path / "results.json"
    assert with_other_networks([row("gru", 1.0)], read_rows(file)) == [row("gru", 1.0)]
    file.write_text(json.dumps([row("crnn", 2.0), row("gru", 3.0)]), "utf-8")
    assert with_other_networks([row("gru", 1.0)], read_rows(file)) == [row("crnn", 2.0), row("gru", 1.0)]


def test_rows_that_an_evaluated_network_no_longer_has_are_named(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ser_train.evaluation.results, "open_model", Exported)
    run = make_run(Settings("gru", "utterance"), wrong=2)
    exported = tmp_path / "exported"
    exported.mkdir()
    file = exported / "gru-utterance-seed0-int8.onnx"
    file.write_bytes(b"x")
    command = ["evaluate", str(run.path), "--exported", str(exported), "--out", str(tmp_path / "results.json")]
    assert main(command) == 0
    assert main(command) == 0
    assert capsys.readouterr().err == ""
    file.unlink()
    assert main(command) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"ser-train: {tmp_path / 'results.json'} no longer has a row of gru by utterance, int8 .onnx"
