"""Plots of runs and trainings, as PNG files on white.

One palette for all of them, Okabe and Ito's, which colour-blind people can distinguish; legends and, where possible,
shapes carry the same information as colours.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from sklearn.metrics import confusion_matrix

from ser_train.evaluation.metrics import Reliability
from ser_train.reporting.fonts import use_fonts_for
from ser_train.reporting.statistics import SpeakerAccuracy
from ser_train.runs.run_directory import Answers

matplotlib.use("Agg")  # files only: no screen is needed

DPI = 120
BLUE, ORANGE, GRAY = "#0072b2", "#d55e00", "#767676"

_NAME_WIDTH = 0.25  # inches from a speaker's name to the next


@dataclass(frozen=True)
class Curve:
    """The history of one training."""

    history: Sequence[dict[str, float]]  # of each epoch: accuracy, loss, and with val_ before it where there is one
    best_epoch: int  # whose weights were taken, from 1


def plot_confusion(answers: Answers, names: Sequence[str], title: str, path: Path) -> None:
    """The confusion matrix: a row for each true label, in percent of it."""
    use_fonts_for("".join(names))
    matrix = confusion_matrix(answers.labels, answers.probabilities.argmax(1), labels=range(len(names)))
    percent = 100 * matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    figure = Figure(figsize=(6.4, 5.6), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(percent, cmap="Blues", vmin=0, vmax=100)
    places = range(len(names))
    axes.set_xticks(places, names, rotation=45, ha="right", parse_math=False)
    axes.set_yticks(places, names, parse_math=False)
    axes.set(xlabel="predicted", ylabel="true", title=f"{title}\n% of each true emotion, {matrix.sum()} predictions")
    for row, column in np.ndindex(percent.shape):
        value = percent[row, column]
        color = "white" if value > 55 else "black"
        axes.text(column, row, f"{value:.0f}", ha="center", va="center", color=color, fontsize=9)
    figure.savefig(path, dpi=DPI)


def plot_histories(curves: Sequence[Curve], title: str, path: Path) -> None:
    """Loss and accuracy of each epoch; several trainings as thin lines, with a dot where their weights were taken."""
    alone = len(curves) == 1
    figure = Figure(figsize=(8.4, 3.6), layout="constrained")
    figure.suptitle(title)
    for place, metric in enumerate(("loss", "accuracy"), 1):
        axes = figure.add_subplot(1, 2, place)
        named = {}  # a line of each kind, for the legend
        for curve in curves:
            epochs = np.arange(1, len(curve.history) + 1)
            for key, name, color in ((metric, "training", BLUE), (f"val_{metric}", "validation", ORANGE)):
                if key not in curve.history[0]:
                    continue  # a fixed number of epochs needs no validation
                values = [epoch[key] for epoch in curve.history]
                style = {"marker": "."} if alone else {"linewidth": 0.9, "alpha": 0.6}
                (named[name],) = axes.plot(epochs, values, color=color, **style)
                if not alone:
                    axes.plot(curve.best_epoch, values[curve.best_epoch - 1], "o", color=color, markersize=4)
        if alone:
            named["weights taken"] = axes.axvline(curves[0].best_epoch, color=GRAY, linestyle=":")
        else:
            named["weights taken"] = Line2D([], [], color=GRAY, linestyle="", marker="o", markersize=4)
        _plain(axes)
        axes.set(xlabel="epoch", ylabel=metric, ylim=(0, 1.02 if metric == "accuracy" else None))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(list(named.values()), list(named))
    figure.savefig(path, dpi=DPI)


def plot_speakers(bars: Sequence[SpeakerAccuracy], mean: float, chance: float, title: str, path: Path) -> None:
    """A bar an actor, the best first; whiskers from the worst to the best seed; lines at the mean and at chance.

    The picture grows with the speakers, up to twice its width; of more than fit there, every second is named, or fewer.
    """
    use_fonts_for("".join(str(bar.actor) for bar in bars))
    width = min(max(8.4, _NAME_WIDTH * len(bars)), 16.8)
    step = math.ceil(_NAME_WIDTH * len(bars) / width)  # from a name to the next
    figure = Figure(figsize=(width, 3.6), layout="constrained")
    axes = figure.add_subplot()
    bars = sorted(bars, key=lambda bar: -bar.mean)
    for sex, color, hatch in (("female", BLUE, None), ("male", ORANGE, "//"), ("", BLUE, None)):
        places = [place for place, bar in enumerate(bars) if bar.sex == sex]
        if places:
            heights = [bars[place].mean for place in places]
            axes.bar(places, heights, 0.72, color=color, hatch=hatch, edgecolor="white", linewidth=0, label=sex)
    if any(bar.high > bar.low for bar in bars):
        axes.vlines(range(len(bars)), [b.low for b in bars], [b.high for b in bars], color="black", linewidth=1)
    axes.axhline(mean, color="black", linewidth=1, linestyle="--", label=f"all: {mean:.1f}")
    axes.axhline(chance, color=GRAY, linewidth=1, linestyle=":", label=f"chance: {chance:.1f}")
    axes.set_xticks(range(0, len(bars), step), [f"{bar.actor}" for bar in bars[::step]], parse_math=False)
    if any(isinstance(bar.actor, str) for bar in bars):  # names need room
        axes.tick_params(axis="x", rotation=45 if width == 8.4 else 90)
    axes.set_xlabel("speaker" if step == 1 else f"speaker (one name in {step} is shown)")
    axes.set(ylabel="accuracy, %", ylim=(0, 100), title=title)
    axes.set_xlim(-0.7, len(bars) - 0.3)
    _plain(axes)
    axes.grid(visible=False, axis="x")
    figure.legend(ncols=4, loc="outside lower center")  # beside the bars, which may be full
    figure.savefig(path, dpi=DPI)


def plot_reliability(binned: dict[str, Reliability], title: str, path: Path) -> None:
    """Reliability diagram: accuracy by confidence; the bigger a dot, the more predictions it stands for.

    Args:
        binned: by what the legend calls them; two at most.
        title: of the picture.
        path: the PNG.
    """
    figure = Figure(figsize=(5.6, 4.6), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([0, 100], [0, 100], color=GRAY, linewidth=1, linestyle=":")
    handles = [Line2D([], [], color=GRAY, linewidth=1, linestyle=":", label="perfectly calibrated")]
    for (name, bins), color, marker in zip(binned.items(), (BLUE, ORANGE), "os", strict=False):
        seen = bins.share > 0
        sure, right = 100 * bins.confidence[seen], 100 * bins.accuracy[seen]
        axes.plot(sure, right, color=color, linewidth=1, alpha=0.4)
        axes.scatter(sure, right, 8 + 500 * bins.share[seen], color=color, marker=marker, alpha=0.75, linewidths=0)
        handles.append(Line2D([], [], color=color, marker=marker, label=name))
    axes.set(xlabel="confidence, %", ylabel="accuracy, %", xlim=(0, 100), ylim=(0, 100), title=title)
    _plain(axes)
    axes.legend(handles=handles, loc="upper left")
    figure.savefig(path, dpi=DPI)


def plot_coverage(answers: Answers, at_threshold: tuple[float, float] | None, title: str, path: Path) -> None:
    """Risk-coverage curve: accuracy of the most confident predictions, by their share.

    Args:
        answers: with calibrated probabilities.
        at_threshold: share of labels given and their accuracy at the model's threshold, in percent; None without one.
        title: of the picture.
        path: the PNG.
    """
    confidence, right = answers.probabilities.max(1), answers.probabilities.argmax(1) == answers.labels
    by_confidence = np.argsort(-confidence, kind="stable")
    given = np.arange(1, len(right) + 1)
    accuracy = 100 * right[by_confidence].cumsum() / given
    shown = given >= min(max(20, len(right) // 20), len(right))  # the accuracy of fewer is noise
    figure = Figure(figsize=(5.6, 3.8), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(100 * given[shown] / len(right), accuracy[shown], color=BLUE)
    if at_threshold:
        axes.plot(
            *at_threshold, "o", color=ORANGE, label=f"threshold: {at_threshold[1]:.0f} % of {at_threshold[0]:.0f} %"
        )
    axes.axhline(100 / answers.probabilities.shape[1], color=GRAY, linewidth=1, linestyle=":", label="chance")
    axes.set(xlabel="predictions with a label, the most confident first, %", ylabel="accuracy, %", title=title)
    axes.set(xlim=(0, 101), ylim=(0, 101))
    _plain(axes)
    axes.legend(loc="lower left")
    figure.savefig(path, dpi=DPI)


def _plain(axes: Axes) -> None:
    """Less ink: two spines, and a grid behind."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)
    axes.set_axisbelow(True)
