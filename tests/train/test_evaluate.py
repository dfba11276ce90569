"""Many runs become rows and a table; runs are written by hand here, nothing is trained."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ser_train.scores
from ser_edge.description import Accuracy, ModelDescription
from ser_edge.features import FeatureConfig
from ser_train.corpus import EMOTIONS, CorpusError
from ser_train.evaluate import BEGIN, END, evaluate, include
from ser_train.report import markdown_table
from ser_train.run import Answers, RunDirectory, Settings
from ser_train.splits import SPEAKER_FOLDS

MakeRun = Callable[..., RunDirectory]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ser_train.scores, "_BOOTSTRAPS", 20)


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    def make(settings: Settings, wrong: int = 0) -> RunDirectory:
        """A finished run that says each emotion once for each actor; the first so many answers are wrong."""
        run = RunDirectory(tmp_path / settings.name)
        run.path.mkdir()
        actors = np.repeat(SPEAKER_FOLDS[settings.fold], 8)
        labels = np.tile(np.arange(8), len(SPEAKER_FOLDS[settings.fold]))
        guesses = np.where(np.arange(len(labels)) < wrong, (labels + 1) % 8, labels)
        run.write_answers(
            Answers(
                np.zeros((len(labels) + 1, 2, 3), np.float32),
                np.append(labels, 0),
                np.array([f"{place}" for place in range(len(labels) + 1)]),
                np.append(actors, 99),
                np.eye(8, dtype=np.float32)[np.append(guesses, 7)],  # the last is wrong, and not of the test
                np.append(np.ones(len(labels), bool), False),
            )
        )
        lucky = Accuracy(settings.protocol, 1, 1, 99.0, 99.0, 99.0)
        description = ModelDescription(settings.network, EMOTIONS, FeatureConfig(), accuracy=lucky)
        run.write("description.json", description.to_json())
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
    with pytest.raises(CorpusError, match=r"^gru, speaker, seed 0: folds \[1, 4\] are not trained"):
        evaluate(runs)


def test_no_run_at_all_is_refused() -> None:
    with pytest.raises(CorpusError, match="none of these is a finished run"):
        evaluate([])


def test_every_run_then_shows_the_cross_validated_accuracy(make_run: MakeRun) -> None:
    runs = [make_run(Settings("gru", "speaker", fold), wrong=8 * (fold == 4)) for fold in range(5)]
    evaluate(runs)
    for run in runs:
        accuracy = run.description.accuracy
        assert (accuracy.protocol, accuracy.folds, accuracy.seeds) == ("speaker", 5, 1)
        assert accuracy.wa == round(100 * 184 / 192, 2)


def row(network: str, protocol: str, value: float, seeds: int = 1) -> dict[str, Any]:
    figure = {"mean": value, "std": 0.0, "low": value - 2.4, "high": value + 2.6}
    folds = 5 if protocol == "speaker" else 1
    return {"network": network, "protocol": protocol, "folds": folds, "seeds": seeds} | dict.fromkeys(
        ("wa", "uar", "f1"), figure
    )


def test_the_table_has_a_row_a_network_and_says_what_each_protocol_means() -> None:
    rows = [row("rnn", "notebook", 50.0), row("gru", "speaker", 40.06, seeds=3), row("gru", "notebook", 94.0)]
    assert markdown_table(rows) == (
        "| network | `notebook`: WA / UAR / macro-F1, % | `speaker`: WA / UAR / macro-F1, % |\n"
        "|---|---|---|\n"
        "| `rnn` | 50.0 / 50.0 / 50.0 (48-53) |  |\n"
        "| `gru` | 94.0 / 94.0 / 94.0 (92-97) | 40.1 / 40.1 / 40.1 (38-43) |\n"
        "| | each file twice, the test set stops the training: memory, not accuracy "
        "| **voices it never heard: what you will get** |\n"
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


def test_runs_of_different_data_or_epochs_are_not_one_figure(make_run: MakeRun) -> None:
    one, other = make_run(Settings("gru", "utterance")), make_run(Settings("gru", "utterance", seed=1, epochs=1))
    with pytest.raises(CorpusError, match="gru, utterance: trained on different data or for different epochs"):
        evaluate([one, other])
    with pytest.raises(CorpusError, match="there is another run of gru-utterance-seed0"):
        evaluate([one, one])
