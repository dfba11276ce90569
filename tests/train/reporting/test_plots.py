"""Plots are whole PNG files with something on them; the text report lists every emotion."""

from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from ser_train.data.corpus_loader import EMOTIONS
from ser_train.reporting.plots import Curve, plot_confusion, plot_histories, plot_speakers
from ser_train.reporting.statistics import SpeakerAccuracy
from ser_train.reporting.tables import classification_text
from ser_train.runs.run_directory import Answers


@pytest.fixture
def answers() -> Answers:
    """200 answers, most of them right, and none for the last emotion."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 7, 200)
    guesses = np.where(random.random(200) < 0.7, labels, random.integers(0, 7, 200))
    return Answers(
        np.zeros((200, 1, 1), np.float32),
        labels,
        np.array([f"{place}" for place in range(200)]),
        np.ones(200, int),
        np.eye(8, dtype=np.float32)[guesses],
        np.ones(200, bool),
    )


def check_plot(path: Path, width: int, height: int) -> None:
    pixels = matplotlib.image.imread(path)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert pixels.shape[:2] == (height, width)
    assert pixels[..., :3].std() > 0.05
    frame = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    assert (frame == 1).all()  # nothing is cut off at an edge


def test_the_confusion_matrix_is_a_plot(answers: Answers, tmp_path: Path) -> None:
    plot_confusion(answers, EMOTIONS, "gru-speaker-fold0-seed0", tmp_path / "confusion.png")
    check_plot(tmp_path / "confusion.png", 768, 672)


@pytest.mark.parametrize("epochs", [1, 30])
def test_the_curves_are_a_plot(epochs: int, tmp_path: Path) -> None:
    names = ("loss", "accuracy", "val_loss", "val_accuracy")
    history = [{name: 1 / (epoch + place) for place, name in enumerate(names, 1)} for epoch in range(epochs)]
    plot_histories([Curve(history, min(epochs, 25))], "gru-speaker-fold0-seed0", tmp_path / "curves.png")
    check_plot(tmp_path / "curves.png", 1008, 432)


@pytest.mark.parametrize(("speakers", "width"), [(1, 1008), (24, 1008), (60, 1800), (120, 2016), (400, 2016)])
def test_the_plot_of_speakers_grows_with_them_to_twice_its_width(speakers: int, width: int, tmp_path: Path) -> None:
    bars = [SpeakerAccuracy(f"Participant_{number}", "", 60.0, 50.0, 70.0) for number in range(speakers)]
    plot_speakers(bars, 60.0, 12.5, "gru-speaker-fold0-seed0", tmp_path / "speakers.png")
    check_plot(tmp_path / "speakers.png", width, 432)


def test_the_report_has_a_line_an_emotion_even_for_one_without_utterances(answers: Answers) -> None:
    text = classification_text(answers, EMOTIONS)
    lines = {line.split()[0]: line.split()[1:] for line in text.splitlines() if line.strip()}
    assert list(lines)[1:9] == list(EMOTIONS)
    assert lines["surprised"] == ["0.000", "0.000", "0.000", "0"]
    right = (answers.probabilities.argmax(1) == answers.labels).mean()
    assert lines["accuracy"] == [f"{right:.3f}", "200"]
