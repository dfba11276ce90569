"""Pictures and pages: what a person looks at. Nothing here computes a figure that isn't shown."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from sklearn.metrics import classification_report, confusion_matrix

from ser_train.corpus import EMOTIONS
from ser_train.run import Answers

__all__ = ["classification_text", "markdown_table", "picture_confusion", "picture_curves"]

matplotlib.use("Agg")  # files only: no screen is needed

_PROTOCOL_NOTES = {
    "notebook": "each file twice, the test set stops the training: memory, not accuracy",
    "utterance": "new sentences, but voices it was trained on",
    "speaker": "**voices it never heard: what you will get**",
}


def classification_text(answers: Answers) -> str:
    """scikit-learn's `classification_report`: precision, recall and F1 of each emotion."""
    guesses = answers.probabilities.argmax(1)
    every = range(len(EMOTIONS))
    text: str = classification_report(
        answers.labels, guesses, labels=every, target_names=EMOTIONS, digits=3, zero_division=0
    )
    return text


def picture_confusion(answers: Answers, title: str, path: Path) -> None:
    """The confusion matrix: a row a spoken emotion, in percent of it."""
    matrix = confusion_matrix(answers.labels, answers.probabilities.argmax(1), labels=range(len(EMOTIONS)))
    percent = 100 * matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    figure = Figure(figsize=(6.4, 5.6), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(percent, cmap="Blues", vmin=0, vmax=100)
    places = range(len(EMOTIONS))
    axes.set_xticks(places, EMOTIONS, rotation=45, ha="right")
    axes.set_yticks(places, EMOTIONS)
    axes.set(xlabel="heard", ylabel="spoken", title=f"{title}\n% of each spoken emotion, {matrix.sum()} utterances")
    for row, column in np.ndindex(percent.shape):
        value = percent[row, column]
        color = "white" if value > 55 else "black"
        axes.text(column, row, f"{value:.0f}", ha="center", va="center", color=color, fontsize=9)
    figure.savefig(path, dpi=120)


def picture_curves(history: Sequence[dict[str, float]], best_epoch: int, title: str, path: Path) -> None:
    """Loss and accuracy of each epoch, for training and validation."""
    figure = Figure(figsize=(8.4, 3.6), layout="constrained")
    figure.suptitle(title)
    epochs = range(1, len(history) + 1)
    for place, metric in enumerate(("loss", "accuracy"), 1):
        axes = figure.add_subplot(1, 2, place)
        for key, name in ((metric, "training"), (f"val_{metric}", "validation")):
            axes.plot(epochs, [epoch[key] for epoch in history], marker=".", label=name)
        axes.axvline(best_epoch, color="gray", linestyle=":", label="weights taken")
        axes.set(xlabel="epoch", ylabel=metric, ylim=(0, 1.02 if metric == "accuracy" else None))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=120)


def markdown_table(rows: Sequence[dict[str, Any]]) -> str:
    """The figure table of the README, from the rows of `train/results.json`: protocols side by side."""
    protocols = [p for p in _PROTOCOL_NOTES if any(row["protocol"] == p for row in rows)]
    lines = [
        "| network | " + " | ".join(f"`{p}`: WA / UAR / macro-F1, %" for p in protocols) + " |",
        "|---|" + "---|" * len(protocols),
    ]
    for network in dict.fromkeys(row["network"] for row in rows):
        cells = []
        for protocol in protocols:
            found = [r for r in rows if (r["network"], r["protocol"]) == (network, protocol)]
            cells.append(_cell(found[0]) if found else "")
        lines.append(f"| `{network}` | " + " | ".join(cells) + " |")
    lines.append("| | " + " | ".join(_PROTOCOL_NOTES[p] for p in protocols) + " |")
    counts = "; ".join(f"`{p}`: {_counts(next(r for r in rows if r['protocol'] == p))}" for p in protocols)
    lines += [
        "",
        f"Test accuracy on RAVDESS speech, 8 emotions (chance 12.5 %). {counts}. Brackets: 95 % interval over actors.",
    ]
    return "\n".join(lines) + "\n"


def _cell(row: dict[str, Any]) -> str:
    wa, uar, f1 = (row[name] for name in ("wa", "uar", "f1"))
    return f"{wa['mean']:.1f} / {uar['mean']:.1f} / {f1['mean']:.1f} ({wa['low']:.0f}-{wa['high']:.0f})"


def _counts(row: dict[str, Any]) -> str:
    counted = ((row["folds"], "fold"), (row["seeds"], "seed"))
    return " x ".join(f"{n} {what}{'s' * (n > 1)}" for n, what in counted)
