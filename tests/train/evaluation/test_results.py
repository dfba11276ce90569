"""Many runs become rows and a table; runs are written by hand here, nothing is trained."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ser_train.evaluation.metrics
import ser_train.evaluation.results
from ser_edge.errors import SerEdgeError
from ser_edge.features.config import FeatureConfig
from ser_edge.models.metadata import Accuracy, ModelMetadata
from ser_train.data.corpus_loader import EMOTIONS, CorpusError
from ser_train.data.splits import SPEAKER_FOLDS
from ser_train.evaluation.results import BEGIN, END, evaluate, include
from ser_train.reporting.tables import markdown_table
from ser_train.runs.run_directory import Answers, RunDirectory
from ser_train.runs.settings import Settings
from tests import messages

MakeRun = Callable[..., RunDirectory]
TRAINING = {"data": "RAVDESS speech, CC BY-NC-SA 4.0; nEMO, CC BY-NC-SA 4.0"}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ser_train.evaluation.metrics, "_BOOTSTRAPS", 20)


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    def make(settings: Settings, wrong: int = 0, sure: float = 1.0) -> RunDirectory:
        """A finished run that says each emotion once for each actor; the first so many answers are wrong.

        An answer's confidence is `sure`, the rest is everywhere else.
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


def test_a_row_says_what_was_run_and_how_sure_the_figures_are(make_run: MakeRun) -> None:
    (row,) = evaluate([make_run(Settings("gru", "utterance"), wrong=10)])
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
    rows = evaluate(runs)
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


def test_every_run_then_shows_the_cross_validated_accuracy(make_run: MakeRun) -> None:
    runs = [make_run(Settings("gru", "speaker", fold), wrong=8 * (fold == 4)) for fold in range(5)]
    evaluate(runs)
    for run in runs:
        accuracy = run.metadata.accuracy
        assert (accuracy.protocol, accuracy.folds, accuracy.seeds) == ("speaker", 5, 1)
        assert accuracy.wa == round(100 * 184 / 192, 2)


def row(network: str, protocol: str, value: float, seeds: int = 1) -> dict[str, Any]:
    figure = {"mean": value, "std": 0.0, "low": value - 2.4, "high": value + 2.6}
    folds = 5 if protocol == "speaker" else 1
    about = {"corpus": "RAVDESS speech", "labels": 8, "folds": folds, "seeds": seeds}
    return {"network": network, "protocol": protocol} | about | dict.fromkeys(("wa", "uar", "f1"), figure)


def test_the_table_has_a_row_a_network_and_says_what_each_protocol_means() -> None:
    rows = [row("rnn", "notebook", 50.0), row("gru", "speaker", 40.06, seeds=3), row("gru", "notebook", 94.0)]
    assert markdown_table(rows) == (
        "| network | `notebook`: WA / UAR / macro-F1, % | `speaker`: WA / UAR / macro-F1, % |\n"
        "|---|---|---|\n"
        "| `rnn` | 50.0 / 50.0 / 50.0 (48-53) |  |\n"
        "| `gru` | 94.0 / 94.0 / 94.0 (92-97) | 40.1 / 40.1 / 40.1 (38-43) |\n"
        "| | train/test leakage: each file twice, and the test set stops the training "
        "| **speakers it was not trained on: what to expect** |\n"
        "\n"
        "Test accuracy on RAVDESS speech, 8 emotions (chance 12.5 %). `notebook`: 1 fold x 1 seed; "
        "`speaker`: 5 folds x 3 seeds. Brackets: 95 % interval over actors.\n"
    )


def test_only_what_is_between_the_marks_is_replaced(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text(f"# Title\n{BEGIN}\nold\n{END}\nThe mark {END} may be spoken of.\n", "utf-8")
    for value in (50.0, 60.0):
        rows = [row("gru", "speaker", value)]
        include(rows, page)
        assert page.read_text("utf-8") == (
            f"# Title\n{BEGIN}\n{markdown_table(rows)}{END}\nThe mark {END} may be spoken of.\n"
        )


@pytest.mark.parametrize("text", ["no marks", f"only {BEGIN}", f"only {END}", f"{END} before {BEGIN}"])
def test_a_page_without_the_marks_is_refused_and_left_alone(text: str, tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text(text, "utf-8")
    with pytest.raises(CorpusError, match=f"^{page}: nowhere to put the figures"):
        include([row("gru", "speaker", 50.0)], page)
    assert page.read_text("utf-8") == text


def test_a_changed_recipe_is_a_network_of_its_own_in_the_table(make_run: MakeRun) -> None:
    plain, changed = Settings("crnn", "utterance", recipe="one"), ("mixup=0.2", "epochs=60")
    rows = evaluate([make_run(plain), make_run(replace(plain, recipe="other", changes=changed))])
    assert [row["network"] for row in rows] == ["crnn", "crnn, mixup=0.2, epochs=60"]


# Who calibrates whom.


@pytest.fixture
def calibrations(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, int], list[Answers]]:
    """For each run that is calibrated, by protocol and fold, the answers it is calibrated by."""
    seen: dict[tuple[str, int], list[Answers]] = {}
    calibrate = ser_train.evaluation.results._calibrate

    def noting(run: RunDirectory, answers: list[Answers]) -> None:
        seen[run.settings.protocol, run.settings.fold] = answers
        calibrate(run, answers)

    monkeypatch.setattr(ser_train.evaluation.results, "_calibrate", noting)
    return seen


def crnn(protocol: str, fold: int = 0, seed: int = 0) -> Settings:
    return Settings("crnn", protocol, fold, seed)


def test_inner_runs_calibrate_by_voices_that_neither_they_nor_the_fold_have_to_do_with(
    make_run: MakeRun, calibrations: dict[tuple[str, int], list[Answers]]
) -> None:
    speaker = [make_run(crnn("speaker", fold)) for fold in range(5)]
    inner = [make_run(crnn("inner", fold), sure=0.5 + 0.05 * fold) for fold in range(5)]
    evaluate([*inner, *speaker])
    for fold in range(5):
        own = set(SPEAKER_FOLDS[fold])
        by = {}
        for answers in calibrations["speaker", fold]:
            assert not own & set(answers.actors.tolist())
            assert not (answers.actors == 99).any()  # nor by what isn't of the test
            (sure,) = np.unique(answers.probabilities.max(axis=1))
            by[round(20 * (float(sure) - 0.5))] = set(answers.actors.tolist())
        # `inner` run k leaves out folds k and k + 1: those that leave out this one are its own and the one before.
        assert by == {
            fold: set(SPEAKER_FOLDS[(fold + 1) % 5]),
            (fold - 1) % 5: set(SPEAKER_FOLDS[(fold - 1) % 5]),
        }


def test_some_inner_runs_calibrate_what_they_can_and_no_other(
    make_run: MakeRun, calibrations: dict[tuple[str, int], list[Answers]]
) -> None:
    speaker = [make_run(crnn("speaker", fold), wrong=10, sure=0.9) for fold in range(5)]
    inner = [make_run(crnn("inner", 2, seed), wrong=40, sure=0.9) for seed in (0, 1)]
    evaluate([*speaker, *inner])
    assert {fold: len(calibrations["speaker", fold]) for fold in range(5)} == {0: 0, 1: 0, 2: 2, 3: 2, 4: 0}
    calibrated = [run.metadata.temperature != 1 for run in speaker]
    assert calibrated == [False, False, True, True, False]
    assert [run.metadata.threshold > 0 for run in speaker] == calibrated


def test_the_speaker_runs_calibrate_the_network_to_ship_and_give_it_their_figures(
    make_run: MakeRun, calibrations: dict[tuple[str, int], list[Answers]]
) -> None:
    speaker = [make_run(crnn("speaker", fold), wrong=10, sure=0.9) for fold in range(5)]
    shipped = make_run(crnn("all"))
    (row,) = evaluate([shipped, *speaker])
    heard = np.concatenate([answers.actors for answers in calibrations["all", 0]])
    assert sorted(heard) == sorted(np.repeat(range(1, 25), 8))
    assert calibrations["speaker", 0] == []
    metadata = shipped.metadata
    right = round(100 * 142 / 192, 2)
    assert metadata.accuracy == Accuracy(
        "speaker", 5, 1, right, round(row["uar"]["mean"], 2), round(row["f1"]["mean"], 2)
    )
    assert 0 < metadata.threshold < 1
    assert metadata.temperature > 1  # 90 % sure, 74 % right
    assert row["protocol"] == "speaker"


def test_what_inner_and_all_say_of_themselves_is_no_row(make_run: MakeRun) -> None:
    runs = [*(make_run(crnn("inner", fold)) for fold in (0, 3)), make_run(crnn("all"))]
    assert evaluate(runs) == []
    assert [run.metadata.accuracy.wa for run in runs] == [99.0] * 3  # their own


def test_the_figures_are_those_of_calibrated_answers(make_run: MakeRun) -> None:
    def error(*inner: RunDirectory) -> float:
        return evaluate([*speaker, *inner])[0]["ece"]["mean"]

    speaker = [make_run(crnn("speaker", fold), wrong=12, sure=0.95) for fold in range(5)]
    before = error()
    assert before == pytest.approx(0.95 - (192 - 60) / 192, abs=0.01)
    inner = [make_run(crnn("inner", fold), wrong=25, sure=0.95) for fold in range(5)]
    assert error(*inner) < before / 2
    assert error() < before / 2  # kept


# Files that ser-export made.


class Exported:
    """A model file whose answers are as right as its name says: of `int8` the first is wrong."""

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
    runs = [make_run(crnn("speaker", fold), wrong=4) for fold in range(5)]
    folder = tmp_path / "exported"
    folder.mkdir()
    for fold in range(5):
        (folder / f"crnn-speaker-fold{fold}-seed0.onnx").write_bytes(b"x" * (100 + fold))
        (folder / f"crnn-speaker-fold{fold}-seed0-int8.tflite").write_bytes(b"x" * 30)
    (folder / "crnn-speaker-fold0-seed0-float16.onnx").write_bytes(b"of one fold alone")
    rows = evaluate(runs, folder)
    assert [(row["format"], row["precision"], row["bytes"]) for row in rows] == [
        ("keras", "float32", 5),
        ("tflite", "int8", 30),
        ("onnx", "float32", 104),
    ]
    assert [row["wa"]["mean"] for row in rows] == [
        pytest.approx(100 * (192 - wrong) / 192, abs=1e-3) for wrong in (20, 5, 0)
    ]
    assert all(row["network"] == "crnn" and row["parameters"] == 1234 for row in rows)
    accuracy = runs[0].metadata.accuracy
    assert accuracy.wa == round(100 * 172 / 192, 2)  # the network's, not that of a file
    assert evaluate(runs) == rows[:1]
    assert evaluate(runs, tmp_path / "no such folder") == rows[:1]


def test_the_readmes_table_shows_the_network_not_its_files(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ser_train.evaluation.results, "open_model", Exported)
    run = make_run(Settings("gru", "utterance"), wrong=10)
    (tmp_path / "gru-utterance-seed0.onnx").write_bytes(b"x")
    rows = evaluate([run], tmp_path)
    assert len(rows) == 2
    assert markdown_table(rows) == markdown_table(rows[:1])
